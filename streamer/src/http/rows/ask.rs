//! The rows of micro-batches, as the database has them.

use std::collections::HashMap;
use std::time::Duration;

use axum::http::StatusCode;
use futures_util::TryStreamExt;
use sqlx::{Connection, PgConnection, Row, raw_sql};

use super::follower::{counted, gap, put_row};
use super::wanted::Wanted;
use super::{Noted, Rows};
use crate::http::App;
use crate::http::answer::Refusal;
use crate::sql::{made, quote};

/// How many rows of a commit are told at most.
const ROWS_MAX: u64 = 10_000;

/// Events are sent in parts of so many bytes, give or take a row.
const PART_BYTES: usize = 256 * 1024;

/// How long the database may take.
const WITHIN: Duration = Duration::from_secs(8);

/// How a question begins: it only reads, and the database ends it if it takes too long.
const BEGIN: &str =
    "begin isolation level read committed read only; set local statement_timeout = '5s'";

/// The columns of a table.
#[derive(Debug)]
pub(super) struct Columns {
    table: String,
    names: Vec<String>,
    /// Whether rows can be found by their micro-batch.
    has_index: bool,
}

/// Asks for rows, on a connection that is kept while somebody follows a stream.
#[derive(Debug, Default)]
pub(super) struct Asker {
    conn: Option<PgConnection>,
}

/// The events of the rows that some followers want, until they are sent.
struct Part<'w> {
    wanted: &'w Wanted,
    events: Vec<u8>,
    rows: u64,
}

/// The columns of a table, and whether an index begins with `batch_id`.
pub(super) async fn columns(conn: &mut PgConnection, table: &str) -> Result<Columns, sqlx::Error> {
    let names: Vec<String> = sqlx::query_scalar(
        "select attname::text from pg_catalog.pg_attribute
          where attrelid = to_regclass($1) and attnum > 0 and not attisdropped",
    )
    .bind(table)
    .fetch_all(&mut *conn)
    .await?;
    let has_index = sqlx::query_scalar(
        "select exists (
            select from pg_catalog.pg_index i
              join pg_catalog.pg_attribute a on a.attrelid = i.indrelid and a.attnum = i.indkey[0]
             where i.indrelid = to_regclass($1) and a.attname = 'batch_id' and i.indisvalid
               and i.indpred is null)",
    )
    .bind(table)
    .fetch_one(conn)
    .await?;
    Ok(Columns { table: table.to_owned(), names, has_index })
}

impl Columns {
    /// Whether these rows can be followed.
    ///
    /// # Errors
    /// Why not.
    pub(super) fn check(&self, wanted: &Wanted) -> Result<(), Refusal> {
        if !self.has_index {
            let message = format!(
                "its rows cannot be found by their micro-batch: the table {0} needs a column batch_id bigint, \
                 and an index: create index on {0} using brin (batch_id)",
                self.table
            );
            return Err(Refusal::new(StatusCode::CONFLICT, message));
        }
        match wanted.columns().find(|column| !self.names.iter().any(|name| name == column)) {
            None => Ok(()),
            Some(_) => {
                let message = "the stream's table has no such column";
                Err(Refusal::new(StatusCode::BAD_REQUEST, message))
            }
        }
    }
}

impl Asker {
    /// Tells the followers of a stream what was committed.
    pub(super) async fn tell(&mut self, app: &App, rows: &Rows, noted: &Noted) {
        let wanted = rows.wanted(&noted.stream);
        let Some(entry) = app.entries.get(&noted.stream).filter(|_| !wanted.is_empty()) else {
            return;
        };
        let (mut told, table) = (0, &entry.stream.table);
        let asking = self.ask(app, rows, noted, (table, &wanted), &mut told);
        let why = match tokio::time::timeout(WITHIN, asking).await {
            Ok(Ok(())) => None,
            Ok(Err(error)) => {
                tracing::debug!("rows of {} are not told: {error}", noted.stream);
                Some("the database did not tell them")
            }
            Err(_late) => Some("the database took too long"),
        };
        if why.is_some() {
            // What is left of the answer would be taken for that of the next question.
            self.conn = None;
        }
        let left = match (why, told) {
            (Some(_), 0) => Some(noted.rows),
            // Some may be told.
            (Some(_), _) => None,
            (None, ROWS_MAX..) => Some(noted.rows.saturating_sub(told)),
            // Where there are fewer than were counted, somebody has deleted some.
            (None, _) => Some(0),
        };
        let left = left.map(|left| left + noted.missed);
        if left != Some(0) {
            let why = why.unwrap_or("more were committed at once than are told");
            rows.send(&noted.stream, None, &gap(left, why));
        }
    }

