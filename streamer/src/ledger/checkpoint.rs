//! Checkpoints: how far each partition is committed.
//!
//! Where checkpoints of several partitions are looked for, the stream's name stands in each row of
//! what they are joined to, behind a fence (`offset 0`, or an expression used twice). Beside it, as
//! `stream = $1`, it lets old statistics that do not know the stream promise next to no rows:
//! PostgreSQL then reads all of the stream's checkpoints for each partition.

use std::borrow::Cow;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

use super::repertoire::Lacking;
use super::{bigint, signed, unsigned};
use crate::batch::Part;
use crate::partition::Partition;
use crate::partition::fingerprint::Fingerprint;
use crate::partition::standing::{Loaded, Survey};
use crate::partition::{Checkpoint, Checkpoints};

/// How many checkpoints are loaded at a time.
const CHECKPOINTS_AT_ONCE: i64 = 1000;

/// What moving the checkpoints gave: what the rows are filled with.
#[derive(Debug)]
pub struct Advanced {
    /// The number of each part, in the micro-batch's order.
    pub batch_ids: Vec<i64>,
    /// When the transaction began.
    pub now: DateTime<Utc>,
}

/// Reads how far the files that `survey` has seen are committed; `in_full` keeps all of their
/// checkpoints.
///
/// # Errors
/// When the table can't be read, or a fingerprint in it can't be understood.
pub async fn load(
    conn: &mut PgConnection,
    stream: &str,
    survey: &Survey,
    in_full: bool,
) -> Result<Loaded, sqlx::Error> {
    let (mut loaded, mut last) = (Loaded::default(), String::new());
    loop {
        let rows = sqlx::query(
            "select partition, next_offset, next_line, fingerprint, state = 'done'
               from streamer.checkpoint where stream = $1 and partition > $2
              order by partition limit $3",
        )
        .bind(stream)
        .bind(&last)
        .bind(CHECKPOINTS_AT_ONCE)
        .fetch_all(&mut *conn)
        .await?;
        let Some(row) = rows.last() else { return Ok(loaded) };
        last = row.get(0);
        for row in &rows {
            let (partition, checkpoint) = (Partition::parse(row.get(0)), checkpoint(row)?);
            loaded.standing.take(survey, &partition, &checkpoint);
            if in_full && survey.has(&partition.name) {
                loaded.checkpoints.insert(partition, checkpoint);
            }
        }
    }
}

/// Reads how far some partitions are committed, where they are known.
///
/// # Errors
/// As [`load`].
pub async fn of(
    conn: &mut PgConnection,
    stream: &str,
    partitions: &[&Partition],
) -> Result<Checkpoints, sqlx::Error> {
    let rows = sqlx::query(
        "select partition, next_offset, next_line, fingerprint, state = 'done'
           from (select $1::text as stream, * from unnest($2::text[]) v (partition) offset 0) v
           join streamer.checkpoint using (stream, partition)",
    )
    .bind(stream)
    .bind(partitions.iter().map(|partition| partition.text()).collect::<Vec<Cow<'_, str>>>())
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((Partition::parse(row.get(0)), checkpoint(row)?))).collect()
}

/// The checkpoint that stands behind the partition's name in a row.
fn checkpoint(row: &PgRow) -> Result<Checkpoint, sqlx::Error> {
    let fingerprint: Option<Json<Fingerprint>> = row.try_get(3)?;
    Ok(Checkpoint {
        next_offset: unsigned(row.get(1)),
        next_line: row.get::<Option<i64>, _>(2).map(unsigned),
        fingerprint: fingerprint.map(|Json(fingerprint)| fingerprint),
        is_done: row.get(4),
    })
}

/// Notes that a file can't be loaded, or not any further.
///
/// # Errors
/// When it can't be written.
pub async fn refuse(
    conn: &mut PgConnection,
    stream: &str,
    partition: &Partition,
    reason: &str,
) -> Result<(), sqlx::Error> {
    let lacking = Lacking::of(conn, std::iter::once(reason)).await?;
    sqlx::query(
        "insert into streamer.checkpoint (stream, partition, next_offset, next_line, records, state, refusal)
         values ($1, $2, 0, 1, 0, 'refused', $3)
         on conflict (stream, partition) do update
            set state = 'refused', refusal = excluded.refusal, updated_at = now()",
    )
    .bind(stream)
    .bind(partition.text())
    .bind(lacking.text(reason))
    .execute(conn)
    .await?;
    Ok(())
}

