//! Rows into the table by COPY: in the binary format, or as text where a column has no binary form
//! here.

use std::borrow::Cow;
use std::io::Write;
use std::ops::RangeInclusive;

use sqlx::PgConnection;
use sqlx::postgres::PgCopyIn;

use crate::batch::{DeadLetter, MicroBatch, RowPlace};
use crate::config::Provenance;
use crate::latency::EPOCH_2000_US;
use crate::layout::Layout;
use crate::ledger::checkpoint::Advanced;

/// What a COPY in binary format begins with: signature, flags, length of the header extension.
///
/// Source: PostgreSQL, COPY, "Binary Format".
const COPY_HEADER: &[u8] = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0";
/// What it ends with.
const COPY_TRAILER: [u8; 2] = (-1_i16).to_be_bytes();

/// Bytes of one CopyData message, give or take a row. The server reads a message whole before it
/// looks at it, into memory that it asks the system for anew each time if it is much more than
/// this: with messages of 1 MiB a COPY of 1,000 rows took a third longer, one of 10,000 a quarter.
const COPY_MESSAGE_BYTES: usize = 32 * 1000;

/// With so many messages a server is busy for some milliseconds.
const BUSY_MESSAGES: u32 = 4;

/// How many rows of a COPY PostgreSQL writes into a heap quicker one by one than many at once. It
/// prepares a slot for each of the first 1,000 that it writes at once, at a price that grows with
/// the square of their number: without, a COPY of 1,000 takes about a sixth less and a fifth more
/// log; one of 500 or 1,600 gains little or nothing. `bench/README.md` has the figures.
///
/// Source: src/backend/commands/copyfrom.c, `MAX_BUFFERED_TUPLES`.
const ONE_BY_ONE: RangeInclusive<usize> = 600..=1400;
/// What makes it do so: a condition that PostgreSQL can't know the outcome of beforehand. It is
/// true of any row.
///
/// Source: src/backend/commands/copyfrom.c, `CopyFrom`, `contain_volatile_functions`.
const VOLATILE: &str = "where pg_catalog.random() is not null";

/// What is called when the server has work for a while, and this process none; perhaps more than
/// once.
pub(super) type Busy<'a> = &'a mut (dyn FnMut() + Send);

/// What became of rows; those in neither list are duplicates.
pub(super) struct Written<'b> {
    /// Rows that are in the table now.
    pub(super) inserted: Cow<'b, [RowPlace]>,
    /// Rows that PostgreSQL refuses, with its reason.
    pub(super) dead: Vec<(RowPlace, DeadLetter)>,
}

/// The rows of each layout, which stand together.
pub(super) fn by_layout(rows: &[RowPlace]) -> impl Iterator<Item = &[RowPlace]> {
    rows.chunk_by(|one, next| one.layout() == next.layout())
}

/// Copies rows into the table, by one COPY for each layout: all or none. `busy` is called once the
/// server has enough to work on.
pub(super) async fn copy(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    advanced: &Advanced,
    busy: Busy<'_>,
) -> Result<(), sqlx::Error> {
    for rows in by_layout(rows) {
        let layout = batch.layout_of(&rows[0]);
        if layout.is_text {
            // What a time without a zone means.
            let set = sqlx::query("select pg_catalog.set_config('TimeZone', $1, true)");
            set.bind(&layout.zone).execute(&mut *tx).await?;
        }
        let mut copy = tx.copy_in_raw(&copy_statement(layout, rows.len())).await?;
        if let Err(error) = send(&mut copy, batch, layout, rows, advanced, busy).await {
            // The connection is in the middle of a COPY; the caller closes it.
            drop(copy.abort("the data could not be sent").await);
            return Err(error);
        }
        copy.finish().await?;
    }
    Ok(())
}

/// The statement that takes so many rows.
fn copy_statement(layout: &Layout, rows: usize) -> Cow<'_, str> {
    if layout.is_one_heap && ONE_BY_ONE.contains(&rows) {
        format!("{} {VOLATILE}", layout.copy_statement).into()
    } else {
        layout.copy_statement.as_str().into()
    }
}

