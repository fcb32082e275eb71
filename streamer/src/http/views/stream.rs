//! A stream: its files, its totals since ever, its newest rows, and which rollups it has.

use std::collections::HashMap;
use std::path::Path;

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::{PgConnection, Row};

use super::rollup;
use crate::config::Stream;
use crate::format::Packing;
use crate::ledger::shown::{self, Known, Totals};
use crate::partition::{Kind, Partition};
use crate::sql::{made, quote};

/// How many files, rows and columns are shown, and how much of a value.
const FILES_MAX: i64 = 100;
const ROWS_MAX: i64 = 20;
const COLUMNS_MAX: i64 = 100;
const VALUE_CHARS_MAX: usize = 200;

/// From how many micro-batches the newest rows are at most.
const BATCHES_MAX: i64 = 20;

/// What is shown of a stream.
#[derive(Debug, Serialize)]
pub(super) struct StreamView {
    stream: String,
    table: String,
    as_of: DateTime<Utc>,
    files: Vec<File>,
    more_files: i64,
    totals: Totals,
    newest: Option<Newest>,
    rollups: Vec<rollup::Defined>,
}

#[derive(Debug, Serialize)]
struct File {
    file: String,
    /// reading, waiting, done, refused, stopped, or gone: not in the folder, and not read to its
    /// end.
    state: &'static str,
    size_bytes: Option<u64>,
    next_offset: u64,
    lag_bytes: u64,
    records: i64,
    rows: i64,
    duplicates: i64,
    repeated: i64,
    dead_letters: i64,
    refusal: Option<String>,
    waits_for: Option<String>,
    updated_at: DateTime<Utc>,
}

/// The newest rows, as texts; with the micro-batch that brought each, and its file.
#[derive(Debug, Serialize)]
struct Newest {
    columns: Vec<String>,
    rows: Vec<Vec<Option<String>>>,
    batch_ids: Vec<i64>,
    files: Vec<Option<String>>,
}

pub(super) async fn read(
    conn: &mut PgConnection,
    stream: &Stream,
    data: &Path,
) -> Result<StreamView, sqlx::Error> {
    let (known, count) = shown::partitions(conn, &stream.name, FILES_MAX).await?;
    let files: Vec<File> = known.into_iter().map(|known| File::of(known, data)).collect();
    Ok(StreamView {
        stream: stream.name.clone(),
        table: stream.table.clone(),
        as_of: Utc::now(),
        more_files: count - i64::try_from(files.len()).unwrap_or(count),
        files,
        totals: shown::totals(conn, &stream.name).await?,
        newest: newest(conn, stream).await?,
        rollups: rollup::of_table(conn, &stream.table).await?,
    })
}

impl File {
    fn of(known: Known, data: &Path) -> File {
        let partition = Partition::parse(&known.partition);
        let is_file = partition.kind() == Kind::File;
        let metadata =
            is_file.then(|| std::fs::symlink_metadata(data.join(partition.name.as_str())));
        let size_bytes = metadata.and_then(Result::ok).map(|metadata| metadata.len());
        let next_offset = u64::try_from(known.next_offset).unwrap_or_default();
        let is_packed = Packing::of(partition.name.as_str()).is_some();
        let lag_bytes = match known.state.as_str() {
            "refused" | "done" => 0,
            _ if is_packed => size_bytes.unwrap_or(0),
            _ => size_bytes.map_or(0, |size| size.saturating_sub(next_offset)),
        };
        let state = match known.state.as_str() {
            "refused" => "refused",
            "stopped" => "stopped",
            "done" => "done",
            _ if is_file && size_bytes.is_none() => "gone",
            _ if known.waits_for.is_some() => "waiting",
            _ => "reading",
        };
        File {
            file: known.partition,
            state,
            size_bytes,
            next_offset,
            lag_bytes,
            records: known.records,
            rows: known.rows,
            duplicates: known.duplicates,
            repeated: known.repeated,
            dead_letters: known.dead_letters,
            refusal: known.refusal,
            waits_for: known.waits_for,
            updated_at: known.updated_at,
        }
    }
}

/// The rows of the last micro-batches, where the table says which brought a row.
async fn newest(conn: &mut PgConnection, stream: &Stream) -> Result<Option<Newest>, sqlx::Error> {
    let columns: Vec<String> = sqlx::query_scalar(
        "select attname::text from pg_attribute
          where attrelid = to_regclass($1) and attnum > 0 and not attisdropped
          order by attnum limit $2",
    )
    .bind(&stream.table)
    .bind(COLUMNS_MAX)
    .fetch_all(&mut *conn)
    .await?;
    if !columns.iter().any(|column| column == "batch_id") {
        return Ok(None);
    }
    let batches = shown::last_with_rows(conn, &stream.name, BATCHES_MAX).await?;
    let files: HashMap<i64, String> = batches.into_iter().collect();
    // As the server spells it, in quotes where it must be.
    let table: String = sqlx::query_scalar("select to_regclass($1)::text")
        .bind(&stream.table)
        .fetch_one(&mut *conn)
        .await?;
    let texts = columns
        .iter()
        .map(|column| format!("left(t.{}::text, {VALUE_CHARS_MAX}) as {0}", quote(column)));
    let texts: Vec<String> = texts.collect();
    let sql = format!(
        "select t.batch_id::bigint as \" batch\", {} from {table} t
          where t.batch_id = any($1) order by t.batch_id desc limit $2",
        texts.join(", ")
    );
    let ids: Vec<i64> = files.keys().copied().collect();
    let found = sqlx::query(made(sql)).bind(ids).bind(ROWS_MAX).fetch_all(conn).await?;
    let mut newest = Newest { columns, rows: Vec::new(), batch_ids: Vec::new(), files: Vec::new() };
    for row in found {
        let batch: i64 = row.try_get(0)?;
        let values = (1..row.len()).map(|at| row.try_get(at)).collect::<Result<_, _>>()?;
        newest.rows.push(values);
        newest.batch_ids.push(batch);
        newest.files.push(files.get(&batch).cloned());
    }
    Ok(Some(newest))
}
