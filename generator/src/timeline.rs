//! When events happen: set after set of files, never backwards. Times are whole microseconds
//! since 1970.

use crate::settings::{LAST_MICROSECOND, Settings, now_microseconds, span_microseconds};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// The times of a run.
#[derive(Debug)]
pub(crate) struct Timeline {
    follows_clock: bool,
    span: u64,
    /// Where the next set begins; unknown until the clock is read for the first one.
    next_start: Option<u64>,
}

impl Timeline {
    /// `settings` must have been checked.
    pub(crate) fn new(settings: &Settings) -> Self {
        let start = settings.fixed_start();
        Self {
            follows_clock: start.is_none(),
            span: span_microseconds(settings.span),
            next_start: start.and_then(|start| u64::try_from(start.timestamp_micros()).ok()),
        }
    }

    /// The times of the next set, of `records` records.
    pub(crate) fn next_set(&mut self, records: u64) -> Moments {
        let now = if self.follows_clock { now_microseconds() } else { 0 };
        self.set_at(now, records)
    }

    /// A clock set back yields an empty range, so that times stand still but never run backwards.
    fn set_at(&mut self, now: u64, records: u64) -> Moments {
        let start = self.next_start.unwrap_or_else(|| now.saturating_sub(self.span));
        let end = if self.follows_clock { now } else { start.saturating_add(self.span) };
        let end = end.min(LAST_MICROSECOND).max(start);
        self.next_start = Some(end);
        Moments { start, length: end - start, records, taken: 0, slot_start: 0 }
    }
}

/// The times of one set: its range is cut into as many slots as there are records, and each
/// record gets a random time in its slot.
#[derive(Debug)]
pub(crate) struct Moments {
    start: u64,
    length: u64,
    records: u64,
    taken: u64,
    slot_start: u64,
}

impl Moments {
    /// The time of the next record. Past the last record it stays at the end of the range.
    pub(crate) fn next(&mut self, rng: &mut ChaCha8Rng) -> u64 {
        self.taken = self.records.min(self.taken + 1);
        let slot_end = self.offset_of(self.taken);
        let within = match slot_end - self.slot_start {
            0 => 0,
            width => rng.random_range(0..width),
        };
        let moment = self.start + self.slot_start + within;
        self.slot_start = slot_end;
        moment
    }

    /// Where slot number `slot` begins, counted from the start of the range.
    fn offset_of(&self, slot: u64) -> u64 {
        let scaled = u128::from(self.length) * u128::from(slot) / u128::from(self.records.max(1));
        u64::try_from(scaled).expect("a slot lies within the range, as slot <= records")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::time::Duration;

    const HOUR: u64 = 3_600_000_000;

    fn all(mut moments: Moments) -> Vec<u64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        (0..moments.records).map(|_| moments.next(&mut rng)).collect()
    }

    #[test]
    fn times_run_forward_over_the_whole_span() {
        let mut timeline = Timeline::new(&Settings { seed: Some(1), ..Settings::default() });
        let start = timeline.next_start.unwrap();
        let times = all(timeline.next_set(1_000));
        assert!(times.is_sorted());
        assert!(times[0] >= start && times[0] < start + HOUR / 100);
        assert!(times[999] < start + HOUR && times[999] > start + HOUR / 100 * 99);
    }

    #[test]
    fn the_next_set_begins_where_the_last_ended() {
        let mut timeline = Timeline::new(&Settings { seed: Some(1), ..Settings::default() });
        let start = timeline.next_start.unwrap();
        timeline.next_set(10);
        assert_eq!(timeline.next_set(10).start, start + HOUR);
    }

    #[test]
    fn sets_by_the_clock_end_now_and_never_overlap() {
        let mut timeline = Timeline::new(&Settings::default());
        let first = timeline.set_at(5 * HOUR, 10);
        assert_eq!((first.start, first.length), (4 * HOUR, HOUR));
        let second = timeline.set_at(5 * HOUR + 7, 10);
        assert_eq!((second.start, second.length), (5 * HOUR, 7));
        let clock_set_back = timeline.set_at(2 * HOUR, 10);
        assert_eq!((clock_set_back.start, clock_set_back.length), (5 * HOUR + 7, 0));
        assert_eq!(all(clock_set_back), [5 * HOUR + 7; 10]);
    }

    #[test]
    fn more_records_than_microseconds_share_them() {
        let span = Duration::from_micros(3);
        let mut timeline = Timeline::new(&Settings { seed: Some(1), span, ..Settings::default() });
        let start = timeline.next_start.unwrap();
        let times = all(timeline.next_set(9));
        assert!(times.is_sorted());
        assert!(times.iter().all(|time| (start..start + 3).contains(time)));
    }

    #[test]
    fn times_stop_at_the_end_of_the_year_9999() {
        let start = chrono::DateTime::parse_from_rfc3339("9999-12-31T23:00:00Z").unwrap().to_utc();
        let settings = Settings { start: Some(start), ..Settings::default() };
        let mut timeline = Timeline::new(&settings);
        timeline.next_set(1);
        assert!(all(timeline.next_set(10)).iter().all(|&time| time == LAST_MICROSECOND));
    }
}
