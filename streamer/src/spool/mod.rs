//! The spool: what a listener has taken is written to segment files, synced, and then read like any
//! other file of the stream.
//!
//! A segment is written by one process, which holds a lock on it until the segment is deleted, or
//! the process ends however it ends. Other processes leave a locked segment alone; one that nobody
//! holds was left behind, and is adopted: what of it was never acknowledged is cut off, and it is
//! read to its end. A segment is deleted once its last record is committed and nobody appends to it
//! any more.
//!
//! A spool has two handles: listeners append to it by a [`SpoolWriter`], the engine reads it by a
//! [`SpoolReader`].

mod all;
mod append;
mod error;
mod keys;
mod reader;
mod segment;
mod waiting;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::layout::{Fits, HeaderError};
use crate::partition::{Kind, Name, SPOOL};
pub use all::Spools;
pub use append::{Append, Receipt};
pub use error::SpoolError;
pub use keys::Key;
pub use reader::SpoolReader;
pub use segment::{Content, open_segment, segments};
use waiting::Waiters;
use writer::Command;

/// A segment that holds so many bytes is followed by another.
const SEGMENT_BYTES: u64 = 16 << 20;

/// So is one that is so old.
const SEGMENT_AGE: Duration = Duration::from_secs(60);

/// How many segments there may be that are not committed: each holds a file open.
const SEGMENTS_MAX: usize = 200;

/// How many requests may wait to be written.
const QUEUE_MAX: usize = 4096;

/// The handle on a stream's spool that listeners have. Clones share the spool.
#[derive(Debug, Clone)]
pub struct SpoolWriter(Arc<Inner>);

/// What the handles share.
#[derive(Debug)]
struct Inner {
    stream: String,
    /// The folder of all spools.
    root: PathBuf,
    folder: PathBuf,
    /// What the names of its segments start with.
    prefix: String,
    record_bytes_max: usize,
    backlog_bytes_max: u64,
    state: Mutex<State>,
    grown: Notify,
    /// How headers fit the stream's table, once the table is known.
    fits: OnceLock<Fits>,
    writer: OnceLock<mpsc::Sender<Command>>,
}

#[derive(Debug, Default)]
struct State {
    /// By file name, which is also the order of their making.
    segments: BTreeMap<String, Segment>,
    waiters: Waiters,
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

impl SpoolWriter {
    /// Whether the stream's table is known: only then can records be taken.
    pub fn is_open(&self) -> bool {
        self.0.fits.get().is_some()
    }

    /// Whether records under a header with these names fit the stream's table. True before the
    /// table is known, because nothing is taken then.
    ///
    /// # Errors
    /// Why not.
    pub fn check_header(&self, names: &[String]) -> Result<(), HeaderError> {
        self.0.fits.get().map_or(Ok(()), |fits| fits.of_header(names.to_vec()).map(drop))
    }

    /// Appends records, and returns once they are synced.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is then stored.
    pub async fn append(&self, append: Append) -> Result<Receipt, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.task().try_send(Command::Append(append, reply));
        sent.map_err(|_full| SpoolError::Busy)?;
        answer.await.unwrap_or(Err(SpoolError::Busy))
    }

    /// Ends all segments: what is appended later goes into new ones.
    pub async fn seal(&self) {
        let (reply, sealed) = oneshot::channel();
        if self.task().send(Command::Seal(reply)).await.is_ok() {
            drop(sealed.await);
        }
    }

    /// Forgets what was appended by this process and is not read yet: deletes the segments.
    pub async fn discard(&self) {
        self.seal().await;
        for (name, _) in std::mem::take(&mut self.0.state().segments) {
            drop(std::fs::remove_file(self.0.folder.join(name)));
        }
    }

    /// What waits to be committed, in bytes.
    pub fn backlog_bytes(&self) -> u64 {
        let state = self.0.state();
        state.segments.values().map(|segment| segment.synced() - segment.committed).sum()
    }

    /// Whether more can be taken.
    ///
    /// # Errors
    /// [`SpoolError::Full`].
    pub fn check_room(&self) -> Result<(), SpoolError> {
        let is_full = self.backlog_bytes() >= self.0.backlog_bytes_max
            || self.0.state().segments.len() >= SEGMENTS_MAX;
        if is_full { Err(SpoolError::Full) } else { Ok(()) }
    }

    fn task(&self) -> &mpsc::Sender<Command> {
        self.0.writer.get_or_init(|| writer::start(self.0.clone()))
    }
}

impl Inner {
    /// The spool of `stream` in the folder `root`. Nothing is made before something is to be kept.
    fn new(root: &Path, stream: &str, record_bytes_max: usize, backlog_bytes_max: u64) -> Inner {
        let name = segment::folder_name(stream);
        Inner {
            stream: stream.to_owned(),
            folder: root.join(&name),
            root: root.to_owned(),
            prefix: format!("{SPOOL}/{name}/"),
            record_bytes_max,
            backlog_bytes_max,
            state: Mutex::default(),
            grown: Notify::new(),
            fits: OnceLock::new(),
            writer: OnceLock::new(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The file name of the segment that has this name; `None` if it is none of this spool.
    fn segment_of<'n>(&self, name: &'n Name) -> Option<&'n str> {
        match name.kind() {
            Kind::Segment => name.as_str().strip_prefix(&self.prefix),
            Kind::File => None,
        }
    }

    /// The name of the segment with this file name.
    fn name_of(&self, segment: &str) -> Name {
        Name::new(Kind::Segment, format!("{}{segment}", self.prefix))
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
