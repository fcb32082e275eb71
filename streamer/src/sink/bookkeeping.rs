//! The streamer's own tables: checkpoints, micro-batches, dead letters.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::postgres::PgRow;
use sqlx::types::Json;
use sqlx::{PgConnection, Row};

use super::{Committed, unchanged};
use crate::batch::{DeadLetter, MicroBatch};
use crate::source::Checkpoint;
use crate::source::files::{Standing, Survey};
use crate::source::fingerprint::Fingerprint;
use crate::source::folder::partition_path;

/// How many checkpoints are loaded at a time.
const CHECKPOINTS_AT_ONCE: i64 = 1000;

/// By partition.
pub type Checkpoints = HashMap<String, Checkpoint>;

/// What moving the checkpoints gave: what the rows are filled with.
pub(super) struct Advanced {
    /// The number of each part, in the micro-batch's order.
    pub(super) batch_ids: Vec<i64>,
    /// When the transaction began.
    pub(super) now: DateTime<Utc>,
}

/// How far the files of a folder stand.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In brief.
    pub standing: Standing,
    /// In full, where that was asked for.
    pub checkpoints: Checkpoints,
}

/// Reads how far the files that `survey` has seen are committed; `in_full` keeps all of their checkpoints.
///
/// # Errors
/// When the table can't be read, or a fingerprint in it can't be understood.
pub async fn load_checkpoints(
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
            let (partition, checkpoint): (&str, Checkpoint) = (row.get(0), checkpoint(row)?);
            loaded.standing.take(survey, partition, &checkpoint);
            if in_full && survey.has(partition_path(partition).0) {
                loaded.checkpoints.insert(partition.to_owned(), checkpoint);
            }
        }
    }
}

/// Reads how far some partitions are committed, where they are known.
pub(super) async fn checkpoints_of(
    conn: &mut PgConnection,
    stream: &str,
    partitions: &[&str],
) -> Result<Checkpoints, sqlx::Error> {
    let rows = sqlx::query(
        "select partition, next_offset, next_line, fingerprint, state = 'done'
           from streamer.checkpoint where stream = $1 and partition = any($2)",
    )
    .bind(stream)
    .bind(partitions)
    .fetch_all(conn)
    .await?;
    rows.iter().map(|row| Ok((row.get(0), checkpoint(row)?))).collect()
}

/// The checkpoint that stands behind the partition's name in a row.
fn checkpoint(row: &PgRow) -> Result<Checkpoint, sqlx::Error> {
    let fingerprint: Option<Json<Fingerprint>> = row.try_get(3)?;
    Ok(Checkpoint {
        next_offset: unsigned(row.get(1)),
        next_line: unsigned(row.get(2)),
        fingerprint: fingerprint.map(|Json(fingerprint)| fingerprint),
        is_done: row.get(4),
    })
}

/// Notes that a file can't be loaded, or not any further.
pub(super) async fn refuse(
    conn: &mut PgConnection,
    stream: &str,
    partition: &str,
    reason: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into streamer.checkpoint (stream, partition, next_offset, next_line, records, state, refusal)
         values ($1, $2, 0, 1, 0, 'refused', $3)
         on conflict (stream, partition) do update
            set state = 'refused', refusal = excluded.refusal, updated_at = now()",
    )
    .bind(stream)
    .bind(partition)
    .bind(reason)
    .execute(conn)
    .await?;
    Ok(())
}

/// Moves the checkpoints from where the micro-batch starts to where it ends, in key order; `None` if any
/// of them stands elsewhere, or a file has stopped the stream. Waits for another transaction that is moving
/// one of them.
pub(super) async fn advance(
    tx: &mut PgConnection,
    stream: &str,
    batch: &MicroBatch,
) -> Result<Option<Advanced>, sqlx::Error> {
    let parts = &batch.parts;
    let names: Vec<&str> = parts.iter().map(|part| part.partition.as_str()).collect();
    let new: Vec<&str> =
        parts.iter().filter(|p| p.start_offset == 0).map(|p| p.partition.as_str()).collect();
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
    let moved = sqlx::query(
        "with moving as (
             select * from unnest($2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[],
                                  $7::text[], $8::jsonb[])
                    v (partition, start_offset, end_offset, end_line, records, state, fingerprint)
         ), held as (
             select c.partition from streamer.checkpoint c join moving v using (partition)
              where c.stream = $1 and c.next_offset = v.start_offset
                and not exists (select from streamer.checkpoint s
                                 where s.stream = $1 and s.refusal is not null
                                   and s.state = 'stopped')
              order by c.partition for update of c
         )
         update streamer.checkpoint c
            set next_offset = v.end_offset, next_line = v.end_line, records = c.records + v.records,
                judged_records = c.judged_records + v.records, state = v.state,
                fingerprint = v.fingerprint, refusal = null, updated_at = now()
           from moving v join held using (partition)
          where c.stream = $1 and c.partition = v.partition and c.next_offset = v.start_offset
         returning c.partition, nextval('streamer.micro_batch_batch_id_seq'), now()",
    )
    .bind(stream)
    .bind(&names)
    .bind(signed(parts.iter().map(|p| p.start_offset)))
    .bind(signed(parts.iter().map(|p| p.end.offset)))
    .bind(signed(parts.iter().map(|p| p.end.line)))
    .bind(signed(parts.iter().map(|p| p.records)))
    .bind(states.collect::<Vec<&str>>())
    .bind(fingerprints.collect::<Vec<_>>())
    .fetch_all(tx)
    .await?;
    if moved.len() != parts.len() {
        return Ok(None);
    }
    let ids: HashMap<&str, i64> = moved.iter().map(|row| (row.get(0), row.get(1))).collect();
    let batch_ids = names.iter().map(|name| ids[name]).collect();
    Ok(Some(Advanced { batch_ids, now: moved[0].get(2) }))
}