    /// Sends the rows of a commit to whoever wants them, and counts them.
    async fn ask(
        &mut self,
        app: &App,
        rows: &Rows,
        noted: &Noted,
        (table, wanted): (&str, &[Wanted]),
        told: &mut u64,
    ) -> Result<(), sqlx::Error> {
        let conn = self.conn(app).await?;
        raw_sql(BEGIN).execute(&mut *conn).await?;
        let sql = statement(conn, table, wanted).await?;
        let columns = columns_of(wanted);
        let mut found = sqlx::query(made(sql))
            .persistent(false)
            .bind(&noted.batch_ids)
            .bind(i64::try_from(ROWS_MAX).unwrap_or(i64::MAX))
            .fetch(&mut *conn);
        let part = |wanted| Part { wanted, events: Vec::new(), rows: 0 };
        let mut parts: Vec<Part<'_>> = wanted.iter().map(part).collect();
        let mut numbers = HashMap::<i64, u64>::new();
        while let Some(row) = found.try_next().await? {
            let (batch_id, json): (i64, &str) = (row.try_get(0)?, row.try_get(1)?);
            let values: Vec<Option<String>> = row.try_get(2)?;
            let number = numbers.entry(batch_id).or_default();
            let value_of = |column: &str| {
                let place = columns.iter().position(|name| *name == column)?;
                values.get(place)?.as_deref()
            };
            for part in parts.iter_mut().filter(|part| part.wanted.takes(value_of)) {
                put_row(batch_id, *number, json, &mut part.events);
                part.rows += 1;
                if part.events.len() >= PART_BYTES {
                    part.send(app, rows, &noted.stream);
                }
            }
            *number += 1;
            *told += 1;
        }
        drop(found);
        parts.iter_mut().for_each(|part| part.send(app, rows, &noted.stream));
        raw_sql("commit").execute(conn).await?;
        Ok(())
    }

    /// The connection, made if there is none.
    async fn conn(&mut self, app: &App) -> Result<&mut PgConnection, sqlx::Error> {
        if self.conn.is_none() {
            let database = app.views.database().map_err(|_| sqlx::Error::PoolClosed)?;
            self.conn = Some(database.connect().await?);
        }
        Ok(self.conn.as_mut().expect("it was put there"))
    }

    /// Closes the connection.
    pub(super) async fn close(&mut self) {
        if let Some(conn) = self.conn.take() {
            drop(conn.close().await);
        }
    }
}

impl Part<'_> {
    /// Sends what is there; where there is no memory for it, a gap.
    fn send(&mut self, app: &App, rows: &Rows, stream: &str) {
        let (events, count) = (std::mem::take(&mut self.events), std::mem::take(&mut self.rows));
        if count == 0 {
            return;
        }
        let events = counted(events, &app.memory);
        let events = events.unwrap_or_else(|| gap(Some(count), "there was no memory for them"));
        rows.send(stream, Some(self.wanted), &events);
    }
}

/// All columns that somebody names, each once.
fn columns_of(wanted: &[Wanted]) -> Vec<&str> {
    let mut columns: Vec<&str> = wanted.iter().flat_map(Wanted::columns).collect();
    columns.sort_unstable();
    columns.dedup();
    columns
}

/// Asks for the rows of micro-batches: the number of each, the row as JSON, and the values that
/// tell who wants it, as that has them.
async fn statement(
    conn: &mut PgConnection,
    table: &str,
    wanted: &[Wanted],
) -> Result<String, sqlx::Error> {
    // As the server spells it, in quotes where it must be.
    let table: String = sqlx::query_scalar("select to_regclass($1)::text")
        .persistent(false)
        .bind(table)
        .fetch_one(conn)
        .await?;
    let values = columns_of(wanted)
        .into_iter()
        .map(|column| format!("to_json(t.{}) #>> '{{}}'", quote(column)));
    let values = values.collect::<Vec<String>>().join(", ");
    Ok(format!(
        "select t.batch_id::bigint, to_json(t.*)::text, array[{values}]::text[]
           from {table} t where t.batch_id = any($1) order by t.batch_id limit $2"
    ))
}
