//! The writer of a spool: requests that come while the disk is busy are written and synced
//! together.
//!
//! A key is *absent* until its records are on their way into a segment, then it is *being written*,
//! and *stored* once they are synced to their end: only then is it noted and anybody is told. A
//! second request under a key that is being written waits for what becomes of the first. Where a
//! write or a sync fails, the segment is cut off where it was synced last and ends there, and the
//! key is absent again.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tokio::task::spawn_blocking;

use super::keys::Stored;
use super::lookup::Lookup;
use super::open::{Open, Other, Pending, Reply};
use super::segment::{self, Content};
use super::trouble::Trouble;
use super::{Append, Inner, QUEUE_MAX, Receipt, SEGMENT_AGE, SEGMENT_BYTES, Segment, SpoolError};
use crate::batch::Counts;
use crate::framing::Key;
use crate::ledger::idempotency::Committed;

/// How many requests are synced together at most, and how many bytes.
const GROUP_MAX: usize = 1024;
const GROUP_BYTES: usize = 32 << 20;

/// How many segments are appended to at a time: one for each header.
const OPEN_MAX: usize = 8;

/// How often it is tried whether the spool can be written again.
const PROBE_EVERY: Duration = Duration::from_secs(1);

/// What the database says of keys.
#[derive(Default)]
struct Known {
    /// Which it was asked for, if it has answered.
    asked: Vec<u128>,
    committed: HashMap<u128, Committed>,
}

/// What the writer is to do.
pub(super) enum Command {
    Append(Append, Reply),
    /// End all segments.
    Seal(oneshot::Sender<()>),
}

/// Starts the writer; it ends with the process, or with the last handle on the spool.
pub(super) fn start(inner: Arc<Inner>) -> mpsc::Sender<Command> {
    let (send, receive) = mpsc::channel(QUEUE_MAX);
    let lookup = inner.lookup();
    tokio::spawn(work(
        Writer { inner, open: Vec::new(), writing: HashMap::new() },
        lookup,
        receive,
    ));
    send
}

