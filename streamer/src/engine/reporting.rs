//! What the writers of a stream report.

use std::sync::PoisonError;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::time::Instant;

use super::writer::Shared;
use crate::batch::MicroBatch;
use crate::event::{Commit, Event, Times};
use crate::sink::Committed;

impl Shared {
    /// A file could not be loaded.
    pub(super) fn report_failure(&self, partition: &str, reason: &str) {
        self.reporter.report(&Event::Failed { stream: &self.stream.name, partition, reason });
    }

    /// The folder is listed: the stream's writers may look for work, and what is left to read is
    /// known anew.
    pub(super) fn note_listed(&self) {
        self.reporter.note_lag(&self.stream.name, self.files.lag(&self.places));
        self.listed.send_replace(());
    }

    pub(super) fn report_commit(
        &self,
        batch: &MicroBatch,
        committed: &Committed,
        (started, read): (Instant, Duration),
        latencies: Option<Vec<(u64, Duration)>>,
    ) {
        self.reporter.report(&Event::Committed(Commit {
            stream: &self.stream.name,
            parts: &committed.parts,
            taken: &batch.parts,
            path: committed.path,
            elapsed: started.elapsed(),
            times: Times { read, ..committed.times },
            bytes: batch.parts.iter().map(|part| part.bytes).sum(),
            lag: batch.lag,
            time_left: self.time_left(batch, started.elapsed()),
            records_max: self.stream.pace.records_max().is_none().then_some(batch.records_max),
            latencies: latencies.as_deref().unwrap_or_default(),
            visible: &committed.visible,
        }));
    }

    /// How long what is left will take: by the pace of files, else by how fast the stream was
    /// committed of late. A micro-batch was just committed, `elapsed` after it was begun. Tells once
    /// where the pace is too slow for what waits.
    fn time_left(&self, batch: &MicroBatch, elapsed: Duration) -> Option<Duration> {
        let mut rate = self.rate.lock().unwrap_or_else(PoisonError::into_inner);
        rate.note(batch.records(), elapsed);
        let pace = &self.stream.pace;
        let of_files = self.files.records_left().filter(|left| *left > 0);
        if let Some(text) = of_files.and_then(|left| pace.slow_text(left))
            && !self.is_told_slow.swap(true, Ordering::Relaxed)
        {
            tracing::info!(stream = %self.stream.name, "{text}");
        }
        let by_pace = of_files.and_then(|left| pace.time_for(left));
        by_pace.or_else(|| rate.time_for(batch.lag.records?))
    }
}
