//! Taking over a database that the streamer before this one has made.
//!
//! Its objects stay, with all that is in them, their owner and grants. Those that are different now
//! are altered; the histories are written anew, as if the migrations of now had made everything. A
//! dataset whose table or rollup the user has removed since is left out: what is left of it is the
//! user's.

use refinery_core::Target;
use sqlx::{Executor, PgConnection};

use super::history::History;
use super::{CORE, MigrateError, refinery};
use crate::config::Dataset;

/// Up to here the migrations of now make what is there already; the later ones replace what is
/// there.
const CORE_VERSION: i32 = 3;
const DATASET_VERSION: i32 = 1;

/// Alters the objects, brings the core to what it is now, and notes in the datasets' histories what
/// is there. The datasets' migrations that are missing are to be applied next. Returns what was
/// applied of the core.
pub(super) async fn begin(conn: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    execute(conn, include_str!("takeover.sql")).await?;
    let target = Target::FakeVersion(CORE_VERSION);
    refinery::apply(conn, History::Core.runner(), CORE, target).await?;
    let core = refinery::apply(conn, History::Core.runner(), CORE, Target::Latest).await?;
    execute(conn, include_str!("takeover_campaigns.sql")).await?;
    for dataset in Dataset::ALL {
        if is_there(conn, dataset).await.map_err(MigrateError::Database)? {
            let (history, target) = (History::Of(dataset), Target::FakeVersion(DATASET_VERSION));
            refinery::apply(conn, history.runner(), &history.table(), target).await?;
        }
    }
    Ok(core)
}

/// Does what is left once they are applied.
pub(super) async fn end(conn: &mut PgConnection) -> Result<(), MigrateError> {
    execute(conn, include_str!("takeover_end.sql")).await
}

async fn is_there(conn: &mut PgConnection, dataset: Dataset) -> Result<bool, sqlx::Error> {
    let table = format!("public.{}", dataset.name());
    let rollup = dataset.has_window().then(|| format!("{table}_per_window"));
    let query =
        "select to_regclass($1) is not null and ($2::text is null or to_regclass($2) is not null)";
    sqlx::query_scalar(query).bind(table).bind(rollup).fetch_one(conn).await
}

async fn execute(conn: &mut PgConnection, statements: &'static str) -> Result<(), MigrateError> {
    let executed = conn.execute(sqlx::raw_sql(statements)).await;
    let failed = |error| MigrateError::unless_retried(error, MigrateError::Takeover);
    executed.map(drop).map_err(failed)
}