/// Writes down what the transaction did, and the records it refused; demands that the table is still what the
/// rows were encoded for, in the same statement, because each costs a round trip.
pub(super) async fn record(
    tx: &mut PgConnection,
    stream: &str,
    batch: &MicroBatch,
    committed: &Committed,
    dead_letters: &[(usize, &DeadLetter)],
) -> Result<(), sqlx::Error> {
    let parts = &committed.parts;
    let statement = sqlx::query_as(concat!(
        "with recorded as (
             insert into streamer.micro_batch (batch_id, stream, partition, start_offset, end_offset,
                                               records, rows, duplicates, dead_letters, path)
             select v.batch_id, $5, v.partition, v.start_offset, v.end_offset,
                    v.records, v.rows, v.duplicates, v.dead_letters, $14
               from unnest($6::bigint[], $7::text[], $8::bigint[], $9::bigint[], $10::bigint[],
                           $11::bigint[], $12::bigint[], $13::bigint[])
                    v (batch_id, partition, start_offset, end_offset, records, rows, duplicates,
                       dead_letters)
         ) ",
        unchanged::changed!()
    ));
    let changed = unchanged::bind(statement, batch)
        .bind(stream)
        .bind(parts.iter().map(|p| p.batch_id).collect::<Vec<_>>())
        .bind(parts.iter().map(|p| p.partition.as_str()).collect::<Vec<_>>())
        .bind(signed(batch.parts.iter().map(|p| p.start_offset)))
        .bind(signed(batch.parts.iter().map(|p| p.end.offset)))
        .bind(signed(parts.iter().map(|p| p.records)))
        .bind(signed(parts.iter().map(|p| p.rows)))
        .bind(signed(parts.iter().map(|p| p.duplicates)))
        .bind(signed(parts.iter().map(|p| p.dead_letters)))
        .bind(committed.path.name())
        .fetch_optional(&mut *tx)
        .await?;
    unchanged::refuse(batch, changed)?;
    if dead_letters.is_empty() {
        return Ok(());
    }
    let of_part = |at: usize| &parts[at];
    let letters = || dead_letters.iter().map(|(_, letter)| letter);
    sqlx::query(
        "insert into streamer.dead_letter (stream, partition, start_offset, end_offset, line, raw,
                                           columns, header, reasons, batch_id)
         select $1, v.partition, v.start_offset, v.end_offset, v.line, v.raw, $2, v.header, v.reasons,
                v.batch_id
           from unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[],
                       $9::jsonb[], $10::bigint[])
                v (partition, start_offset, end_offset, line, raw, header, reasons, batch_id)
         on conflict (stream, partition, start_offset) do update
            set end_offset = excluded.end_offset, line = excluded.line, raw = excluded.raw,
                columns = excluded.columns, header = excluded.header, reasons = excluded.reasons, batch_id = excluded.batch_id,
                created_at = now(), resolved_at = null, resolution = null",
    )
    .bind(stream)
    .bind(batch.header())
    .bind(dead_letters.iter().map(|(at, _)| of_part(*at).partition.as_str()).collect::<Vec<_>>())
    .bind(signed(letters().map(|letter| letter.offsets.start)))
    .bind(signed(letters().map(|letter| letter.offsets.end)))
    .bind(signed(letters().map(|letter| letter.line)))
    .bind(letters().map(|letter| letter.raw.as_slice()).collect::<Vec<_>>())
    .bind(dead_letters.iter().map(|(at, _)| batch.parts[*at].header.as_deref()).collect::<Vec<_>>())
    .bind(letters().map(|letter| Json(&letter.reasons)).collect::<Vec<_>>())
    .bind(dead_letters.iter().map(|(at, _)| of_part(*at).batch_id).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}

/// A bigint's worth of counts or offsets.
fn signed(values: impl Iterator<Item = u64>) -> Vec<i64> {
    values.map(|value| i64::try_from(value).expect("a file is smaller than 8 EiB")).collect()
}

fn unsigned(value: i64) -> u64 {
    u64::try_from(value).expect("the table's constraints keep it from being negative")
}

pub(super) fn count(len: usize) -> u64 {
    u64::try_from(len).expect("a count of things in memory fits")
}
