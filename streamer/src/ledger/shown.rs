//! What a page shows of the ledger: little of it at a time, however much there is.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::dead_letter::Group;

/// What became of all records of a stream, ever.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct Totals {
    /// Records that were read and committed.
    pub records: i64,
    /// Those that became rows.
    pub rows: i64,
    /// Those whose key was there before.
    pub duplicates: i64,
    /// Those of requests whose Idempotency-Key was there before.
    pub repeated: i64,
    /// Those that were refused and are neither retried nor discarded.
    pub dead_letters_open: i64,
}

/// A partition of a stream.
#[derive(Debug, sqlx::FromRow)]
pub struct Known {
    /// As [`Partition::text`](crate::partition::Partition::text) writes it.
    pub partition: String,
    /// reading, done, refused or stopped.
    pub state: String,
    /// The next byte to read.
    pub next_offset: i64,
    /// Why it is refused or stopped.
    pub refusal: Option<String>,
    /// The partition of the table that its next records wait for.
    pub waits_for: Option<String>,
    /// When its checkpoint moved last.
    pub updated_at: DateTime<Utc>,
    /// Records that were read and committed.
    pub records: i64,
    /// Those that became rows.
    pub rows: i64,
    /// Those whose key was there before.
    pub duplicates: i64,
    /// Those of requests whose Idempotency-Key was there before.
    pub repeated: i64,
    /// Those that were refused.
    pub dead_letters: i64,
}

/// How many dead letters there are.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct Letters {
    /// Neither retried nor discarded.
    pub open: i64,
    /// Those of them that came in the last hour.
    pub last_hour: i64,
    /// Those that are kept and were retried.
    pub retried: i64,
    /// Those that are kept and were discarded.
    pub discarded: i64,
}

/// Open dead letters with the same column and reason, and when they came.
#[derive(Debug, Serialize, sqlx::FromRow)]
pub struct Trend {
    /// The group.
    #[serde(flatten)]
    #[sqlx(flatten)]
    pub group: Group,
    /// What their reasons have in common, as the text of a JSON object.
    pub alike: String,
    /// The highest number among them.
    pub last_id: i64,
    /// When the first of them came.
    pub first_at: DateTime<Utc>,
    /// When the last of them came.
    pub last_at: DateTime<Utc>,
    /// How many came in each five minutes of the last hour, the oldest first.
    pub trend: Vec<i64>,
}

/// What became of all records of `stream`.
///
/// # Errors
/// When the database can't be asked.
pub async fn totals(conn: &mut PgConnection, stream: &str) -> Result<Totals, sqlx::Error> {
    sqlx::query_as(
        "select coalesce(sum(records), 0)::bigint as records, coalesce(sum(rows), 0)::bigint as rows,
                coalesce(sum(duplicates), 0)::bigint as duplicates,
                coalesce(sum(repeated), 0)::bigint as repeated,
                (select count(*) from streamer.dead_letter
                  where stream = $1 and resolved_at is null) as dead_letters_open
           from streamer.micro_batch where stream = $1",
    )
    .bind(stream)
    .fetch_one(conn)
    .await
}

/// The `max` partitions of `stream` whose checkpoints moved last, and how many there are.
///
/// # Errors
/// When the database can't be asked.
pub async fn partitions(
    conn: &mut PgConnection,
    stream: &str,
    max: i64,
) -> Result<(Vec<Known>, i64), sqlx::Error> {
    let known = sqlx::query_as(
        "select c.partition, c.state, c.next_offset, c.refusal, c.waits_for, c.updated_at, c.records,
                coalesce(b.rows, 0)::bigint as rows, coalesce(b.duplicates, 0)::bigint as duplicates,
                coalesce(b.repeated, 0)::bigint as repeated,
                coalesce(b.dead_letters, 0)::bigint as dead_letters
           from (select * from streamer.checkpoint where stream = $1
                  order by updated_at desc, partition limit $2) c
          cross join lateral (
                select sum(rows) as rows, sum(duplicates) as duplicates, sum(repeated) as repeated,
                       sum(dead_letters) as dead_letters
                  from streamer.micro_batch m where m.stream = c.stream and m.partition = c.partition) b
          order by c.updated_at desc, c.partition",
    )
    .bind(stream)
    .bind(max)
    .fetch_all(&mut *conn)
    .await?;
    let count = sqlx::query_scalar("select count(*) from streamer.checkpoint where stream = $1");
    Ok((known, count.bind(stream).fetch_one(conn).await?))
}

