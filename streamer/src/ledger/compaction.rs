//! Making old bookkeeping smaller, a step at a time, and bringing back what a step has left out.
//!
//! What is told by the ledger stays the same: sums, how far each log is committed, what tells a
//! file again, and from which file and offsets the rows of a micro-batch came. What goes is detail:
//!
//! - Neighbouring micro-batches of a partition become one line. It names the numbers it is of, so
//!   that each leads to one line as before (`streamer.batch_origin`).
//! - A segment of the spool has its name for itself and is deleted once it is read. Its checkpoint
//!   says nothing that its micro-batches don't: it goes, and [`restore`] makes it anew should the
//!   segment be found again.
//! - The checkpoint of a file that is gone keeps its hashes and offsets, and loses its stamps, which
//!   no file that is put back has.
//! - Dead letters that were resolved long ago go.
//!
//! No step waits for loading, nor has loading wait: rows that somebody has locked are left out.

use std::borrow::Cow;
use std::time::Duration;

use sqlx::PgConnection;
use xxhash_rust::xxh3::xxh3_64;

use crate::partition::{Partition, SPOOL};

/// What is younger than this is left as it is: micro-batches, and checkpoints of finished logs.
/// Long after that, nobody asks any more whether a commit whose reply was lost has landed; who does
/// is answered all the same.
const MICRO_BATCH_AGE: Duration = Duration::from_secs(3600);
const CHECKPOINT_AGE: Duration = Duration::from_secs(24 * 3600);

/// How many lines and checkpoints a step looks at, and how many letters it removes.
const LINES_AT_ONCE: i64 = 5000;
const CHECKPOINTS_AT_ONCE: i64 = 1000;
const LETTERS_AT_ONCE: i64 = 1000;

/// A line of `streamer.micro_batch` that is old.
#[derive(Debug, Clone, PartialEq, Eq, sqlx::FromRow)]
pub struct Line {
    /// Its number, or the last of those that it is of.
    pub batch_id: i64,
    /// The first of those.
    pub first_batch_id: i64,
    /// As [`Partition::text`] writes it.
    pub partition: String,
    /// From where records were taken.
    pub start_offset: i64,
    /// To where.
    pub end_offset: i64,
    /// How many.
    pub records: i64,
    /// Whether it is still among the new ones.
    pub is_new: bool,
}

/// A checkpoint, as far as it can be made smaller.
#[derive(Debug, sqlx::FromRow)]
pub struct Old {
    /// As [`Partition::text`] writes it.
    pub partition: String,
    /// Whether its log was finished long ago.
    pub is_settled: bool,
    /// Whether it says what its file looked like.
    pub has_stamps: bool,
}

/// Begins a step in a transaction: true, if no other streamer is at one for this stream now. It
/// waits for no lock longer than a second, and its commit for no disk: what a crash undoes is done
/// again.
///
/// # Errors
/// When the database can't be asked.
pub async fn begin_step(tx: &mut PgConnection, stream: &str) -> Result<bool, sqlx::Error> {
    let key = xxh3_64(format!("streamer\0bookkeeping\0{stream}").as_bytes());
    sqlx::query_scalar(
        "select pg_try_advisory_xact_lock($1)
           from (select set_config('lock_timeout', '1s', true),
                        set_config('synchronous_commit', 'off', true) offset 0) s",
    )
    .bind(i64::from_ne_bytes(key.to_ne_bytes()))
    .fetch_one(tx)
    .await
}

/// Whether it is time for a round for the stream: no streamer has ended one within `pause`.
///
/// # Errors
/// When the database can't be asked.
pub async fn is_due(
    conn: &mut PgConnection,
    stream: &str,
    pause: Duration,
) -> Result<bool, sqlx::Error> {
    sqlx::query_scalar(
        "select not exists (select from streamer.compaction
                             where stream = $1 and done_at > now() - make_interval(secs => $2))",
    )
    .bind(stream)
    .bind(pause.as_secs_f64())
    .fetch_one(conn)
    .await
}

/// Notes that a round for the stream has ended.
///
/// # Errors
/// When it can't be written.
pub async fn note_done(conn: &mut PgConnection, stream: &str) -> Result<(), sqlx::Error> {
    let note = sqlx::query(
        "insert into streamer.compaction as c (stream) values ($1)
         on conflict (stream) do update set done_at = greatest(c.done_at, excluded.done_at)",
    );
    note.bind(stream).execute(conn).await?;
    Ok(())
}

