//! The window of a dataset: a setting of its stream, and what its rollup has. Whatever else needs
//! it, in SQL, takes it from the rollup.

use std::fmt;
use std::time::Duration;

use sqlx::{Executor, PgConnection};

use super::MigrateError;
use crate::config::{Dataset, Stream};
use crate::sql;

/// A rollup that is to have other windows.
#[derive(Debug, Clone)]
pub struct Change {
    dataset: Dataset,
    window: Duration,
}

impl Change {
    fn rollup(&self) -> String {
        format!("public.{}_per_window", self.dataset.name())
    }

    /// Gives the rollup the windows, and counts all rows anew; not where it would lose what it
    /// tells of rows that are gone.
    pub(super) async fn make(&self, conn: &mut PgConnection) -> Result<(), MigrateError> {
        let of = |error| {
            MigrateError::unless_retried(error, |reason| {
                self.refused(format!("{reason}; whoever owns it can by `streamer migrate`"))
            })
        };
        // From here on no rows go.
        let lock = format!("lock table public.{} in share row exclusive mode", self.dataset.name());
        conn.execute(sql::made(lock)).await.map_err(of)?;
        let outlives = "select streamer.outlives_rows($1::text::regclass)";
        let outlives = sqlx::query_scalar(outlives).bind(self.rollup());
        if outlives.fetch_one(&mut *conn).await.map_err(of)? {
            return Err(self.refused(format!(
                "it tells of rows that are gone, of which it would tell no more; leave `window` as it was or out, or \
                 have it count anew all the same: select streamer.change_rollup('{}', '{} seconds')",
                self.rollup(),
                self.window.as_secs()
            )));
        }
        let change = "select streamer.change_rollup($1::text::regclass, make_interval(secs => $2))";
        let change = sqlx::query(change).bind(self.rollup()).bind(self.window.as_secs_f64());
        change.execute(conn).await.map(drop).map_err(of)
    }

    fn refused(&self, reason: String) -> MigrateError {
        MigrateError::Window { rollup: self.rollup(), window: shown(self.window), reason }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = shown(self.window);
        write!(f, "{} has windows of {window}, as the stream's setting says", self.rollup())
    }
}

fn shown(window: Duration) -> String {
    humantime::format_duration(window).to_string()
}

/// The changes that the streams ask for, of the rollups of installed datasets.
pub(super) async fn changes(
    conn: &mut PgConnection,
    streams: &[Stream],
    installed: &[Dataset],
) -> Result<Vec<Change>, sqlx::Error> {
    let mut changes = Vec::new();
    for dataset in installed {
        let mut named = streams.iter().filter(|stream| stream.dataset == Some(*dataset));
        let Some(window) = named.find_map(|stream| stream.window) else { continue };
        let change = Change { dataset: *dataset, window };
        let differs = "select exists (
            select from streamer.rollup r
             where r.rollup::oid = pg_catalog.to_regclass($1)::oid
               and streamer.is_kept(r.rollup, pg_catalog.to_regclass($2))
               and r.window_size is distinct from pg_catalog.make_interval(secs => $3))";
        let differs = sqlx::query_scalar(differs)
            .bind(change.rollup())
            .bind(format!("public.{}", dataset.name()))
            .bind(window.as_secs_f64());
        if differs.fetch_one(&mut *conn).await? {
            changes.push(change);
        }
    }
    Ok(changes)
}
