//! Trying micro-batches without keeping anything.

use sqlx::PgConnection;

use super::bookkeeping::{Advanced, count};
use super::rows::{self, CarefulOutcome};
use crate::batch::{DeadLetter, MicroBatch, RowPlace};

/// What would become of a micro-batch's records, by part.
#[derive(Debug, Default)]
pub struct Trial {
    /// Rows that would be inserted.
    pub rows: Vec<u64>,
    /// Records that PostgreSQL would refuse; those known to be bad before are in the parts.
    pub dead: Vec<(usize, DeadLetter)>,
}

/// Writes the rows of `batch` within the caller's transaction, which is to be rolled back.
///
/// # Errors
/// Any that is not the fault of a record.
pub async fn dry_run(tx: &mut PgConnection, batch: &MicroBatch) -> Result<Trial, sqlx::Error> {
    let now = sqlx::query_scalar("select now()").fetch_one(&mut *tx).await?;
    let advanced = Advanced { batch_ids: vec![0; batch.parts.len()], now };
    let rows: Vec<RowPlace> = batch.rows.iter().filter(|row| !row.is_repeat).copied().collect();
    let rows = rows::without_existing(tx, batch, rows).await?;
    let CarefulOutcome { inserted, dead } = rows::careful(tx, batch, rows, &advanced).await?;
    let per_part = |part: usize| count(inserted.iter().filter(|row| row.part == part).count());
    Ok(Trial {
        rows: (0..batch.parts.len()).map(per_part).collect(),
        dead: dead.into_iter().map(|(row, letter)| (row.part, letter)).collect(),
    })
}