async fn work(
    mut writer: Writer,
    mut lookup: Option<Lookup>,
    mut commands: mpsc::Receiver<Command>,
) {
    loop {
        let first = tokio::select! {
            first = commands.recv() => first,
            () = tokio::time::sleep(writer.pause()) => {
                writer.seal(|open| open.born.elapsed() >= SEGMENT_AGE);
                let Ok(back) = spawn_blocking(move || writer.probe()).await else { return };
                writer = back;
                continue;
            }
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
        let keys = group.iter().filter_map(|(append, _)| append.key);
        let asked: Vec<u128> = keys.filter_map(|key| writer.unsure(key)).collect();
        lookup = lookup.or_else(|| writer.inner.lookup());
        let answer = match &mut lookup {
            Some(lookup) if !asked.is_empty() => lookup.ask(&asked).await,
            _ => None,
        };
        let known = answer.map(|committed| Known { asked, committed }).unwrap_or_default();
        let written = spawn_blocking(move || {
            writer.write(group, &known);
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
    /// The keys that are being written: in which segment, and at which place among its requests.
    writing: HashMap<u128, (usize, usize)>,
}

/// What is known of a key.
enum Standing {
    Absent,
    /// It is being written.
    Writing(usize, usize),
    /// It is synced here, and not committed yet.
    Stored(Stored),
    /// So many records are committed under it.
    Committed(u64),
    /// It was used for other records.
    Reused,
}

impl Writer {
    /// How long to wait at most before something is to be done.
    fn pause(&self) -> Duration {
        let born = self.open.iter().map(|open| open.born).min();
        let age = born.map_or(SEGMENT_AGE, |born| SEGMENT_AGE.saturating_sub(born.elapsed()));
        match self.inner.state().troubles.has(Trouble::Unwritable) {
            true => age.min(PROBE_EVERY),
            false => age,
        }
    }

    /// The key, if it takes the database to tell whether it was used.
    fn unsure(&self, key: Key) -> Option<u128> {
        self.inner.state().uncommitted(key).is_none().then_some(key.key)
    }

    /// Writes and syncs a group of requests, and answers them.
    fn write(&mut self, group: Vec<(Append, Reply)>, known: &Known) {
        self.leave_removed();
        for (append, reply) in group {
            self.take(append, reply, known);
        }
        for at in 0..self.open.len() {
            match self.open[at].sync() {
                Ok(()) => self.answer(at),
                Err(error) => self.fail(at, &Arc::new(error)),
            }
        }
        self.writing.clear();
        self.seal(|open| open.is_full || open.len() >= SEGMENT_BYTES);
        let too_many = self.open.len().saturating_sub(OPEN_MAX);
        let mut births: Vec<Instant> = self.open.iter().map(|open| open.born).collect();
        births.sort_unstable();
        if let Some(&born) = too_many.checked_sub(1).and_then(|last| births.get(last)) {
            self.seal(|open| open.born <= born);
        }
        self.inner.grown.notify_one();
    }

    /// Puts records into a segment of their kind, unless they came before.
    fn take(&mut self, append: Append, reply: Reply, known: &Known) {
        let waits = append.waits;
        if let Some(key) = append.key {
            match self.standing(key, known) {
                Standing::Absent => {}
                Standing::Writing(at, place) => {
                    return self.open[at].pending[place].others.push(Other { key, waits, reply });
                }
                Standing::Stored(stored) => {
                    return self.answer_again(stored, Other { key, waits, reply });
                }
                Standing::Committed(records) => {
                    let outcome = waits.then(|| told(Counts::default()));
                    let receipt = Receipt { records, is_repeated: true, outcome };
                    // Who has gone away meanwhile need not know.
                    return drop(reply.send(Ok(receipt)));
                }
                Standing::Reused => return drop(reply.send(Err(SpoolError::KeyReused))),
            }
        }
        if let Err((reply, error)) = self.put(append, reply) {
            self.trouble(&error);
            drop(reply.send(Err(error.into())));
        }
    }

    fn put(&mut self, append: Append, reply: Reply) -> Result<(), (Reply, io::Error)> {
        let has = |open: &Open| !open.is_full && open.content == append.content;
        let at = match self.open.iter().position(has) {
            Some(at) => at,
            None => match self.open_segment(append.content.clone()) {
                Ok(at) => at,
                Err(error) => return Err((reply, error)),
            },
        };
        let open = &mut self.open[at];
        if let Some(key) = append.key {
            self.writing.insert(key.key, (at, open.pending.len()));
        }
        open.put(&append, reply);
        Ok(())
    }

    /// What is known of a key: of one that is committed, the database decides if it answers.
    fn standing(&self, key: Key, known: &Known) -> Standing {
        if let Some((at, place)) = self.writing.get(&key.key) {
            return Standing::Writing(*at, *place);
        }
        let state = self.inner.state();
        if let Some(stored) = state.uncommitted(key) {
            return match stored.hash == key.records {
                true => Standing::Stored(stored.clone()),
                false => Standing::Reused,
            };
        }
        let before = match known.asked.contains(&key.key) {
            true => known.committed.get(&key.key).map(|one| (one.records_hash, one.records)),
            false => state.keys.get(key).map(|one| (one.hash, one.records)),
        };
        let before = before.map(|(hash, records)| (hash == key.records, records));
        match before.or_else(|| state.former.get(key)) {
            Some((true, records)) => Standing::Committed(records),
            Some((false, _)) => Standing::Reused,
            None => Standing::Absent,
        }
    }

    fn open_segment(&mut self, content: Content) -> io::Result<usize> {
        let (name, file) = segment::create(&self.inner.folder, content.format)?;
        let segment = Segment::new(file, 0, false);
        self.open.push(Open::new(content, &name, &segment));
        self.inner.state().segments.insert(name, segment);
        Ok(self.open.len() - 1)
    }

    /// The records of a segment's requests are synced.
    fn answer(&mut self, at: usize) {
        let open = &mut self.open[at];
        if open.pending.is_empty() {
            return;
        }
        let synced = open.len();
        let mut state = self.inner.state();
        state.troubles.end(Trouble::Unwritable);
        let (mut answers, mut others) = (Vec::new(), Vec::new());
        for pending in open.pending.drain(..) {
            let Pending { start, end, records, key, waits, reply, .. } = pending;
            let outcome = waits.then(|| state.waiters.wait(&open.name, start..end, false));
            state.waiters.arrive(&open.name, end, records);
            if let Some(segment) = state.segments.get_mut(&*open.name) {
                segment.unoffered.note(records);
            }
            if let Some(key) = key {
                let (hash, segment) = (key.records, open.name.clone());
                let stored = Stored { hash, segment, start, end, records };
                state.keys.note(key, stored.clone());
                others.extend(pending.others.into_iter().map(|other| (stored.clone(), other)));
            }
            answers.push((reply, Receipt { records, is_repeated: false, outcome }));
        }
        // Only now may it be read: whoever waits is known.
        open.synced.store(synced, Ordering::Release);
        drop(state);
        for (reply, receipt) in answers {
            drop(reply.send(Ok(receipt)));
        }
        others.into_iter().for_each(|(stored, other)| self.answer_again(stored, other));
    }

    /// Answers a request under a key whose records are synced.
    fn answer_again(&self, stored: Stored, Other { key, waits, reply }: Other) {
        let Stored { hash, segment, start, end, records } = stored;
        if hash != key.records {
            return drop(reply.send(Err(SpoolError::KeyReused)));
        }
        let mut state = self.inner.state();
        let rest = state.segments.get(&*segment).filter(|held| held.committed < end);
        let outcome = match (waits, rest.is_some()) {
            (false, _) => None,
            (true, true) => Some(state.waiters.wait(&segment, start..end, true)),
            (true, false) => Some(told(Counts::default())),
        };
        drop(state);
        drop(reply.send(Ok(Receipt { records, is_repeated: true, outcome })));
    }

    /// A segment can't be written or synced. Whether a later sync would tell the truth is not
    /// known: so it ends where it was synced last.
    fn fail(&mut self, at: usize, error: &Arc<io::Error>) {
        self.trouble(error);
        let open = &mut self.open[at];
        let synced = open.synced.load(Ordering::Acquire);
        if let Err(error) = open.file.set_len(synced) {
            tracing::error!("cannot cut off {}: {error}", open.name);
        }
        open.is_full = true;
        for Pending { reply, others, .. } in open.pending.drain(..) {
            for reply in others.into_iter().map(|other| other.reply).chain([reply]) {
                drop(reply.send(Err(SpoolError::Io(error.clone()))));
            }
        }
    }

    fn trouble(&self, error: &io::Error) {
        let (stream, folder) = (&self.inner.stream, self.inner.folder.display());
        self.inner.state().troubles.begin(Trouble::Unwritable, || {
            format!("stream {stream} cannot write to its spool {folder}: {error}; no record is taken until it can")
        });
    }

    /// Where nothing could be written, tries whether it can be again: no request may come that
    /// would show it, as long as nobody is told that it can.
    fn probe(self) -> Writer {
        let is_in_trouble = self.inner.state().troubles.has(Trouble::Unwritable);
        if is_in_trouble && segment::probe(&self.inner.folder).is_ok() {
            self.inner.state().troubles.end(Trouble::Unwritable);
            tracing::info!(stream = %self.inner.stream, "the spool can be written again");
        }
        self
    }

    /// Appends nothing more to segments that somebody has removed: what is in them goes with this
    /// process.
    fn leave_removed(&mut self) {
        for open in &mut self.open {
            if open.is_removed() {
                tracing::warn!(
                    "somebody has removed {}{}: what is in it is loaded as long as this streamer runs, and what \
                     comes now goes into another",
                    self.inner.prefix,
                    open.name
                );
                open.is_full = true;
            }
        }
        self.seal(|open| open.is_full);
    }

    /// Ends segments: nothing more is appended to them.
    fn seal(&mut self, ends: impl Fn(&Open) -> bool) {
        let mut state = self.inner.state();
        self.open.retain(|open| {
            let is_sealed = ends(open);
            if is_sealed && let Some(segment) = state.segments.get_mut(&*open.name) {
                segment.is_sealed = true;
                // It may be read to its end by now, and so be ready to go.
                self.inner.grown.notify_one();
            }
            !is_sealed
        });
    }
}

/// A receiver that is told at once.
fn told(counts: Counts) -> oneshot::Receiver<Counts> {
    let (tell, told) = oneshot::channel();
    let _ = tell.send(counts);
    told
}
