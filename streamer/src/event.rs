//! What the engine reports while it works, and to whom.
//!
//! Each event goes to all observers of a [`Reporter`], in their order, on the task that reports it:
//! so a observer does little. What only counts needs no observer of its own: the reporter keeps
//! [`Counters`], which anybody may sample at any time.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::batch::{Counts, Part, PartOutcome, Path};
use crate::latency::Visible;
use crate::partition::Lag;

/// What the engine reports.
#[derive(Debug)]
pub enum Event<'a> {
    /// A micro-batch is committed.
    Committed(Commit<'a>),
    /// A file could not be loaded.
    Failed {
        /// The stream.
        stream: &'a str,
        /// The file.
        partition: &'a str,
        /// Why.
        reason: &'a str,
    },
    /// A file's next records wait for a partition of their table.
    Waiting {
        /// The stream.
        stream: &'a str,
        /// The file.
        partition: &'a str,
        /// For which, and what to do.
        reason: &'a str,
    },
    /// A file had too many dead letters: the stream rests.
    Stopped {
        /// The stream.
        stream: &'a str,
        /// The file.
        partition: &'a str,
        /// Why, and what to do.
        reason: &'a str,
    },
}

/// A micro-batch that is committed.
#[derive(Debug)]
pub struct Commit<'a> {
    /// The stream.
    pub stream: &'a str,
    /// What became of the records, by partition.
    pub parts: &'a [PartOutcome],
    /// What it took of each partition, in the same order.
    pub taken: &'a [Part],
    /// How the rows went in.
    pub path: Path,
    /// From the first byte read to the commit.
    pub elapsed: Duration,
    /// Where that time went, but for what it has waited.
    pub times: Times,
    /// How many bytes it took.
    pub bytes: u64,
    /// What is left to read.
    pub lag: Lag,
    /// How long that will take, as far as can be told.
    pub time_left: Option<Duration>,
    /// How many records it had at most, where that follows what waits.
    pub records_max: Option<u64>,
    /// Of records that came by a listener: how many have waited for how long since they were
    /// synced.
    pub latencies: &'a [(u64, Duration)],
    /// Of the rows: when their events were created, and when they were visible.
    pub visible: &'a Visible,
}

/// Where the time of a micro-batch went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Times {
    /// To read its records and convert them.
    pub read: Duration,
    /// To look keys up, and to write rows and bookkeeping: the COPY for the most part.
    pub write: Duration,
    /// To commit.
    pub commit: Duration,
}

/// Who is told of events.
pub trait Observer: Send + Sync {
    /// Takes an event in.
    fn note(&self, event: &Event<'_>);
}

/// Tells observers of events, and counts. Clones share both.
#[derive(Clone, Default)]
pub struct Reporter {
    observers: Arc<[Arc<dyn Observer>]>,
    counters: Counters,
}

/// What was counted of each stream since the process has begun. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<String, StreamCounters>>>);

/// What was counted of one stream.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct StreamCounters {
    /// What became of its records.
    pub counts: Counts,
    /// Micro-batches that were committed.
    pub micro_batches: u64,
    /// Bytes that they took.
    pub bytes: u64,
    /// Files that could not be loaded, have stopped the stream, or wait for a partition of the
    /// table; each time counts.
    pub failures: u64,
    /// What is left to read, as of the last micro-batch or listing of the folder.
    pub lag: Lag,
    /// When that was; `None` before the first of both.
    pub lag_at: Option<DateTime<Utc>>,
    /// How long that will take, as far as could be told then.
    pub time_left: Option<Duration>,
}

impl Reporter {
    /// Tells these observers, and counts in `counters`.
    pub fn new(observers: Vec<Arc<dyn Observer>>, counters: Counters) -> Reporter {
        Reporter { observers: observers.into(), counters }
    }

    /// What is left to read of `stream` is known anew, without a micro-batch.
    pub fn note_lag(&self, stream: &str, lag: Lag) {
        if let Some(counters) = self.counters.lock().get_mut(stream) {
            (counters.lag, counters.lag_at) = (lag, Some(Utc::now()));
        }
    }

    /// Tells all observers of `event`.
    pub fn report(&self, event: &Event<'_>) {
        self.counters.note(event);
        self.observers.iter().for_each(|observer| observer.note(event));
    }
}

