//! The settings of a stream, in groups: each stage of the way into PostgreSQL is given its own.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use globset::{Glob, GlobMatcher};
use serde::Deserialize;

use crate::encode::Zone;
use crate::format::Format;

/// Which files are read, and how.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Which files below the data folder.
    pub files: Glob,
    /// What the files hold; `None` where each file's name tells.
    pub format: Option<Format>,
    /// Bytes that a record has at most.
    pub record_bytes_max: usize,
    /// How long a file must be still before a last line without a line end counts as a record.
    pub settle: Duration,
    /// How often the folder is listed at least.
    pub scan_every: Duration,
    /// Whether files that change while the streamer runs go before those that were there.
    pub live_first: bool,
    /// The folders of all streams' archives, below the data folder: no file is read from there.
    pub archives: Vec<PathBuf>,
}

/// How records become rows of the table.
#[derive(Debug, Clone)]
pub struct Fitting {
    /// Columns that are not called like their JSON key: the keys that lead to them, from the
    /// outermost on.
    pub paths: BTreeMap<String, Vec<String>>,
    /// What becomes of columns that the table does not have.
    pub extra: Extra,
    /// The jsonb column that [`Extra::Keep`] fills.
    pub extra_column: String,
    /// What is NULL where it stands unquoted, besides the empty field.
    pub null: Vec<String>,
    /// What a time without a zone means.
    pub zone: Zone,
    /// The column that tells when an event came to be; `None` where it has one of the usual names.
    pub event_time: Option<String>,
    /// Which of the table's columns the streamer fills itself, besides those of a dataset's table.
    pub provenance: Vec<Provenance>,
    /// Whether floating-point and decimal columns take NaN.
    pub nan: Nan,
}

/// A column that tells where a row came from, filled by the streamer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provenance {
    /// `batch_id bigint`: the micro-batch that brought the row, in `streamer.micro_batch`.
    BatchId,
    /// `ingested_at timestamptz`: when the transaction of that micro-batch began.
    IngestedAt,
}

/// What becomes of NaN in a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Nan {
    /// The record is a dead letter.
    #[default]
    Reject,
    /// It is a value, where the type has it.
    Accept,
}

/// Who may send records that are in no file, and from where.
#[derive(Debug, Clone)]
pub struct Listeners {
    /// Where the tokens are that are asked for.
    pub token: Option<TokenSource>,
    /// Where lines are taken by TCP.
    pub tcp_listen: Option<TcpListen>,
    /// The server, `host:port`, that lines are read from.
    pub tcp_connect: Option<String>,
    /// For how long an Idempotency-Key is remembered once its records are committed.
    pub idempotency_keep: Duration,
}

/// Where lines are taken by TCP, and from how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TcpListen {
    /// The address.
    pub address: SocketAddr,
    /// A connection that sends nothing for so long is closed.
    pub idle: Duration,
    /// Connections at a time, of this listener alone.
    pub connections_max: usize,
}

/// What becomes of files and rows that are loaded.
#[derive(Debug, Clone)]
pub struct WhenDone {
    /// What becomes of a file that was read to its end.
    pub on_done: OnDone,
    /// The names and files of all streams, if any removes files: what others read too stays. All
    /// streams share it.
    pub of_all: Arc<[(String, GlobMatcher)]>,
    /// How long rows are kept, by the time of their events; for ever where there is none.
    pub keep: Option<Duration>,
    /// How long dead letters are kept once they are resolved; for ever where there is none.
    pub keep_bookkeeping: Option<Duration>,
}

/// Where tokens are to be found: never in the settings themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenSource {
    /// In this environment variable.
    Env(String),
    /// In this file, one a line.
    File(PathBuf),
}

/// What becomes of a file's columns that the table does not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Extra {
    /// The file is refused, so that nothing is lost unnoticed.
    #[default]
    Reject,
    /// They are left out.
    Ignore,
    /// They go into a jsonb column of the table, as one object.
    Keep,
}

/// What becomes of records that the table has no partition for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum OnMissingPartition {
    /// A few are dead letters. Where it is many of a micro-batch, it is the table's fault: the
    /// stream waits for a partition.
    #[default]
    Auto,
    /// The stream waits for a partition.
    Wait,
    /// They are dead letters.
    DeadLetter,
}

/// What becomes of a file that was read to its end and committed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnDone {
    /// It stays where it is.
    Keep,
    /// It is moved to this folder below the data folder.
    Archive(PathBuf),
    /// It is removed.
    Delete,
}

impl Provenance {
    /// Both.
    pub const ALL: [Provenance; 2] = [Provenance::BatchId, Provenance::IngestedAt];

    /// The column's name.
    pub fn name(self) -> &'static str {
        match self {
            Provenance::BatchId => "batch_id",
            Provenance::IngestedAt => "ingested_at",
        }
    }

    /// The column's type as SQL spells it.
    pub fn type_name(self) -> &'static str {
        match self {
            Provenance::BatchId => "bigint",
            Provenance::IngestedAt => "timestamptz",
        }
    }

    /// The type's number in pg_type.
    pub fn type_oid(self) -> u32 {
        match self {
            Provenance::BatchId => 20,
            Provenance::IngestedAt => 1184,
        }
    }
}

impl OnMissingPartition {
    /// Whether the stream waits where so many of a micro-batch's records have no partition.
    pub fn waits(self, missing: u64, records: u64) -> bool {
        match self {
            OnMissingPartition::Auto => missing >= 10 && missing * 20 > records,
            OnMissingPartition::Wait => missing > 0,
            OnMissingPartition::DeadLetter => false,
        }
    }
}

impl Reading {
    /// What a file of this name holds.
    pub fn format_of(&self, name: &str) -> Format {
        self.format.unwrap_or_else(|| Format::of(name))
    }
}

#[cfg(test)]
mod tests {
    use super::OnMissingPartition;

    #[test]
    fn many_records_without_a_partition_are_the_tables_fault() {
        for (missing, records, waits) in
            [(9, 9, false), (10, 200, false), (10, 199, true), (50, 1000, false), (51, 1000, true)]
        {
            assert_eq!(OnMissingPartition::Auto.waits(missing, records), waits, "{missing}");
        }
        assert!(OnMissingPartition::Wait.waits(1, 1000));
        assert!(!OnMissingPartition::Wait.waits(0, 1000));
        assert!(!OnMissingPartition::DeadLetter.waits(1000, 1000));
    }
}
