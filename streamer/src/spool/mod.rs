//! The spool: what a listener has taken is written to segment files, synced, and then read like any
//! other file of the stream.
//!
//! A segment is written by one process, which holds a lock on it until the segment is deleted, or
//! the process ends however it ends. Other processes leave a locked segment alone; one that nobody
//! holds was left behind, and is adopted: what of it was never acknowledged is cut off, and it is
//! read to its end. A segment is deleted once its last record is committed and nobody appends to it
//! any more.
//!
//! What lies on disk is one frame for each request, see [`framing`](crate::framing): its records,
//! and its Idempotency-Key with them. Frames are written behind what is synced, then synced, then
//! acknowledged, in this order. So whatever a crash leaves, an acknowledged request is there whole;
//! one that was not acknowledged is there whole, and loaded, or cut off. There is no journal of
//! keys: a key is in a segment until its records are committed, and from then on in the database.
//!
//! A key is decided twice. When a request comes, by what this process has synced and not committed
//! yet, and by what the database says, if it answers: that spares most repetitions, and tells the
//! client. And in the transaction that commits the records, where the key is a row of
//! `streamer.idempotency_key`: that is what counts, for all streamers.
//!
//! A spool has two handles: listeners append to it by a [`SpoolWriter`], the engine reads it by a
//! [`SpoolReader`].

mod adopt;
mod all;
mod append;
mod due;
mod error;
mod former;
mod keys;
mod lookup;
mod open;
mod reader;
mod segment;
mod trouble;
mod waiting;
mod writer;

use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::{Notify, mpsc, oneshot};

use crate::database::Database;
use crate::framing::Key;
use crate::health::Health;
use crate::layout::{Fits, HeaderError};
use crate::partition::{Kind, Name, SPOOL};
pub use all::{Spools, free_bytes};
pub use append::{Append, Receipt};
use due::Unoffered;
pub use error::SpoolError;
use former::Journals;
use keys::{Keys, Stored};
use lookup::Lookup;
pub use reader::SpoolReader;
pub use segment::{Content, open_segment, segments};
use trouble::Troubles;
use waiting::Waiters;
use writer::Command;

/// A segment that holds so many bytes is followed by another.
const SEGMENT_BYTES: u64 = 16 << 20;

/// So is one that is so old.
const SEGMENT_AGE: Duration = Duration::from_secs(60);

/// How many segments there may be that are not committed: each holds a file open.
const SEGMENTS_MAX: usize = 200;

/// What a spool may hold, and for how long a key is remembered.
#[derive(Debug, Clone, Copy)]
struct Limits {
    record_bytes_max: usize,
    backlog_bytes_max: u64,
    keep: Duration,
}

/// How many requests may wait to be written.
const QUEUE_MAX: usize = 4096;

/// Comes once records are synced, or not.
type Answer = oneshot::Receiver<Result<Receipt, SpoolError>>;

/// The handle on a stream's spool that listeners have. Clones share the spool.
#[derive(Debug, Clone)]
pub struct SpoolWriter(Arc<Inner>);

/// What the handles share.
#[derive(Debug)]
struct Inner {
    stream: String,
    folder: PathBuf,
    /// What the names of its segments start with.
    prefix: String,
    record_bytes_max: usize,
    backlog_bytes_max: u64,
    state: Mutex<State>,
    grown: Notify,
    opened: Mutex<Option<Opened>>,
    /// For how long a key is remembered.
    keep: Duration,
    writer: OnceLock<mpsc::Sender<Command>>,
}

/// What is known once the stream's table is.
#[derive(Debug, Clone)]
struct Opened {
    /// How headers fit the table.
    fits: Fits,
    /// Whoever opened it closes it, too.
    database: Weak<Database>,
}

#[derive(Debug, Default)]
struct State {
    /// By file name, which is also the order of their making.
    segments: BTreeMap<String, Segment>,
    waiters: Waiters,
    keys: Keys,
    /// The keys of the journals of the first version, until the database has them.
    former: Arc<Journals>,
    troubles: Troubles,
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
    /// What is behind that.
    unoffered: Unoffered,
    is_sealed: bool,
    /// A file with too many dead letters stays until it may go on.
    has_stopped: bool,
    /// The keys of a segment that was adopted, until it is known how much of it is committed: with
    /// where their records stand, and how many there are.
    keys: Vec<(Key, Range<u64>, u64)>,
}

