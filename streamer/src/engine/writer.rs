//! One writer of a stream: a sink, and a feed that is read ahead of it. Several work side by side,
//! each on files of its own, so that the order within a file is kept.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex as StdMutex};

use backon::ExponentialBackoff;
use tokio::sync::{Mutex, Notify, watch};
use tokio::time::Instant;

use super::Plan;
use super::ahead::ReadAhead;
use super::done::Done;
use super::ended::Ended;
use super::halt::{Halt, Later};
use super::looks::Looks;
use super::rate::Rate;
use super::rest::Resting;
use super::unplaced::{Missed, Unplaced, Waiting};
use crate::batch::MicroBatch;
use crate::config::Stream;
use crate::event::Reporter;
use crate::feed::files::Files;
use crate::feed::lanes::Lanes;
use crate::feed::places::Places;
use crate::feed::{Feed, Work};
use crate::layout::Fits;
use crate::partition::Kind;
use crate::sink::{Sink, SinkError};

/// What the writers of one stream share.
pub(super) struct Shared {
    pub(super) stream: Stream,
    pub(super) plan: Plan,
    pub(super) reporter: Reporter,
    pub(super) places: Places,
    /// How files fit the table.
    pub(super) fits: Fits,
    pub(super) files: Files,
    /// What becomes of finished files, unless they stay.
    pub(super) done: Option<Mutex<Done>>,
    /// Records that the table has no partition for.
    pub(super) unplaced: Unplaced,
    /// Whether files have stopped the stream.
    pub(super) is_stopped: AtomicBool,
    /// Another writer has nothing left to do, or has something for the leader to see to.
    pub(super) news: Notify,
    /// Tells the others of each listing.
    pub(super) listed: watch::Sender<()>,
    /// Whether no file is left to another streamer, as far as was told.
    pub(super) is_alone: AtomicBool,
    /// The looks at the table's description.
    pub(super) looks: Looks,
    /// Whether the stream has rested and has done nothing since.
    pub(super) resting: Arc<Resting>,
    pub(super) rate: StdMutex<Rate>,
    /// Whether it was told that the pace of files is too slow for what waits.
    pub(super) is_told_slow: AtomicBool,
}

/// One writer.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) sink: Sink,
    pub(super) source: ReadAhead,
    pub(super) lanes: Lanes,
    /// Which renewal of the table's description it reads by.
    pub(super) renewals: u64,
    /// The pauses to come, while another streamer works on the same files.
    pub(super) rivalry: Option<ExponentialBackoff>,
    /// While a micro-batch waits for a partition of the table.
    pub(super) waiting: Option<Waiting>,
}

/// What a writer has done.
pub(super) enum Turn {
    /// Committed a micro-batch.
    Committed(Took),
    /// Something else.
    Other,
    /// Nothing: there is nothing to read in what was listed.
    Nothing,
}

/// What a micro-batch took.
#[derive(Debug, Clone, Copy)]
pub(super) struct Took {
    pub(super) records: u64,
    /// How many it had at most.
    pub(super) records_max: u64,
    /// Whether as many are waiting, and are not to wait any longer.
    pub(super) is_behind: bool,
    /// Whether all of it came by a listener.
    pub(super) is_spooled: bool,
}

impl Shared {
    pub(super) fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::Relaxed)
    }

    /// Files have stopped the stream: no writer takes up work until the leader lets it go on.
    pub(super) fn stop(&self) {
        self.is_stopped.store(true, Ordering::Relaxed);
        self.news.notify_one();
    }

    /// Waits until `due`; false if the writers are to end.
    pub(super) async fn sleep_until(&self, due: Instant) -> bool {
        tokio::select! {
            biased;
            () = self.plan.stop.cancelled() => false,
            () = tokio::time::sleep_until(due) => true,
        }
    }
}

impl Writer {
    pub(super) fn new(shared: Arc<Shared>, sink: Sink, lanes: Lanes) -> Writer {
        let (reading, pace) = (&shared.stream.reading, &shared.stream.pace);
        let (places, fits, files) =
            (shared.places.clone(), shared.fits.clone(), shared.files.clone());
        let memory = &shared.plan.memory;
        let feed = Feed::new(reading, pace, places, fits, files, lanes, memory);
        let source = ReadAhead::new(feed);
        let renewals = shared.fits.renewals();
        Writer { shared, sink, source, lanes, renewals, rivalry: None, waiting: None }
    }

