//! The spool: what came by a door is written to segment files, synced, and then read like any other file of
//! the stream.
//!
//! A segment is written by one process, which holds a lock on it until the segment is deleted, or the process
//! ends however it ends. Other processes leave a locked segment alone; one that nobody holds was left behind,
//! and is adopted: what of it was never acknowledged is cut off, and it is read to its end. A segment is
//! deleted once its last record is committed and nobody appends to it any more.

mod append;
mod keys;
mod segment;
mod waiting;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::batch::{MicroBatch, Part, Watched};
use crate::sink::Committed;
use crate::source::files::Files;
use crate::source::fingerprint::Stat;
use crate::source::folder::{Found, SPOOL, partition_path};
pub use append::{Append, Receipt, SpoolError};
pub use keys::Key;
pub use segment::{Kind, segments};
use waiting::Ledger;
pub use waiting::Outcome;
use writer::Command;

/// A segment that holds so many bytes is followed by another.
const SEGMENT_BYTES: u64 = 16 << 20;

/// So is one that is so old.
const SEGMENT_AGE: Duration = Duration::from_secs(60);

/// How many segments there may be that are not committed: each holds a file open.
const SEGMENTS_MAX: usize = 200;

/// How many requests may wait to be written.
const QUEUE_MAX: usize = 4096;

/// The spool of one stream. Clones share it.
#[derive(Debug, Clone)]
pub struct Spool(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    stream: String,
    /// The folder of all spools.
    root: PathBuf,
    folder: PathBuf,
    /// What the names of its partitions start with.
    prefix: String,
    record_bytes_max: usize,
    backlog_bytes_max: u64,
    state: Mutex<State>,
    grown: Notify,
    /// The stream's files and table, once its table is known.
    files: OnceLock<Files>,
    writer: OnceLock<mpsc::Sender<Command>>,
}

#[derive(Debug, Default)]
struct State {
    /// By file name, which is also the order of their making.
    segments: BTreeMap<String, Segment>,
    ledger: Ledger,
    /// Whether it was told that a segment can't be adopted or removed.
    in_trouble: bool,
}

/// A segment that this process holds.
#[derive(Debug)]
struct Segment {
    /// Holds the lock.
    file: Arc<File>,
    /// How much of it is synced, in bytes: nothing behind that is read.
    synced: Arc<AtomicU64>,
    committed: u64,
    /// Up to where the stream's writers were told to read.
    offered: u64,
    is_sealed: bool,
    /// A file with too many dead letters stays until it may go on.
    has_stopped: bool,
}

impl Spool {
    /// The spool of `stream` in the folder `root`. Nothing is made before something is to be kept.
    pub fn new(
        root: &Path,
        stream: &str,
        record_bytes_max: usize,
        backlog_bytes_max: u64,
    ) -> Spool {
        let name = segment::folder_name(stream);
        Spool(Arc::new(Inner {
            stream: stream.to_owned(),
            folder: root.join(&name),
            root: root.to_owned(),
            prefix: format!("{SPOOL}/{name}/"),
            record_bytes_max,
            backlog_bytes_max,
            state: Mutex::default(),
            grown: Notify::new(),
            files: OnceLock::new(),
            writer: OnceLock::new(),
        }))
    }

    /// The folder that the spools of all streams are in.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// The stream's table is known: records can be taken.
    pub(crate) fn open(&self, files: Files) {
        // A stream's work is begun once.
        let _ = self.0.files.set(files);
    }

    /// The stream's files and table, once the table is known.
    pub fn files(&self) -> Option<&Files> {
        self.0.files.get()
    }

