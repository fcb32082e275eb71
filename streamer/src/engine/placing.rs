//! Dead letters whose records had no partition: tried again once their table has other partitions.

use std::sync::Arc;
use std::time::Duration;

use super::writer::Shared;
use crate::database::Database;
use crate::ledger::dead_letter::{self, Which};
use crate::partitioning::state;
use crate::retry::{Remedy, remedy, shown};
use crate::schema::{SchemaError, Table};
use crate::sink::replay;

/// How long the least pause is between two looks for other partitions, and that after a failure.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_FAILED: Duration = Duration::from_secs(10);

/// How often it is looked for dead letters that another streamer has left.
const LOOK_EVERY: Duration = Duration::from_secs(600);

/// Why dead letters could not be tried again.
#[derive(Debug, thiserror::Error)]
enum PlacingError {
    #[error(transparent)]
    Table(#[from] SchemaError),
    #[error("{}", shown(.0))]
    Database(#[from] sqlx::Error),
}

/// Tries the dead letters of a stream without a partition again, whenever its table has others,
/// until the work is to stop. Where all is read once, they are tried once.
pub(super) async fn keep_placing(shared: &Shared, database: &Database) {
    if !shared.unplaced.may_come() {
        return;
    }
    let mut was_told = false;
    if shared.plan.until_drained {
        if let Err(error) = Box::pin(place(shared, database)).await {
            error.tell(shared, &mut was_told);
        }
        return;
    }
    let placing = async {
        loop {
            let (pause, is_any) = match Box::pin(place(shared, database)).await {
                Ok(Placed::NotDivided) => return,
                Ok(Placed::None) => (PAUSE_MIN, false),
                Ok(Placed::Tried) => (PAUSE_MIN.max(shared.stream.reading.scan_every), true),
                Err(error) => {
                    error.tell(shared, &mut was_told);
                    (PAUSE_FAILED, true)
                }
            };
            tokio::time::sleep(pause).await;
            if !is_any {
                let came = shared.unplaced.came();
                drop(tokio::time::timeout(LOOK_EVERY, came).await);
            }
        }
    };
    tokio::select! {
        () = shared.plan.stop.cancelled() => {}
        () = placing => {}
    }
}

impl PlacingError {
    /// Tells it once. That the database is away is told by whoever loads.
    fn tell(&self, shared: &Shared, was_told: &mut bool) {
        let is_passing =
            matches!(self, PlacingError::Database(error) if remedy(error) == Remedy::Retry);
        if !is_passing && !std::mem::replace(was_told, true) {
            let stream = &shared.stream.name;
            tracing::warn!(%stream, "cannot retry dead letters without a partition: {self}");
        }
    }
}

/// What came of a look for dead letters without a partition.
enum Placed {
    /// The table has no partitions.
    NotDivided,
    /// There are none.
    None,
    /// All that there are were tried with the partitions of today.
    Tried,
}

/// Tries the dead letters without a partition that were not tried with the partitions of today. New
/// ones are tried once more with those that refused them: others may have come meanwhile.
async fn place(shared: &Shared, database: &Database) -> Result<Placed, PlacingError> {
    let stream = &shared.stream;
    let mut conn = database.chore().await?;
    let Some(state) = state(&mut conn, &stream.table).await? else {
        conn.keep();
        return Ok(Placed::NotDivided);
    };
    let (is_any, is_untried) =
        dead_letter::without_partition(&mut conn, &stream.name, &state).await?;
    if is_untried {
        let table = Arc::new(Table::load(&mut conn, &stream.table, &stream.fitting).await?);
        let replayed = replay(&mut conn, stream, &table, Which::default(), Some(&state)).await?;
        let placed = replayed.rows + replayed.duplicates;
        if placed > 0 {
            tracing::info!(
                stream = %stream.name,
                "{placed} records that had no partition are loaded; {} are refused still",
                replayed.refused
            );
        }
    }
    conn.keep();
    Ok(if is_any { Placed::Tried } else { Placed::None })
}