/// The next old lines of a stream from a place on, which is a partition as text and an offset, in
/// order of place; and whether there may be more. Retries of dead letters are not among them.
///
/// # Errors
/// When the database can't be asked.
pub async fn old_lines(
    conn: &mut PgConnection,
    stream: &str,
    from: &(String, i64),
) -> Result<(Vec<Line>, bool), sqlx::Error> {
    let lines: Vec<Line> = sqlx::query_as(
        "select batch_id, coalesce(first_batch_id, batch_id) as first_batch_id, partition,
                start_offset, end_offset, records,
                tableoid = 'streamer.micro_batch'::regclass as is_new
           from streamer.micro_batch
          where stream = $1 and (partition, start_offset) >= ($2, $3) and path <> 'retry'
            and written_at < now() - make_interval(secs => $4)
          order by partition, start_offset, batch_id limit $5",
    )
    .bind(stream)
    .bind(&from.0)
    .bind(from.1)
    .bind(MICRO_BATCH_AGE.as_secs_f64())
    .bind(LINES_AT_ONCE)
    .fetch_all(conn)
    .await?;
    let is_full = i64::try_from(lines.len()) == Ok(LINES_AT_ONCE);
    Ok((lines, is_full))
}

/// Merges lines: each that `numbers` names into the one whose number stands in the same place of
/// `into`, the last of its range among them; what is alone in its range is only put to the old ones.
/// Returns into how many.
///
/// # Errors
/// When it can't be written.
pub async fn merge(
    tx: &mut PgConnection,
    numbers: &[i64],
    into: &[i64],
) -> Result<u64, sqlx::Error> {
    let merged = sqlx::query(
        "with gone as (
             delete from streamer.micro_batch m
              using unnest($1::bigint[], $2::bigint[]) v (batch_id, into_id)
              where m.batch_id = v.batch_id
             returning v.into_id, m.*
         ), line as (
             select *, coalesce(first_batch_id, batch_id) as first_id,
                    coalesce(members::text, repeat('1', (batch_id - coalesce(first_batch_id, batch_id)
                                                         + 1)::integer)) as bits,
                    lag(batch_id) over (partition by into_id order by batch_id) as last_before
               from gone
         ), range as (
             select into_id, min(first_id) as first_id,
                    string_agg(repeat('0', coalesce(first_id - last_before - 1, 0)::integer) || bits,
                               '' order by batch_id) as bits,
                    min(stream) as stream, min(partition) as partition,
                    min(start_offset) as start_offset, max(end_offset) as end_offset,
                    sum(records) as records, sum(rows) as rows, sum(duplicates) as duplicates,
                    sum(repeated) as repeated, sum(dead_letters) as dead_letters,
                    case count(*) when 1 then min(path) else 'merged' end as path,
                    min(started_at) as started_at, max(written_at) as written_at
               from line group by into_id
         )
         insert into streamer.micro_batch_old
                (batch_id, first_batch_id, members, stream, partition, start_offset, end_offset,
                 records, rows, duplicates, repeated, dead_letters, path, started_at, written_at)
         select into_id, nullif(first_id, into_id),
                case when strpos(bits, '0') > 0 then bits::bit varying end, stream, partition,
                start_offset, end_offset, records, rows, duplicates, repeated, dead_letters, path,
                started_at, written_at
           from range",
    )
    .bind(numbers)
    .bind(into)
    .execute(tx)
    .await?;
    Ok(merged.rows_affected())
}

/// The next checkpoints of a stream behind a partition, in order, and whether there may be more.
///
/// # Errors
/// When the database can't be asked.
pub async fn next_checkpoints(
    conn: &mut PgConnection,
    stream: &str,
    after: &str,
) -> Result<(Vec<Old>, bool), sqlx::Error> {
    let checkpoints: Vec<Old> = sqlx::query_as(
        "select partition,
                state = 'done' and updated_at < now() - make_interval(secs => $3) as is_settled,
                coalesce(fingerprint -> 'stat', 'null') <> 'null' as has_stamps
           from streamer.checkpoint where stream = $1 and partition > $2
          order by partition limit $4",
    )
    .bind(stream)
    .bind(after)
    .bind(CHECKPOINT_AGE.as_secs_f64())
    .bind(CHECKPOINTS_AT_ONCE)
    .fetch_all(conn)
    .await?;
    let is_full = i64::try_from(checkpoints.len()) == Ok(CHECKPOINTS_AT_ONCE);
    Ok((checkpoints, is_full))
}

