//! What the engine needs of a spool: which segments there are, how far each may be read, who waits
//! for which records, and which segments can go.

use std::io;
use std::ops::Range;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError, Weak};
use std::time::{Duration, Instant};

use super::adopt;
use super::due::{Unoffered, due};
use super::former::Journals;
use super::keys::Stored;
use super::lookup::connect;
use super::segment::{self, Adopted};
use super::trouble::Trouble;
use super::{Inner, Opened, Segment, State};
use crate::batch::{Counts, MicroBatch, Part, Watched};
use crate::database::Database;
use crate::layout::Fits;
use crate::ledger::idempotency;
use crate::partition::fingerprint::Stat;
use crate::partition::{Found, Name, Partition};

/// The handle on a stream's spool that the engine has. Clones share the spool.
#[derive(Debug, Clone)]
pub struct SpoolReader(pub(super) Arc<Inner>);

impl SpoolReader {
    /// The stream's table is known, and how headers fit it: records can be taken. Told anew each
    /// time that the stream's work begins, because the table may have changed.
    pub fn open(&self, fits: Fits, database: Weak<Database>) {
        match Journals::load(&self.0.folder) {
            Ok(former) => self.0.state().former = Arc::new(former),
            Err(error) => tracing::error!("cannot read the keys of a former version: {error}"),
        }
        let mut opened = self.0.opened.lock().unwrap_or_else(PoisonError::into_inner);
        *opened = Some(Opened { fits, database });
    }

    /// Opens a segment of this spool for reading, also one whose name somebody has removed.
    ///
    /// # Errors
    /// When it is not held, or can't be opened.
    pub fn open_segment(&self, name: &Name) -> io::Result<(std::fs::File, Stat)> {
        let state = self.0.state();
        let held = self.0.segment_of(name).and_then(|name| state.segments.get(name));
        let file = held.ok_or(io::ErrorKind::NotFound)?.file.try_clone()?;
        let stat = Stat::of(&file.metadata()?);
        Ok((file, stat))
    }

    /// What waits to be committed: how many bytes, and how long the oldest has waited of what was
    /// taken since the start.
    pub fn backlog(&self) -> (u64, Duration) {
        (self.0.backlog_bytes(), self.0.state().waiters.oldest_age())
    }

    /// Waits until something was appended.
    pub async fn grown(&self) {
        self.0.grown.notified().await;
    }

    /// Takes the keys over that a former version has left, if there are any.
    ///
    /// # Errors
    /// When they can't be read, or the database does not take them.
    pub async fn take_former_keys_over(&self) -> Result<(), sqlx::Error> {
        let Some(Opened { database, .. }) = self.0.opened() else { return Ok(()) };
        let former = self.0.state().former.clone();
        if !former.is_empty() {
            let mut conn = connect(&database).await?;
            former.take_over(&mut conn, &self.0.stream).await?;
            conn.keep();
        }
        // Also where none of them counts any more.
        former.remove()?;
        self.0.state().former = Arc::default();
        Ok(())
    }

    /// Removes some of the keys that are too old from the database; returns whether there may be
    /// more.
    ///
    /// # Errors
    /// When they can't be removed.
    pub async fn expire_keys(&self) -> Result<bool, sqlx::Error> {
        let Some(Opened { database, .. }) = self.0.opened() else { return Ok(false) };
        let mut conn = connect(&database).await?;
        let is_more = idempotency::expire(&mut conn, &self.0.stream, self.0.keep).await?;
        conn.keep();
        Ok(is_more)
    }

    /// Adopts what was left behind, and lists what is to be read.
    pub fn survey(&self) -> Vec<Found> {
        self.adopt();
        let state = self.0.state();
        let unread = state.segments.iter().filter(|(_, segment)| !segment.is_read());
        unread.filter_map(|(name, segment)| self.found(name, segment)).collect()
    }

