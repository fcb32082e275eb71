//! Micro-batches: what each transaction took from a partition, and what became of it.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use super::{signed, unchanged};
use crate::batch::{MicroBatch, PartOutcome, Path};
use crate::partition::Partition;

/// The newest micro-batches, as a user may ask for them.
pub const NEWEST: &str = "select batch_id, partition as file, start_offset, end_offset, rows, path
  from streamer.micro_batch
 order by batch_id desc
 limit 3";

/// Writes down what the transaction did with each part of `batch`, and demands that the table is
/// still what the rows were encoded for: in one statement, because each costs a round trip.
///
/// # Errors
/// When it can't be written, or the table has changed: see [`unchanged`].
pub async fn record(
    tx: &mut PgConnection,
    stream: &str,
    batch: &MicroBatch,
    outcomes: &[PartOutcome],
    path: Path,
) -> Result<(), sqlx::Error> {
    let statement = sqlx::query_as(concat!(
        "with recorded as (
             insert into streamer.micro_batch (batch_id, stream, partition, start_offset, end_offset,
                                               records, rows, duplicates, dead_letters, path,
                                               repeated)
             select v.batch_id, $6, v.partition, v.start_offset, v.end_offset,
                    v.records, v.rows, v.duplicates, v.dead_letters, $15, v.repeated
               from unnest($7::bigint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[],
                           $12::bigint[], $13::bigint[], $14::bigint[], $16::bigint[])
                    v (batch_id, partition, start_offset, end_offset, records, rows, duplicates,
                       dead_letters, repeated)
         ) ",
        unchanged::changed!()
    ));
    let counts = || outcomes.iter().map(|part| &part.counts);
    let changed = unchanged::bind(statement, batch)
        .bind(stream)
        .bind(outcomes.iter().map(|part| part.batch_id).collect::<Vec<_>>())
        .bind(outcomes.iter().map(|part| part.partition.text()).collect::<Vec<Cow<'_, str>>>())
        .bind(signed(batch.parts.iter().map(|part| part.start_offset)))
        .bind(signed(batch.parts.iter().map(|part| part.end.offset)))
        .bind(signed(counts().map(|counts| counts.records)))
        .bind(signed(counts().map(|counts| counts.rows)))
        .bind(signed(counts().map(|counts| counts.duplicates)))
        .bind(signed(counts().map(|counts| counts.dead_letters)))
        .bind(path.name())
        .bind(signed(counts().map(|counts| counts.repeated)))
        .fetch_optional(tx)
        .await?;
    unchanged::refuse(batch, changed)
}

/// Whether the micro-batch of this number is there: whether the transaction that wrote it was
/// committed.
///
/// # Errors
/// When the database can't be asked.
pub async fn exists(conn: &mut PgConnection, batch_id: i64) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar("select exists (select from streamer.batch_origin($1))")
        .bind(batch_id)
        .fetch_one(conn)
        .await
}

/// The number of a micro-batch that is to be written in this transaction, and when the transaction
/// began.
///
/// # Errors
/// When the database can't be asked.
pub async fn next_id(tx: &mut PgConnection) -> Result<(i64, DateTime<Utc>), sqlx::Error> {
    sqlx::query_as("select nextval('streamer.micro_batch_batch_id_seq'), now()").fetch_one(tx).await
}

/// Dead letters of a partition that are rows or duplicates now.
#[derive(Debug)]
pub struct Retried<'a> {
    /// The partition.
    pub partition: &'a Partition,
    /// From where the first letter starts to where the last one ends.
    pub offsets: (i64, i64),
    /// Letters that are rows.
    pub rows: u64,
    /// Letters whose key was in the table.
    pub duplicates: u64,
}

/// Writes down that dead letters were retried: their records were counted when they were read, so
/// that only rows and duplicates are added, and as many dead letters taken away.
///
/// # Errors
/// When it can't be written.
pub async fn record_retry(
    tx: &mut PgConnection,
    stream: &str,
    batch_id: i64,
    retried: &Retried<'_>,
) -> Result<(), sqlx::Error> {
    let counts = signed([retried.rows, retried.duplicates].into_iter());
    sqlx::query(
        "insert into streamer.micro_batch (batch_id, stream, partition, start_offset, end_offset,
                                           records, rows, duplicates, dead_letters, path)
         values ($1, $2, $3, $4, $5, 0, $6, $7, -($6 + $7), 'retry')",
    )
    .bind(batch_id)
    .bind(stream)
    .bind(retried.partition.text())
    .bind(retried.offsets.0)
    .bind(retried.offsets.1)
    .bind(counts[0])
    .bind(counts[1])
    .execute(tx)
    .await?;
    Ok(())
}

/// The sums over all micro-batches of all streams: rows, duplicates, dead letters.
///
/// # Errors
/// When the database can't be asked.
pub async fn totals(conn: &mut PgConnection) -> Result<(i64, i64, i64), sqlx::Error> {
    sqlx::query_as(
        "select coalesce(sum(rows), 0)::bigint, coalesce(sum(duplicates), 0)::bigint,
                coalesce(sum(dead_letters), 0)::bigint
           from streamer.micro_batch",
    )
    .fetch_one(conn)
    .await
}
