//! Writing dead letters: some in a statement, because what they take is in memory several times
//! meanwhile.

use std::borrow::Cow;
use std::sync::Arc;

use sqlx::PgConnection;
use sqlx::types::Json;

use super::repertoire::{Lacking, texts_of};
use super::{bigint, signed};
use crate::batch::DeadLetter;
use crate::partition::Partition;

/// How many bytes of dead letters one statement writes at most, give or take one.
const STATEMENT_BYTES: usize = 1 << 20;

/// A dead letter that is to be written, and where it came from.
#[derive(Debug, Clone)]
pub struct Refused<'a> {
    /// The partition.
    pub partition: &'a Partition,
    /// The header of its file, where there is one.
    pub header: Option<&'a Arc<[u8]>>,
    /// The micro-batch that took it.
    pub batch_id: i64,
    /// The record, and what is wrong with it.
    pub letter: &'a DeadLetter,
}

/// Writes dead letters, which came under a header with these names. One that was written before, of
/// the same place, is open again.
///
/// # Errors
/// When they can't be written.
pub async fn write(
    tx: &mut PgConnection,
    stream: &str,
    columns: &[String],
    letters: &[Refused<'_>],
) -> Result<(), sqlx::Error> {
    if letters.is_empty() {
        return Ok(());
    }
    let reasons = letters.iter().flat_map(|refused| &refused.letter.reasons);
    let texts = reasons.flat_map(texts_of);
    let lacking = Lacking::of(tx, texts.chain(columns.iter().map(String::as_str))).await?;
    let columns: Vec<Cow<'_, str>> = columns.iter().map(|name| lacking.text(name)).collect();
    let mut rest = letters;
    while !rest.is_empty() {
        let (some, behind) = rest.split_at(first_group(rest));
        write_some(tx, stream, &columns, some, &lacking).await?;
        rest = behind;
    }
    Ok(())
}

/// How many of the first dead letters one statement writes.
fn first_group(letters: &[Refused<'_>]) -> usize {
    let mut bytes = 0;
    let fits = letters.iter().take_while(|one| {
        bytes += one.letter.held_bytes() + one.header.map_or(0, |header| header.len());
        bytes <= STATEMENT_BYTES
    });
    fits.count().max(1)
}

async fn write_some(
    tx: &mut PgConnection,
    stream: &str,
    columns: &[Cow<'_, str>],
    letters: &[Refused<'_>],
    lacking: &Lacking,
) -> Result<(), sqlx::Error> {
    let each = || letters.iter().map(|refused| refused.letter);
    let lines = each().map(|letter| letter.line.map(bigint));
    sqlx::query(
        "insert into streamer.dead_letter (stream, partition, start_offset, end_offset, line, raw,
                                           columns, header, reasons, batch_id, kind)
         select $1, v.partition, v.start_offset, v.end_offset, v.line, v.raw, $2, v.header, v.reasons,
                v.batch_id, v.kind
           from unnest($3::text[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bytea[], $8::bytea[],
                       $9::jsonb[], $10::bigint[], $11::text[])
                v (partition, start_offset, end_offset, line, raw, header, reasons, batch_id, kind)
         on conflict (stream, partition, start_offset) do update
            set end_offset = excluded.end_offset, line = excluded.line, raw = excluded.raw,
                columns = excluded.columns, header = excluded.header, reasons = excluded.reasons,
                batch_id = excluded.batch_id, kind = excluded.kind, tried_with = null, created_at = now(),
                resolved_at = null, resolution = null",
    )
    .bind(stream)
    .bind(columns)
    .bind(letters.iter().map(|one| one.partition.text()).collect::<Vec<Cow<'_, str>>>())
    .bind(signed(each().map(|letter| letter.offsets.start)))
    .bind(signed(each().map(|letter| letter.offsets.end)))
    .bind(lines.collect::<Vec<Option<i64>>>())
    .bind(each().map(|letter| letter.raw.as_slice()).collect::<Vec<_>>())
    .bind(letters.iter().map(|one| one.header.map(AsRef::as_ref)).collect::<Vec<Option<&[u8]>>>())
    .bind(each().map(|letter| Json(lacking.reasons(&letter.reasons))).collect::<Vec<_>>())
    .bind(letters.iter().map(|one| one.batch_id).collect::<Vec<_>>())
    .bind(each().map(|letter| letter.kind.name()).collect::<Vec<_>>())
    .execute(tx)
    .await?;
    Ok(())
}