    /// What has grown since it was offered the last time, but for those that `is_in_hand`.
    pub fn offer(&self, is_in_hand: impl Fn(&Name) -> bool) -> Vec<Found> {
        let mut offered = Vec::new();
        for (name, segment) in &mut self.0.state().segments {
            let synced = segment.synced();
            if synced > segment.offered.max(segment.committed)
                && let Some(found) = self.found(name, segment)
                && !is_in_hand(&found.name)
            {
                (segment.offered, segment.unoffered) = (synced, Unoffered::default());
                offered.push(found);
            }
        }
        offered
    }

    /// When what was not offered is to be committed, but for what `is_in_hand`: at once where that
    /// is `records` or more, else when the oldest has waited for `linger`.
    pub fn due(
        &self,
        records: u64,
        linger: Duration,
        is_in_hand: impl Fn(&Name) -> bool,
    ) -> Option<Instant> {
        let state = self.0.state();
        let segments = state.segments.iter();
        let free = segments.filter(|(name, _)| !is_in_hand(&self.0.name_of(name)));
        due(free.filter_map(|(_, segment)| segment.unoffered()), records, linger)
    }

    /// What was offered, is not committed, and that nobody has any more, as `is_pending` says, is to
    /// be offered again: it could not be read, or the checkpoints were read anew meanwhile.
    pub fn offer_again(&self, is_pending: impl Fn(&Name) -> bool) {
        for (name, segment) in &mut self.0.state().segments {
            if !segment.is_read() && !is_pending(&self.0.name_of(name)) {
                segment.offered = segment.offered.min(segment.committed);
            }
        }
    }

    /// How much of the segment may be read; nothing, where it is not of this spool.
    pub fn limit(&self, name: &Name) -> Option<Arc<AtomicU64>> {
        let state = self.0.state();
        Some(state.segments.get(self.0.segment_of(name)?)?.synced.clone())
    }

    /// Whether nothing more is appended to the segment.
    pub fn is_sealed(&self, name: &Name) -> bool {
        let state = self.0.state();
        let segment = self.0.segment_of(name).and_then(|name| state.segments.get(name));
        segment.is_some_and(|segment| segment.is_sealed)
    }

    /// The segment is committed up to `offset`, as its checkpoint says.
    pub fn note_committed(&self, name: &Name, offset: u64) {
        let Some(name) = self.0.segment_of(name) else { return };
        let state = &mut *self.0.state();
        if let Some(segment) = state.segments.get_mut(name) {
            (segment.committed, segment.has_stopped) = (offset, false);
            for (key, Range { start, end }, records) in std::mem::take(&mut segment.keys) {
                if end > offset {
                    let (hash, segment) = (key.records, name.into());
                    state.keys.note(key, Stored { hash, segment, start, end, records });
                }
            }
            state.waiters.pass(name, offset);
        }
    }

    /// The checkpoints may stand elsewhere than was known: nothing is known to be committed.
    pub fn forget_committed(&self) {
        for segment in self.0.state().segments.values_mut() {
            (segment.committed, segment.offered) = (0, 0);
            segment.unoffered = Unoffered::default();
        }
    }

    /// The records of `parts` that somebody waits for.
    pub fn watched(&self, parts: &[Part]) -> Vec<Watched> {
        let mut state = self.0.state();
        state.waiters.watched(parts, |partition| self.0.segment_of(&partition.name))
    }

