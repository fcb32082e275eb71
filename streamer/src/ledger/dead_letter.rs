//! Dead letters that were written, until they are resolved.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::repertoire::{Lacking, texts_of};
use crate::batch::LetterKind;
use crate::layout::Reason;

/// How many dead letters one transaction retries.
const RETRIED_MAX: i64 = 1000;

/// Which dead letters are meant; all where nothing is named. Resolved ones are never meant.
#[derive(Debug, Clone, Copy, Default)]
pub struct Which<'a> {
    /// These, by number; all if it is empty.
    pub ids: &'a [i64],
    /// Those of a stream.
    pub stream: Option<&'a str>,
    /// Those of a partition, as [`Partition::text`](crate::partition::Partition::text)
    /// writes it.
    pub file: Option<&'a str>,
    /// Those that were refused for a reason like this one.
    pub alike: Option<&'a Alike>,
    /// Those up to this number.
    pub last_id: Option<i64>,
}

/// What the reasons of a group of dead letters have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Alike {
    /// The column, where one value is at fault.
    pub column: Option<String>,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// What is wrong, in words.
    pub reason: String,
}

impl Which<'_> {
    /// What the reasons of those that are meant contain, as jsonb.
    pub(super) fn contained(&self) -> Option<Json<[&Alike; 1]>> {
        self.alike.map(|alike| Json([alike]))
    }
}

/// A dead letter as it is to be tried again.
#[derive(Debug, sqlx::FromRow)]
pub struct Open {
    /// Its number.
    pub dead_letter_id: i64,
    /// As [`text`](crate::partition::Partition::text) writes it.
    pub partition: String,
    /// Where the record starts.
    pub start_offset: i64,
    /// Where it ends, its line end excluded.
    pub end_offset: i64,
    /// The line it starts on, from 1, where its log has lines.
    pub line: Option<i64>,
    /// Its bytes, or the first of them.
    pub raw: Vec<u8>,
    /// The names in the header; none of a JSON line.
    pub columns: Vec<String>,
}

/// A dead letter, whole.
#[derive(Debug, sqlx::FromRow)]
pub struct Whole {
    /// The stream's name.
    pub stream: String,
    /// As [`text`](crate::partition::Partition::text) writes it.
    pub partition: String,
    /// Where the record starts.
    pub start_offset: i64,
    /// Where it ends, its line end excluded.
    pub end_offset: i64,
    /// The line it starts on, from 1, where its log has lines.
    pub line: Option<i64>,
    /// Its bytes, or the first of them.
    pub raw: Vec<u8>,
    /// The names in the header; none of a JSON line.
    pub columns: Vec<String>,
    /// The header as it stands in the file.
    pub header: Option<Vec<u8>>,
    /// What is wrong.
    pub reasons: Json<Vec<Reason>>,
    /// The micro-batch that took it.
    pub batch_id: i64,
    /// When that was.
    pub created_at: DateTime<Utc>,
    /// Whether its record has no partition.
    pub is_unplaced: bool,
    /// When it was resolved.
    pub resolved_at: Option<DateTime<Utc>>,
    /// retried or discarded.
    pub resolution: Option<String>,
}

/// Open dead letters with the same column and reason. Scripts rely on its JSON form.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct Group {
    /// The stream's name.
    pub stream: String,
    /// The column, where one value is at fault.
    pub column: Option<String>,
    /// The SQLSTATE.
    pub sqlstate: String,
    /// What is wrong, in words.
    pub reason: String,
    /// How many there are.
    pub count: i64,
    /// The number of one of them.
    pub example_id: i64,
    /// Its partition.
    pub example_file: String,
    /// Its line, from 1.
    pub example_line: Option<i64>,
    /// The value that is at fault in it.
    pub example_value: Option<String>,
}

/// Locks the next open dead letters of a stream behind the number `after`, in order of number.
/// Where `partitions` are named, only those without a partition that were not tried with them.
///
/// # Errors
/// When the database can't be asked.
pub async fn lock_next(
    tx: &mut PgConnection,
    stream: &str,
    which: Which<'_>,
    partitions: Option<&str>,
    after: i64,
) -> Result<Vec<Open>, sqlx::Error> {
    sqlx::query_as(
        "select dead_letter_id, partition, start_offset, end_offset, line, raw, columns
           from streamer.dead_letter
          where stream = $1 and resolved_at is null and dead_letter_id > $2
            and (cardinality($3::bigint[]) = 0 or dead_letter_id = any($3))
            and ($4::text is null or partition = $4)
            and ($6::text is null or kind = 'no partition' and tried_with is distinct from $6)
            and ($7::jsonb is null or reasons @> $7) and ($8::bigint is null or dead_letter_id <= $8)
          order by dead_letter_id limit $5 for update",
    )
    .bind(stream)
    .bind(after)
    .bind(which.ids)
    .bind(which.file)
    .bind(RETRIED_MAX)
    .bind(partitions)
    .bind(which.contained())
    .bind(which.last_id)
    .fetch_all(tx)
    .await
}

/// Marks dead letters as retried.
///
/// # Errors
/// When it can't be written.
pub async fn mark_retried(tx: &mut PgConnection, ids: &[i64]) -> Result<(), sqlx::Error> {
    sqlx::query(
        "update streamer.dead_letter set resolved_at = now(), resolution = 'retried'
          where dead_letter_id = any($1)",
    )
    .bind(ids)
    .execute(tx)
    .await?;
    Ok(())
}

