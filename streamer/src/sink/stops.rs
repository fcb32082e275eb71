//! Files that stop their stream: those with more dead letters than the limit lets pass.

use sqlx::PgConnection;

use super::Committed;
use crate::limit::DeadLetterLimit;

/// A file that has stopped its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stopped {
    /// The partition's name.
    pub partition: String,
    /// Why, and what to do.
    pub reason: String,
    /// Whether the limit of today would let it pass.
    pub may_go_on: bool,
}

/// Adds the micro-batch's dead letters to those of their files, and stops the files that pass the limit.
pub(super) async fn judge(
    tx: &mut PgConnection,
    stream: &str,
    limit: Option<DeadLetterLimit>,
    committed: &Committed,
) -> Result<Vec<Stopped>, sqlx::Error> {
    let refused = || committed.parts.iter().filter(|part| part.dead_letters > 0);
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
    .bind(refused().map(|part| part.partition.as_str()).collect::<Vec<_>>())
    .bind(refused().map(|part| signed(part.dead_letters)).collect::<Vec<_>>())
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
        stopped.push(Stopped { partition, reason, may_go_on: false });
    }
    if !stopped.is_empty() {
        sqlx::query(
            "update streamer.checkpoint c set state = 'stopped', refusal = v.reason
               from unnest($2::text[], $3::text[]) v (partition, reason)
              where c.stream = $1 and c.partition = v.partition",
        )
        .bind(stream)
        .bind(stopped.iter().map(|file| file.partition.as_str()).collect::<Vec<_>>())
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
pub async fn load_stopped(
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
        Stopped { partition, reason, may_go_on }
    });
    Ok(stopped.collect())
}

/// Lets the files go on that the limit of today lets pass; returns the others.
pub(super) async fn release(
    conn: &mut PgConnection,
    stream: &str,
    limit: Option<DeadLetterLimit>,
) -> Result<Vec<Stopped>, sqlx::Error> {
    let (released, stopped): (Vec<Stopped>, Vec<Stopped>) =
        load_stopped(conn, stream, limit).await?.into_iter().partition(|file| file.may_go_on);
    if !released.is_empty() {
        let names: Vec<&str> = released.iter().map(|file| file.partition.as_str()).collect();
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

fn is_passed(limit: DeadLetterLimit, records: i64, dead_letters: i64) -> bool {
    let unsigned = |count: i64| u64::try_from(count).expect("a constraint keeps it positive");
    limit.is_passed(unsigned(records), unsigned(dead_letters))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).expect("a micro-batch's records are few")
}
