//! How fast a stream is committed.

use std::time::{Duration, Instant};

/// What was committed longer ago than this hardly counts.
const MEMORY: Duration = Duration::from_secs(10);

/// Records a second, of late: what was committed counts for less the longer ago it was, by half
/// each seven seconds.
#[derive(Debug)]
pub(super) struct Rate {
    began: Option<Instant>,
    noted: Instant,
    /// Records, each as far as it still counts.
    records: f64,
}

impl Rate {
    pub(super) fn new() -> Rate {
        Rate { began: None, noted: Instant::now(), records: 0.0 }
    }

    /// So many records were committed within `elapsed`, now.
    pub(super) fn note(&mut self, records: u64, elapsed: Duration) {
        self.note_at(Instant::now(), records, elapsed);
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    fn note_at(&mut self, now: Instant, records: u64, elapsed: Duration) {
        self.began.get_or_insert_with(|| now.checked_sub(elapsed).unwrap_or(now));
        self.records = self.records * left_after(now - self.noted) + records as f64;
        self.noted = now;
    }

    /// How long so many records take at this rate; `None` before any was committed.
    pub(super) fn time_for(&self, records: u64) -> Option<Duration> {
        self.time_at(Instant::now(), records)
    }

    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    fn time_at(&self, now: Instant, records: u64) -> Option<Duration> {
        // What would have counted of one record a second since the beginning.
        let seconds = MEMORY.as_secs_f64() * (1.0 - left_after(now - self.began?));
        let rate = self.records * left_after(now - self.noted) / seconds;
        Duration::try_from_secs_f64(records as f64 / rate).ok()
    }
}

/// What still counts of a record after so long.
fn left_after(time: Duration) -> f64 {
    (-time.as_secs_f64() / MEMORY.as_secs_f64()).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_left_follows_from_what_was_committed_of_late() {
        let mut rate = Rate::new();
        let start = rate.noted;
        assert_eq!(rate.time_at(start, 1000), None);
        let second = Duration::from_secs(1);
        for at in 1..=60 {
            rate.note_at(start + second * at, 1000, second);
        }
        let left = rate.time_at(start + second * 60, 100_000).unwrap();
        assert!((90..=105).contains(&left.as_secs()), "{left:?}");
        for at in 61..=120 {
            rate.note_at(start + second * at, 10_000, second);
        }
        let left = rate.time_at(start + second * 120, 100_000).unwrap();
        assert!((9..=10).contains(&left.as_secs()), "{left:?}");
    }
}