/// Removes the checkpoints of segments that were finished long ago and whose micro-batches say the
/// same; returns how many.
///
/// # Errors
/// When they can't be removed.
pub async fn drop_segments(
    tx: &mut PgConnection,
    stream: &str,
    segments: &[&str],
) -> Result<u64, sqlx::Error> {
    let dropped = sqlx::query(
        "delete from streamer.checkpoint c
          using (select c.partition
                   from unnest($2::text[]) v (partition)
                   join streamer.checkpoint c on c.stream = $1 and c.partition = v.partition
                  where c.state = 'done' and c.updated_at < now() - make_interval(secs => $3)
                    and (c.next_offset, c.records)
                        = (select max(m.end_offset), sum(m.records) from streamer.micro_batch m
                            where m.stream = $1 and m.partition = v.partition)
                  order by c.partition for update of c skip locked) o
          where c.stream = $1 and c.partition = o.partition",
    )
    .bind(stream)
    .bind(segments)
    .bind(CHECKPOINT_AGE.as_secs_f64())
    .execute(tx)
    .await?;
    Ok(dropped.rows_affected())
}

/// Leaves out of the checkpoints of files that are gone what they looked like; returns of how many.
///
/// # Errors
/// When it can't be written.
pub async fn drop_stamps(
    tx: &mut PgConnection,
    stream: &str,
    gone: &[&str],
) -> Result<u64, sqlx::Error> {
    let dropped = sqlx::query(
        "update streamer.checkpoint c set fingerprint = c.fingerprint - 'stat'
           from (select c.partition
                   from unnest($2::text[]) v (partition)
                   join streamer.checkpoint c on c.stream = $1 and c.partition = v.partition
                  where c.state = 'done' and c.updated_at < now() - make_interval(secs => $3)
                  order by c.partition for update of c skip locked) o
          where c.stream = $1 and c.partition = o.partition",
    )
    .bind(stream)
    .bind(gone)
    .bind(CHECKPOINT_AGE.as_secs_f64())
    .execute(tx)
    .await?;
    Ok(dropped.rows_affected())
}

/// Removes some of the dead letters that were resolved more than `keep` ago; returns how many, and
/// whether there may be more.
///
/// # Errors
/// When they can't be removed.
pub async fn drop_letters(
    tx: &mut PgConnection,
    stream: &str,
    keep: Duration,
) -> Result<(u64, bool), sqlx::Error> {
    let dropped = sqlx::query(
        "delete from streamer.dead_letter
          where dead_letter_id = any(array(
                select dead_letter_id from streamer.dead_letter
                 where stream = $1 and resolved_at < now() - make_interval(secs => $2)
                 order by resolved_at limit $3 for update skip locked))",
    )
    .bind(stream)
    .bind(keep.as_secs_f64())
    .bind(LETTERS_AT_ONCE)
    .execute(tx)
    .await?
    .rows_affected();
    Ok((dropped, dropped == LETTERS_AT_ONCE.unsigned_abs()))
}

/// Makes the checkpoints of segments anew that [`drop_segments`] has removed, from their
/// micro-batches; returns whether there were any. To be done before a segment without a checkpoint
/// is read.
///
/// # Errors
/// When they can't be written.
pub async fn restore(
    conn: &mut PgConnection,
    stream: &str,
    segments: &[&Partition],
) -> Result<bool, sqlx::Error> {
    let names: Vec<Cow<'_, str>> = segments.iter().map(|segment| segment.text()).collect();
    let restored = sqlx::query(
        "insert into streamer.checkpoint (stream, partition, next_offset, records, state)
         select m.stream, m.partition, max(m.end_offset), sum(m.records), 'done'
           from (select $1::text as stream, * from unnest($2::text[]) v (partition) offset 0) v
           join streamer.micro_batch m using (stream, partition)
          group by m.stream, m.partition order by m.partition
         on conflict (stream, partition) do nothing",
    )
    .bind(stream)
    .bind(names)
    .execute(conn)
    .await?;
    Ok(restored.rows_affected() > 0)
}

/// The same of all segments of a stream whose micro-batches are about to be forgotten, as if a
/// reset had met their checkpoints.
///
/// # Errors
/// When they can't be written.
pub(super) async fn restore_forgotten(
    tx: &mut PgConnection,
    stream: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "insert into streamer.checkpoint (stream, partition, next_offset, records, state)
         select stream, partition, max(end_offset), 0, 'done'
           from streamer.micro_batch where stream = $1 and starts_with(partition, $2)
          group by stream, partition order by partition
         on conflict (stream, partition) do nothing",
    )
    .bind(stream)
    .bind(format!("{SPOOL}/"))
    .execute(tx)
    .await?;
    Ok(())
}
