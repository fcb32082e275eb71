//! The work on one stream: its leader lists the folder, keeps to the trigger and writes; further
//! writers help it where nothing is to be waited for.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use tokio::sync::{Mutex, Notify, watch};
use tokio::task::{JoinSet, spawn_blocking};
use tokio::time::Instant;

use super::compaction::Compaction;
use super::done::Done;
use super::ended::Ended;
use super::keys::tend;
use super::learned::{load, named};
use super::listing::{Costs, Listing};
use super::looks::Looks;
use super::placing::keep_placing;
use super::rate::Rate;
use super::rest::Resting;
use super::retention::Retention;
use super::unplaced::Unplaced;
use super::watch::{Watch, Watches};
use super::writer::{Shared, Turn, Writer};
use super::{EngineError, Plan};
use crate::config::Stream;
use crate::database::Database;
use crate::event::{Event, Reporter};
use crate::feed::files::{Files, LISTED_MAX};
use crate::feed::lanes;
use crate::feed::places::Places;
use crate::health::{Ailment, Kind};
use crate::layout::Fits;
use crate::ledger::stop::Stopped;
use crate::patience::Patience;
use crate::sink::{ClaimSession, Sink, SinkError};

/// How often a file whose last line is not written whole is looked at when all else is done.
const WAITING_PAUSE: Duration = Duration::from_millis(200);

/// What is worked on, and how.
#[derive(Clone)]
pub(super) struct Job {
    pub(super) database: Arc<Database>,
    pub(super) claims: ClaimSession,
    pub(super) watches: Watches,
    pub(super) places: Places,
    pub(super) stream: Stream,
    /// What listings have cost.
    pub(super) costs: Costs,
    pub(super) plan: Plan,
    pub(super) reporter: Reporter,
}

/// Works on one stream. It is started anew once what was in its way may be mended.
pub(super) async fn work(job: Job) -> Result<(), EngineError> {
    let name = job.stream.name.clone();
    let (drains, stop) = (job.plan.until_drained, job.plan.stop.clone());
    let resting = Arc::new(Resting::new(&job.stream, &job.plan.health));
    loop {
        match work_once(job.clone(), &resting).await {
            Err(Ended::Shutdown) | Ok(()) => return Ok(()),
            Err(ended) if drains || !ended.may_be_mended() => return Err(ended.of_stream(&name)),
            Err(ended) => {
                if !resting.rest(ended, &stop).await {
                    return Ok(());
                }
            }
        }
    }
}

/// Works on one stream, until something is in its way.
async fn work_once(job: Job, resting: &Arc<Resting>) -> Result<(), Ended> {
    let (drains, stop) = (job.plan.until_drained, job.plan.stop.child_token());
    // Where all is read once, old rows go after the work, whose end stops all that is beside it.
    let beside = if drains { job.plan.stop.clone() } else { stop.clone() };
    let mut retention = Retention::new(&job.database, &job.stream, &job.plan, beside.clone());
    let mut old = Compaction::new(&job.database, &job.stream, &job.plan, &job.places, beside);
    let plan = Plan { stop: stop.clone(), ..job.plan.clone() };
    // Where all is read once, nobody waits for keys to go.
    let keys = job.places.spool().filter(|_| !drains).cloned();
    let name = job.stream.name.clone();
    let database = job.database.clone();
    let leader = Box::pin(Leader::start(Job { plan, ..job }, resting.clone())).await?;
    let shared = leader.shared.clone();
    let placing = keep_placing(&shared, &database);
    let keeping = async {
        if let Some(retention) = retention.as_mut().filter(|_| !drains) {
            retention.keep_up().await;
        }
    };
    let tending = tend(keys, &name, stop);
    tokio::join!(leader.work_with_helpers(), keeping, placing, tending, old.keep_up()).0?;
    if let (true, Some(retention)) = (drains, &mut retention) {
        retention.once().await;
    }
    old.at_end().await;
    Ok(())
}

/// The first writer of a stream.
struct Leader {
    writer: Writer,
    shared: Arc<Shared>,
    watch: Watch,
    listing: Listing,
    /// Whether nothing was done since the last listing.
    is_listing_new: bool,
    /// It was told that the folder can't be listed.
    cannot_list: Option<Ailment>,
    /// Since when nothing is left but lines that are being written.
    waiting_since: Option<Instant>,
}

