//! Records that the table has no partition for: what they wait for.

use sqlx::PgConnection;

use super::{Sink, SinkError, in_time};
use crate::batch::MicroBatch;
use crate::ledger::checkpoint;
use crate::partitioning::{self, Missing, NoPartition};
use crate::patience::Impatience;

impl Sink {
    /// Finds out which partition the table lacks, and notes that the micro-batch's first file waits
    /// for it. `None` if that is to be tried again, by then after a pause.
    pub(super) async fn note_missing(
        &mut self,
        mut conn: PgConnection,
        batch: &MicroBatch,
        no_partition: &NoPartition,
    ) -> Result<Option<Missing>, Impatience> {
        let stream = &self.stream;
        let noting = async {
            let missing = partitioning::missing(&mut conn, no_partition).await?;
            if let Some(part) = batch.parts.first() {
                let words = missing.to_string();
                checkpoint::note_wait(&mut conn, stream, &part.partition, &words).await?;
            }
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
            let mut conn = self.connection().await?;
            let state = in_time(partitioning::state(&mut conn, table)).await;
            if let Some(state) = self.judge(conn, state).await? {
                return Ok(state);
            }
        }
    }
}
