//! Bookkeeping that has grown old: it is made smaller in small steps beside the loading. What each
//! step may do, the ledger's `compaction` says.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Connection;
use tokio::task::spawn_blocking;
use tokio_util::sync::CancellationToken;

use super::Plan;
use super::ranges::ranges;
use crate::advice::advise;
use crate::config::Stream;
use crate::database::{Aside, Database};
use crate::feed::places::Places;
use crate::ledger::compaction;
use crate::partition::{Kind, Partition};
use crate::retry::{Remedy, remedy, shown};

/// The first round begins so long after the start: what comes first is to load.
const FIRST_AFTER: Duration = Duration::from_secs(60);

/// So long after a round follows the next one, whichever streamer does it: about, so that one that
/// looks again after an hour finds it due.
const PAUSE: Duration = Duration::from_secs(3600);
const DUE_AFTER: Duration = Duration::from_secs(3500);

/// Where all is read once, a round at the end takes no longer than this.
const AT_END_MAX: Duration = Duration::from_secs(5);

/// The care for a stream's old bookkeeping.
pub(super) struct Compaction {
    database: Arc<Database>,
    stop: CancellationToken,
    drains: bool,
    stream: String,
    keep: Option<Duration>,
    data: PathBuf,
    /// What keeps it from being done, once it was told.
    trouble: Option<String>,
}

/// What a round did.
#[derive(Debug, Default)]
struct Tally {
    merged: usize,
    ranges: u64,
    checkpoints: u64,
    letters: u64,
}

/// Steps of one round, on a connection of its own.
struct Round<'a> {
    conn: Aside,
    of: &'a Compaction,
    /// When it is to end, done or not.
    until: Option<Instant>,
    /// Whether something was left to do.
    is_cut: bool,
    tally: Tally,
}

/// How a step has ended.
enum Step {
    More,
    Last,
    /// Another streamer is at it.
    Busy,
}

impl Compaction {
    /// Of `stream`, whose files are in `places`. It ends with `stop`.
    pub(super) fn new(
        database: &Arc<Database>,
        stream: &Stream,
        plan: &Plan,
        places: &Places,
        stop: CancellationToken,
    ) -> Compaction {
        Compaction {
            database: database.clone(),
            stop,
            drains: plan.until_drained,
            stream: stream.name.clone(),
            keep: stream.when_done.keep_bookkeeping,
            data: places.folder().root().to_owned(),
            trouble: None,
        }
    }

    /// Does a round now and then, until `stop`; none where all is read once.
    pub(super) async fn keep_up(&mut self) {
        let mut pause = FIRST_AFTER;
        while !self.drains && !self.stop.is_cancelled() {
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
            self.round(None).await;
            pause = PAUSE;
        }
    }

    /// Does a short round where all was read once.
    pub(super) async fn at_end(&mut self) {
        if self.drains && !self.stop.is_cancelled() {
            self.round(Some(Instant::now() + AT_END_MAX)).await;
        }
    }

    /// Does a round, and tells what it did, or once why it can't be done.
    async fn round(&mut self, until: Option<Instant>) {
        let error = match Box::pin(self.try_round(until)).await {
            Ok(tally) => {
                self.trouble = None;
                tally.tell(&self.stream);
                return;
            }
            // That the database is away is told by who loads.
            Err(error) if remedy(&error) == Remedy::Retry => return,
            Err(error) => error,
        };
        let mut told =
            format!("old bookkeeping of stream {} stays as it is: {}", self.stream, shown(&error));
        if self.trouble.as_ref() != Some(&told) {
            self.trouble = Some(told.clone());
            if let Some(advice) = advise(&self.database, None, &error).await {
                told += &format!("; {advice}");
            }
            tracing::warn!("{told}");
        }
    }

    async fn try_round(&self, until: Option<Instant>) -> Result<Tally, sqlx::Error> {
        let mut conn = self.database.chore().await?;
        if !compaction::is_due(&mut conn, &self.stream, DUE_AFTER).await? {
            conn.keep();
            return Ok(Tally::default());
        }
        let mut round = Round { conn, of: self, until, is_cut: false, tally: Tally::default() };
        round.merge().await?;
        round.shrink_checkpoints().await?;
        round.drop_letters().await?;
        if !round.is_cut {
            compaction::note_done(&mut round.conn, &self.stream).await?;
        }
        round.conn.keep();
        Ok(round.tally)
    }
}