impl Leader {
    async fn start(job: Job, resting: Arc<Resting>) -> Result<Leader, Ended> {
        let Job { database, claims, watches, places, stream, costs, plan, reporter } = job;
        let (stop, health) = (plan.stop.clone(), plan.health.clone());
        let mut patience = Patience::new(plan.give_up_after, stop, health).of_table(&stream.table);
        let places = loop {
            match named(&places, &database).await {
                Ok(places) => break places,
                Err(e) => patience.pause(&database, e).await.map_err(SinkError::Database)?,
            }
        };
        patience.note_success();
        let for_spool = Arc::downgrade(&database);
        let mut sink = Sink::new(database, &stream, patience, claims, &plan.memory);
        let table = Arc::new(sink.describe(&stream.table, &stream.fitting).await?);
        let is_stopped = !sink.stopped().await?.is_empty();
        let done = Done::new(&stream, places.folder(), &plan.memory);
        if let Some(spool) = places.spool() {
            spool.forget_committed();
        }
        let loaded = load(&mut sink, &places, done.is_some()).await?;
        let done = done.map(|mut done| {
            done.reload(&loaded.checkpoints);
            Mutex::new(done)
        });
        let watch = Watch::new(places.folder().clone(), watches);
        let unplaced = Unplaced::new(&stream, &table, &plan, &reporter);
        let shared = Arc::new(Shared {
            fits: Fits::new(table, &stream.fitting),
            files: Files::new(&stream.reading, loaded.standing),
            stream,
            plan,
            reporter,
            places,
            done,
            unplaced,
            is_stopped: AtomicBool::new(is_stopped),
            news: Notify::new(),
            listed: watch::Sender::new(()),
            is_alone: AtomicBool::new(true),
            looks: Looks::default(),
            resting,
            rate: StdMutex::new(Rate::new()),
            is_told_slow: AtomicBool::new(false),
        });
        if let Some(spool) = shared.places.spool() {
            spool.open(shared.fits.clone(), for_spool);
        }
        let lanes = if shared.is_paced() { lanes::FILES } else { lanes::ALL };
        Ok(Leader {
            writer: Writer::new(shared.clone(), sink, lanes),
            shared,
            watch,
            listing: Listing::new(costs),
            is_listing_new: false,
            cannot_list: None,
            waiting_since: None,
        })
    }

    /// Works with as many writers as the stream is to have. Where files have a pace, one micro-batch
    /// of them is committed at a time, and so one writer does, beside the one for listeners.
    async fn work_with_helpers(self) -> Result<(), Ended> {
        let stop = self.shared.plan.stop.clone();
        let shared = &self.shared;
        let mut tasks = JoinSet::new();
        if !shared.is_paced() {
            for _ in 1..shared.stream.pace.writers {
                tasks.spawn(self.writer.beside(lanes::ALL).help(shared.listed.subscribe()));
            }
        } else if shared.places.spool().is_some() {
            tasks.spawn(self.writer.beside(lanes::SPOOL).serve(shared.listed.subscribe()));
        }
        tasks.spawn(self.lead());
        let mut outcome = Ok(());
        while let Some(joined) = tasks.join_next().await {
            stop.cancel();
            outcome = outcome.and(joined.map_err(Ended::Task).flatten());
        }
        outcome
    }

    async fn lead(mut self) -> Result<(), Ended> {
        let mut due = Instant::now();
        while self.shared.sleep_until(due).await {
            if self.shared.is_stopped() && !Box::pin(self.rest()).await? {
                break;
            }
            if self.is_listing_due() {
                Box::pin(self.list()).await?;
            }
            self.take_spooled().await?;
            let started = Instant::now();
            let turn = match self.shared.is_paced() {
                true => self.writer.trigger().await?,
                false => self.writer.turn(u64::MAX).await?,
            };
            match turn {
                Turn::Committed(took) => {
                    let pause = self.shared.stream.pace.every;
                    due = if took.is_behind { started } else { started + pause };
                    // A listener tells by itself when there is more.
                    self.is_listing_new &= took.is_spooled;
                }
                Turn::Other => self.is_listing_new = false,
                Turn::Nothing => {
                    if !self.look_for_more().await? {
                        break;
                    }
                }
            }
        }
        Ok(())
    }

    /// All that was listed is read: finds out whether there is more, and waits for it if there is
    /// none now. False if the work is done.
    async fn look_for_more(&mut self) -> Result<bool, Ended> {
        if self.take_spooled().await? {
            return Ok(true);
        }
        // What another writer has in hand, or is to commit, may be what is in the way.
        if self.is_listing_new && !self.shared.is_any_elsewhere() {
            self.shared.resting.end();
        }
        if self.shared.plan.until_drained {
            if self.is_drained().await {
                return Ok(false);
            }
        } else if !self.is_listing_new {
            self.listing.request();
            return Ok(true);
        }
        self.wait_for_more().await?;
        Ok(true)
    }

    /// Takes down what has come by the stream's listeners, where no writer of its own does; returns
    /// whether there is anything.
    async fn take_spooled(&self) -> Result<bool, Ended> {
        let is_any = !self.shared.is_paced() && self.shared.take_spooled().await?;
        if is_any {
            self.shared.listed.send_replace(());
        }
        Ok(is_any)
    }

    fn is_listing_due(&mut self) -> bool {
        let changed = self.watch.take_change();
        let is_time = match self.shared.plan.until_drained {
            // What comes later is not there now.
            true => self.listing.is_requested(),
            false => self.listing.is_due(self.shared.stream.reading.scan_every, changed),
        };
        is_time || self.shared.files.needs_listing()
    }

