//! Rows into the table: COPY, and the lookup of existing keys.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgCopyIn, PgTypeInfo};
use sqlx::{Connection, Encode, PgConnection, Postgres, Row};

use crate::batch::{DeadLetter, MicroBatch, RowPlace};
use crate::latency::EPOCH_2000_US;
use crate::layout::{Filled, Layout, LayoutKey};
use crate::ledger::checkpoint::Advanced;
use crate::sql;

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
    let now = advanced.now.timestamp_micros() - EPOCH_2000_US;
    let mut message = Vec::with_capacity(2 * COPY_MESSAGE_BYTES);
    let mut sent = 0;
    message.extend_from_slice(COPY_HEADER);
    for row in rows {
        message.extend_from_slice(batch.row_bytes(row));
        for filled in &layout.filled {
            let value = match filled {
                Filled::BatchId => advanced.batch_ids[row.part],
                Filled::IngestedAt => now,
            };
            message.extend_from_slice(&8_i32.to_be_bytes());
            message.extend_from_slice(&value.to_be_bytes());
        }
        if message.len() >= COPY_MESSAGE_BYTES {
            copy.send(message.as_slice()).await?;
            message.clear();
            sent += 1;
            if sent == BUSY_MESSAGES {
                busy();
            }
        }
    }
    message.extend_from_slice(&COPY_TRAILER);
    copy.send(message.as_slice()).await?;
    busy();
    Ok(())
}

/// Which of the rows have a key that is in the table; only those in `asked` are looked up.
pub(super) async fn existing(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    asked: &[bool],
) -> Result<Vec<bool>, sqlx::Error> {
    let mut exists = vec![false; rows.len()];
    for key in batch.keys() {
        // A key with a NULL in it equals no other.
        let asked: Vec<usize> = (0..rows.len())
            .filter(|&at| asked[at])
            .filter(|&at| batch.layout_of(&rows[at]).key_name() == Some(&key.name))
            .filter(|&at| batch.key_values(&rows[at]).all(|value| value.is_some()))
            .collect();
        if asked.is_empty() {
            continue;
        }
        // Planned for the table as it is: a plan from when it was small could read all of it for
        // each key.
        let mut statement = sqlx::query(sql::made(lookup_statement(key))).persistent(false);
        for (at, column) in key.columns.iter().enumerate() {
            let values = asked.iter().map(|&row| batch.key_values(&rows[row]).nth(at).flatten());
            statement = statement.bind(KeyArray::new(column.array_oid, column.type_oid, values));
        }
        for row in statement.fetch_all(&mut *tx).await? {
            let place = usize::try_from(row.try_get::<i64, _>(0)? - 1).ok();
            exists[asked[place.expect("ordinality counts the keys from 1")]] = true;
        }
    }
    Ok(exists)
}

/// The same where a key may have characters that the database lacks, for which it refuses to look
/// any of them up: none of the rows is then known to exist.
pub(super) async fn existing_or_not_storable(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    asked: &[bool],
) -> Result<Vec<bool>, sqlx::Error> {
    let mut trial = tx.begin().await?;
    let exists = existing(&mut trial, batch, rows, asked).await;
    trial.rollback().await?;
    let code = |error: &sqlx::Error| error.as_database_error()?.code().map(Cow::into_owned);
    match exists {
        Err(error) if code(&error).as_deref() == Some("22P05") => Ok(vec![false; rows.len()]),
        exists => exists,
    }
}

/// Leaves out the rows whose key is in the table.
pub(super) async fn without_existing(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
) -> Result<Vec<RowPlace>, sqlx::Error> {
    let asked = vec![true; rows.len()];
    let exists = existing_or_not_storable(tx, batch, rows, &asked).await?;
    Ok(apart(rows, &exists).1)
}

/// The rows that exist, and the others.
pub(super) fn apart(rows: &[RowPlace], exists: &[bool]) -> (Vec<RowPlace>, Vec<RowPlace>) {
    let (found, missing): (Vec<_>, Vec<_>) =
        rows.iter().zip(exists).partition(|(_, exists)| **exists);
    let rows = |some: Vec<(&RowPlace, _)>| some.into_iter().map(|(row, _)| *row).collect();
    (rows(found), rows(missing))
}

/// Asks which of the keys in the arrays are in the table, by their places from 1. Behind `offset 0`
/// the keys are looked up one by one, which the server does a quarter faster than it joins them.
fn lookup_statement(key: &LayoutKey) -> String {
    let numbers = || 1..=key.columns.len();
    let arrays: Vec<String> = numbers().map(|n| format!("${n}")).collect();
    let names: Vec<String> = numbers().map(|n| format!("c{n}")).collect();
    let equal: Vec<String> = key
        .columns
        .iter()
        .zip(&names)
        .map(|(column, name)| format!("t.{} = k.{name}", column.quoted_name))
        .collect();
    format!(
        "select k.place from unnest({}) with ordinality k ({}, place)
          where exists (select from {} t where {} offset 0)",
        arrays.join(", "),
        names.join(", "),
        key.table,
        equal.join(" and ")
    )
}

/// An array of key values in the binary format, built from values encoded for COPY.
///
/// Source: src/backend/utils/adt/arrayfuncs.c, array_recv.
struct KeyArray {
    array_oid: u32,
    bytes: Vec<u8>,
}

impl KeyArray {
    fn new<'a>(
        array_oid: u32,
        type_oid: u32,
        values: impl ExactSizeIterator<Item = Option<&'a [u8]>>,
    ) -> KeyArray {
        let len = |len: usize| i32::try_from(len).expect("a micro-batch is smaller than 2 GiB");
        let mut bytes = Vec::new();
        // One dimension, no NULLs.
        bytes.extend(1_i32.to_be_bytes());
        bytes.extend(0_i32.to_be_bytes());
        bytes.extend(type_oid.to_be_bytes());
        bytes.extend(len(values.len()).to_be_bytes());
        // Counted from 1.
        bytes.extend(1_i32.to_be_bytes());
        for value in values {
            let value = value.expect("keys with a NULL are not asked for");
            bytes.extend(len(value.len()).to_be_bytes());
            bytes.extend_from_slice(value);
        }
        KeyArray { array_oid, bytes }
    }
}

impl sqlx::Type<Postgres> for KeyArray {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(Oid(0))
    }
}

impl Encode<'_, Postgres> for KeyArray {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&self.bytes);
        Ok(IsNull::No)
    }

    fn produces(&self) -> Option<PgTypeInfo> {
        Some(PgTypeInfo::with_oid(Oid(self.array_oid)))
    }
}
