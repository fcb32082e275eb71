//! Trying micro-batches without keeping anything.

use std::time::Duration;

use sqlx::{PgConnection, Postgres, Transaction};

use super::attempt::begin;
use super::careful::careful;
use super::lookup;
use super::rows::Written;
use crate::batch::{DeadLetter, MicroBatch, count};
use crate::config::OnMissingPartition;
use crate::ledger::checkpoint::Advanced;
use crate::ledger::unchanged;
use crate::partitioning::{self, Missing, NoPartition};

/// How long a trial waits for a lock.
const LOCK_WAIT: Duration = Duration::from_secs(5);

/// What would become of a micro-batch's records, by part.
#[derive(Debug, Default)]
pub struct Trial {
    /// Rows that would be inserted.
    pub rows: Vec<u64>,
    /// Records that PostgreSQL would refuse; those known to be bad before are in the parts.
    pub dead: Vec<(usize, DeadLetter)>,
}

/// A transaction for trying micro-batches, to be rolled back.
#[derive(Debug)]
pub struct DryRun<'c> {
    tx: Transaction<'c, Postgres>,
}

impl<'c> DryRun<'c> {
    /// Begins it. It waits no longer than a few seconds for a streamer that is at work on the same
    /// keys.
    ///
    /// # Errors
    /// When the database can't be asked.
    pub async fn begin(conn: &'c mut PgConnection) -> Result<DryRun<'c>, sqlx::Error> {
        Ok(DryRun { tx: begin(conn, Some(LOCK_WAIT)).await? })
    }

    /// Writes the rows of `batch`, beside those of the ones before. Gives the partition that they
    /// would wait for instead, if `on_missing` says so.
    ///
    /// # Errors
    /// Any that is not the fault of a record.
    pub async fn try_out(
        &mut self,
        batch: &MicroBatch,
        on_missing: OnMissingPartition,
    ) -> Result<Result<Trial, Missing>, sqlx::Error> {
        match self.write(batch, on_missing).await {
            Err(sqlx::Error::Configuration(error)) if error.is::<NoPartition>() => {
                let missing = error.downcast::<NoPartition>().expect("it was looked at");
                partitioning::missing(&mut self.tx, &missing).await.map(Err)
            }
            tried => tried.map(Ok),
        }
    }

    async fn write(
        &mut self,
        batch: &MicroBatch,
        on_missing: OnMissingPartition,
    ) -> Result<Trial, sqlx::Error> {
        let tx = &mut *self.tx;
        let now = sqlx::query_scalar("select now()").fetch_one(&mut *tx).await?;
        let advanced = Advanced { batch_ids: vec![0; batch.parts.len()], now };
        let grouped = lookup::grouped(tx, batch).await?;
        let batch = grouped.as_ref().unwrap_or(batch);
        let rows = lookup::without_existing(tx, batch, &batch.first_of_each_key()).await?;
        let Written { inserted, dead } = careful(tx, batch, &rows, &advanced, on_missing).await?;
        unchanged::demand(tx, batch).await?;
        let per_part = |part: usize| count(inserted.iter().filter(|row| row.part == part).count());
        Ok(Trial {
            rows: (0..batch.parts.len()).map(per_part).collect(),
            dead: dead.into_iter().map(|(row, letter)| (row.part, letter)).collect(),
        })
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// When the connection is lost; everything is taken back then, too.
    pub async fn end(self) -> Result<(), sqlx::Error> {
        self.tx.rollback().await
    }
}