/// Sends the rows, all of one layout, as COPY takes them, each with its filled columns.
async fn send(
    copy: &mut PgCopyIn<&mut PgConnection>,
    batch: &MicroBatch,
    layout: &Layout,
    rows: &[RowPlace],
    advanced: &Advanced,
    busy: Busy<'_>,
) -> Result<(), sqlx::Error> {
    let mut message = Vec::with_capacity(2 * COPY_MESSAGE_BYTES);
    let mut sent = 0;
    if !layout.is_text {
        message.extend_from_slice(COPY_HEADER);
    }
    for row in rows {
        match layout.is_text {
            true => put_text(batch, row, &layout.filled, advanced, &mut message),
            false => put_binary(batch, row, &layout.filled, advanced, &mut message),
        }
        if message.len() >= COPY_MESSAGE_BYTES {
            // A message may end anywhere.
            for part in message.chunks(2 * COPY_MESSAGE_BYTES) {
                copy.send(part).await?;
            }
            message.clear();
            message.shrink_to(2 * COPY_MESSAGE_BYTES);
            sent += 1;
            if sent == BUSY_MESSAGES {
                busy();
            }
        }
    }
    if !layout.is_text {
        message.extend_from_slice(&COPY_TRAILER);
    }
    copy.send(message.as_slice()).await?;
    busy();
    Ok(())
}

/// Appends a row in the binary format.
fn put_binary(
    batch: &MicroBatch,
    row: &RowPlace,
    filled: &[Provenance],
    advanced: &Advanced,
    out: &mut Vec<u8>,
) {
    out.extend_from_slice(batch.row_bytes(row));
    for filled in filled {
        let value = match filled {
            Provenance::BatchId => advanced.batch_ids[row.part],
            Provenance::IngestedAt => advanced.now.timestamp_micros() - EPOCH_2000_US,
        };
        out.extend_from_slice(&8_i32.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

/// Appends a row in the text format: a line, with tabs between the columns.
///
/// Source: PostgreSQL, COPY, "Text Format".
fn put_text(
    batch: &MicroBatch,
    row: &RowPlace,
    filled: &[Provenance],
    advanced: &Advanced,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    for value in batch.values(row) {
        match value {
            None => out.extend_from_slice(b"\\N"),
            Some(value) => put_escaped(value, out),
        }
        out.push(b'\t');
    }
    for filled in filled {
        let written = match filled {
            Provenance::BatchId => write!(out, "{}\t", advanced.batch_ids[row.part]),
            Provenance::IngestedAt => {
                write!(out, "{}\t", advanced.now.format("%Y-%m-%d %H:%M:%S%.6f+00"))
            }
        };
        written.expect("a Vec takes what is written");
    }
    if out.len() > start {
        out.pop();
    }
    out.push(b'\n');
}

/// Appends a value of the text format, which none of the characters that mean something else there
/// are left in.
fn put_escaped(mut value: &[u8], out: &mut Vec<u8>) {
    let is_special = |byte: &u8| matches!(byte, b'\\' | b'\n' | b'\t' | b'\r');
    while let Some(place) = value.iter().position(is_special) {
        out.extend_from_slice(&value[..place]);
        out.extend_from_slice(match value[place] {
            b'\\' => br"\\",
            b'\n' => br"\n",
            b'\t' => br"\t",
            _ => br"\r",
        });
        value = &value[place + 1..];
    }
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::put_escaped;

    #[test]
    fn no_value_of_the_text_format_ends_itself_or_its_line() {
        for (value, escaped) in [
            ("", ""),
            ("a b,c\"é", "a b,c\"é"),
            ("a\tb\nc\rd\\e", r"a\tb\nc\rd\\e"),
            ("\\.", r"\\."),
            ("\\N", r"\\N"),
        ] {
            let mut out = Vec::new();
            put_escaped(value.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), escaped, "{value}");
        }
    }
}
