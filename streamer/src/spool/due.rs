//! When records that have come by a listener are to be committed: once enough of them wait, or the
//! oldest has waited for long enough.

use std::time::{Duration, Instant};

use super::{Segment, SpoolReader};
use crate::partition::Name;

/// What the engine was not offered yet of a segment.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Unoffered {
    records: u64,
    /// Since when; since ever, where that is not known.
    since: Option<Instant>,
}

impl Unoffered {
    /// So many records were synced.
    pub(super) fn note(&mut self, records: u64) {
        self.records = self.records.saturating_add(records);
        self.since.get_or_insert_with(Instant::now);
    }
}

impl Segment {
    /// How much of it was not offered; nothing, where all was.
    fn unoffered(&self) -> Option<Unoffered> {
        (self.synced() > self.offered.max(self.committed)).then_some(self.unoffered)
    }
}

impl SpoolReader {
    /// When what was not offered is to be committed: at once where that is `records` or more, else
    /// when the oldest has waited for `linger`. Nothing, where all was offered but for what
    /// `is_in_hand`.
    pub fn due(
        &self,
        records: u64,
        linger: Duration,
        is_in_hand: impl Fn(&Name) -> bool,
    ) -> Option<Instant> {
        let state = self.0.state();
        let segments = state.segments.iter().filter_map(|(name, segment)| {
            let unoffered = segment.unoffered()?;
            (!is_in_hand(&self.0.name_of(name))).then_some(unoffered)
        });
        let now = Instant::now();
        let (waiting, due) = segments.fold((0, None), |(waiting, due): (u64, Option<_>), one| {
            let its_due = one.since.map_or(now, |since| since + linger);
            let due = due.map_or(its_due, |due: Instant| due.min(its_due));
            (waiting.saturating_add(one.records), Some(due))
        });
        if waiting >= records { due.map(|_| now) } else { due }
    }
}