/// Notes what the next records of a partition wait for, until its checkpoint moves.
///
/// # Errors
/// When it can't be written.
pub async fn note_wait(
    conn: &mut PgConnection,
    stream: &str,
    partition: &Partition,
    waits_for: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into streamer.checkpoint (stream, partition, next_offset, next_line, records, state, waits_for)
         values ($1, $2, 0, 1, 0, 'reading', $3)
         on conflict (stream, partition) do update set waits_for = excluded.waits_for, updated_at = now()",
    )
    .bind(stream)
    .bind(partition.text())
    .bind(waits_for)
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves the checkpoints from where the parts start to where they end, in key order; `None` if any
/// of them stands elsewhere, or a file has stopped the stream. Waits for another transaction that
/// is moving one of them.
///
/// # Errors
/// When they can't be written.
pub async fn advance(
    tx: &mut PgConnection,
    stream: &str,
    parts: &[Part],
) -> Result<Option<Advanced>, sqlx::Error> {
    let names: Vec<Cow<'_, str>> = parts.iter().map(|part| part.partition.text()).collect();
    let new = parts.iter().zip(&names).filter(|(part, _)| part.is_new);
    let new: Vec<&str> = new.map(|(_, name)| name.as_ref()).collect();
    if !new.is_empty() {
        sqlx::query(
            "insert into streamer.checkpoint (stream, partition, next_offset, next_line, records, state)
             select $1, new.partition, 0, 1, 0, 'reading' from unnest($2::text[]) new (partition)
              order by new.partition
             on conflict (stream, partition) do nothing",
        )
        .bind(stream)
        .bind(new)
        .execute(&mut *tx)
        .await?;
    }
    let states = parts.iter().map(|p| if p.end.is_end { "done" } else { "reading" });
    let fingerprints = parts.iter().map(|p| Json(&p.end.fingerprint));
    let lines = parts.iter().map(|p| p.end.line.map(bigint));
    let moved = sqlx::query(
        "with moving as (
             select $1::text as stream, *
               from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                           $7::text[], $8::jsonb[])
                    v (partition, start_offset, end_offset, end_line, records, state, fingerprint)
         ), held as (
             select c.partition from streamer.checkpoint c join moving v using (stream, partition)
              where c.next_offset = v.start_offset
                and not exists (select from streamer.checkpoint s
                                 where s.stream = $1 and s.refusal is not null
                                   and s.state = 'stopped')
              order by c.partition for update of c
         )
         update streamer.checkpoint c
            set next_offset = v.end_offset, next_line = v.end_line, records = c.records + v.records,
                judged_records = c.judged_records + v.records, state = v.state,
                fingerprint = v.fingerprint, refusal = null, waits_for = null, updated_at = now()
           from moving v join held using (partition)
          where c.stream = v.stream and c.partition = v.partition and c.next_offset = v.start_offset
         returning c.partition, nextval('streamer.micro_batch_batch_id_seq'), now()",
    )
    .bind(stream)
    .bind(&names)
    .bind(signed(parts.iter().map(|p| p.start_offset)))
    .bind(signed(parts.iter().map(|p| p.end.offset)))
    .bind(lines.collect::<Vec<Option<i64>>>())
    .bind(signed(parts.iter().map(|p| p.records)))
    .bind(states.collect::<Vec<&str>>())
    .bind(fingerprints.collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    if moved.len() != parts.len() {
        return Ok(None);
    }
    let ids: HashMap<&str, i64> = moved.iter().map(|row| (row.get(0), row.get(1))).collect();
    let batch_ids = names.iter().map(|name| ids[name.as_ref()]).collect();
    Ok(Some(Advanced { batch_ids, now: moved[0].get(2) }))
}