impl Round<'_> {
    /// Merges micro-batches, in order of place.
    async fn merge(&mut self) -> Result<(), sqlx::Error> {
        let mut from = (String::new(), 0);
        loop {
            let started = Instant::now();
            let step = self.merge_step(&mut from).await?;
            if self.is_over(step, started).await {
                return Ok(());
            }
        }
    }

    async fn merge_step(&mut self, from: &mut (String, i64)) -> Result<Step, sqlx::Error> {
        let mut tx = self.conn.begin().await?;
        if !compaction::begin_step(&mut tx, &self.of.stream).await? {
            return Ok(Step::Busy);
        }
        let (lines, is_more) = compaction::old_lines(&mut tx, &self.of.stream, from).await?;
        let (merges, last) = ranges(&lines);
        if merges.ranges > 0 {
            let ranges = compaction::merge(&mut tx, &merges.numbers, &merges.into).await?;
            if ranges != merges.ranges {
                // Somebody resets the stream.
                return Ok(Step::Busy);
            }
        }
        tx.commit().await?;
        self.tally.merged += merges.numbers.len();
        self.tally.ranges += merges.ranges;
        *from = last.unwrap_or_default();
        Ok(if is_more { Step::More } else { Step::Last })
    }

    /// Makes checkpoints smaller, in order of partition.
    async fn shrink_checkpoints(&mut self) -> Result<(), sqlx::Error> {
        let mut after = String::new();
        loop {
            let started = Instant::now();
            let step = self.checkpoints_step(&mut after).await?;
            if self.is_over(step, started).await {
                return Ok(());
            }
        }
    }

    async fn checkpoints_step(&mut self, after: &mut String) -> Result<Step, sqlx::Error> {
        let stream = &self.of.stream;
        let (found, is_more) = compaction::next_checkpoints(&mut self.conn, stream, after).await?;
        let Some(last) = found.last() else { return Ok(Step::Last) };
        *after = last.partition.clone();
        let (mut segments, mut stamped) = (Vec::new(), Vec::new());
        for old in found.into_iter().filter(|old| old.is_settled) {
            match Partition::parse(&old.partition).kind() {
                Kind::Segment => segments.push(old.partition),
                Kind::File if old.has_stamps => stamped.push(old.partition),
                Kind::File => {}
            }
        }
        let data = self.of.data.clone();
        let looking = spawn_blocking(move || gone(&data, stamped));
        let gone = looking.await.map_err(|_panic| sqlx::Error::WorkerCrashed)?;
        if !segments.is_empty() || !gone.is_empty() {
            let mut tx = self.conn.begin().await?;
            if !compaction::begin_step(&mut tx, stream).await? {
                return Ok(Step::Busy);
            }
            let dropped = compaction::drop_segments(&mut tx, stream, &texts(&segments)).await?;
            let shrunk = compaction::drop_stamps(&mut tx, stream, &texts(&gone)).await?;
            tx.commit().await?;
            self.tally.checkpoints += dropped + shrunk;
        }
        Ok(if is_more { Step::More } else { Step::Last })
    }

    /// Removes resolved dead letters, the oldest first.
    async fn drop_letters(&mut self) -> Result<(), sqlx::Error> {
        let Some(keep) = self.of.keep else { return Ok(()) };
        loop {
            let started = Instant::now();
            let step = self.letters_step(keep).await?;
            if self.is_over(step, started).await {
                return Ok(());
            }
        }
    }

    async fn letters_step(&mut self, keep: Duration) -> Result<Step, sqlx::Error> {
        let mut tx = self.conn.begin().await?;
        if !compaction::begin_step(&mut tx, &self.of.stream).await? {
            return Ok(Step::Busy);
        }
        let (letters, is_more) = compaction::drop_letters(&mut tx, &self.of.stream, keep).await?;
        tx.commit().await?;
        self.tally.letters += letters;
        Ok(if is_more { Step::More } else { Step::Last })
    }

    /// Whether a step that began at `started` was the last of its kind. Else it pauses for as long
    /// as that took, which leaves half of the time to others.
    async fn is_over(&mut self, step: Step, started: Instant) -> bool {
        if matches!(step, Step::More) && self.until.is_none() {
            tokio::select! {
                () = self.of.stop.cancelled() => {}
                () = tokio::time::sleep(started.elapsed()) => {}
            }
        }
        let is_late = self.until.is_some_and(|until| Instant::now() >= until);
        match step {
            Step::Last => true,
            Step::More if !is_late && !self.of.stop.is_cancelled() => false,
            Step::More | Step::Busy => {
                self.is_cut = true;
                true
            }
        }
    }
}

impl Tally {
    fn tell(&self, stream: &str) {
        let Tally { merged, ranges, checkpoints, letters } = self;
        if *ranges + checkpoints + letters > 0 {
            tracing::info!(
                %stream,
                "made old bookkeeping smaller: {merged} lines of micro-batches are {ranges} now, {checkpoints} \
                 checkpoints are shorter or gone, {letters} resolved dead letters are removed"
            );
        }
    }
}

/// Those of the files that are not below the folder `data`; none, if that is not there itself.
fn gone(data: &Path, mut files: Vec<String>) -> Vec<String> {
    let is_gone = |path: &Path| {
        path.symlink_metadata().is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    if is_gone(data) {
        return Vec::new();
    }
    files.retain(|file| is_gone(&data.join(Partition::parse(file).name.path())));
    files
}

fn texts(partitions: &[String]) -> Vec<&str> {
    partitions.iter().map(String::as_str).collect()
}