    /// Lists the folder. A folder that is away may come back, unless there is no time to wait for
    /// it.
    async fn list(&mut self) -> Result<(), Ended> {
        let turn = self.listing.turn().await;
        let started = Instant::now();
        self.watch.renew();
        let shared = self.shared.clone();
        let listed = spawn_blocking(move || shared.files.list(&shared.places, LISTED_MAX)).await?;
        self.listing.note(started);
        drop(turn);
        self.is_listing_new = true;
        match listed {
            Ok(()) => {
                tracing::debug!(stream = %self.shared.stream.name, cost = ?self.listing.cost(), "listed");
                self.cannot_list = None;
                self.shared.note_listed();
            }
            Err(error) if self.shared.plan.until_drained => return Err(Ended::Folder(error)),
            Err(error) if self.cannot_list.is_none() => {
                let ailment = format!("cannot list the data folder: {error}");
                tracing::warn!("{ailment}; trying again");
                self.cannot_list = Some(self.shared.plan.health.note(ailment));
            }
            Err(_) => {}
        }
        self.tidy().await
    }

    /// Moves or removes finished files.
    async fn tidy(&mut self) -> Result<(), Ended> {
        if self.shared.done.is_some() {
            let shared = self.shared.clone();
            let tidying = spawn_blocking(move || {
                let done = shared.done.as_ref();
                done.into_iter().for_each(|done| done.blocking_lock().tidy(&shared.plan.stop));
            });
            tidying.await?;
        }
        Ok(())
    }

    /// Whether all is read that was there. A last line that is still being written, and a finished
    /// file that is to be moved or removed, are waited for until they would be still, but not
    /// longer: their writer may go on for ever.
    async fn is_drained(&mut self) -> bool {
        let files = &self.shared.files;
        if !files.is_idle() || files.is_passed_over() {
            return false;
        }
        let is_tidy = match &self.shared.done {
            Some(done) => !done.lock().await.is_waiting(),
            None => true,
        };
        if is_tidy && !files.is_waiting() {
            return true;
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let until = since + self.shared.stream.reading.settle + WAITING_PAUSE * 2;
        // Only a look that began after that time would have seen them still, however slow the
        // machine is.
        self.listing.ended_after(until + self.listing.cost())
    }

    /// Files have stopped the stream: says which, and waits until a person lets them go on. False
    /// if there is no time to wait.
    async fn rest(&mut self) -> Result<bool, Ended> {
        let shared = self.shared.clone();
        let (stream, plan) = (&shared.stream, &shared.plan);
        self.writer.put_down().await?;
        let mut stopped = self.writer.sink.stopped().await?;
        for Stopped { partition, reason, .. } in &stopped {
            let (stream, partition) = (stream.name.as_str(), &*partition.text());
            shared.reporter.report(&Event::Stopped { stream, partition, reason });
        }
        if plan.until_drained && !stopped.is_empty() {
            return Ok(false);
        }
        let files: Vec<_> = stopped.iter().map(|one| one.partition.text().into_owned()).collect();
        let ailment = format!("stream {} is stopped by {}", stream.name, files.join(", "));
        let _ailment = plan.health.note_of(&stream.name, ailment).of_kind(Kind::Stopped { files });
        while !stopped.is_empty() {
            if !shared.sleep_until(Instant::now() + stream.reading.scan_every).await {
                return Ok(false);
            }
            stopped = self.writer.sink.stopped().await?;
        }
        tracing::info!(stream = %stream.name, "the stream goes on");
        shared.is_stopped.store(false, Ordering::Relaxed);
        self.writer.rewind().await?;
        Ok(true)
    }

    /// Waits until there may be something new: in the folder, which is then to be listed again, or
    /// told by another writer.
    async fn wait_for_more(&mut self) -> Result<(), Ended> {
        let shared = &self.shared;
        // Where somebody waits for the end, the next listing is not put off to spare the disk; but
        // none is needed as long as others are at work on what there was.
        let drains = shared.plan.until_drained;
        let listens = !(drains && shared.files.is_any_in_hand());
        let pause = match drains {
            true => WAITING_PAUSE.max(self.listing.cost()),
            false => self.listing.rest(shared.stream.reading.scan_every),
        };
        let changed = async {
            self.watch.changed().await;
            tokio::time::sleep(self.listing.spacing()).await;
        };
        tokio::select! {
            () = shared.plan.stop.cancelled() => {}
            () = shared.news.notified() => return Ok(()),
            () = shared.spool_due(), if !shared.is_paced() => return Ok(()),
            () = shared.fits.misfit() => {
                self.writer.look_if_due(true).await?;
                return Ok(());
            }
            () = tokio::time::sleep(pause), if listens => {}
            () = changed, if listens => {}
        }
        self.listing.request();
        if self.shared.looks.has_misfits() {
            self.writer.look_if_due(true).await?;
        }
        Ok(())
    }
}