    /// Another writer of the same stream, for these lanes.
    pub(super) fn beside(&self, lanes: Lanes) -> Writer {
        Writer::new(self.shared.clone(), self.sink.beside(), lanes)
    }

    /// Works on what the leader lists, until the end. `listed` tells of each listing.
    pub(super) async fn help(mut self, mut listed: watch::Receiver<()>) -> Result<(), Ended> {
        let stop = self.shared.plan.stop.clone();
        loop {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                _ = listed.changed() => {}
            }
            if self.shared.files.is_idle() {
                continue;
            }
            loop {
                if stop.is_cancelled() {
                    return Ok(());
                }
                if self.shared.is_stopped() {
                    self.put_down().await?;
                    break;
                }
                match self.turn(u64::MAX).await {
                    Ok(Turn::Nothing) | Err(Ended::Shutdown) => break,
                    Ok(_) => {}
                    Err(ended) => return Err(ended),
                }
            }
            self.shared.news.notify_one();
        }
    }

    /// Does the next piece of work in what was listed, at most `records_max` records of it. It has
    /// a place meanwhile, and keeps it only for what it has read ahead. A micro-batch that has to
    /// wait is put down, and read again later.
    pub(super) async fn turn(&mut self, records_max: u64) -> Result<Turn, Ended> {
        let turn = match Box::pin(self.work(records_max)).await {
            Ok(turn) => turn,
            Err(Halt::Ended(ended)) => return Err(ended),
            Err(Halt::Later(later)) => {
                self.wait(later).await?;
                Turn::Other
            }
        };
        if !self.source.is_ahead() {
            self.sink.give_place_back();
            self.source.pause().await?;
        }
        Ok(turn)
    }

    async fn work(&mut self, records_max: u64) -> Result<Turn, Halt> {
        let started = Instant::now();
        let work = self.read(records_max).await?;
        // What stands behind the connections may be the database of yesterday, restored.
        let loaded = self.shared.files.loaded();
        if self.sink.replaced().is_some_and(|replaced| replaced > loaded) {
            self.rewind().await?;
            return Ok(Turn::Other);
        }
        if self.renewals != self.shared.fits.renewals() {
            // Another writer has found the table changed. What was read by the former description
            // is read again, and so counts as not read.
            self.renewals = self.shared.fits.renewals();
            self.rewind().await?;
            return Ok(Turn::Other);
        }
        match work {
            Some(Work::Batch(mut batch)) => {
                if self.look_if_due(batch.doubts_table()).await? {
                    return Ok(Turn::Other);
                }
                if let Some(spool) = self.shared.places.spool() {
                    batch.watched = spool.watched(&batch.parts);
                }
                let turn = self.commit(&batch, started).await?;
                self.source.give_back(batch);
                return Ok(turn);
            }
            Some(Work::Refused { partition, reason }) => {
                self.shared.looks.note_misfit();
                if self.look_if_due(true).await? {
                    return Ok(Turn::Other);
                }
                self.sink.refuse(&partition, &reason).await?;
                if let Some(spool) = self.shared.places.spool() {
                    spool.note_refused(&partition.name);
                }
                self.shared.report_failure(&partition.text(), &reason);
            }
            Some(Work::Unreadable { name, error }) => {
                self.shared.report_failure(&name, &format!("cannot be read now: {error}"));
            }
            None => {
                // What was put down is found again by a listing.
                if !self.shared.is_any_left() {
                    self.sink.end_lock_wait();
                    self.waiting = None;
                }
                return Ok(Turn::Nothing);
            }
        }
        Ok(Turn::Other)
    }

    /// The next piece of work in files that were claimed; claims more of them as need be.
    async fn read(&mut self, records_max: u64) -> Result<Option<Work>, Ended> {
        loop {
            let has_work = self.source.at_rest(|feed| feed.has_work()).await?;
            if has_work || self.source.is_ready() {
                self.sink.take_place().await?;
                let is_passed_by = self.source.at_rest(|feed| feed.is_passed_by()).await?;
                if is_passed_by && !self.source.is_ready() {
                    self.claim(None).await?;
                }
                if let Some(work) = self.source.next(records_max).await? {
                    return Ok(Some(work));
                }
            }
            if !self.claim(None).await? {
                self.sink.release().await;
                let is_alone = !self.shared.files.is_passed_over();
                self.shared.is_alone.store(is_alone, Ordering::Relaxed);
                return Ok(None);
            }
        }
    }

    /// Claims the next files, behind those that are read, and committed but for `uncommitted`;
    /// false if there are none.
    async fn claim(&mut self, uncommitted: Option<&MicroBatch>) -> Result<bool, Ended> {
        let max = self.sink.claims_max();
        let request = self.source.at_rest(|feed| feed.request(max, uncommitted)).await?;
        if request.wanted.is_empty() && request.finished.is_empty() {
            return Ok(false);
        }
        let claim = self.sink.claim(&request).await?;
        self.source.at_rest(|feed| feed.grant(&request.wanted, claim)).await?;
        let is_alone = &self.shared.is_alone;
        if self.shared.files.is_passed_over() && is_alone.swap(false, Ordering::Relaxed) {
            tracing::info!(
                stream = %self.shared.stream.name,
                "another streamer is at work on some of the files; leaving them to it"
            );
        }
        Ok(!request.wanted.is_empty())
    }

    /// Commits a micro-batch, unless it is void because another streamer was faster.
    async fn commit(&mut self, batch: &MicroBatch, started: Instant) -> Result<Turn, Halt> {
        let is_behind = self.is_behind(batch).await?;
        let needs_more = |feed: &mut Feed| feed.is_low(batch) || feed.is_passed_by();
        if is_behind && self.source.at_rest(needs_more).await? {
            self.claim(Some(batch)).await?;
        }
        let mut is_sure = false;
        let committed = loop {
            let source = &mut self.source;
            let connections = self.sink.connections().clone();
            let mut read_ahead = || {
                // Who waits for a place is not to wait for a second micro-batch.
                if is_behind && !connections.is_wanted() {
                    source.start_ahead();
                }
            };
            match self.sink.commit(batch, is_sure, &mut read_ahead).await {
                Err(SinkError::Doubtful) => {
                    if self.look_if_due(true).await? {
                        return Ok(Turn::Other);
                    }
                    is_sure = true;
                }
                Err(SinkError::NoPartition(missing)) => {
                    let shared = &self.shared;
                    let waiting = &mut self.waiting;
                    match shared.unplaced.note_missing(&shared.files, batch, &missing, waiting) {
                        Missed::New => {}
                        Missed::Again => return Err(Halt::Later(Later::Partition(missing))),
                        Missed::PutOff => {
                            self.rewind().await?;
                            return Ok(Turn::Other);
                        }
                    }
                }
                committed => break committed,
            }
        };
        let committed = match committed {
            Ok(committed) => committed,
            Err(SinkError::Changed(changed)) => {
                return match self.look(false).await? {
                    true => Ok(Turn::Other),
                    false => Err(Ended::Sink(changed.into()).into()),
                };
            }
            Err(SinkError::Superseded) => {
                return Err(Halt::Later(Later::Rival));
            }
            Err(error) => return Err(Ended::from(error).into()),
        };
        self.rivalry = None;
        self.shared.resting.end();
        self.waiting.take_if(|waiting| waiting.is_for(batch));
        self.shared.unplaced.note(&committed);
        if let Some(done) = &self.shared.done {
            done.lock().await.note(&batch.parts, &committed.stopped);
        }
        let latencies = self.shared.places.spool().map(|spool| {
            let stopped = committed.stopped.iter().map(|file| &file.partition);
            spool.committed(batch, &committed.watched, stopped)
        });
        self.shared.report_commit(batch, &committed, (started, self.source.taken_in()), latencies);
        if !committed.stopped.is_empty() {
            self.shared.stop();
        }
        let is_spooled = batch.parts.iter().all(|part| part.partition.kind() == Kind::Segment);
        let (records, records_max) = (batch.records(), batch.records_max);
        Ok(Turn::Committed(Took { records, records_max, is_behind, is_spooled }))
    }
}