impl Counters {
    /// Counters at zero for `streams`.
    pub fn new<'s>(streams: impl IntoIterator<Item = &'s str>) -> Counters {
        let zero = |name: &str| (name.to_owned(), StreamCounters::default());
        Counters(Arc::new(Mutex::new(streams.into_iter().map(zero).collect())))
    }

    /// What was counted so far, by stream.
    pub fn sample(&self) -> BTreeMap<String, StreamCounters> {
        self.lock().clone()
    }

    fn note(&self, event: &Event<'_>) {
        let (Event::Committed(Commit { stream, .. })
        | Event::Failed { stream, .. }
        | Event::Waiting { stream, .. }
        | Event::Stopped { stream, .. }) = event;
        let mut streams = self.lock();
        if !streams.contains_key(*stream) {
            streams.insert((*stream).to_owned(), StreamCounters::default());
        }
        let counters = streams.get_mut(*stream).expect("it was put there");
        match event {
            Event::Committed(commit) => {
                counters.counts.add(Counts::of(commit.parts));
                counters.micro_batches += 1;
                counters.bytes += commit.bytes;
                (counters.lag, counters.time_left) = (commit.lag, commit.time_left);
                counters.lag_at = Some(Utc::now());
            }
            Event::Failed { .. } | Event::Waiting { .. } | Event::Stopped { .. } => {
                counters.failures += 1;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, StreamCounters>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes each event as a line of the log.
#[derive(Debug, Clone, Copy)]
pub struct Log;

impl Observer for Log {
    fn note(&self, event: &Event<'_>) {
        match event {
            Event::Committed(commit) => log_commit(commit),
            Event::Failed { stream, partition, reason } => {
                tracing::error!(%stream, file = %partition, "not loaded: {reason}");
            }
            Event::Waiting { stream, partition, reason } => {
                tracing::warn!(%stream, file = %partition, "waits: {reason}");
            }
            Event::Stopped { stream, partition, reason } => {
                tracing::error!(%stream, file = %partition, "{reason}");
            }
        }
    }
}

fn log_commit(commit: &Commit<'_>) {
    let Counts { records, rows, duplicates, repeated, dead_letters } = Counts::of(commit.parts);
    let more = match commit.parts.len() - 1 {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    tracing::info!(
        stream = %commit.stream,
        read = records,
        rows,
        duplicates,
        // Told only where there is something to tell: few clients use keys.
        repeated = (repeated > 0).then_some(repeated),
        dead_letters,
        path = %commit.path.name(),
        ms = u64::try_from(commit.elapsed.as_millis()).unwrap_or(u64::MAX),
        max_rows = commit.records_max,
        lag_bytes = commit.lag.left_bytes(),
        lag_records = commit.lag.records.filter(|_| commit.lag.left > 0),
        file = %format_args!("{}{more}", commit.parts[0].partition),
        "committed"
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partition::{Partition, Unit};

    /// A observer that only remembers which kinds of events it was told of.
    #[derive(Default)]
    struct Kinds(Mutex<Vec<&'static str>>);

    impl Observer for Kinds {
        fn note(&self, event: &Event<'_>) {
            let kind = match event {
                Event::Committed(_) => "committed",
                Event::Failed { .. } => "failed",
                Event::Waiting { .. } => "waiting",
                Event::Stopped { .. } => "stopped",
            };
            self.0.lock().unwrap().push(kind);
        }
    }

    #[test]
    fn all_observers_are_told_and_the_counters_can_be_sampled() {
        let (one, other) = (Arc::new(Kinds::default()), Arc::new(Kinds::default()));
        let counters = Counters::new(["a", "b"]);
        let reporter = Reporter::new(vec![one.clone(), other.clone()], counters.clone());
        let counts = Counts { records: 5, rows: 2, duplicates: 1, repeated: 1, dead_letters: 1 };
        let part = PartOutcome { partition: Partition::parse("1.csv"), batch_id: 1, counts };
        let age = Duration::from_secs(3);
        let lag = Lag { left: 7, unit: Unit::Bytes, records: Some(1), age };
        for _ in 0..2 {
            reporter.report(&Event::Committed(Commit {
                stream: "a",
                parts: &[part.clone(), part.clone()],
                taken: &[],
                path: Path::Direct,
                elapsed: Duration::ZERO,
                times: Times::default(),
                bytes: 10,
                lag,
                time_left: Some(age),
                records_max: None,
                latencies: &[],
                visible: &Visible::default(),
            }));
        }
        reporter.report(&Event::Failed { stream: "c", partition: "2.csv", reason: "" });
        reporter.report(&Event::Stopped { stream: "a", partition: "3.csv", reason: "" });
        reporter.report(&Event::Waiting { stream: "a", partition: "4.csv", reason: "" });
        for told in [&one, &other] {
            let kinds = ["committed", "committed", "failed", "stopped", "waiting"];
            assert_eq!(*told.0.lock().unwrap(), kinds);
        }
        let sample = counters.sample();
        assert_eq!(sample.keys().collect::<Vec<_>>(), ["a", "b", "c"]);
        let counts = Counts { records: 20, rows: 8, duplicates: 4, repeated: 4, dead_letters: 4 };
        let a = StreamCounters {
            counts,
            micro_batches: 2,
            bytes: 20,
            failures: 2,
            lag,
            lag_at: sample["a"].lag_at,
            time_left: Some(age),
        };
        assert!(a.lag_at.is_some());
        assert_eq!(sample["a"], a);
        assert_eq!(sample["b"], StreamCounters::default());
    }
}
