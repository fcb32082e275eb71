//! A run: its clock, its end, and what has become of the records so far.

use super::batch::Batch;
use super::{Fate, PAUSE_MAX};
use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use hdrhistogram::Histogram;
use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long after the last record was due a target may still answer.
const GRACE: Duration = Duration::from_secs(10);

/// A day: a longer latency counts as this one. Unit: microseconds.
const LATENCY_MAX: u64 = 24 * 60 * 60 * 1_000_000;

/// The clock of a run and its counts.
#[derive(Debug)]
pub(crate) struct Run {
    begun: Instant,
    stop: AtomicBool,
    /// When no answer is waited for any more.
    over: Option<Duration>,
    tally: Mutex<Tally>,
}

#[derive(Debug)]
struct Tally {
    report: Report,
    /// In microseconds.
    latencies: Histogram<u64>,
}

/// What has become of the records.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// Records that were sent, each counted once.
    pub sent: u64,
    /// Those of them that the target has taken.
    pub accepted: u64,
    /// Those that it wants none of.
    pub refused: u64,
    /// How often a batch was sent again.
    pub retries: u64,
    /// From the beginning to the last answer.
    pub elapsed: Duration,
    /// Of the accepted records.
    pub latency: Latency,
    /// Whether some were never sent, because the target did not keep up until the run was over.
    pub is_behind: bool,
    /// Why the first refused records were refused.
    pub refusal: Option<String>,
    /// What was wrong the last time that a batch had to be sent again.
    pub trouble: Option<String>,
}

/// From when a record was due until it was accepted. Unit: microseconds, to three digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    /// Half of the records took no longer.
    pub p50: u64,
    /// Nine of ten.
    pub p90: u64,
    /// 99 of a hundred.
    pub p99: u64,
    /// All.
    pub max: u64,
}

impl Run {
    /// Begins now. `duration` is the time in which records are due.
    pub(crate) fn begin(duration: Option<Duration>) -> Run {
        let latencies = Histogram::new_with_bounds(1, LATENCY_MAX, 3);
        let latencies = latencies.expect("such bounds and three digits can be had");
        Run {
            begun: Instant::now(),
            stop: AtomicBool::new(false),
            over: duration.map(|duration| duration.saturating_add(GRACE)),
            tally: Mutex::new(Tally { report: Report::default(), latencies }),
        }
    }

    /// Since the beginning.
    pub(crate) fn elapsed(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Asks all to end with what they have in hand.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Whether nothing is to be tried any more.
    pub(crate) fn is_over(&self) -> bool {
        self.is_stopped() || self.over.is_some_and(|over| self.elapsed() > over)
    }

    /// Sleeps until so long after the beginning; false if the run is over before.
    pub(crate) fn sleep_until(&self, time: Duration) -> bool {
        loop {
            let left = time.saturating_sub(self.elapsed());
            if left.is_zero() {
                return true;
            }
            if self.is_over() {
                return false;
            }
            thread::sleep(left.min(PAUSE_MAX));
        }
    }

    /// Sleeps before a batch is sent again because of `trouble`; false if the run is over.
    pub(crate) fn pause(&self, pause: Duration, trouble: String) -> bool {
        let mut tally = self.tally();
        tally.report.retries += 1;
        tally.report.trouble = Some(trouble);
        drop(tally);
        self.sleep_until(self.elapsed().saturating_add(pause)) && !self.is_over()
    }

    /// Some that were due are not sent any more; unless the run was stopped, because it took too
    /// long.
    pub(crate) fn note_unsent(&self) {
        let is_behind = !self.is_stopped();
        self.tally().report.is_behind |= is_behind;
    }

    pub(crate) fn note_sent(&self, batch: &Batch) {
        self.tally().report.sent += batch.records();
    }

    pub(crate) fn note_fate(&self, batch: &Batch, fate: Fate) {
        let now = self.elapsed();
        let mut tally = self.tally();
        tally.report.elapsed = now;
        match fate {
            Fate::Accepted(records) => {
                let accepted = records.min(batch.records());
                tally.report.accepted += accepted;
                tally.report.refused += batch.records() - accepted;
                for due in &batch.due {
                    let latency = now.saturating_sub(*due).as_micros();
                    tally.latencies.saturating_record(u64::try_from(latency).unwrap_or(u64::MAX));
                }
            }
            Fate::Refused(why) => {
                tally.report.refused += batch.records();
                tally.report.refusal.get_or_insert(why);
            }
            Fate::Unanswered => {}
        }
    }

    /// How it stands.
    pub(crate) fn report(&self) -> Report {
        let tally = self.tally();
        let at = |share| tally.latencies.value_at_quantile(share);
        let latency =
            Latency { p50: at(0.5), p90: at(0.9), p99: at(0.99), max: tally.latencies.max() };
        Report { latency, ..tally.report.clone() }
    }

    fn tally(&self) -> MutexGuard<'_, Tally> {
        self.tally.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Report {
    /// Accepted records per second.
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.accepted as f64 / seconds } else { 0.0 }
    }

