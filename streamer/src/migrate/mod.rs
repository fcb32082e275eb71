//! The tables of the database: the streamer's own, and those of the datasets that streams name.
//!
//! The streamer's own tables are all in the schema `streamer`; a dataset has its table, rollups and
//! views in `public`. Each of them has a history of its own, because refinery takes no version that
//! comes before the last one: the core in `streamer.schema_history`, a dataset in
//! `streamer.history_...`. A dataset is installed when a stream names it. Where a table of its name
//! was there before, that is the user's: it is loaded as it is, and nothing is added to it.
//!
//! All that [`migrate`] does it does in one transaction, and one streamer at a time. So it is done
//! whole or not at all, also the takeover of a database that the streamer before this one has made,
//! whose single history was `streamer.schema_history`, too. A history that is neither is a
//! [`Refusal`]: nothing is changed, by no command.

mod former;
mod history;
mod inventory;
mod refinery;
mod takeover;
mod window;

use refinery_core::Target;
use sqlx::{Connection, Executor, PgConnection};

use crate::config::{Dataset, Stream};
use crate::retry::{Remedy, advice, remedy};
pub use history::Refusal;
use history::{CORE, History, Progress};
pub use inventory::Inventory;

/// Two streamers that start together take turns: refinery itself has no lock. It is also what older
/// streamers take.
const LOCK: &str =
    "select pg_catalog.pg_advisory_xact_lock(pg_catalog.hashtext('streamer.migrate')::bigint)";

/// Each statement must see what those have done whose turn was before.
const BEGIN: &str = "begin isolation level read committed";

/// Why the migrations are not applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database can't be asked.
    #[error("apply the migrations{}", advice(.0).map(|a| format!(" ({a})")).unwrap_or_default())]
    Database(#[source] sqlx::Error),
    /// refinery found the history at odds with the migrations, or a migration failed.
    #[error("apply the migrations: {0}")]
    Refinery(String),
    /// The history is none that this streamer can go on with.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The objects of the streamer before are not as it has made them.
    #[error(
        "take over the database of the streamer before, as whoever owns its tables can by `streamer \
         migrate` (nothing was changed): {0}"
    )]
    Takeover(String),
    /// The rollup can't be given the window that the settings name.
    #[error("give {rollup} windows of {window}, as the stream's setting says: {reason}")]
    Window {
        /// The rollup.
        rollup: String,
        /// The window's length.
        window: String,
        /// Why not, and what can be done.
        reason: String,
    },
}

impl MigrateError {
    /// What is worth another try stays an error of the database.
    fn unless_retried(error: sqlx::Error, of: impl FnOnce(String) -> MigrateError) -> MigrateError {
        match remedy(&error) {
            Remedy::Retry => MigrateError::Database(error),
            Remedy::Data | Remedy::Stop => of(told(&error)),
        }
    }
}

/// What was done, and what was left alone.
#[derive(Debug, Default)]
pub struct Migrated {
    /// A line for each thing that was done; none where nothing was missing.
    pub done: Vec<String>,
    /// The datasets that streams name and whose table is the user's.
    pub foreign: Vec<Dataset>,
}

/// Applies what is missing for these streams. A role that may not create anything can call this
/// too, as long as nothing is missing.
///
/// # Errors
/// [`MigrateError`]; everything is done or nothing.
pub async fn migrate(
    conn: &mut PgConnection,
    streams: &[Stream],
) -> Result<Migrated, MigrateError> {
    let inventory = Inventory::of(conn, streams).await?;
    if inventory.is_complete() {
        return Ok(Migrated { done: Vec::new(), foreign: inventory.foreign });
    }
    let mut tx = conn.begin_with(BEGIN).await.map_err(MigrateError::Database)?;
    let migrated = complete(&mut tx, streams).await;
    match &migrated {
        Ok(_) => tx.commit().await.map_err(MigrateError::Database)?,
        // The reason is told; whether this succeeds changes nothing.
        Err(_) => drop(tx.rollback().await),
    }
    migrated
}

async fn complete(conn: &mut PgConnection, streams: &[Stream]) -> Result<Migrated, MigrateError> {
    conn.execute(LOCK).await.map_err(MigrateError::Database)?;
    let path = sqlx::query_scalar("select pg_catalog.current_setting('search_path')");
    let path: String = path.fetch_one(&mut *conn).await.map_err(MigrateError::Database)?;
    let mut done = Vec::new();
    // Another one may have done it meanwhile.
    let mut inventory = look_again(conn, streams, &path).await?;
    let is_taken_over = inventory.core == Progress::Former;
    if is_taken_over {
        let core = takeover::begin(conn).await?;
        done.push("took over the database of the streamer before".to_owned());
        done.extend(lines(&core, History::Core));
        inventory = look_again(conn, streams, &path).await?;
    }
    if inventory.core == history::absent(History::Core) {
        let create = "create schema if not exists streamer";
        conn.execute(create).await.map_err(MigrateError::Database)?;
    }
    for (history, progress) in inventory.histories() {
        if matches!(progress, Progress::Missing(names) if !names.is_empty()) {
            let (runner, table) = (history.runner(), history.table());
            let applied = refinery::apply(conn, runner, &table, Target::Latest).await?;
            done.extend(lines(&applied, history));
        }
    }
    if is_taken_over {
        takeover::end(conn).await?;
    }
    for change in look_again(conn, streams, &path).await?.windows {
        change.make(conn).await?;
        done.push(change.to_string());
    }
    let left = sqlx::query_scalar("select streamer.left_views()").fetch_one(conn).await;
    let left: Vec<String> = left.map_err(MigrateError::Database)?;
    done.extend(left.iter().map(|view| {
        format!("left {view} as it is: it was there before, and is not the view of a dataset")
    }));
    Ok(Migrated { done, foreign: inventory.foreign })
}

fn lines(applied: &[String], history: History) -> impl Iterator<Item = String> {
    applied.iter().map(move |name| format!("applied {name} of {history}"))
}

/// Looks at the database by the session's search path, in which the user's tables are found. All
/// else finds nothing but PostgreSQL's own and what it names with its schema: somebody else may
/// have put into that path what is called like a function of PostgreSQL's.
async fn look_again(
    conn: &mut PgConnection,
    streams: &[Stream],
    path: &str,
) -> Result<Inventory, MigrateError> {
    set_path(conn, path).await?;
    let inventory = Inventory::of(conn, streams).await?;
    set_path(conn, "pg_catalog, pg_temp").await?;
    Ok(inventory)
}

/// Sets the search path until the transaction ends.
async fn set_path(conn: &mut PgConnection, path: &str) -> Result<(), MigrateError> {
    let set = "select pg_catalog.set_config('search_path', $1, true)";
    let set = sqlx::query(set).bind(path).execute(conn).await;
    set.map(drop).map_err(MigrateError::Database)
}

/// What became of a dataset whose table was there before, in a line.
pub fn foreign_text(dataset: Dataset) -> String {
    let name = dataset.name();
    let window = if dataset.has_window() { ", and its window means nothing" } else { "" };
    format!(
        "table {name} was there before and is not the dataset's: it is used as it is, without the dataset's rollups \
         and views{window}"
    )
}

/// PostgreSQL's words, with what they are about.
fn told(error: &sqlx::Error) -> String {
    use sqlx::postgres::PgDatabaseError;
    let postgres = error.as_database_error();
    let postgres = postgres.and_then(|error| error.try_downcast_ref::<PgDatabaseError>());
    match postgres.and_then(PgDatabaseError::detail) {
        Some(detail) => format!("{error} ({detail})"),
        None => error.to_string(),
    }
}