/// Notes why dead letters are refused now, and with which partitions those were tried that have
/// none.
///
/// # Errors
/// When it can't be written.
pub async fn note_reasons(
    tx: &mut PgConnection,
    refused: &[(i64, LetterKind, Vec<Reason>)],
    partitions: Option<&str>,
) -> Result<(), sqlx::Error> {
    let texts = refused.iter().flat_map(|(.., reasons)| reasons).flat_map(texts_of);
    let lacking = Lacking::of(tx, texts).await?;
    sqlx::query(
        "update streamer.dead_letter d
            set reasons = v.reasons, kind = v.kind, tried_with = case v.kind when 'no partition' then $4 end
           from unnest($1::bigint[], $2::text[], $3::jsonb[]) v (id, kind, reasons)
          where d.dead_letter_id = v.id",
    )
    .bind(refused.iter().map(|(id, ..)| *id).collect::<Vec<_>>())
    .bind(refused.iter().map(|(_, kind, _)| kind.name()).collect::<Vec<_>>())
    .bind(refused.iter().map(|(.., reasons)| Json(lacking.reasons(reasons))).collect::<Vec<_>>())
    .bind(partitions)
    .execute(tx)
    .await?;
    Ok(())
}

/// Gives dead letters up; returns how many.
///
/// # Errors
/// When it can't be written.
pub async fn discard(conn: &mut PgConnection, which: Which<'_>) -> Result<u64, sqlx::Error> {
    let discarded = sqlx::query(
        "update streamer.dead_letter set resolved_at = now(), resolution = 'discarded'
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or stream = $2) and ($3::text is null or partition = $3)
            and ($4::jsonb is null or reasons @> $4) and ($5::bigint is null or dead_letter_id <= $5)",
    )
    .bind(which.ids)
    .bind(which.stream)
    .bind(which.file)
    .bind(which.contained())
    .bind(which.last_id)
    .execute(conn)
    .await?;
    Ok(discarded.rows_affected())
}

/// How many dead letters of a stream are open.
///
/// # Errors
/// When the database can't be asked.
pub async fn count_open(conn: &mut PgConnection, stream: &str) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar(
        "select count(*) from streamer.dead_letter where stream = $1 and resolved_at is null",
    )
    .bind(stream)
    .fetch_one(conn)
    .await
}

/// Whether dead letters of a stream are open whose records have no partition, and whether there are
/// such that were not tried with `partitions`.
///
/// # Errors
/// When the database can't be asked.
pub async fn without_partition(
    conn: &mut PgConnection,
    stream: &str,
    partitions: &str,
) -> Result<(bool, bool), sqlx::Error> {
    sqlx::query_as(
        "select exists (select from streamer.dead_letter
                         where stream = $1 and kind = 'no partition' and resolved_at is null),
                exists (select from streamer.dead_letter
                         where stream = $1 and kind = 'no partition' and resolved_at is null
                           and tried_with is distinct from $2)",
    )
    .bind(stream)
    .bind(partitions)
    .fetch_one(conn)
    .await
}

/// Open dead letters of streams that are none of `streams`, with their counts.
///
/// # Errors
/// When the database can't be asked.
pub async fn of_other_streams(
    conn: &mut PgConnection,
    which: Which<'_>,
    streams: &[&str],
) -> Result<Vec<(String, i64)>, sqlx::Error> {
    sqlx::query_as(
        "select stream, count(*) from streamer.dead_letter
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or stream = $2) and ($3::text is null or partition = $3)
            and stream <> all($4)
          group by stream order by stream",
    )
    .bind(which.ids)
    .bind(which.stream)
    .bind(which.file)
    .bind(streams)
    .fetch_all(conn)
    .await
}

/// Which of these numbers no dead letter has.
///
/// # Errors
/// When the database can't be asked.
pub async fn unknown(conn: &mut PgConnection, ids: &[i64]) -> Result<Vec<i64>, sqlx::Error> {
    sqlx::query_scalar(
        "select v.id from unnest($1::bigint[]) v (id)
          where not exists (select from streamer.dead_letter d where d.dead_letter_id = v.id)",
    )
    .bind(ids)
    .fetch_all(conn)
    .await
}

/// The streams that have dead letters, resolved ones too; of `file` where one is named.
///
/// # Errors
/// When the database can't be asked.
pub async fn streams(
    conn: &mut PgConnection,
    file: Option<&str>,
) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(
        "select distinct stream from streamer.dead_letter
          where $1::text is null or partition = $1 order by stream",
    )
    .bind(file)
    .fetch_all(conn)
    .await
}

/// Open dead letters grouped by what is wrong with them, the most frequent first.
///
/// # Errors
/// When the database can't be asked.
pub async fn groups(
    conn: &mut PgConnection,
    stream: Option<&str>,
) -> Result<Vec<Group>, sqlx::Error> {
    sqlx::query_as(
        "select stream, r.column, r.sqlstate, r.reason, count(*) as count,
                min(dead_letter_id) as example_id,
                (array_agg(partition order by dead_letter_id))[1] as example_file,
                (array_agg(line order by dead_letter_id))[1] as example_line,
                (array_agg(r.value order by dead_letter_id))[1] as example_value
           from streamer.dead_letter,
                jsonb_to_recordset(reasons) r (\"column\" text, value text, sqlstate text, reason text)
          where resolved_at is null and ($1::text is null or stream = $1)
          group by stream, r.column, r.sqlstate, r.reason
          order by count desc, example_id",
    )
    .bind(stream)
    .fetch_all(conn)
    .await
}

/// The dead letter of this number, resolved or not.
///
/// # Errors
/// When the database can't be asked.
pub async fn find(conn: &mut PgConnection, id: i64) -> Result<Option<Whole>, sqlx::Error> {
    sqlx::query_as(
        "select stream, partition, start_offset, end_offset, line, raw, columns, header, reasons,
                batch_id, created_at, kind = 'no partition' as is_unplaced, resolved_at, resolution
           from streamer.dead_letter where dead_letter_id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
}
