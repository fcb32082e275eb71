//! The work on one stream: wait for the trigger, read, commit, again.

use std::sync::Arc;
use std::time::Duration;

use backon::ExponentialBackoff;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use super::ahead::ReadAhead;
use super::done::Done;
use super::ended::Ended;
use super::listing::Listing;
use super::watch::Watch;
use super::{EngineError, Event, Observer, Plan};
use crate::batch::MicroBatch;
use crate::config::Stream;
use crate::database::Database;
use crate::health::Ailment;
use crate::patience::Patience;
use crate::retry::pauses;
use crate::schema::{SchemaError, Table};
use crate::sink::{Checkpoints, Sink, SinkError, Stopped};
use crate::source::feed::{Feed, Work};
use crate::source::folder::Folder;

/// How often a file whose last line is not written whole is looked at when all else is done.
const WAITING_PAUSE: Duration = Duration::from_millis(200);

/// Works on one stream.
pub(super) async fn work(
    database: Arc<Database>,
    folder: Folder,
    stream: Stream,
    plan: Plan,
    observer: Observer,
) -> Result<(), EngineError> {
    let name = stream.name.clone();
    let result = match Worker::start(database, folder, stream, plan, observer).await {
        Ok(worker) => worker.work().await,
        Err(error) => Err(error),
    };
    match result {
        Err(Ended::Stopped) | Ok(()) => Ok(()),
        Err(Ended::Table(source)) => Err(EngineError::Table { stream: name, source }),
        Err(Ended::Sink(source)) => Err(EngineError::Sink { stream: name, source }),
        Err(Ended::Folder(source)) => Err(EngineError::Folder(source)),
        Err(Ended::Task(source)) => Err(EngineError::Task(source)),
    }
}

/// The checkpoints of the files that are there, and of some that were.
async fn load_checkpoints(sink: &mut Sink, folder: &Folder) -> Result<Checkpoints, Ended> {
    let folder = folder.clone();
    let present = spawn_blocking(move || folder.names()).await?;
    Ok(sink.checkpoints(&present).await?)
}

/// The work on one stream.
struct Worker {
    stream: Stream,
    plan: Plan,
    observer: Observer,
    folder: Folder,
    sink: Sink,
    source: ReadAhead,
    /// What becomes of finished files, unless they stay.
    done: Option<Box<Done>>,
    watch: Watch,
    listing: Listing,
    /// It was told that the folder can't be listed.
    cannot_list: Option<Ailment>,
    /// Since when nothing is left but lines that are being written.
    waiting_since: Option<Instant>,
    /// The files that have stopped the stream.
    stopped: Vec<Stopped>,
    /// The pauses to come, while another streamer works on the same files.
    rivalry: Option<ExponentialBackoff>,
    /// Whether no file is left to another streamer, as far as was told.
    is_alone: bool,
}

impl Worker {
    async fn start(
        database: Arc<Database>,
        folder: Folder,
        stream: Stream,
        plan: Plan,
        observer: Observer,
    ) -> Result<Worker, Ended> {
        let mut patience =
            Patience::new(plan.give_up_after, plan.stop.clone(), plan.health.clone());
        let table = loop {
            let mut conn = patience.connect(&database).await.map_err(SinkError::Database)?;
            match Table::load(&mut conn, &stream).await {
                Ok(table) => break Arc::new(table),
                Err(SchemaError::Catalog { source, .. }) => {
                    patience.pause(&database, source).await.map_err(SinkError::Database)?;
                }
                Err(error) => return Err(Ended::Table(error)),
            }
        };
        patience.note_success();
        let mut sink = Sink::new(database, &stream, patience);
        let stopped = sink.stopped().await?;
        let checkpoints = load_checkpoints(&mut sink, &folder).await?;
        let watch = Watch::new(folder.root().to_owned(), folder.is_deep());
        let done = Done::new(&stream, &folder, &checkpoints);
        let source = ReadAhead::new(Feed::new(stream.clone(), folder.clone(), table, checkpoints));
        let listing = Listing::default();
        Ok(Worker {
            stream,
            plan,
            observer,
            folder,
            sink,
            source,
            done,
            watch,
            listing,
            cannot_list: None,
            waiting_since: None,
            stopped,
            rivalry: None,
            is_alone: true,
        })
    }

