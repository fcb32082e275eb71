//! The writer of a spool: requests that come while the disk is busy are written and synced
//! together.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::keys::{Key, KeyBook, Stored};
use super::segment::{self, Content};
use super::{Append, Inner, QUEUE_MAX, Receipt, SEGMENT_AGE, SEGMENT_BYTES, Segment, SpoolError};
use crate::batch::Counts;

/// How many requests are synced together at most, and how many bytes.
const GROUP_MAX: usize = 1024;
const GROUP_BYTES: usize = 32 << 20;

/// How many segments are appended to at a time: one for each header.
const OPEN_MAX: usize = 8;

pub(super) type Reply = oneshot::Sender<Result<Receipt, SpoolError>>;

/// What the writer is to do.
pub(super) enum Command {
    Append(Append, Reply),
    /// End all segments.
    Seal(oneshot::Sender<()>),
}

/// Starts the writer; it ends with the process, or with the last handle on the spool.
pub(super) fn start(inner: Arc<Inner>) -> mpsc::Sender<Command> {
    let (send, receive) = mpsc::channel(QUEUE_MAX);
    tokio::spawn(work(Writer { inner, open: Vec::new(), keys: None }, receive));
    send
}

async fn work(mut writer: Writer, mut commands: mpsc::Receiver<Command>) {
    loop {
        let first = match writer.oldest() {
            None => commands.recv().await,
            Some(born) => tokio::select! {
                first = commands.recv() => first,
                () = tokio::time::sleep_until((born + SEGMENT_AGE).into()) => {
                    writer.seal(|open| open.born.elapsed() >= SEGMENT_AGE);
                    continue;
                }
            },
        };
        let Some(first) = first else { return };
        let (mut group, mut sealed, mut bytes) = (Vec::new(), None, 0);
        let mut next = Some(first);
        while let Some(command) = next {
            match command {
                Command::Append(append, reply) => {
                    bytes += append.bytes.len();
                    group.push((append, reply));
                }
                Command::Seal(reply) => {
                    sealed = Some(reply);
                    break;
                }
            }
            let is_full = group.len() >= GROUP_MAX || bytes >= GROUP_BYTES;
            next = if is_full { None } else { commands.try_recv().ok() };
        }
        let written = spawn_blocking(move || {
            writer.write(group);
            if sealed.is_some() {
                writer.seal(|_| true);
            }
            if let Some(reply) = sealed {
                let _ = reply.send(());
            }
            writer
        });
        match written.await {
            Ok(back) => writer = back,
            // A panic: whoever waits gets no answer, and nothing more is taken.
            Err(_) => return,
        }
    }
}

struct Writer {
    inner: Arc<Inner>,
    open: Vec<Open>,
    /// Read when the first key comes.
    keys: Option<KeyBook>,
}

/// A segment that is appended to.
struct Open {
    content: Content,
    name: String,
    file: Arc<File>,
    synced: Arc<AtomicU64>,
    born: Instant,
    is_alone: bool,
    /// What is to be written behind what is synced.
    buffer: Vec<u8>,
    pending: Vec<Pending>,
}

/// A request whose records are in the buffer.
struct Pending {
    place: Place,
    waits: bool,
    reply: Reply,
}

/// A request that was answered before.
struct Repeated {
    stored: Stored,
    waits: bool,
    reply: Reply,
}

impl Writer {
    fn oldest(&self) -> Option<Instant> {
        self.open.iter().map(|open| open.born).min()
    }

    /// Writes and syncs a group of requests, and answers them.
    fn write(&mut self, group: Vec<(Append, Reply)>) {
        let mut repeated = Vec::new();
        for (append, reply) in group {
            let waits = append.waits;
            match self.take(append) {
                Ok(Taken::Here(at, place)) => {
                    self.open[at].pending.push(Pending { place, waits, reply });
                }
                Ok(Taken::Before(stored)) => repeated.push(Repeated { stored, waits, reply }),
                // Who has gone away meanwhile need not know.
                Err(error) => drop(reply.send(Err(error))),
            }
        }
        let noted = self.keys.as_mut().map_or(Ok(()), KeyBook::sync).map_err(Arc::new);
        for at in 0..self.open.len() {
            let written = noted.clone().and_then(|()| self.open[at].sync().map_err(Arc::new));
            match written {
                Ok(()) => self.answer(at),
                Err(error) => self.fail(at, &error),
            }
        }
        // What of a failed request's key was noted is taken back.
        if let Some(Err(error)) = self.keys.as_mut().map(KeyBook::sync) {
            tracing::error!(stream = %self.inner.stream, "cannot write the journal of keys: {error}");
            self.keys = None;
        }
        repeated.into_iter().for_each(|repeated| self.answer_again(repeated));
        self.seal(|open| open.is_alone || open.len() >= SEGMENT_BYTES);
        let too_many = self.open.len().saturating_sub(OPEN_MAX);
        let mut births: Vec<Instant> = self.open.iter().map(|open| open.born).collect();
        births.sort_unstable();
        if let Some(&born) = too_many.checked_sub(1).and_then(|last| births.get(last)) {
            self.seal(|open| open.born <= born);
        }
        self.inner.grown.notify_one();
    }