    /// Records whose fate is not known.
    pub fn unanswered(&self) -> u64 {
        self.sent.saturating_sub(self.accepted).saturating_sub(self.refused)
    }
}

/// Pauses between tries: from 50 ms doubling to 5 s, each with jitter, without end.
pub(super) fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_delay(Duration::from_secs(5))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Report { sent, accepted, refused, retries, .. } = self;
        let (seconds, rate) = (self.elapsed.as_secs_f64(), self.rate());
        write!(f, "sent {sent}, accepted {accepted}, refused {refused}")?;
        if self.unanswered() > 0 {
            write!(f, ", unanswered {}", self.unanswered())?;
        }
        if *retries > 0 {
            write!(f, ", sent again {retries} times")?;
        }
        writeln!(f, " in {seconds:.1} s: {rate:.1}/s")?;
        if self.is_behind {
            writeln!(f, "the target did not keep up: not all that was due was sent")?;
        }
        let Latency { p50, p90, p99, max } = self.latency;
        let [p50, p90, p99, max] = [p50, p90, p99, max].map(milliseconds);
        write!(f, "latency in ms since due: P50 {p50}, P90 {p90}, P99 {p99}, max {max}")
    }
}

fn milliseconds(microseconds: u64) -> String {
    format!("{}.{:03}", microseconds / 1_000, microseconds % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of records that were due at once, when the run began.
    fn batch(records: usize) -> Batch {
        Batch { due: vec![Duration::ZERO; records], ..Batch::default() }
    }

    #[test]
    fn every_record_is_accepted_refused_or_unanswered() {
        let run = Run::begin(None);
        for (records, fate) in [
            (5, Fate::Accepted(5)),
            (4, Fate::Accepted(3)),
            (2, Fate::Refused("no".to_owned())),
            (2, Fate::Refused("never".to_owned())),
            (1, Fate::Unanswered),
        ] {
            run.note_sent(&batch(records));
            run.note_fate(&batch(records), fate);
        }
        let report = run.report();
        let counts = (report.sent, report.accepted, report.refused, report.unanswered());
        assert_eq!(counts, (14, 8, 5, 1));
        assert_eq!(report.refusal.as_deref(), Some("no"), "the first reason is kept");
    }

    #[test]
    fn latency_counts_from_when_a_record_was_due() {
        let run = Run::begin(None);
        thread::sleep(Duration::from_millis(20));
        let mut batch = batch(99);
        batch.due.push(run.elapsed());
        run.note_fate(&batch, Fate::Accepted(100));
        let Latency { p50, p99, max, .. } = run.report().latency;
        assert!(p50 >= 20_000 && p99 >= 20_000 && max >= 20_000, "{p50} {p99} {max}");
        run.note_fate(
            &Batch { due: vec![run.elapsed(); 900], ..Batch::default() },
            Fate::Accepted(900),
        );
        assert!(run.report().latency.p50 < 20_000);
    }

    #[test]
    fn a_run_is_over_when_it_is_stopped_or_a_while_after_the_last_was_due() {
        let run = Run::begin(Some(Duration::ZERO));
        assert!(!run.is_over(), "answers are waited for");
        run.stop();
        assert!(run.is_over() && !run.sleep_until(Duration::from_secs(3_600)));
    }

    #[test]
    fn a_report_can_be_read() {
        let latency = Latency { p50: 1_200, p90: 2_045, p99: 9_999, max: 1_000_001 };
        let elapsed = Duration::from_secs(2);
        let report = Report {
            sent: 1_000,
            accepted: 990,
            refused: 10,
            elapsed,
            latency,
            ..Report::default()
        };
        assert_eq!(
            report.to_string(),
            "sent 1000, accepted 990, refused 10 in 2.0 s: 495.0/s\n\
             latency in ms since due: P50 1.200, P90 2.045, P99 9.999, max 1000.001"
        );
    }
}