    /// Appends records, and returns once they are synced.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is then stored.
    pub async fn append(&self, append: Append) -> Result<Receipt, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.writer().try_send(Command::Append(append, reply));
        sent.map_err(|_full| SpoolError::Busy)?;
        answer.await.unwrap_or(Err(SpoolError::Busy))
    }

    /// Ends all segments: what is appended later goes into new ones.
    pub async fn seal(&self) {
        let (reply, sealed) = oneshot::channel();
        if self.writer().send(Command::Seal(reply)).await.is_ok() {
            drop(sealed.await);
        }
    }

    /// Forgets what was appended by this process and is not read yet: deletes the segments.
    pub async fn discard(&self) {
        self.seal().await;
        for (name, _) in std::mem::take(&mut self.state().segments) {
            drop(std::fs::remove_file(self.0.folder.join(name)));
        }
    }

    /// What waits to be committed, in bytes.
    pub fn backlog_bytes(&self) -> u64 {
        let state = self.state();
        state.segments.values().map(|segment| segment.synced() - segment.committed).sum()
    }

    /// Whether more can be taken.
    ///
    /// # Errors
    /// [`SpoolError::Full`].
    pub fn check_room(&self) -> Result<(), SpoolError> {
        let is_full = self.backlog_bytes() >= self.0.backlog_bytes_max
            || self.state().segments.len() >= SEGMENTS_MAX;
        if is_full { Err(SpoolError::Full) } else { Ok(()) }
    }

    /// Waits until something was appended.
    pub(crate) async fn grown(&self) {
        self.0.grown.notified().await;
    }

    /// Adopts what was left behind, and lists what is to be read.
    pub(crate) fn survey(&self) -> Vec<Found> {
        self.adopt();
        let state = self.state();
        let unread = state.segments.iter().filter(|(_, segment)| !segment.is_read());
        unread.filter_map(|(name, segment)| self.found(name, segment)).collect()
    }

    /// What has grown since it was offered the last time, but for those that `is_in_hand`.
    pub(crate) fn offer(&self, is_in_hand: impl Fn(&str) -> bool) -> Vec<Found> {
        let mut offered = Vec::new();
        for (name, segment) in &mut self.state().segments {
            let synced = segment.synced();
            if synced > segment.offered.max(segment.committed)
                && let Some(found) = self.found(name, segment)
                && !is_in_hand(&found.name)
            {
                segment.offered = synced;
                offered.push(found);
            }
        }
        offered
    }

    /// How much of the partition at this path may be read; nothing, where it is not of this spool.
    pub(crate) fn limit(&self, path: &str) -> Option<Arc<AtomicU64>> {
        let state = self.state();
        Some(state.segments.get(path.strip_prefix(&self.0.prefix)?)?.synced.clone())
    }

    /// Whether nothing more is appended to the partition at this path.
    pub(crate) fn is_sealed(&self, path: &str) -> bool {
        let segment = path.strip_prefix(&self.0.prefix);
        let state = self.state();
        segment.and_then(|name| state.segments.get(name)).is_some_and(|segment| segment.is_sealed)
    }

    /// The partition at this path is committed up to `offset`.
    pub(crate) fn note_committed(&self, path: &str, offset: u64) {
        let Some(name) = path.strip_prefix(&self.0.prefix) else { return };
        let state = &mut *self.state();
        if let Some(segment) = state.segments.get_mut(name) {
            (segment.committed, segment.has_stopped) = (offset, false);
            state.ledger.pass(name, offset);
        }
    }

    /// The checkpoints may stand elsewhere than was known: nothing is known to be committed.
    pub(crate) fn forget_committed(&self) {
        for segment in self.state().segments.values_mut() {
            (segment.committed, segment.offered) = (0, 0);
        }
    }

    /// The records of `parts` that somebody waits for.
    pub(crate) fn watched(&self, parts: &[Part]) -> Vec<Watched> {
        let mut state = self.state();
        state.ledger.watched(parts, |partition| {
            partition_path(partition).0.strip_prefix(&self.0.prefix).map(str::to_owned)
        })
    }

    /// Takes note of a commit, and tells whoever waits for it. Returns how long records had waited since they
    /// were synced: how many, and for how long.
    pub(crate) fn committed(
        &self,
        batch: &MicroBatch,
        committed: &Committed,
    ) -> Vec<(u64, Duration)> {
        let mut latencies = Vec::new();
        let mut state = self.state();
        let State { segments, ledger, .. } = &mut *state;
        for part in &batch.parts {
            let path = partition_path(&part.partition).0;
            let Some(name) = path.strip_prefix(&self.0.prefix) else { continue };
            let Some(segment) = segments.get_mut(name) else { continue };
            segment.committed = part.end.offset.min(segment.synced());
            segment.has_stopped =
                committed.stopped.iter().any(|file| file.partition == part.partition);
            latencies.extend(ledger.arrived(name, part.end.offset));
        }
        ledger.tell(batch, &committed.watched);
        latencies
    }

    /// The partition can't be loaded: nobody is to wait for it.
    pub(crate) fn note_refused(&self, partition: &str) {
        let path = partition_path(partition).0;
        if let Some(name) = path.strip_prefix(&self.0.prefix) {
            self.state().ledger.give_up(name);
        }
    }

    /// Whether a segment can be deleted.
    pub(crate) fn has_finished(&self) -> bool {
        self.state().segments.values().any(Segment::is_finished)
    }

    /// Deletes the segments whose last record is committed.
    pub(crate) fn tidy(&self) {
        let state = &mut *self.state();
        let finished: Vec<String> = state
            .segments
            .iter()
            .filter(|(_, segment)| segment.is_finished())
            .map(|(name, _)| name.clone())
            .collect();
        for name in finished {
            match std::fs::remove_file(self.0.folder.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    if !std::mem::replace(&mut state.in_trouble, true) {
                        tracing::error!(
                            "{}{name} is loaded, but cannot be deleted: {error}; trying again",
                            self.0.prefix
                        );
                    }
                }
                _ => {
                    // The lock goes with the file's last handle, behind its name.
                    state.segments.remove(&name);
                    state.ledger.give_up(&name);
                    state.in_trouble = false;
                }
            }
        }
    }

    fn adopt(&self) {
        let held: Vec<String> = self.state().segments.keys().cloned().collect();
        let adopted = segment::adopt_all(&self.0.folder, &held, self.0.record_bytes_max);
        let mut state = self.state();
        for (name, adopted) in adopted {
            match adopted {
                Ok(Some((file, len))) => {
                    tracing::info!("{}{name} was left behind: loading it", self.0.prefix);
                    state.segments.insert(name, Segment::new(file, len, true));
                }
                Ok(None) => {}
                Err(error) => {
                    if !std::mem::replace(&mut state.in_trouble, true) {
                        let prefix = &self.0.prefix;
                        tracing::error!("cannot take up {prefix}{name}: {error}; trying again");
                    }
                }
            }
        }
    }

    fn found(&self, name: &str, segment: &Segment) -> Option<Found> {
        let stat = Stat::of(&segment.file.metadata().ok()?);
        Some(Found { name: format!("{}{name}", self.0.prefix), stat })
    }

    fn writer(&self) -> &mpsc::Sender<Command> {
        self.0.writer.get_or_init(|| writer::start(self.0.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state()
    }
}

impl Inner {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Segment {
    fn new(file: File, synced: u64, is_sealed: bool) -> Segment {
        Segment {
            file: Arc::new(file),
            synced: Arc::new(AtomicU64::new(synced)),
            committed: 0,
            offered: 0,
            is_sealed,
            has_stopped: false,
        }
    }

    fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    fn is_read(&self) -> bool {
        self.committed >= self.synced()
    }

    fn is_finished(&self) -> bool {
        self.is_sealed && self.is_read() && !self.has_stopped
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
