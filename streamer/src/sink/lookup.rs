//! Which keys are equal: to keys in the table, and to others of the same micro-batch.
//!
//! Where equal keys have equal bytes, they are compared by those, and looked up as arrays in the
//! binary format. All others go to PostgreSQL as texts, which casts and compares them as the index
//! does: by its expressions, operators and collations.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{PgArgumentBuffer, PgTypeInfo};
use sqlx::{Encode, PgConnection, Postgres, Row, raw_sql};

use crate::batch::{MicroBatch, RowPlace};
use crate::layout::LayoutKey;
use crate::retry::{Remedy, remedy};
use crate::schema::KeyPart;
use crate::sql;

/// Which of the rows have a key that is in the table; only those in `asked` are looked up.
pub(super) async fn existing(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    asked: &[bool],
) -> Result<Vec<bool>, sqlx::Error> {
    let mut exists = vec![false; rows.len()];
    for key in batch.keys() {
        let is_of_key = |at: &usize| batch.layout_of(&rows[*at]).key_name() == Some(&key.name);
        let asked: Vec<usize> = (0..rows.len()).filter(|&at| asked[at]).filter(is_of_key).collect();
        let found = match key.is_by_bytes {
            true => existing_bytes(tx, batch, rows, key, asked).await?,
            false => existing_texts(tx, batch, rows, key, &asked).await?,
        };
        found.into_iter().for_each(|at| exists[at] = true);
    }
    Ok(exists)
}

/// Leaves out the rows whose key is in the table, as far as their keys can be looked up at all: one
/// that is no value of its type, or has a character that the database lacks, is for COPY to refuse.
pub(super) async fn without_existing(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
) -> Result<Vec<RowPlace>, sqlx::Error> {
    raw_sql("savepoint lookup").execute(&mut *tx).await?;
    let exists = existing(tx, batch, rows, &vec![true; rows.len()]).await;
    let exists = in_savepoint(tx, exists).await?.unwrap_or_else(|| vec![false; rows.len()]);
    Ok(apart(rows, &exists).1)
}

/// The rows that exist, and the others.
pub(super) fn apart(rows: &[RowPlace], exists: &[bool]) -> (Vec<RowPlace>, Vec<RowPlace>) {
    let (found, missing): (Vec<_>, Vec<_>) =
        rows.iter().zip(exists).partition(|(_, exists)| **exists);
    let rows = |some: Vec<(&RowPlace, _)>| some.into_iter().map(|(row, _)| *row).collect();
    (rows(found), rows(missing))
}

/// The micro-batch with its rows in groups of equal keys, if PostgreSQL has to tell which are equal
/// and can.
pub(super) async fn grouped(
    tx: &mut PgConnection,
    batch: &MicroBatch,
) -> Result<Option<MicroBatch>, sqlx::Error> {
    if !batch.has_texts_of_keys() {
        return Ok(None);
    }
    raw_sql("savepoint lookup").execute(&mut *tx).await?;
    let leaders = leaders(tx, batch).await;
    Ok(in_savepoint(tx, leaders).await?.map(|leaders| batch.regrouped(&leaders)))
}

