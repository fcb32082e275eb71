//! What the engine needs of a spool: which segments there are, how far each may be read, who waits
//! for which records, and which segments can go.

use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use super::{Inner, Segment, State, segment};
use crate::batch::{Counts, MicroBatch, Part, Watched};
use crate::layout::Fits;
use crate::partition::fingerprint::Stat;
use crate::partition::{Found, Name, Partition};

/// The handle on a stream's spool that the engine has. Clones share the spool.
#[derive(Debug, Clone)]
pub struct SpoolReader(pub(super) Arc<Inner>);

impl SpoolReader {
    /// The stream's table is known, and how headers fit it: records can be taken.
    pub fn open(&self, fits: Fits) {
        // A stream's work is begun once.
        let _ = self.0.fits.set(fits);
    }

    /// Opens a segment for reading.
    ///
    /// # Errors
    /// When it can't be opened, or is no regular file.
    pub fn open_segment(&self, name: &Name) -> io::Result<(std::fs::File, Stat)> {
        segment::open_segment(&self.0.root, name)
    }

    /// Waits until something was appended.
    pub async fn grown(&self) {
        self.0.grown.notified().await;
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
                segment.offered = synced;
                offered.push(found);
            }
        }
        offered
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

    /// The segment is committed up to `offset`.
    pub fn note_committed(&self, name: &Name, offset: u64) {
        let Some(name) = self.0.segment_of(name) else { return };
        let state = &mut *self.0.state();
        if let Some(segment) = state.segments.get_mut(name) {
            (segment.committed, segment.has_stopped) = (offset, false);
            state.waiters.pass(name, offset);
        }
    }

    /// The checkpoints may stand elsewhere than was known: nothing is known to be committed.
    pub fn forget_committed(&self) {
        for segment in self.0.state().segments.values_mut() {
            (segment.committed, segment.offered) = (0, 0);
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
        for part in &batch.parts {
            let Some(name) = self.0.segment_of(&part.partition.name) else { continue };
            let Some(segment) = segments.get_mut(name) else { continue };
            segment.committed = part.end.offset.min(segment.synced());
            segment.has_stopped = stopped.clone().any(|partition| *partition == part.partition);
            latencies.extend(waiters.arrived(name, part.end.offset));
        }
        waiters.tell(batch, outcomes);
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
                    state.waiters.give_up(&name);
                    state.in_trouble = false;
                }
            }
        }
    }

    fn adopt(&self) {
        let held: Vec<String> = self.0.state().segments.keys().cloned().collect();
        let adopted = segment::adopt_all(&self.0.folder, &held, self.0.record_bytes_max);
        let mut state = self.0.state();
        let prefix = &self.0.prefix;
        for (name, adopted) in adopted {
            match adopted {
                Ok(Some((file, len))) => {
                    tracing::info!("{prefix}{name} was left behind: loading it");
                    state.segments.insert(name, Segment::new(file, len, true));
                }
                Ok(None) => {}
                Err(error) => {
                    if !std::mem::replace(&mut state.in_trouble, true) {
                        tracing::error!("cannot take up {prefix}{name}: {error}; trying again");
                    }
                }
            }
        }
    }

    fn found(&self, name: &str, segment: &Segment) -> Option<Found> {
        let stat = Stat::of(&segment.file.metadata().ok()?);
        Some(Found { name: self.0.name_of(name), stat })
    }
}
