//! Records one by one, each when it is due by the clock.

use crate::arrivals::{Arrivals, Pattern};
use crate::events::{CHUNK_BYTES, Counts, Generator};
use crate::settings::{LAST_MICROSECOND, now_microseconds};
use std::fmt;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::thread;
use std::time::{Duration, Instant};

/// The longest pause between two calls of `progress`: soon enough for people, too seldom to cost.
const PAUSE_MAX: Duration = Duration::from_millis(50);

/// When records are due, and how many there are to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// How they are spread over time.
    pub pattern: Pattern,
    /// Records per second, above zero.
    pub rate: f64,
    /// How many times as high the rate is in the busy times of bursts as in the calm ones, above zero.
    pub rate_ratio: f64,
    /// The last record is due before so much time has passed.
    pub duration: Option<Duration>,
    /// So many records at the most.
    pub count: Option<u64>,
}

/// What was written.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Report {
    /// The records.
    pub records: u64,
    /// The time it took.
    pub elapsed: Duration,
    /// The longest time from when a record was due until it was written.
    pub late_max: Duration,
}

impl Generator {
    /// Writes a header and then records to `out`, each when it is due, and as soon as possible where `out` does
    /// not keep up. A record happens when it is due, counted from now or from the start that the settings give.
    /// Ends when all is written or `progress` breaks off, which is told of the work so far at least every 50 ms.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write_paced(
        &mut self,
        out: &mut dyn Write,
        pace: &Pace,
        progress: &mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> io::Result<Report> {
        let start = self.settings().fixed_start();
        let start = start.and_then(|start| u64::try_from(start.timestamp_micros()).ok());
        let start = start.unwrap_or_else(now_microseconds);
        let mut arrivals = Arrivals::new(pace.pattern, pace.rate, pace.rate_ratio);
        let mut flow = Flow { out, begun: Instant::now(), first: None, report: Report::default() };
        let (mut counts, mut due) = (Counts::default(), 0.0);
        self.begin_lines();
        while pace.count.is_none_or(|count| counts.rows < count) {
            due += arrivals.next_gap(&mut self.rng);
            let due = Duration::try_from_secs_f64(due).unwrap_or(Duration::MAX);
            if pace.duration.is_some_and(|duration| due >= duration) {
                break;
            }
            let is_early = due > flow.begun.elapsed();
            if is_early || self.lines.bytes.len() >= CHUNK_BYTES {
                flow.write(&mut self.lines.bytes, counts.rows)?;
                if flow.wait(due, progress).is_break() {
                    return Ok(flow.report);
                }
            }
            flow.first.get_or_insert(due);
            let since_start = u64::try_from(due.as_micros()).unwrap_or(u64::MAX);
            self.make_record(start.saturating_add(since_start).min(LAST_MICROSECOND), &mut counts);
        }
        flow.write(&mut self.lines.bytes, counts.rows)?;
        Ok(flow.report)
    }
}

/// Where the records go, and how that went.
struct Flow<'a> {
    out: &'a mut dyn Write,
    begun: Instant,
    /// When the first of the records that wait to be written was due.
    first: Option<Duration>,
    report: Report,
}

impl Flow<'_> {
    /// Writes `lines`, with which there are `records`, and leaves none.
    fn write(&mut self, lines: &mut Vec<u8>, records: u64) -> io::Result<()> {
        self.out.write_all(lines)?;
        self.out.flush()?;
        lines.clear();
        let elapsed = self.begun.elapsed();
        let late = self.first.take().map(|first| elapsed.saturating_sub(first));
        let late_max = self.report.late_max.max(late.unwrap_or_default());
        self.report = Report { records, elapsed, late_max };
        Ok(())
    }

    /// Until `due`, unless `progress` breaks off.
    fn wait(
        &mut self,
        due: Duration,
        progress: &mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        loop {
            progress(&self.report)?;
            let left = due.saturating_sub(self.begun.elapsed());
            if left.is_zero() {
                return ControlFlow::Continue(());
            }
            thread::sleep(left.min(PAUSE_MAX));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (records, seconds) = (self.records, self.elapsed.as_secs_f64());
        let rate = if seconds > 0.0 { records as f64 / seconds } else { 0.0 };
        let late = self.late_max.as_secs_f64() * 1_000.0;
        write!(f, "{records} records in {seconds:.1} s: {rate:.1}/s, at most {late:.1} ms late")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Dataset, Settings};

    const PACE: Pace = Pace {
        pattern: Pattern::Uniform,
        rate: 1_000.0,
        rate_ratio: 5.0,
        duration: None,
        count: None,
    };

    fn generator() -> Generator {
        let settings = Settings { dataset: Dataset::Emoji, seed: Some(1), ..Settings::default() };
        Generator::new(settings).unwrap()
    }

    fn written(pace: &Pace) -> (String, Report) {
        let mut out = Vec::new();
        let mut go_on = |_: &Report| ControlFlow::Continue(());
        let report = generator().write_paced(&mut out, pace, &mut go_on).unwrap();
        (String::from_utf8(out).unwrap(), report)
    }

    #[test]
    fn records_come_when_they_are_due_and_happen_then() {
        let (csv, report) = written(&Pace { count: Some(100), ..PACE });
        assert_eq!((csv.lines().count(), report.records), (101, 100));
        assert!(report.elapsed >= Duration::from_millis(100), "{report}");
        let last = csv.lines().last().unwrap();
        assert!(last.ends_with(",2026-01-01T00:00:00.100000Z"), "{last}");
    }

    #[test]
    fn the_last_is_due_before_the_duration_has_passed() {
        let duration = Some(Duration::from_millis(50));
        let (csv, report) = written(&Pace { duration, ..PACE });
        assert_eq!((csv.lines().count(), report.records), (50, 49));
    }

    #[test]
    fn a_rate_that_cannot_be_held_is_told_by_how_late_it_gets() {
        let (csv, report) = written(&Pace { rate: 1e9, count: Some(200_000), ..PACE });
        assert_eq!(csv.lines().count(), 200_001);
        assert!(report.late_max > Duration::from_millis(1), "{report}");
    }

    #[test]
    fn progress_can_break_off_a_long_wait() {
        let mut calls = 0;
        let mut stop = |_: &Report| {
            calls += 1;
            if calls < 2 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let pace = Pace { rate: 1e-9, ..PACE };
        let mut out = Vec::new();
        let report = generator().write_paced(&mut out, &pace, &mut stop).unwrap();
        assert_eq!(report.records, 0);
        assert_eq!(String::from_utf8(out).unwrap(), "user_id,emoji_type,timestamp\n");
    }

    #[test]
    fn bursts_are_the_same_for_a_seed() {
        let pace = Pace { pattern: Pattern::Mmpp, rate: 1e7, count: Some(10_000), ..PACE };
        assert_eq!(written(&pace).0, written(&pace).0);
    }
}
