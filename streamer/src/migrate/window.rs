//! The window of a dataset: a setting of its stream, and what its rollup has. Whatever else needs
//! it, in SQL, takes it from the rollup.

use std::fmt;
use std::time::Duration;

use sqlx::PgConnection;

use super::MigrateError;
use crate::config::{Dataset, Stream};

/// A rollup that is to have other windows.
#[derive(Debug, Clone)]
pub struct Change {
    rollup: String,
    window: Duration,
}

impl Change {
    /// Gives the rollup the windows, and counts all rows anew.
    pub(super) async fn make(&self, conn: &mut PgConnection) -> Result<(), MigrateError> {
        let change = "select streamer.change_rollup($1::text::regclass, make_interval(secs => $2))";
        let change = sqlx::query(change).bind(&self.rollup).bind(self.window.as_secs_f64());
        let changed = change.execute(conn).await;
        changed.map(drop).map_err(|error| {
            MigrateError::unless_retried(error, |reason| MigrateError::Window {
                rollup: self.rollup.clone(),
                window: shown(self.window),
                reason,
            })
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = shown(self.window);
        write!(f, "{} has windows of {window}, as the stream's setting says", self.rollup)
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
        let rollup = format!("public.{}_per_window", dataset.name());
        let differs = "select exists (
            select from streamer.rollup r
             where r.rollup = to_regclass($1) and r.window_size is distinct from make_interval(secs => $2))";
        let differs = sqlx::query_scalar(differs).bind(&rollup).bind(window.as_secs_f64());
        if differs.fetch_one(&mut *conn).await? {
            changes.push(Change { rollup, window });
        }
    }
    Ok(changes)
}
