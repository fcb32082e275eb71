//! When micro-batches start: those of files by the pace of their stream, those of what has come by
//! a listener as soon as enough of it waits or the oldest has waited for long enough.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::ended::Ended;
use super::writer::{Shared, Took, Turn, Writer};
use crate::batch::MicroBatch;
use crate::feed::lanes;

impl Shared {
    /// Whether files have a pace. Else micro-batches follow each other, of whatever there is.
    pub(super) fn is_paced(&self) -> bool {
        !self.stream.pace.every.is_zero()
    }

    /// Waits until what has come by the stream's listeners is to be committed.
    pub(super) async fn spool_due(&self) {
        let Some(spool) = self.places.spool() else { return std::future::pending().await };
        loop {
            let Some(due) = self.next_spool_due() else {
                spool.grown().await;
                continue;
            };
            tokio::select! {
                biased;
                () = tokio::time::sleep_until(due) => return,
                () = spool.grown() => {}
            }
        }
    }

    /// Whether there is something that the leader does not see to: in another writer's hands, or for
    /// the one of what has come by listeners.
    pub(super) fn is_any_elsewhere(&self) -> bool {
        let spooled = self.places.spool().filter(|_| self.is_paced());
        self.files.is_any_in_hand() || spooled.is_some_and(|spool| spool.backlog().0 > 0)
    }

    /// Whether anything is left to read, as far as is known.
    pub(super) fn is_any_left(&self) -> bool {
        let spool = self.places.spool();
        !self.files.is_idle() || spool.is_some_and(|spool| spool.backlog().0 > 0)
    }

    /// Takes down what has come by the stream's listeners, if it is due; returns whether there is
    /// anything. Deletes what of it is committed.
    pub(super) async fn take_spooled(&self) -> Result<bool, Ended> {
        let Some(spool) = self.places.spool() else { return Ok(false) };
        if spool.has_finished() {
            let spool = spool.clone();
            spawn_blocking(move || spool.tidy()).await?;
        }
        let is_due = self.next_spool_due().is_some_and(|due| due <= Instant::now());
        Ok(is_due && self.files.take_spooled(&self.places))
    }

    /// When what has come by the stream's listeners is to be committed.
    fn next_spool_due(&self) -> Option<Instant> {
        let pace = &self.stream.pace;
        // Where all is read once, nothing more is waited for.
        let linger = if self.plan.until_drained { Duration::ZERO } else { pace.linger };
        let due = self.files.spool_due(&self.places, pace.records_enough(), linger);
        due.map(Instant::from_std)
    }
}

impl Writer {
    /// Commits up to as many records as a micro-batch has at most: in as many transactions as they
    /// have headers.
    pub(super) async fn trigger(&mut self) -> Result<Turn, Ended> {
        let mut sum: Option<Took> = None;
        loop {
            let left = sum.map_or(u64::MAX, |sum| sum.records_max - sum.records);
            let turn = self.turn(left).await?;
            let Turn::Committed(took) = turn else { return Ok(sum.map_or(turn, Turn::Committed)) };
            let records_max = sum.map_or(took.records_max, |sum| sum.records_max);
            let records = sum.map_or(0, |sum| sum.records) + took.records;
            let sum = *sum.insert(Took { records, records_max, ..took });
            let is_to_end = self.shared.is_stopped() || self.shared.plan.stop.is_cancelled();
            if records >= records_max || is_to_end {
                return Ok(Turn::Committed(sum));
            }
        }
    }

    /// Whether the next micro-batch is to follow at once, and so is read ahead: always, where files
    /// have no pace, else while a full one is waiting.
    pub(super) async fn is_behind(&mut self, batch: &MicroBatch) -> Result<bool, Ended> {
        let pace = &self.shared.stream.pace;
        if self.lanes == lanes::ALL {
            return Ok(true);
        }
        if self.lanes == lanes::FILES && !pace.catch_up || batch.records() < batch.records_max {
            return Ok(false);
        }
        Ok(self.source.at_rest(|feed| feed.waiting()).await? >= batch.records_max)
    }

    /// Commits what comes by the stream's listeners, until the end; `listed` tells of each listing.
    /// For a stream whose files have a pace.
    pub(super) async fn serve(mut self, mut listed: watch::Receiver<()>) -> Result<(), Ended> {
        let shared = self.shared.clone();
        let mut is_behind = false;
        loop {
            tokio::select! {
                biased;
                () = shared.plan.stop.cancelled() => return Ok(()),
                () = std::future::ready(()), if is_behind => {}
                () = shared.spool_due(), if !shared.is_stopped() => {}
                // What others have left behind was found, or the stream goes on.
                _ = listed.changed() => {}
            }
            if shared.is_stopped() {
                self.put_down().await?;
                is_behind = false;
                continue;
            }
            shared.take_spooled().await?;
            let turn = self.trigger().await?;
            is_behind = match turn {
                Turn::Committed(took) => took.records >= took.records_max,
                Turn::Other => true,
                Turn::Nothing => false,
            };
        }
    }
}
