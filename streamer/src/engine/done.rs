//! Files that were read to their end and committed: they are moved to the archive or removed, if
//! the stream wants that, once nobody writes them any more.
//!
//! What is to be done follows from the checkpoints alone, so a crash between the commit and the
//! move is made good at the next start without reading a record twice.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

use globset::GlobMatcher;
use tokio_util::sync::CancellationToken;

use super::away::Away;
use crate::batch::Part;
use crate::config::{OnDone, Stream};
use crate::ledger::stop::Stopped;
use crate::memory::Memory;
use crate::partition::fingerprint::{Consumed, Fingerprint, STAMP_TRUSTED, Stat};
use crate::partition::{Checkpoints, Kind, Name, Partition};
use crate::source::content::Content;
use crate::source::folder::Folder;

/// When what has failed is tried again.
const RETRY_AFTER: Duration = Duration::from_secs(30);

/// The finished files of a stream that are still in its folder.
pub(super) struct Done {
    folder: Folder,
    away: Away,
    settle: Duration,
    /// Its stream's name.
    stream: String,
    /// All streams: the files of others are left to them.
    of_all: Arc<[(String, GlobMatcher)]>,
    is_shared_told: bool,
    files: HashMap<Name, Finished>,
    memory: Memory,
    /// Whether it was told that a file can't be moved or removed.
    in_trouble: bool,
}

/// A finished file.
struct Finished {
    /// Where it ends.
    offset: u64,
    fingerprint: Fingerprint,
    /// What it looked like when it was first seen so, and when that was.
    seen: Option<(Stat, Instant)>,
    /// When to look again.
    due: Instant,
    has_failed: bool,
}

/// What becomes of a finished file now.
enum Verdict {
    /// It is gone, or goes on: there is nothing to do.
    Forget,
    /// It may still be written.
    Wait(Stat),
    /// It was moved or removed.
    Gone,
}

impl Done {
    /// No finished files yet; `None` if the stream keeps them. Packed ones are read once more in
    /// shares of `memory`.
    pub(super) fn new(stream: &Stream, folder: &Folder, memory: &Memory) -> Option<Done> {
        let (reading, when_done) = (&stream.reading, &stream.when_done);
        let away = match &when_done.on_done {
            OnDone::Keep => return None,
            OnDone::Archive(archive) => Away::Archive(archive.clone()),
            OnDone::Delete => Away::Delete,
        };
        Some(Done {
            folder: folder.clone(),
            away,
            settle: reading.settle,
            stream: stream.name.clone(),
            of_all: when_done.of_all.clone(),
            is_shared_told: false,
            files: HashMap::new(),
            memory: memory.clone(),
            in_trouble: false,
        })
    }

    /// Starts anew from the checkpoints.
    pub(super) fn reload(&mut self, checkpoints: &Checkpoints) {
        self.files.clear();
        let mut newest: HashMap<&Name, &Partition> = HashMap::new();
        for partition in checkpoints.keys() {
            let entry = newest.entry(&partition.name).or_insert(partition);
            if partition.generation > entry.generation {
                *entry = partition;
            }
        }
        for partition in newest.into_values() {
            let checkpoint = &checkpoints[partition];
            if let Some(print) = checkpoint.fingerprint.as_ref().filter(|_| checkpoint.is_done) {
                self.finished(&partition.name, checkpoint.next_offset, print);
            }
        }
    }

    /// Takes note of a commit. A file that has stopped the stream is not finished.
    pub(super) fn note(&mut self, parts: &[Part], stopped: &[Stopped]) {
        for part in parts {
            let name = &part.partition.name;
            if part.end.is_end && stopped.iter().all(|file| file.partition != part.partition) {
                self.finished(name, part.end.offset, &part.end.fingerprint);
            } else {
                self.files.remove(name);
            }
        }
    }

