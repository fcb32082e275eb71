//! Records that the table has no partition for: what they wait for.

use super::attempt::begin;
use super::{Sink, SinkError, in_time};
use crate::batch::MicroBatch;
use crate::database::Session;
use crate::ledger::checkpoint;
use crate::partitioning::{self, Missing, NoPartition};

impl Sink {
    /// Finds out which partition the table lacks, and notes that the micro-batch's first file waits
    /// for it. `None` if that is to be tried again, by then after a pause.
    pub(super) async fn note_missing(
        &mut self,
        mut conn: Session,
        batch: &MicroBatch,
        no_partition: &NoPartition,
    ) -> Result<Option<Missing>, SinkError> {
        let (stream, wait) = (&self.stream, self.lock_wait());
        let noting = async {
            let mut tx = begin(&mut conn, Some(wait)).await?;
            let missing = partitioning::missing(&mut tx, no_partition).await?;
            if let Some(part) = batch.parts.first() {
                let words = missing.to_string();
                checkpoint::note_wait(&mut tx, stream, &part.partition, &words).await?;
            }
            tx.commit().await?;
            Ok(missing)
        };
        let noted = in_time(noting).await;
        self.judge(conn, noted).await
    }

    /// Which partitions the table has: see [`partitioning::state`].
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn partitions(&mut self, table: &str) -> Result<Option<String>, SinkError> {
        loop {
            let (mut conn, wait) = (self.connection().await?, self.lock_wait());
            let asking = async {
                let mut tx = begin(&mut conn, Some(wait)).await?;
                let state = partitioning::state(&mut tx, table).await?;
                tx.commit().await?;
                Ok(state)
            };
            let state = in_time(asking).await;
            if let Some(state) = self.judge(conn, state).await? {
                return Ok(state);
            }
        }
    }
}
