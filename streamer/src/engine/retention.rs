//! Rows that have grown old: they are removed in small steps, and what rollups have counted stays.

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use tokio_util::sync::CancellationToken;

use super::Plan;
use crate::config::Stream;
use crate::database::Database;
use crate::health::{Ailment, Health};
use crate::retry::{Remedy, remedy, shown};
use crate::sql::{made, quote};

/// Rows that one step removes at most.
const STEP_ROWS: i64 = 5000;

/// The shortest and the longest pause between two looks for old rows.
const PAUSE_MIN: Duration = Duration::from_secs(10);
const PAUSE_MAX: Duration = Duration::from_secs(3600);

/// The removal of a stream's old rows.
pub(super) struct Retention {
    database: Arc<Database>,
    health: Health,
    stop: CancellationToken,
    stream: String,
    table: String,
    event_time: Option<String>,
    keep: Duration,
    /// What keeps it from being done, once it was told.
    trouble: Option<(String, Ailment)>,
}

/// The table, and the column that tells how old its rows are.
struct Target {
    quoted_name: String,
    quoted_column: String,
    is_date: bool,
}

/// Why rows could not be removed.
#[derive(Debug, thiserror::Error)]
enum RetentionError {
    #[error(
        "table {0} has no timestamp or date that is the time of its events; name it by event_time in \
         streams.toml"
    )]
    NoTime(String),
    #[error("{}", shown(.0))]
    Database(#[from] sqlx::Error),
}

impl Retention {
    /// `None` if the stream keeps its rows for ever. It ends with `stop`.
    pub(super) fn new(
        database: &Arc<Database>,
        stream: &Stream,
        plan: &Plan,
        stop: CancellationToken,
    ) -> Option<Retention> {
        Some(Retention {
            database: database.clone(),
            health: plan.health.clone(),
            stop,
            stream: stream.name.clone(),
            table: stream.table.clone(),
            event_time: stream.fitting.event_time.clone(),
            keep: stream.when_done.keep?,
            trouble: None,
        })
    }

    /// Removes what has grown old now and then, until the work is to stop.
    pub(super) async fn keep_up(&mut self) {
        let pause = (self.keep / 100).clamp(PAUSE_MIN, PAUSE_MAX);
        while !self.stop.is_cancelled() {
            self.once().await;
            tokio::select! {
                () = self.stop.cancelled() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Removes what is old now, and tells how much it was, or once why it can't be done.
    pub(super) async fn once(&mut self) {
        let (stream, keep) = (&self.stream, humantime::format_duration(self.keep));
        match Box::pin(self.remove()).await {
            Ok(rows) => {
                if rows > 0 {
                    tracing::info!(%stream, "removed {rows} rows older than {keep}; rollups stay as they are");
                }
                self.trouble = None;
            }
            // That the database is away is told by who loads.
            Err(RetentionError::Database(error)) if remedy(&error) == Remedy::Retry => {}
            Err(error) => {
                let told = format!("rows older than {keep} of stream {stream} stay: {error}");
                if self.trouble.as_ref().is_none_or(|(before, _)| *before != told) {
                    tracing::error!("{told}");
                    self.trouble = Some((told.clone(), self.health.note(told)));
                }
            }
        }
    }

    async fn remove(&self) -> Result<u64, RetentionError> {
        let mut conn = self.database.chore().await?;
        let target = Target::find(&mut conn, &self.table, self.event_time.as_deref()).await?;
        let target = target.ok_or_else(|| RetentionError::NoTime(self.table.clone()))?;
        let mut removed = 0;
        loop {
            let started = Instant::now();
            let rows = target.step(&mut conn, self.keep).await?;
            removed += rows;
            // Half of the time is left to others.
            let rest = started.elapsed();
            if rows == 0 || self.stop.is_cancelled() {
                conn.keep();
                return Ok(removed);
            }
            tokio::time::sleep(rest).await;
        }
    }
}

impl Target {
    async fn find(
        conn: &mut PgConnection,
        table: &str,
        event_time: Option<&str>,
    ) -> Result<Option<Target>, sqlx::Error> {
        let found: Option<(String, String, String, bool)> = sqlx::query_as(
            "select n.nspname::text, c.relname::text, a.attname::text, a.atttypid = 'date'::regtype
               from pg_class c
               join pg_namespace n on n.oid = c.relnamespace
               join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
              where c.oid = to_regclass($1) and a.attname = coalesce($2::text, 'event_time')
                and a.atttypid in ('timestamptz'::regtype, 'timestamp'::regtype, 'date'::regtype)",
        )
        .bind(table)
        .bind(event_time)
        .fetch_optional(conn)
        .await?;
        Ok(found.map(|(schema, table, column, is_date)| Target {
            quoted_name: format!("{}.{}", quote(&schema), quote(&table)),
            quoted_column: quote(&column),
            is_date,
        }))
    }

    /// Removes some rows in a transaction of their own, and says how many. The rollups' triggers
    /// are told that it is no correction.
    async fn step(&self, conn: &mut PgConnection, keep: Duration) -> Result<u64, sqlx::Error> {
        let mut tx = conn.begin().await?;
        sqlx::query(
            "select set_config('streamer.keep_rollups', 'on', true), set_config('timezone', 'UTC', true),
                    set_config('lock_timeout', '5s', true)",
        )
        .execute(&mut *tx)
        .await?;
        // A day is old when all of it is.
        let cast = if self.is_date { "date" } else { "timestamptz" };
        let Target { quoted_name: table, quoted_column: column, .. } = self;
        let is_old = format!("{column} < (now() - $1::text::interval)::{cast}");
        // Of a partitioned table, rows of several partitions have the same ctid.
        let delete = format!(
            "delete from {table} where {is_old}
                and ctid = any(array(select ctid from {table} where {is_old} limit {STEP_ROWS}))"
        );
        let removed = sqlx::query(made(delete))
            .bind(format!("{} seconds", keep.as_secs()))
            .execute(&mut *tx)
            .await?
            .rows_affected();
        tx.commit().await?;
        Ok(removed)
    }
}
