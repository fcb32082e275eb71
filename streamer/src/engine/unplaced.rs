//! Records that their table has no partition for: a stream waits for it.

use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::sync::futures::Notified;
use tokio::time::Instant;

use super::Plan;
use super::ended::Ended;
use crate::batch::MicroBatch;
use crate::config::Stream;
use crate::event::{Event, Reporter};
use crate::feed::files::Files;
use crate::health::{Ailment, Kind};
use crate::partition::Partition;
use crate::partitioning::Missing;
use crate::schema::Table;
use crate::sink::{Committed, Sink};

/// A micro-batch that waits for a partition is tried again after this time, whatever the catalog
/// says of the partitions.
const TRY_AGAIN: Duration = Duration::from_secs(60);

/// What the writers of a stream share about such records.
pub(super) struct Unplaced {
    stream: Stream,
    plan: Plan,
    reporter: Reporter,
    /// Whether the table may be divided.
    may_come: bool,
    /// There are dead letters of them.
    came: Notify,
    /// The partitions that writers wait for.
    waits: Mutex<Vec<Weak<Wait>>>,
}

/// A partition that is waited for, by one writer or several. It ends with the last of them.
struct Wait {
    words: String,
    stream: String,
    since: Instant,
    ailment: Option<Ailment>,
}

/// One writer's part in it, and the partitions that the table had when it failed the last time.
pub(super) struct Waiting {
    _wait: Arc<Wait>,
    state: Option<String>,
    /// The first partition of the micro-batch.
    first: Option<Partition>,
}

/// What is to become of a micro-batch that lacks a partition.
pub(super) enum Missed {
    /// It is to be tried once more at once.
    New,
    /// It is to wait.
    Again,
    /// All is to be read on from the checkpoints.
    PutOff,
}

impl Waiting {
    /// Whether it is `batch` that waits.
    pub(super) fn is_for(&self, batch: &MicroBatch) -> bool {
        self.first.as_ref() == batch.parts.first().map(|part| &part.partition)
    }
}

impl Unplaced {
    /// Nothing yet, of `stream` into `table`.
    pub(super) fn new(
        stream: &Stream,
        table: &Table,
        plan: &Plan,
        reporter: &Reporter,
    ) -> Unplaced {
        Unplaced {
            stream: stream.clone(),
            plan: plan.clone(),
            reporter: reporter.clone(),
            may_come: !table.is_one_heap,
            came: Notify::new(),
            waits: Mutex::default(),
        }
    }

    /// Whether there may be such records: whether the table may be divided.
    pub(super) fn may_come(&self) -> bool {
        self.may_come
    }

    /// There are dead letters of them.
    pub(super) fn came(&self) -> Notified<'_> {
        self.came.notified()
    }

    /// A micro-batch is committed.
    pub(super) fn note(&self, committed: &Committed) {
        if committed.unplaced > 0 {
            self.came.notify_one();
        }
    }

    /// Waits for what others may wait for already; if none does, it is told.
    fn begin(&self, batch: &MicroBatch, missing: &Missing) -> Arc<Wait> {
        let words = missing.to_string();
        let mut waits = self.waits.lock().unwrap_or_else(PoisonError::into_inner);
        waits.retain(|wait| wait.strong_count() > 0);
        let present = waits.iter().filter_map(Weak::upgrade).find(|wait| wait.words == words);
        present.unwrap_or_else(|| {
            self.report(batch, &words);
            let stream = self.stream.name.clone();
            let ailment = format!("stream {stream} waits: {words}");
            let ailment = self.plan.health.note_waiting(&stream, ailment);
            let ailment = Some(ailment.of_kind(Kind::Partition));
            let wait = Arc::new(Wait { words, stream, since: Instant::now(), ailment });
            waits.push(Arc::downgrade(&wait));
            wait
        })
    }

    /// The table lacks a partition for `batch`, of which nothing is in the database. A partition
    /// that was made meanwhile is not missed: after the first failure the micro-batch is to be tried
    /// at once. Where there is no time to wait, its file is left in `files`, which is told.
    pub(super) fn note_missing(
        &self,
        files: &Files,
        batch: &MicroBatch,
        missing: &Missing,
        waiting: &mut Option<Waiting>,
    ) -> Missed {
        if self.plan.until_drained {
            if files.put_off(batch.parts.iter().map(|part| &part.partition.name)) {
                self.report(batch, &missing.to_string());
            }
            return Missed::PutOff;
        }
        let before = waiting.take();
        let wait = self.begin(batch, missing);
        let is_new = before.as_ref().is_none_or(|before| before.state != missing.state);
        let first = batch.parts.first().map(|part| part.partition.clone());
        *waiting = Some(Waiting { _wait: wait, state: missing.state.clone(), first });
        if is_new { Missed::New } else { Missed::Again }
    }

    /// Waits until the table has other partitions than before the last failure, but not for ever.
    ///
    /// # Errors
    /// [`Ended::Shutdown`], or when the database can't be asked.
    pub(super) async fn wait(&self, sink: &mut Sink, missing: &Missing) -> Result<(), Ended> {
        let until = Instant::now() + TRY_AGAIN;
        while Instant::now() < until {
            tokio::select! {
                biased;
                () = self.plan.stop.cancelled() => return Err(Ended::Shutdown),
                () = tokio::time::sleep(self.stream.reading.scan_every) => {}
            }
            if sink.partitions(&missing.table).await? != missing.state {
                break;
            }
        }
        Ok(())
    }

    fn report(&self, batch: &MicroBatch, reason: &str) {
        let partition = batch.parts.first().map(|part| part.partition.text());
        self.reporter.report(&Event::Waiting {
            stream: &self.stream.name,
            partition: partition.as_deref().unwrap_or_default(),
            reason,
        });
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        drop(self.ailment.take());
        let seconds = self.since.elapsed().as_secs_f64();
        tracing::info!(stream = %self.stream, "waits no longer for a partition, after {seconds:.1} s");
    }
}
