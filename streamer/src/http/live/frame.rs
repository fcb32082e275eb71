//! What pages are told, as JSON: fields are added, not renamed.

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};

use super::window::Quantiles;
use crate::batch::Counts;
use crate::event::{Commit, StreamCounters};
use crate::latency::Quantiles as SinceStart;
use crate::source::untaken::Untaken;

/// How many partitions of a micro-batch are named.
const PARTS_MAX: usize = 5;

/// A time as it is told: to the millisecond.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::http) struct At(pub(in crate::http) DateTime<Utc>);

impl Serialize for At {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0.to_rfc3339_opts(SecondsFormat::Millis, true))
    }
}

/// What is told of the streamer itself; it stays the same as long as the process lives.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct About {
    pub(super) version: &'static str,
    /// Its name among other streamers: host and process.
    pub(super) instance: String,
    pub(super) pid: u32,
    pub(super) started_at: At,
    pub(super) started_by: &'static str,
    pub(super) address: Option<String>,
    pub(super) data: String,
    pub(super) simulator: bool,
    /// What starts it again where it does not answer.
    pub(super) restart_command: &'static str,
}

/// What is told each second.
#[derive(Debug, Serialize)]
pub(super) struct Frame<'a> {
    pub(super) at: At,
    pub(super) number: u64,
    pub(super) total: Total,
    pub(super) spool: SpoolShown,
    /// Those that changed since the frame before.
    pub(super) streams: Vec<&'a StreamShown>,
    /// Those that were committed since the frame before, the oldest first.
    pub(super) micro_batches: Vec<&'a MicroBatchShown>,
    /// All that ails the streamer: the most severe first, then the oldest.
    pub(super) ailments: Vec<&'a AilmentShown>,
    /// The files that no stream takes; `None` before the folder was looked at.
    pub(super) untaken: Option<&'a [Untaken]>,
}

/// What is told of all streams together.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct Total {
    pub(super) rows_per_s: Option<f64>,
    pub(super) arrived_per_s: Option<f64>,
    /// Of what came by listeners, the last 10 s.
    pub(super) latency_p50_s: Option<f64>,
    pub(super) latency_p99_s: Option<f64>,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(super) struct SpoolShown {
    pub(super) lag_bytes: u64,
    pub(super) free_bytes: Option<u64>,
}

/// How a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum State {
    Running,
    CatchingUp,
    Idle,
    Waits,
    Stuck,
    Stopped,
    Away,
}

/// What is told of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct StreamShown {
    pub(super) stream: String,
    pub(super) table: String,
    pub(super) files: String,
    pub(super) dataset: Option<&'static str>,
    pub(super) state: State,
    pub(super) since: Option<At>,
    pub(super) why: Option<String>,
    pub(super) rows_per_s: f64,
    pub(super) rows_per_s_10s: Option<f64>,
    pub(super) counted: Counted,
    pub(super) accepted_records: u64,
    pub(super) lag: LagShown,
    pub(super) spool_lag_bytes: Option<u64>,
    pub(super) latency: Option<Quantiles>,
    pub(super) event_age: Option<Quantiles>,
    pub(super) event_latency: Option<SinceStart>,
    pub(super) last_micro_batch: Option<Last>,
}

/// What was counted since the start, as /metrics has it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(super) struct Counted {
    pub(super) records: u64,
    pub(super) rows: u64,
    pub(super) duplicates: u64,
    pub(super) repeated: u64,
    pub(super) dead_letters: u64,
    pub(super) failed_files: u64,
    pub(super) micro_batches: u64,
    pub(super) bytes: u64,
}

