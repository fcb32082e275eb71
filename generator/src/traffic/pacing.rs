//! Batches in the making: each record when it is due.

use super::batch::Batch;
use super::run::Run;
use super::{Pace, Target, Traffic};
use crate::arrivals::Arrivals;
use crate::events::{CHUNK_BYTES, Counts, Generator};
use crate::settings::{LAST_MICROSECOND, now_microseconds};
use std::mem;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

/// How long the first record of a request waits for others, at most.
const LINGER: Duration = Duration::from_millis(100);

/// How large a batch becomes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    records: usize,
    /// How long the first record waits for others that are not due yet.
    linger: Duration,
}

impl Limits {
    pub(crate) fn of(traffic: &Traffic) -> Limits {
        match traffic.target {
            Target::Http { .. } => Limits { records: traffic.batch, linger: LINGER },
            // What is due is written, and nothing waits.
            _ => Limits { records: usize::MAX, linger: Duration::ZERO },
        }
    }
}

impl Generator {
    /// Makes records when they are due, and hands them on in batches, until there are enough or the
    /// run is over, which is noted then.
    pub(super) fn make_batches(
        &mut self,
        pace: &Pace,
        limits: &Limits,
        made: &SyncSender<Batch>,
        run: &Run,
    ) {
        if !self.make_all(pace, limits, made, run) {
            run.note_unsent();
        }
    }

    /// False if the run is over before there are enough, or nobody takes them any more.
    fn make_all(
        &mut self,
        pace: &Pace,
        limits: &Limits,
        made: &SyncSender<Batch>,
        run: &Run,
    ) -> bool {
        let start = self.settings().fixed_start();
        let start = start.and_then(|start| u64::try_from(start.timestamp_micros()).ok());
        let start = start.unwrap_or_else(now_microseconds);
        let mut arrivals = pace.rate.map(|rate| Arrivals::new(pace.pattern, rate, pace.rate_ratio));
        let (mut counts, mut seconds) = (Counts::default(), 0.0);
        let mut batch = Batch::default();
        self.lines.bytes.clear();
        while pace.count.is_none_or(|count| counts.rows < count) {
            let due = match &mut arrivals {
                Some(arrivals) => {
                    seconds += arrivals.next_gap(&mut self.rng);
                    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
                }
                None => run.elapsed(),
            };
            if pace.duration.is_some_and(|duration| due >= duration) {
                break;
            }
            let is_full =
                batch.due.len() >= limits.records || self.lines.bytes.len() >= CHUNK_BYTES;
            let is_last_for_now = || due > run.elapsed() && due > batch.due[0] + limits.linger;
            if !batch.due.is_empty() && (is_full || is_last_for_now()) {
                let number = batch.number + 1;
                batch.lines = mem::take(&mut self.lines.bytes);
                if made
                    .send(mem::replace(&mut batch, Batch { number, ..Batch::default() }))
                    .is_err()
                {
                    return false;
                }
            }
            if run.is_over() || !run.sleep_until(due) {
                return false;
            }
            batch.due.push(due);
            let since_start = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
            self.make_record(start.saturating_add(since_start).min(LAST_MICROSECOND), &mut counts);
        }
        batch.lines = mem::take(&mut self.lines.bytes);
        batch.due.is_empty() || made.send(batch).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, Pattern, Settings};
    use std::sync::mpsc::sync_channel;

    const PACE: Pace = Pace {
        pattern: Pattern::Uniform,
        rate: None,
        rate_ratio: 5.0,
        duration: None,
        count: None,
    };

    const AT_ONCE: Limits = Limits { records: usize::MAX, linger: Duration::ZERO };

    /// The batches of a seeded run.
    fn batches(pace: &Pace, limits: &Limits) -> Vec<Batch> {
        let settings = Settings { dataset: Dataset::Emoji, seed: Some(1), ..Settings::default() };
        let mut generator = Generator::new(settings).unwrap();
        let (made, waiting) = sync_channel(1_000);
        generator.make_batches(pace, limits, &made, &Run::begin(None));
        drop(made);
        waiting.into_iter().collect()
    }

    fn lines(batches: &[Batch]) -> String {
        let lines = batches.iter().flat_map(|batch| batch.lines.clone()).collect();
        String::from_utf8(lines).unwrap()
    }

    #[test]
    fn records_come_when_they_are_due_and_happen_then() {
        let begun = std::time::Instant::now();
        let batches = batches(&Pace { rate: Some(1_000.0), count: Some(100), ..PACE }, &AT_ONCE);
        assert!(begun.elapsed() >= Duration::from_millis(100));
        let due: Vec<Duration> = batches.iter().flat_map(|batch| batch.due.clone()).collect();
        assert_eq!(due.len(), 100);
        let is_late = |(n, due): (u32, &Duration)| {
            due.abs_diff(Duration::from_millis(1) * n).as_nanos() > 1_000
        };
        assert!(!(1..).zip(&due).any(is_late), "{due:?}");
        let lines = lines(&batches);
        assert_eq!(lines.lines().count(), 100);
        let last = lines.lines().last().unwrap();
        assert!(last.ends_with(",2026-01-01T00:00:00.100000Z"), "{last}");
    }

    #[test]
    fn the_last_is_due_before_the_duration_has_passed() {
        let duration = Some(Duration::from_millis(50));
        let batches = batches(&Pace { rate: Some(1_000.0), duration, ..PACE }, &AT_ONCE);
        assert_eq!(lines(&batches).lines().count(), 49);
    }

    #[test]
    fn requests_are_filled_unless_that_would_take_too_long() {
        let limits = Limits { records: 10, linger: Duration::from_millis(100) };
        let sizes = |pace: &Pace| -> Vec<u64> {
            batches(pace, &limits).iter().map(Batch::records).collect()
        };
        assert_eq!(sizes(&Pace { count: Some(25), ..PACE }), [10, 10, 5]);
        let fast = Pace { rate: Some(500.0), count: Some(25), ..PACE };
        assert_eq!(sizes(&fast), [10, 10, 5]);
        // One every 60 ms: the third would let the first wait for 120 ms.
        let slow = Pace { rate: Some(1_000.0 / 60.0), count: Some(5), ..PACE };
        assert_eq!(sizes(&slow), [2, 2, 1]);
    }

    #[test]
    fn bursts_are_the_same_for_a_seed() {
        let pace = Pace { pattern: Pattern::Mmpp, rate: Some(1e6), count: Some(10_000), ..PACE };
        assert_eq!(lines(&batches(&pace, &AT_ONCE)), lines(&batches(&pace, &AT_ONCE)));
    }

    #[test]
    fn a_run_that_is_over_ends_a_long_wait() {
        let settings = Settings { dataset: Dataset::Emoji, ..Settings::default() };
        let mut generator = Generator::new(settings).unwrap();
        let (made, waiting) = sync_channel(1);
        let run = Run::begin(None);
        run.stop();
        generator.make_batches(&Pace { rate: Some(1e-9), ..PACE }, &AT_ONCE, &made, &run);
        assert!(waiting.try_recv().is_err());
        assert!(!run.report().is_behind, "it was stopped");
        drop(waiting);
        let run = Run::begin(None);
        generator.make_batches(&Pace { count: Some(1), ..PACE }, &AT_ONCE, &made, &run);
        assert!(run.report().is_behind, "nobody takes it");
    }
}