/// The numbers and partitions of the last micro-batches of `stream` that brought rows.
///
/// # Errors
/// When the database can't be asked.
pub async fn last_with_rows(
    conn: &mut PgConnection,
    stream: &str,
    max: i64,
) -> Result<Vec<(i64, String)>, sqlx::Error> {
    sqlx::query_as(
        "select batch_id, partition from streamer.micro_batch
          where stream = $1 and rows > 0 order by batch_id desc limit $2",
    )
    .bind(stream)
    .bind(max)
    .fetch_all(conn)
    .await
}

/// How many dead letters there are; of these streams, if some are named.
///
/// # Errors
/// When the database can't be asked.
pub async fn letters(
    conn: &mut PgConnection,
    streams: Option<&[String]>,
) -> Result<Letters, sqlx::Error> {
    sqlx::query_as(
        "select count(*) filter (where resolved_at is null) as open,
                count(*) filter (where resolved_at is null and created_at > now() - interval '1 hour')
                    as last_hour,
                count(*) filter (where resolution = 'retried') as retried,
                count(*) filter (where resolution = 'discarded') as discarded
           from streamer.dead_letter where $1::text[] is null or stream = any($1)",
    )
    .bind(streams)
    .fetch_one(conn)
    .await
}

/// The `max` most frequent groups of open dead letters, and how many groups there are; of these
/// streams, if some are named.
///
/// # Errors
/// When the database can't be asked.
pub async fn groups(
    conn: &mut PgConnection,
    streams: Option<&[String]>,
    max: i64,
) -> Result<(Vec<Trend>, i64), sqlx::Error> {
    let groups: Vec<Trend> = sqlx::query_as(
        "select stream, r.column, r.sqlstate, r.reason, count(*) as count,
                min(dead_letter_id) as example_id,
                (array_agg(partition order by dead_letter_id))[1] as example_file,
                (array_agg(line order by dead_letter_id))[1] as example_line,
                (array_agg(r.value order by dead_letter_id))[1] as example_value,
                jsonb_build_object('column', r.column, 'sqlstate', r.sqlstate,
                                   'reason', r.reason)::text as alike,
                max(dead_letter_id) as last_id, min(created_at) as first_at, max(created_at) as last_at,
                array(select count(*) filter (where slot = s.n) from unnest(
                        array_agg(11 - floor(extract(epoch from now() - created_at) / 300)::bigint)
                            filter (where created_at > now() - interval '1 hour')) t (slot),
                        generate_series(0, 11) s (n) group by s.n order by s.n) as trend
           from streamer.dead_letter,
                jsonb_to_recordset(reasons) r (\"column\" text, value text, sqlstate text, reason text)
          where resolved_at is null and ($1::text[] is null or stream = any($1))
          group by stream, r.column, r.sqlstate, r.reason
          order by count desc, example_id limit $2",
    )
    .bind(streams)
    .bind(max)
    .fetch_all(&mut *conn)
    .await?;
    let count = sqlx::query_scalar(
        "select count(*) from (select from streamer.dead_letter,
                jsonb_to_recordset(reasons) r (\"column\" text, sqlstate text, reason text)
          where resolved_at is null and ($1::text[] is null or stream = any($1))
          group by stream, r.column, r.sqlstate, r.reason) g",
    );
    Ok((groups, count.bind(streams).fetch_one(conn).await?))
}