    /// Puts records into the buffer of a segment of their kind.
    fn take(&mut self, append: Append) -> Result<Taken, SpoolError> {
        let Append { content, bytes, records, is_alone, key, .. } = append;
        if let Some(key) = key
            && let Some(stored) = self.keys()?.look_up(key)?
        {
            return Ok(Taken::Before(stored));
        }
        let found = self
            .open
            .iter()
            .position(|open| !is_alone && !open.is_alone && open.content == content);
        let at = match found {
            Some(at) => at,
            None => self.open_segment(content, is_alone)?,
        };
        let start = self.open[at].len();
        let end = start + count(bytes.len());
        if let Some(key) = key {
            let stored = Stored { segment: self.open[at].name.clone(), start, end, records };
            self.keys()?.note(key, stored)?;
        }
        self.open[at].buffer.extend_from_slice(&bytes);
        Ok(Taken::Here(at, Place { start, end, records, key }))
    }

    fn keys(&mut self) -> Result<&mut KeyBook, SpoolError> {
        if self.keys.is_none() {
            self.keys = Some(KeyBook::open(&self.inner.folder)?);
        }
        Ok(self.keys.as_mut().expect("it was read"))
    }

    fn open_segment(&mut self, content: Content, is_alone: bool) -> Result<usize, SpoolError> {
        let (name, file) = segment::create(&self.inner.folder, &content, is_alone)?;
        let segment = Segment::new(file, 0, false);
        self.open.push(Open {
            buffer: content.beginning(),
            content,
            name: name.clone(),
            file: segment.file.clone(),
            synced: segment.synced.clone(),
            born: Instant::now(),
            is_alone,
            pending: Vec::new(),
        });
        self.inner.state().segments.insert(name, segment);
        Ok(self.open.len() - 1)
    }

    /// The records of a segment's requests are synced.
    fn answer(&mut self, at: usize) {
        let open = &mut self.open[at];
        let synced = open.len();
        open.buffer.clear();
        let mut state = self.inner.state();
        let mut answers = Vec::new();
        for Pending { place, waits, reply } in open.pending.drain(..) {
            let Place { start, end, records, .. } = place;
            let outcome = waits.then(|| state.waiters.wait(&open.name, start..end, false));
            state.waiters.arrive(&open.name, end, records);
            answers.push((reply, Receipt { records, is_repeated: false, outcome }));
        }
        // Only now may it be read: whoever waits is known.
        open.synced.store(synced, Ordering::Release);
        drop(state);
        for (reply, receipt) in answers {
            drop(reply.send(Ok(receipt)));
        }
    }

    fn answer_again(&self, Repeated { stored, waits, reply }: Repeated) {
        let Stored { segment, start, end, records } = stored;
        let mut state = self.inner.state();
        let rest = state.segments.get(&segment).filter(|held| held.committed < end);
        let is_left = rest.is_some();
        let outcome = match (waits, is_left) {
            (false, _) => None,
            (true, true) => Some(state.waiters.wait(&segment, start..end, true)),
            (true, false) => {
                let (tell, told) = oneshot::channel();
                let _ = tell.send(Counts::default());
                Some(told)
            }
        };
        drop(state);
        drop(reply.send(Ok(Receipt { records, is_repeated: true, outcome })));
    }

    /// A segment can't be written or synced. Whether a later sync would tell the truth is not
    /// known: so it ends where it was synced last.
    fn fail(&mut self, at: usize, error: &Arc<io::Error>) {
        tracing::error!(stream = %self.inner.stream, "cannot write to the spool: {error}");
        let open = &mut self.open[at];
        let synced = open.synced.load(Ordering::Acquire);
        if let Err(error) = open.file.set_len(synced) {
            tracing::error!("cannot cut off {}: {error}", open.name);
        }
        open.buffer.clear();
        for Pending { place, reply, .. } in open.pending.drain(..) {
            if let (Some(key), Some(keys)) = (place.key, &mut self.keys) {
                keys.void(key);
            }
            drop(reply.send(Err(SpoolError::Io(error.clone()))));
        }
        open.is_alone = true;
    }

    /// Ends segments: nothing more is appended to them.
    fn seal(&mut self, ends: impl Fn(&Open) -> bool) {
        let mut state = self.inner.state();
        self.open.retain(|open| {
            let is_sealed = ends(open);
            if is_sealed && let Some(segment) = state.segments.get_mut(&open.name) {
                segment.is_sealed = true;
                // It may be read to its end by now, and so be ready to go.
                self.inner.grown.notify_one();
            }
            !is_sealed
        });
    }
}

/// Where records went.
enum Taken {
    /// Into this segment's buffer.
    Here(usize, Place),
    /// They are there already.
    Before(Stored),
}

/// Where the records of a request are in their segment.
struct Place {
    start: u64,
    end: u64,
    records: u64,
    key: Option<Key>,
}

impl Open {
    /// Where it ends once the buffer is written.
    fn len(&self) -> u64 {
        self.synced.load(Ordering::Acquire) + count(self.buffer.len())
    }

    /// Writes and syncs the buffer.
    fn sync(&self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&self.buffer, self.synced.load(Ordering::Acquire))?;
        self.file.sync_data()
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a count of bytes in memory fits")
}
