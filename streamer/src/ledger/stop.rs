//! Files that stop their stream: those with more dead letters than the limit lets pass.

use std::borrow::Cow;

use sqlx::PgConnection;

use super::{signed, unsigned};
use crate::batch::PartOutcome;
use crate::limit::DeadLetterLimit;
use crate::partition::Partition;

/// A file that has stopped its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The partition.
    pub partition: Partition,
    /// Why, and what to do.
    pub reason: String,
    /// Whether the limit of today would let it pass.
    pub may_go_on: bool,
}

/// A file as its checkpoint has it.
#[derive(Debug, sqlx::FromRow)]
pub struct File {
    /// The stream's name.
    pub stream: String,
    /// As [`Partition::text`] writes it.
    pub partition: String,
    /// The next byte to read.
    pub next_offset: i64,
    /// The line that starts there, from 1, where the file has lines.
    pub next_line: Option<i64>,
    /// reading, done, refused or stopped.
    pub state: String,
    /// Why it is refused or stopped.
    pub refusal: Option<String>,
}

/// Adds the micro-batch's dead letters to those of their files, and stops the files that pass the
/// limit.
///
/// # Errors
/// When it can't be written.
pub async fn judge(
    tx: &mut PgConnection,
    stream: &str,
    limit: Option<DeadLetterLimit>,
    outcomes: &[PartOutcome],
) -> Result<Vec<Stopped>, sqlx::Error> {
    let refused = || outcomes.iter().filter(|part| part.counts.dead_letters > 0);
    if refused().next().is_none() {
        return Ok(Vec::new());
    }
    let judged: Vec<(String, i64, i64)> = sqlx::query_as(
        "update streamer.checkpoint c set judged_dead_letters = c.judged_dead_letters + v.dead_letters
           from (select $1::text as stream, * from unnest($2::text[], $3::bigint[])
                           v (partition, dead_letters) offset 0) v
          where c.stream = v.stream and c.partition = v.partition
         returning c.partition, c.judged_records, c.judged_dead_letters",
    )
    .bind(stream)
    .bind(refused().map(|part| part.partition.text()).collect::<Vec<Cow<'_, str>>>())
    .bind(signed(refused().map(|part| part.counts.dead_letters)))
    .fetch_all(&mut *tx)
    .await?;
    let mut stopped = Vec::new();
    for (partition, records, dead_letters) in judged {
        let Some(limit) = limit.filter(|limit| is_passed(*limit, records, dead_letters)) else {
            continue;
        };
        let reason = format!(
            "{dead_letters} of {records} records refused, more than max_dead_letters = {limit} lets \
             pass: the stream is stopped; `streamer dead-letters list` shows why, `streamer retry-file \
             FILE` goes on"
        );
        stopped.push(Stopped { partition: Partition::parse(&partition), reason, may_go_on: false });
    }
    if !stopped.is_empty() {
        sqlx::query(
            "update streamer.checkpoint c set state = 'stopped', refusal = v.reason
               from unnest($2::text[], $3::text[]) v (partition, reason)
              where c.stream = $1 and c.partition = v.partition",
        )
        .bind(stream)
        .bind(stopped.iter().map(|file| file.partition.text()).collect::<Vec<Cow<'_, str>>>())
        .bind(stopped.iter().map(|file| file.reason.as_str()).collect::<Vec<_>>())
        .execute(tx)
        .await?;
    }
    Ok(stopped)
}

/// The files that have stopped `stream`.
///
/// # Errors
/// When the database can't be asked.
pub async fn load(
    conn: &mut PgConnection,
    stream: &str,
    limit: Option<DeadLetterLimit>,
) -> Result<Vec<Stopped>, sqlx::Error> {
    let rows: Vec<(String, String, i64, i64)> = sqlx::query_as(
        "select partition, refusal, judged_records, judged_dead_letters
           from streamer.checkpoint
          where stream = $1 and refusal is not null and state = 'stopped' order by partition",
    )
    .bind(stream)
    .fetch_all(conn)
    .await?;
    let stopped = rows.into_iter().map(|(partition, reason, records, dead_letters)| {
        let may_go_on = limit.is_none_or(|limit| !is_passed(limit, records, dead_letters));
        Stopped { partition: Partition::parse(&partition), reason, may_go_on }
    });
    Ok(stopped.collect())
}

/// Lets the files go on that the limit of today lets pass; returns the others.
///
/// # Errors
/// When it can't be written.
pub async fn release(
    conn: &mut PgConnection,
    stream: &str,
    limit: Option<DeadLetterLimit>,
) -> Result<Vec<Stopped>, sqlx::Error> {
    let (released, stopped): (Vec<Stopped>, Vec<Stopped>) =
        load(conn, stream, limit).await?.into_iter().partition(|file| file.may_go_on);
    if !released.is_empty() {
        let names: Vec<Cow<'_, str>> = released.iter().map(|file| file.partition.text()).collect();
        sqlx::query(
            "update streamer.checkpoint set state = 'reading', refusal = null, updated_at = now()
              where stream = $1 and partition = any($2) and state = 'stopped'",
        )
        .bind(stream)
        .bind(&names)
        .execute(conn)
        .await?;
        tracing::info!(stream, "max_dead_letters lets {} pass now", names.join(", "));
    }
    Ok(stopped)
}

/// Lets the files of these names go on that have stopped a stream, of `stream` alone where one is
/// named, and counts their dead letters anew. Returns them. A name is that of a partition, or of
/// all generations under it.
///
/// # Errors
/// When it can't be written.
pub async fn retry(
    conn: &mut PgConnection,
    names: &[String],
    stream: Option<&str>,
) -> Result<Vec<File>, sqlx::Error> {
    sqlx::query_as(
        "update streamer.checkpoint
            set state = 'reading', refusal = null, judged_records = 0, judged_dead_letters = 0,
                updated_at = now()
          where state = 'stopped' and ($2::text is null or stream = $2)
            and (partition = any($1) or regexp_replace(partition, '#[0-9]+$', '') = any($1))
         returning stream, partition, next_offset, next_line, state, refusal",
    )
    .bind(names)
    .bind(stream)
    .fetch_all(conn)
    .await
}

/// The files of these names that there are checkpoints of; see [`retry`].
///
/// # Errors
/// When the database can't be asked.
pub async fn named(
    conn: &mut PgConnection,
    names: &[String],
    stream: Option<&str>,
) -> Result<Vec<File>, sqlx::Error> {
    sqlx::query_as(
        "select stream, partition, next_offset, next_line, state, refusal from streamer.checkpoint
          where ($2::text is null or stream = $2)
            and (partition = any($1) or regexp_replace(partition, '#[0-9]+$', '') = any($1))
          order by stream, partition",
    )
    .bind(names)
    .bind(stream)
    .fetch_all(conn)
    .await
}

fn is_passed(limit: DeadLetterLimit, records: i64, dead_letters: i64) -> bool {
    limit.is_passed(unsigned(records), unsigned(dead_letters))
}
