//! When records that have come by a listener are to be committed: once enough of them wait, or the
//! oldest has waited for long enough.

use std::time::{Duration, Instant};

use super::Segment;

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
    pub(super) fn unoffered(&self) -> Option<Unoffered> {
        (self.synced() > self.offered.max(self.committed)).then_some(self.unoffered)
    }
}

/// When what was not offered is to be committed: at once where that is `records` or more, else when
/// the oldest has waited for `linger`. Nothing, where all was offered.
pub(super) fn due(
    unoffered: impl Iterator<Item = Unoffered>,
    records: u64,
    linger: Duration,
) -> Option<Instant> {
    let now = Instant::now();
    let (mut waiting, mut due) = (0_u64, None::<Instant>);
    for one in unoffered {
        let its_due = one.since.map_or(now, |since| since + linger);
        due = Some(due.map_or(its_due, |due| due.min(its_due)));
        waiting = waiting.saturating_add(one.records);
    }
    if waiting >= records { due.map(|_| now) } else { due }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn enough_records_or_the_oldest_start_a_micro_batch() {
        let linger = Duration::from_secs(60);
        let of = |records, age| Unoffered { records, since: Instant::now().checked_sub(age) };
        let due = |unoffered: &[Unoffered]| due(unoffered.iter().copied(), 100, linger);
        assert_eq!(due(&[]), None);
        let (old, young) = (of(1, linger), of(98, Duration::ZERO));
        assert!(due(&[young, old]).unwrap() <= Instant::now());
        assert!(due(&[young]).unwrap() > Instant::now());
        assert!(due(&[young, of(2, Duration::ZERO)]).unwrap() <= Instant::now());
        // What was left behind has waited for long enough.
        assert!(due(&[young, Unoffered::default()]).unwrap() <= Instant::now());
    }
}