impl SpoolWriter {
    /// Whether the stream's table is known: only then can records be taken.
    pub fn is_open(&self) -> bool {
        self.0.opened().is_some()
    }

    /// Whether records under a header with these names fit the stream's table. True before the
    /// table is known, because nothing is taken then.
    ///
    /// # Errors
    /// Why not.
    pub fn check_header(&self, names: Vec<String>) -> Result<(), HeaderError> {
        self.0.opened().map_or(Ok(()), |one| one.fits.of_header(names).map(drop))
    }

    /// Appends records, and returns once they are synced.
    ///
    /// # Errors
    /// [`SpoolError`]; nothing is then stored.
    pub async fn append(&self, append: Append) -> Result<Receipt, SpoolError> {
        let answer = self.begin(append)?;
        answer.await.unwrap_or(Err(SpoolError::Busy))
    }

    /// Appends several, in this order, and returns once all are synced: for each what
    /// [`SpoolWriter::append`] would.
    pub async fn append_all(&self, appends: Vec<Append>) -> Vec<Result<Receipt, SpoolError>> {
        let begun: Vec<_> = appends.into_iter().map(|append| self.begin(append)).collect();
        let mut receipts = Vec::new();
        for answer in begun {
            receipts.push(match answer {
                Ok(answer) => answer.await.unwrap_or(Err(SpoolError::Busy)),
                Err(error) => Err(error),
            });
        }
        receipts
    }

    fn begin(&self, append: Append) -> Result<Answer, SpoolError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.task().try_send(Command::Append(append, reply));
        sent.map_err(|_full| SpoolError::Busy)?;
        Ok(answer)
    }

    /// A new file on the spool's disk that has no name, and so goes with the process.
    ///
    /// # Errors
    /// When it can't be made.
    pub fn scratch(&self) -> std::io::Result<File> {
        segment::make_folder(&self.0.folder)?;
        tempfile::tempfile_in(&self.0.folder)
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
        self.0.backlog_bytes()
    }

    /// How long the oldest records have waited that were taken since the start and are not
    /// committed; zero, where none are.
    pub fn oldest_age(&self) -> Duration {
        self.0.state().waiters.oldest_age()
    }

    /// How many bytes are left in its file system, where that can be told.
    pub fn free_bytes(&self) -> Option<u64> {
        free_bytes(&self.0.folder)
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
    fn new(root: &Path, stream: &str, limits: Limits, health: Health) -> Inner {
        let Limits { record_bytes_max, backlog_bytes_max, keep } = limits;
        let name = segment::folder_name(stream);
        Inner {
            stream: stream.to_owned(),
            folder: root.join(&name),
            prefix: format!("{SPOOL}/{name}/"),
            record_bytes_max,
            backlog_bytes_max,
            state: Mutex::new(State { troubles: Troubles::new(health), ..State::default() }),
            grown: Notify::new(),
            opened: Mutex::default(),
            keep,
            writer: OnceLock::new(),
        }
    }

    /// Who asks the database for keys, once it is known.
    fn lookup(&self) -> Option<Lookup> {
        Some(Lookup::new(self.opened()?.database, &self.stream, self.keep))
    }

    /// What is known of the stream's table, as it was read last.
    fn opened(&self) -> Option<Opened> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn backlog_bytes(&self) -> u64 {
        let state = self.state();
        state.segments.values().map(|segment| segment.synced() - segment.committed).sum()
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

impl State {
    /// Where the records of a key are that are synced here and not committed yet.
    fn uncommitted(&self, key: Key) -> Option<&Stored> {
        let stored = self.keys.get(key)?;
        let segment = self.segments.get(&*stored.segment)?;
        (segment.committed < stored.end).then_some(stored)
    }
}

impl Segment {
    fn new(file: File, synced: u64, is_sealed: bool) -> Segment {
        Segment {
            file: Arc::new(file),
            synced: Arc::new(AtomicU64::new(synced)),
            committed: 0,
            offered: 0,
            unoffered: Unoffered::default(),
            is_sealed,
            has_stopped: false,
            keys: Vec::new(),
        }
    }

    fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Whether somebody has removed it.
    fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
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