/// What came of work behind the savepoint: nothing, if a value was at fault.
async fn in_savepoint<T>(
    tx: &mut PgConnection,
    done: Result<T, sqlx::Error>,
) -> Result<Option<T>, sqlx::Error> {
    match done {
        Ok(done) => {
            raw_sql("release savepoint lookup").execute(tx).await?;
            Ok(Some(done))
        }
        Err(error) if remedy(&error) == Remedy::Data => {
            raw_sql("rollback to savepoint lookup; release savepoint lookup").execute(tx).await?;
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// For each row, which row is the first that was read of those with an equal key.
async fn leaders(tx: &mut PgConnection, batch: &MicroBatch) -> Result<Vec<usize>, sqlx::Error> {
    let rows = &batch.rows;
    let mut leaders: Vec<usize> = (0..rows.len()).collect();
    // Those that repeat the bytes of another have the same leader.
    for at in 1..rows.len() {
        if rows[at].is_repeat() {
            leaders[at] = leaders[at - 1];
        }
    }
    for key in batch.keys().into_iter().filter(|key| !key.is_by_bytes) {
        let is_of_key = |at: &usize| batch.layout_of(&rows[*at]).key_name() == Some(&key.name);
        let mut asked: Vec<usize> = (0..rows.len()).filter(is_of_key).collect();
        asked.sort_unstable_by_key(|&at| rows[at].read_order());
        let statement = bound(group_statement(key), batch, rows, key, &asked);
        for row in statement.fetch_all(&mut *tx).await? {
            leaders[asked[place(&row, 0)?]] = asked[place(&row, 1)?];
        }
    }
    Ok(leaders)
}

/// Which of the rows in `asked` have a key that is in the table.
async fn existing_bytes(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    key: &LayoutKey,
    asked: Vec<usize>,
) -> Result<Vec<usize>, sqlx::Error> {
    // A key with a NULL in it equals no other.
    let is_whole = |at: &usize| batch.key_values(&rows[*at]).all(|value| value.is_some());
    let asked: Vec<usize> = asked.into_iter().filter(is_whole).collect();
    if asked.is_empty() {
        return Ok(asked);
    }
    // Planned for the table as it is: a plan from when it was small could read all of it for each
    // key.
    let mut statement = sqlx::query(sql::made(lookup_statement(key))).persistent(false);
    for (at, column) in key.columns.iter().enumerate() {
        let values = asked.iter().map(|&row| batch.key_values(&rows[row]).nth(at).flatten());
        statement = statement.bind(KeyArray::new(column.array_oid, column.type_oid, values));
    }
    let found = statement.fetch_all(tx).await?;
    found.iter().map(|row| Ok(asked[place(row, 0)?])).collect()
}

/// The same of keys that PostgreSQL compares. Where NULLs are not distinct, an index finds them
/// only by a statement of its own for each set of columns that are NULL.
async fn existing_texts(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    key: &LayoutKey,
    asked: &[usize],
) -> Result<Vec<usize>, sqlx::Error> {
    let nulls = |at: usize| -> Vec<bool> {
        batch.key_texts(&rows[at]).map(|text| text.is_none()).collect()
    };
    let mut asked: Vec<(Vec<bool>, usize)> = asked.iter().map(|&at| (nulls(at), at)).collect();
    if key.nulls_are_distinct {
        asked.iter_mut().for_each(|(nulls, _)| nulls.fill(false));
    }
    asked.sort_unstable();
    let mut found = Vec::new();
    for alike in asked.chunk_by(|one, next| one.0 == next.0) {
        let places: Vec<usize> = alike.iter().map(|(_, at)| *at).collect();
        let statement = exists_statement(key, &alike[0].0);
        for row in bound(statement, batch, rows, key, &places).fetch_all(&mut *tx).await? {
            found.push(places[place(&row, 0)?]);
        }
    }
    Ok(found)
}

/// A row's number in the arrays, which the server counts from 1.
fn place(row: &sqlx::postgres::PgRow, column: usize) -> Result<usize, sqlx::Error> {
    let place = usize::try_from(row.try_get::<i64, _>(column)? - 1);
    Ok(place.expect("ordinality counts the keys from 1"))
}

/// Binds the texts of the keys to a statement with [`given`] in it.
fn bound<'q>(
    statement: String,
    batch: &'q MicroBatch,
    rows: &[RowPlace],
    key: &LayoutKey,
    asked: &[usize],
) -> sqlx::query::Query<'q, Postgres, sqlx::postgres::PgArguments> {
    let mut statement = sqlx::query(sql::made(statement)).persistent(false);
    for column in 0..key.columns.len() {
        let text = |at: &usize| batch.key_texts(&rows[*at]).nth(column).flatten();
        statement = statement.bind(asked.iter().map(text).collect::<Vec<Option<&str>>>());
    }
    statement
}

/// The parts of the keys whose texts are in the arrays, and their places, as a table expression.
fn given(key: &LayoutKey) -> String {
    let numbers = || 1..=key.columns.len();
    let arrays: Vec<String> = numbers().map(|n| format!("${n}::text[]")).collect();
    let texts: Vec<String> = numbers().map(|n| format!("v{n}")).collect();
    let columns = key.columns.iter().zip(&texts);
    let columns: Vec<String> = columns
        .map(|(column, text)| format!("u.{text}::{} as {}", column.cast, column.quoted_name))
        .collect();
    let parts = key.parts.iter().enumerate();
    let parts: Vec<String> =
        parts.map(|(at, part)| format!("{}{} as p{at}", part.sql, collate(part))).collect();
    format!(
        "(select g.streamer_place as place, {} from (
            select u.streamer_place, {} from unnest({}) with ordinality u ({}, streamer_place)) g)",
        parts.join(", "),
        columns.join(", "),
        arrays.join(", "),
        texts.join(", ")
    )
}

/// Asks for each key which place is the first of those with an equal one.
fn group_statement(key: &LayoutKey) -> String {
    let parts: Vec<String> = (0..key.parts.len()).map(|at| format!("k.p{at}")).collect();
    let whole = match key.nulls_are_distinct {
        true => format!("where num_nulls({}) = 0", parts.join(", ")),
        false => String::new(),
    };
    format!(
        "select k.place, first_value(k.place) over (partition by {} order by k.place)
           from {} k {whole}",
        parts.join(", "),
        given(key)
    )
}

/// Asks which of the keys are in the table, whose columns that are NULL are `nulls`.
fn exists_statement(key: &LayoutKey, nulls: &[bool]) -> String {
    let is_null = |part: &KeyPart| {
        let column = key.columns.iter().position(|column| column.quoted_name == part.sql);
        column.is_some_and(|column| nulls[column])
    };
    let equal = key.parts.iter().enumerate().map(|(at, part)| {
        let KeyPart { sql, equal, .. } = part;
        let (sql, equal) = (format!("{sql}{}", collate(part)), equal.as_str());
        if is_null(part) {
            format!("{sql} is null")
        } else if part.is_expression && !key.nulls_are_distinct {
            format!("({sql} {equal} k.p{at} or ({sql} is null and k.p{at} is null))")
        } else {
            format!("{sql} {equal} k.p{at}")
        }
    });
    let equal: Vec<String> = equal.collect();
    format!(
        "select k.place from {} k where exists (select from {} t where {} offset 0)",
        given(key),
        key.table,
        equal.join(" and ")
    )
}

/// The collation that a part is compared by, as it stands behind an expression.
fn collate(part: &KeyPart) -> String {
    part.collation.as_ref().map(|collation| format!(" collate {collation}")).unwrap_or_default()
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
