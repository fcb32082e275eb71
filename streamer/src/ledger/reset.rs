//! Forgetting what a stream has read.

use sqlx::{Executor, PgConnection};

use super::compaction;
use crate::partition::SPOOL;
use crate::sql::made;

/// What is known of a stream.
#[derive(Debug, sqlx::FromRow)]
pub struct Held {
    /// Its partitions, as [`Partition::text`](crate::partition::Partition::text) writes them; not
    /// segments whose records a reset has forgotten already.
    pub files: Vec<String>,
    /// How many micro-batches it has.
    pub micro_batches: i64,
    /// How many dead letters.
    pub dead_letters: i64,
    /// How many of those are neither retried nor discarded.
    pub open_dead_letters: i64,
}

/// What is known of `stream`.
///
/// # Errors
/// When the database can't be asked.
pub async fn known(conn: &mut PgConnection, stream: &str) -> Result<Held, sqlx::Error> {
    sqlx::query_as(
        "select array(select partition from streamer.checkpoint
                       where stream = $1 and (records > 0 or not starts_with(partition, $2))
                      union
                      select partition from streamer.micro_batch where stream = $1) as files,
                (select count(*) from streamer.micro_batch where stream = $1) as micro_batches,
                (select count(*) from streamer.dead_letter where stream = $1) as dead_letters,
                (select count(*) from streamer.dead_letter where stream = $1 and resolved_at is null)
                    as open_dead_letters",
    )
    .bind(stream)
    .bind(segments())
    .fetch_one(conn)
    .await
}

/// Whether a table has rows that `stream` has not brought, by their `batch_id`: those of other
/// streams, also of ones that other settings name, and of programs that are no streamer.
/// `quoted_table` is its full name, quoted.
///
/// # Errors
/// When the database can't be asked.
pub async fn has_rows_of_others(
    conn: &mut PgConnection,
    stream: &str,
    quoted_table: &str,
) -> Result<bool, sqlx::Error> {
    let statement = format!(
        "select exists (select from {quoted_table} where batch_id is null)
             or exists (select from {quoted_table} where batch_id in
                (select streamer.batch_ids(first_batch_id, batch_id, members)
                   from streamer.micro_batch where stream <> $1))"
    );
    sqlx::query_scalar(made(statement)).bind(stream).fetch_one(conn).await
}

/// Keeps all micro-batches from being committed until the transaction's end: those in flight end
/// before it, later ones find no checkpoint where they start, and are rolled back. Waits for ten
/// seconds at most: who waits for a table keeps all others waiting behind.
///
/// # Errors
/// When the lock can't be had.
pub async fn lock(tx: &mut PgConnection) -> Result<(), sqlx::Error> {
    tx.execute(
        "set local lock_timeout = '10s'; lock table streamer.checkpoint in share row exclusive mode",
    )
    .await?;
    Ok(())
}

/// Removes the rows that `stream` has brought to a table, whose full name is `quoted_table`,
/// quoted.
///
/// # Errors
/// When they can't be removed.
pub async fn delete_rows(
    tx: &mut PgConnection,
    stream: &str,
    quoted_table: &str,
) -> Result<(), sqlx::Error> {
    let statement = format!(
        "delete from {quoted_table} where batch_id in
            (select streamer.batch_ids(first_batch_id, batch_id, members)
               from streamer.micro_batch where stream = $1)"
    );
    sqlx::query(made(statement)).bind(stream).execute(tx).await?;
    Ok(())
}

/// Forgets the stream's checkpoints, micro-batches, dead letters and Idempotency-Keys. How far the
/// segments of its spools are committed stays known, also of those on other machines: what is
/// committed of them is not to come back, and what is not is still to be loaded.
///
/// # Errors
/// When they can't be removed.
pub async fn forget(tx: &mut PgConnection, stream: &str) -> Result<(), sqlx::Error> {
    sqlx::query(
        "delete from streamer.checkpoint where stream = $1 and not starts_with(partition, $2)",
    )
    .bind(stream)
    .bind(segments())
    .execute(&mut *tx)
    .await?;
    compaction::restore_forgotten(tx, stream).await?;
    for statement in [
        "update streamer.checkpoint
            set records = 0, judged_records = 0, judged_dead_letters = 0, refusal = null,
                state = case when state = 'done' then state else 'reading' end
          where stream = $1",
        "delete from streamer.idempotency_key where stream = $1",
        "delete from streamer.micro_batch where stream = $1",
        "delete from streamer.dead_letter where stream = $1",
    ] {
        sqlx::query(statement).bind(stream).execute(&mut *tx).await?;
    }
    Ok(())
}

/// What the partitions begin with that are segments.
fn segments() -> String {
    format!("{SPOOL}/")
}