    async fn work(mut self) -> Result<(), Ended> {
        let mut due = Instant::now();
        while self.sleep_until(due).await {
            if !self.stopped.is_empty() && !self.rest().await? {
                break;
            }
            // What stands behind a new connection may be the database of yesterday, restored.
            if !self.sink.knows_checkpoints() {
                self.rewind().await?;
            }
            let started = Instant::now();
            match self.next().await? {
                Some(Work::Batch(batch)) => {
                    if self.stream.every.is_zero() {
                        self.source.start();
                    }
                    if self.commit(&batch, started).await? {
                        due = started + self.stream.every;
                    }
                }
                Some(Work::Refused { partition, reason }) => {
                    self.sink.refuse(&partition, &reason).await?;
                    self.tell_failure(&partition, &reason);
                }
                Some(Work::Unreadable { name, error }) => {
                    self.tell_failure(&name, &format!("cannot be read now: {error}"));
                }
                None if self.plan.until_drained && self.is_drained().await? => break,
                None => self.wait_for_more().await,
            }
        }
        Ok(())
    }

    /// The next piece of work, from a new listing of the folder if it is time for one.
    async fn next(&mut self) -> Result<Option<Work>, Ended> {
        let changed = self.watch.take_change();
        let is_due = match self.plan.until_drained {
            // What comes later is not there now.
            true => self.listing.ended.is_none(),
            false => self.listing.is_due(self.stream.scan_every, changed),
        };
        if !is_due {
            let work = self.read().await?;
            if work.is_some() || self.plan.until_drained {
                return Ok(work);
            }
        }
        self.list().await?;
        self.read().await
    }

    /// The next piece of work in files that were claimed; claims more of them as need be.
    async fn read(&mut self) -> Result<Option<Work>, Ended> {
        loop {
            if let Some(work) = self.source.next().await? {
                return Ok(Some(work));
            }
            let max = self.sink.claims_max();
            let wanted = self.source.at_rest(|feed| feed.wanted(max)).await?;
            if wanted.is_empty() && !self.sink.has_claims() {
                self.is_alone = !self.source.at_rest(|feed| feed.is_passed_over()).await?;
                return Ok(None);
            }
            let claim = self.sink.claim(&wanted).await?;
            let is_passed_over = |feed: &mut Feed| {
                feed.grant(&wanted, claim);
                feed.is_passed_over()
            };
            if self.source.at_rest(is_passed_over).await? && self.is_alone {
                self.is_alone = false;
                tracing::info!(
                    stream = %self.stream.name,
                    "another streamer is at work on some of the files; leaving them to it"
                );
            }
        }
    }

    /// Lists the folder. A folder that is away may come back, unless there is no time to wait for it.
    async fn list(&mut self) -> Result<(), Ended> {
        let started = Instant::now();
        self.watch.renew();
        let listed = self.source.list().await?;
        self.listing = Listing { ended: Some(Instant::now()), cost: started.elapsed() };
        match listed {
            Ok(()) => self.cannot_list = None,
            Err(error) if self.plan.until_drained => return Err(Ended::Folder(error)),
            Err(error) if self.cannot_list.is_none() => {
                let ailment = format!("cannot list the data folder: {error}");
                tracing::warn!("{ailment}; trying again");
                self.cannot_list = Some(self.plan.health.note(ailment));
            }
            Err(_) => {}
        }
        self.tidy().await
    }

    /// Moves or removes finished files.
    async fn tidy(&mut self) -> Result<(), Ended> {
        if let Some(mut done) = self.done.take() {
            let stop = self.plan.stop.clone();
            let tidying = spawn_blocking(move || {
                done.tidy(&stop);
                done
            });
            self.done = Some(tidying.await?);
        }
        Ok(())
    }

