//! What the ledger tells of a stream as a whole.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

/// A partition, and the sums over its micro-batches.
#[derive(Debug, sqlx::FromRow)]
pub struct PartitionStatus {
    /// As [`Partition::text`](crate::partition::Partition::text) writes it.
    pub partition: String,
    /// The next byte to read.
    pub next_offset: i64,
    /// Records that were read.
    pub records: i64,
    /// reading, done, refused or stopped.
    pub state: String,
    /// Why it is refused or stopped.
    pub refusal: Option<String>,
    /// What its next records wait for.
    pub waits_for: Option<String>,
    /// When the checkpoint was moved last.
    pub updated_at: DateTime<Utc>,
    /// Rows that were inserted.
    pub rows: i64,
    /// Records whose key was in the table.
    pub duplicates: i64,
    /// Records of requests whose Idempotency-Key was there before.
    pub repeated: i64,
    /// Records that were refused and are not retried.
    pub dead_letters: i64,
}

/// A micro-batch. Scripts rely on its JSON form: fields are added, not renamed.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct MicroBatchStatus {
    /// Its number.
    pub batch_id: i64,
    /// The number of the first one, where it is several old ones as one; else its own.
    pub first_batch_id: i64,
    /// The partition it took records from.
    #[sqlx(rename = "partition")]
    pub file: String,
    /// From where.
    pub start_offset: i64,
    /// To where.
    pub end_offset: i64,
    /// Records that it took.
    pub records: i64,
    /// Rows that it inserted.
    pub rows: i64,
    /// Records whose key was in the table.
    pub duplicates: i64,
    /// Records of requests whose Idempotency-Key was there before.
    pub repeated: i64,
    /// Records that were refused.
    pub dead_letters: i64,
    /// How the rows went in.
    pub path: String,
    /// When they did.
    pub written_at: DateTime<Utc>,
}

/// How many seconds ago the last micro-batch of a stream was committed, by the database's clock;
/// never, where there is none.
///
/// # Errors
/// When the database can't be asked.
pub async fn committed_seconds_ago(
    conn: &mut PgConnection,
    stream: &str,
) -> Result<Option<f64>, sqlx::Error> {
    sqlx::query_scalar(
        "select greatest(round(extract(epoch from now() - written_at)::numeric, 1), 0)::double precision
           from streamer.micro_batch where stream = $1 order by batch_id desc limit 1",
    )
    .bind(stream)
    .fetch_optional(conn)
    .await
}

/// All partitions of a stream, those segments included whose checkpoints
/// [`compaction`](super::compaction) has removed.
///
/// # Errors
/// When the database can't be asked.
pub async fn partitions(
    conn: &mut PgConnection,
    stream: &str,
) -> Result<Vec<PartitionStatus>, sqlx::Error> {
    sqlx::query_as(
        "select partition, coalesce(c.next_offset, b.next_offset) as next_offset,
                coalesce(c.records, b.records)::bigint as records, coalesce(c.state, 'done') as state,
                c.refusal, c.waits_for, coalesce(c.updated_at, b.updated_at) as updated_at,
                coalesce(b.rows, 0)::bigint as rows, coalesce(b.duplicates, 0)::bigint as duplicates,
                coalesce(b.dead_letters, 0)::bigint as dead_letters,
                coalesce(b.repeated, 0)::bigint as repeated
           from (select * from streamer.checkpoint where stream = $1) c
           full join (select partition, sum(rows) as rows, sum(duplicates) as duplicates,
                             sum(dead_letters) as dead_letters, sum(repeated) as repeated,
                             sum(records) as records, max(end_offset) as next_offset,
                             max(written_at) as updated_at
                        from streamer.micro_batch where stream = $1 group by partition) b
                using (partition)",
    )
    .bind(stream)
    .fetch_all(conn)
    .await
}

/// The last hundred micro-batches of a stream, the newest first.
///
/// # Errors
/// When the database can't be asked.
pub async fn last_micro_batches(
    conn: &mut PgConnection,
    stream: &str,
) -> Result<Vec<MicroBatchStatus>, sqlx::Error> {
    sqlx::query_as(
        "select batch_id, coalesce(first_batch_id, batch_id) as first_batch_id, partition, start_offset,
                end_offset, records, rows, duplicates, repeated, dead_letters, path, written_at
           from streamer.micro_batch where stream = $1 order by batch_id desc limit 100",
    )
    .bind(stream)
    .fetch_all(conn)
    .await
}