impl Counted {
    pub(super) fn of(counters: &StreamCounters) -> Counted {
        let Counts { records, rows, duplicates, repeated, dead_letters } = counters.counts;
        let StreamCounters { failures, micro_batches, bytes, .. } = *counters;
        let failed_files = failures;
        Counted {
            records,
            rows,
            duplicates,
            repeated,
            dead_letters,
            failed_files,
            micro_batches,
            bytes,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct LagShown {
    pub(super) bytes: Option<u64>,
    pub(super) records: Option<u64>,
    /// How long the oldest of it has waited.
    pub(super) s: Option<f64>,
    /// Whether it shrinks, stays or grows: -1, 0, 1.
    pub(super) trend: i8,
    pub(super) time_left_s: Option<f64>,
    pub(super) as_of: Option<At>,
}

/// The last micro-batch of a stream.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Last {
    pub(super) batch_id: i64,
    pub(super) at: At,
    pub(super) path: &'static str,
    pub(super) records: u64,
    pub(super) duration_s: f64,
}

/// What is told of a micro-batch.
#[derive(Debug, Clone, Serialize)]
pub(super) struct MicroBatchShown {
    pub(super) batch_id: i64,
    pub(super) at: At,
    pub(super) stream: String,
    pub(super) path: &'static str,
    pub(super) duration_s: f64,
    pub(super) records: u64,
    pub(super) rows: u64,
    pub(super) duplicates: u64,
    pub(super) repeated: u64,
    pub(super) dead_letters: u64,
    pub(super) bytes: u64,
    pub(super) times: TimesShown,
    pub(super) parts: Vec<PartShown>,
    pub(super) more_parts: usize,
}

/// Where the time of a micro-batch went.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct TimesShown {
    /// To read and to convert.
    read_s: f64,
    /// To look keys up and to write.
    copy_s: f64,
    commit_s: f64,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct PartShown {
    pub(super) file: String,
    pub(super) batch_id: i64,
    pub(super) start_offset: u64,
    pub(super) end_offset: u64,
    pub(super) records: u64,
    pub(super) rows: u64,
    pub(super) duplicates: u64,
    pub(super) dead_letters: u64,
}

impl MicroBatchShown {
    pub(super) fn of(commit: &Commit<'_>) -> MicroBatchShown {
        let Counts { records, rows, duplicates, repeated, dead_letters } = Counts::of(commit.parts);
        let parts = commit.parts.iter().zip(commit.taken).take(PARTS_MAX);
        let shown = parts.map(|(outcome, taken)| PartShown {
            file: outcome.partition.text().into_owned(),
            batch_id: outcome.batch_id,
            start_offset: taken.start_offset,
            end_offset: taken.end.offset,
            records: outcome.counts.records,
            rows: outcome.counts.rows,
            duplicates: outcome.counts.duplicates,
            dead_letters: outcome.counts.dead_letters,
        });
        MicroBatchShown {
            batch_id: commit.parts.first().map_or(0, |part| part.batch_id),
            at: At(Utc::now()),
            stream: commit.stream.to_owned(),
            path: commit.path.name(),
            duration_s: commit.elapsed.as_secs_f64(),
            records,
            rows,
            duplicates,
            repeated,
            dead_letters,
            bytes: commit.bytes,
            times: TimesShown {
                read_s: commit.times.read.as_secs_f64(),
                copy_s: commit.times.write.as_secs_f64(),
                commit_s: commit.times.commit.as_secs_f64(),
            },
            parts: shown.collect(),
            more_parts: commit.parts.len().saturating_sub(PARTS_MAX),
        }
    }

    pub(super) fn in_brief(&self) -> Last {
        let MicroBatchShown { batch_id, at, path, records, duration_s, .. } = *self;
        Last { batch_id, at, path, records, duration_s }
    }
}

/// How bad an ailment is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Severity {
    Bad,
    Warn,
}

/// What is told of an ailment.
#[derive(Debug, Clone, Serialize)]
pub(super) struct AilmentShown {
    pub(super) id: u64,
    pub(super) kind: &'static str,
    pub(super) severity: Severity,
    pub(super) stream: Option<String>,
    pub(super) since: At,
    pub(super) head: String,
    pub(super) why: String,
    /// Parts of `why` that matter most.
    pub(super) strong: Vec<String>,
    pub(super) label: Option<&'static str>,
    pub(super) command: Option<String>,
    /// Where the command is typed: `$` in a shell, `=#` in psql.
    pub(super) prompt: &'static str,
    /// What the command does to data.
    pub(super) then: Option<&'static str>,
}