    /// Whether all is read that was there. A last line that is still being written, and a finished file
    /// that is to be moved or removed, are waited for until they would be still, but not longer: their
    /// writer may go on for ever.
    async fn is_drained(&mut self) -> Result<bool, Ended> {
        if !self.is_alone {
            return Ok(false);
        }
        let is_tidy = self.done.as_ref().is_none_or(|done| !done.is_waiting());
        if is_tidy && !self.source.at_rest(|feed| feed.is_waiting()).await? {
            return Ok(true);
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        Ok(since.elapsed() > self.stream.settle + WAITING_PAUSE * 2)
    }

    /// Commits a micro-batch; false if it is void because another streamer was faster.
    async fn commit(&mut self, batch: &MicroBatch, started: Instant) -> Result<bool, Ended> {
        let committed = match self.sink.commit(batch).await {
            Ok(committed) => committed,
            Err(SinkError::Superseded) => {
                self.yield_to_rival().await;
                self.stopped = self.sink.stopped().await?;
                self.rewind().await?;
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        self.rivalry = None;
        self.stopped.clone_from(&committed.stopped);
        self.done.iter_mut().for_each(|done| done.note(&batch.parts, &self.stopped));
        let elapsed = started.elapsed();
        let total = committed.total();
        let more = match committed.parts.len() - 1 {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        tracing::info!(
            stream = %self.stream.name,
            read = total.records,
            rows = total.rows,
            duplicates = total.duplicates,
            dead_letters = total.dead_letters,
            path = %committed.path.name(),
            ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
            lag_bytes = batch.lag_bytes,
            file = %format_args!("{}{more}", committed.parts[0].partition),
            "committed"
        );
        (self.observer)(Event::Committed {
            stream: &self.stream.name,
            parts: &committed.parts,
            elapsed,
            bytes: batch.parts.iter().map(|part| part.end.offset - part.start_offset).sum(),
            lag_bytes: batch.lag_bytes,
        });
        Ok(true)
    }

    /// Goes on from where the checkpoints stand now.
    async fn rewind(&mut self) -> Result<(), Ended> {
        let checkpoints = load_checkpoints(&mut self.sink, &self.folder).await?;
        self.done.iter_mut().for_each(|done| done.reload(&checkpoints));
        self.source.rewind(checkpoints).await?;
        self.listing = Listing::default();
        Ok(())
    }

    /// Files have stopped the stream: says which, and waits until a person lets them go on. False if
    /// there is no time to wait.
    async fn rest(&mut self) -> Result<bool, Ended> {
        for Stopped { partition, reason, .. } in &self.stopped {
            let stream = &self.stream.name;
            tracing::error!(%stream, file = %partition, "{reason}");
            (self.observer)(Event::Stopped { stream, partition, reason });
        }
        if self.plan.until_drained {
            return Ok(false);
        }
        let files: Vec<&str> = self.stopped.iter().map(|file| file.partition.as_str()).collect();
        let ailment = format!("stream {} is stopped by {}", self.stream.name, files.join(", "));
        let _ailment = self.plan.health.note(ailment);
        while !self.stopped.is_empty() {
            if !self.sleep_until(Instant::now() + self.stream.scan_every).await {
                return Ok(false);
            }
            self.stopped = self.sink.stopped().await?;
        }
        tracing::info!(stream = %self.stream.name, "the stream goes on");
        self.rewind().await?;
        Ok(true)
    }

    /// Another streamer was faster: leaves it the work for a while, longer each time. Should it end,
    /// the next try succeeds.
    async fn yield_to_rival(&mut self) {
        let pauses = self.rivalry.get_or_insert_with(|| {
            tracing::info!(
                stream = %self.stream.name,
                "another streamer is at work on the same files; standing by"
            );
            pauses()
        });
        let pause = pauses.next().expect("pauses never end");
        tokio::select! {
            () = self.plan.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
        }
    }

    fn tell_failure(&self, partition: &str, reason: &str) {
        tracing::error!(stream = %self.stream.name, file = %partition, "not loaded: {reason}");
        (self.observer)(Event::Failed { stream: &self.stream.name, partition, reason });
    }

    /// Waits for the next trigger; false if the streamer is to stop.
    async fn sleep_until(&self, due: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.plan.stop.cancelled() => false,
            () = tokio::time::sleep_until(due) => true,
        }
    }

    /// Waits until the folder may hold something new.
    async fn wait_for_more(&mut self) {
        let cost = self.listing.cost;
        // Where somebody waits for the end, the next listing is not put off to spare the disk.
        let rest = self.stream.scan_every.max(cost * 100);
        let pause = if self.plan.until_drained { WAITING_PAUSE.max(cost) } else { rest };
        let spacing = cost * 10;
        tokio::select! {
            () = self.plan.stop.cancelled() => {}
            () = tokio::time::sleep(pause) => {}
            () = async {
                self.watch.changed().await;
                tokio::time::sleep(spacing).await;
            } => {}
        }
        self.listing.ended = None;
    }
}