    fn finished(&mut self, name: &Name, offset: u64, fingerprint: &Fingerprint) {
        // Segments are deleted by the spool, which knows when nobody appends to one any more.
        if name.kind() == Kind::Segment {
            return;
        }
        let file = name.path();
        let mut others = self.of_all.iter().filter(|(stream, _)| *stream != self.stream);
        if let Some((other, _)) = others.find(|(_, files)| files.is_match(&file)) {
            if !self.is_shared_told {
                self.is_shared_told = true;
                tracing::warn!(
                    "{name} and others stay in the folder: stream {other} reads them too"
                );
            }
            return;
        }
        let fingerprint = fingerprint.clone();
        let due = Instant::now();
        let finished = Finished { offset, fingerprint, seen: None, due, has_failed: false };
        self.files.insert(name.clone(), finished);
    }

    /// Whether there are files that only have to be still for a while.
    pub(super) fn is_waiting(&self) -> bool {
        self.files.values().any(|file| !file.has_failed)
    }

    /// Moves or removes what may go now, until `stop`.
    pub(super) fn tidy(&mut self, stop: &CancellationToken) {
        let now = Instant::now();
        let due = self.files.iter().filter(|(_, file)| file.due <= now);
        let due: Vec<Name> = due.map(|(name, _)| name.clone()).collect();
        for name in due {
            if stop.is_cancelled() {
                return;
            }
            let Some(mut file) = self.files.remove(&name) else { continue };
            match self.try_one(&name, &file) {
                Ok(Verdict::Forget) => {}
                Ok(Verdict::Gone) => {
                    if std::mem::take(&mut self.in_trouble) {
                        tracing::info!("finished files can be {} again", self.away.participle());
                    }
                }
                Ok(Verdict::Wait(stat)) => {
                    if file.seen.is_none_or(|(seen, _)| seen != stat) {
                        file.seen = Some((stat, Instant::now()));
                    }
                    file.due = Instant::now() + self.settle;
                    self.files.insert(name, file);
                }
                Err(error) => {
                    if !std::mem::replace(&mut self.in_trouble, true) {
                        let hint = match error.kind() {
                            io::ErrorKind::CrossesDevices => {
                                "; the archive must be on the file system of the data folder"
                            }
                            _ => "",
                        };
                        tracing::error!(
                            "{name} is loaded, but cannot be {}: {error}{hint}; trying again",
                            self.away.participle()
                        );
                    }
                    (file.due, file.has_failed) = (Instant::now() + RETRY_AFTER, true);
                    self.files.insert(name, file);
                }
            }
        }
    }

    fn try_one(&self, name: &Name, finished: &Finished) -> io::Result<Verdict> {
        let below = name.path();
        let (file, stat) = match self.folder.open_below(&below) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Verdict::Forget),
            opened => opened?,
        };
        if !self.is_still(finished, stat) {
            return Ok(Verdict::Wait(stat));
        }
        // Stamps that prove something spare reading the file once more.
        if finished.fingerprint.stat != Some(stat) {
            let mut content = Content::new(file.try_clone()?, name.as_str(), &self.memory);
            match is_the_one(&mut content, finished) {
                Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                    return Ok(Verdict::Wait(stat));
                }
                Err(error) => return Err(error),
                Ok(false) => return Ok(Verdict::Forget),
                Ok(true) => {}
            }
        }
        // What stands under the path now must be what was looked at.
        if self.folder.open_below(&below)?.1 != stat {
            return Ok(Verdict::Wait(stat));
        }
        self.away.take(&self.folder, name.as_str(), &below, stat)?;
        let after = Stat::of(&file.metadata()?);
        if (after.size, after.modified()) != (stat.size, stat.modified()) {
            tracing::warn!("{name} was written to while it was {}", self.away.participle());
        }
        Ok(Verdict::Gone)
    }

    /// Whether nobody has written the file for the time of `settle`, by our own watch or an old
    /// time stamp.
    fn is_still(&self, finished: &Finished, stat: Stat) -> bool {
        let watched = finished.seen.filter(|(seen, _)| *seen == stat);
        watched.is_some_and(|(_, since)| since.elapsed() >= self.settle)
            || stat.age().is_some_and(|age| age >= self.settle.max(STAMP_TRUSTED))
    }
}

/// Whether a file holds what was read, and no more.
fn is_the_one(content: &mut Content, finished: &Finished) -> io::Result<bool> {
    let same = Consumed::verify(content, &finished.fingerprint, finished.offset)?;
    Ok(same.is_some() && content.ends_at(finished.offset)?)
}