    /// Takes note of a commit, and tells whoever waits for it: `outcomes` is what became of the
    /// records of [`MicroBatch::watched`], `stopped` are the partitions that have stopped the
    /// stream. Returns how long records had waited since they were synced: how many, and for how
    /// long.
    pub fn committed<'p>(
        &self,
        batch: &MicroBatch,
        outcomes: &[Counts],
        stopped: impl Iterator<Item = &'p Partition> + Clone,
    ) -> Vec<(u64, Duration)> {
        let mut latencies = Vec::new();
        let mut state = self.0.state();
        let State { segments, waiters, .. } = &mut *state;
        waiters.tell(batch, outcomes);
        for part in &batch.parts {
            let Some(name) = self.0.segment_of(&part.partition.name) else { continue };
            // Who asked again since the micro-batch was put together is in no outcome.
            waiters.pass(name, part.end.offset);
            let Some(segment) = segments.get_mut(name) else { continue };
            segment.committed = part.end.offset.min(segment.synced());
            segment.has_stopped = stopped.clone().any(|partition| *partition == part.partition);
            latencies.extend(waiters.arrived(name, part.end.offset));
        }
        latencies
    }

    /// The log can't be loaded: nobody is to wait for it.
    pub fn note_refused(&self, name: &Name) {
        if let Some(name) = self.0.segment_of(name) {
            self.0.state().waiters.give_up(name);
        }
    }

    /// Whether a segment can be deleted.
    pub fn has_finished(&self) -> bool {
        self.0.state().segments.values().any(Segment::is_finished)
    }

    /// Deletes the segments whose last record is committed.
    pub fn tidy(&self) {
        let state = &mut *self.0.state();
        let finished: Vec<String> = state
            .segments
            .iter()
            .filter(|(_, segment)| segment.is_finished())
            .map(|(name, _)| name.clone())
            .collect();
        for name in finished {
            match std::fs::remove_file(self.0.folder.join(&name)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    let prefix = &self.0.prefix;
                    state.troubles.begin(Trouble::NotDeleted, || {
                        format!(
                            "{prefix}{name} is loaded, but cannot be deleted: {error}; trying again"
                        )
                    });
                }
                _ => {
                    // The lock goes with the file's last handle, behind its name.
                    state.segments.remove(&name);
                    state.waiters.give_up(&name);
                    state.troubles.end(Trouble::NotDeleted);
                }
            }
        }
    }

    fn adopt(&self) {
        let held: Vec<String> = self.0.state().segments.keys().cloned().collect();
        let adopted = adopt::adopt_all(&self.0.folder, &held, self.0.record_bytes_max);
        let damaged = segment::damaged(&self.0.folder);
        let (stream, prefix) = (&self.0.stream, &self.0.prefix);
        let mut state = self.0.state();
        let mut failure = None;
        for (name, adopted) in adopted {
            match adopted {
                Ok(Adopted { file, len, keys }) => {
                    tracing::info!("{prefix}{name} was left behind: loading it");
                    let segment = Segment { keys, ..Segment::new(file, len, true) };
                    state.segments.insert(name, segment);
                }
                Err(error) => failure = Some((name, error)),
            }
        }
        let State { segments, troubles, .. } = &mut *state;
        match failure {
            Some((name, error)) => troubles.begin(Trouble::NotTaken, || {
                format!(
                    "cannot take up {prefix}{name}, which holds records of stream {stream}: {error}"
                )
            }),
            None => troubles.end(Trouble::NotTaken),
        }
        match damaged.as_slice() {
            [] => troubles.end(Trouble::Damaged),
            [first, ..] => troubles.begin(Trouble::Damaged, || {
                format!(
                    "parts of the spool of stream {stream} were damaged, and are kept in {prefix}{first}: \
                     what else was there is loaded; see what can be sent again, and remove the file"
                )
            }),
        }
        match segments.values().any(Segment::is_removed) {
            false => troubles.end(Trouble::Removed),
            true => troubles.begin(Trouble::Removed, || {
                format!(
                    "somebody has removed segments of the spool of stream {stream} that are in use: they are \
                     loaded as long as this streamer runs; do not stop it before `streamer health` is well"
                )
            }),
        }
    }

    fn found(&self, name: &str, segment: &Segment) -> Option<Found> {
        let stat = Stat::of(&segment.file.metadata().ok()?);
        Some(Found { name: self.0.name_of(name), stat })
    }
}
