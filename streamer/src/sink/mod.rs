//! The sink: each micro-batch becomes one transaction of rows, dead letters and checkpoint, exactly
//! once.
//!
//! Three paths lead to the same result. *Direct* copies the rows straight in. When PostgreSQL
//! refuses a duplicate key, *filtered* asks first which keys are there: of all, and later only of
//! the recent ones, as long as the duplicates are of those. When it refuses a row for another
//! reason, *careful* splits the rows until each offender stands alone. The checkpoint moves by
//! compare-and-set first of all, so a replay or a second writer is stopped before it writes a row.

mod attempt;
mod careful;
mod claims;
mod dry_run;
mod first_path;
mod plans;
mod recent;
mod replay;
mod rows;
mod unplaced;
mod watched;

use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::PgConnection;

pub use claims::claimed;
pub use dry_run::{DryRun, Trial};
use first_path::{Duplicates, FirstPath};
pub use replay::{Replayed, replay};

use crate::batch::{Counts, MicroBatch, PartOutcome, Path};
use crate::config::{OnMissingPartition, Stream};
use crate::database::Database;
use crate::latency::Visible;
use crate::ledger::checkpoint;
use crate::ledger::stop::{self, Stopped};
use crate::limit::DeadLetterLimit;
use crate::partition::Partition;
use crate::partition::claim::{Claim, ClaimRequest};
use crate::partition::standing::{Loaded, Survey};
use crate::partitioning::Missing;
use crate::patience::{Impatience, Patience};
use attempt::{Attempt, Failure};
use claims::Claims;
use plans::StatementPlans;
use recent::Recent;

/// After this time without an end a transaction's connection is given up; the checkpoint then tells
/// whether it was committed.
const STALL: Duration = Duration::from_secs(300);

/// How often the keys are looked up anew when another writer keeps adding some, before the careful
/// path.
const FILTERED_TRIES: u32 = 2;

/// Writes the micro-batches of one stream.
#[derive(Debug)]
pub struct Sink {
    database: Arc<Database>,
    stream: String,
    /// For how long an Idempotency-Key is remembered.
    keep: Duration,
    conn: Option<PgConnection>,
    first_path: FirstPath,
    recent: Recent,
    /// How many dead letters a file may have.
    limit: Option<DeadLetterLimit>,
    on_missing: OnMissingPartition,
    claims: Claims,
    plans: StatementPlans,
    /// Whether there was a connection, and when it was replaced the last time.
    was_connected: bool,
    reconnected: Option<Instant>,
    patience: Patience,
}

/// What a transaction did.
#[derive(Debug, Clone)]
pub struct Committed {
    /// One entry for each part of the micro-batch, in its order.
    pub parts: Vec<PartOutcome>,
    /// How the rows went in.
    pub path: Path,
    duplicates: Duplicates,
    /// The partitions that had too many dead letters: nothing more of the stream is to be loaded.
    pub stopped: Vec<Stopped>,
    /// How many of the dead letters have no partition.
    pub unplaced: u64,
    /// What became of the records that somebody waits for, in the order of [`MicroBatch::watched`].
    pub watched: Vec<Counts>,
    /// How late the rows were, as of the COMMIT's reply; where that was lost, of when it was found
    /// out.
    pub visible: Visible,
}

/// Why a micro-batch is not committed.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// The checkpoint stands elsewhere: another streamer has been at work. Read on from there.
    #[error("the checkpoint has moved: another streamer works on the same files")]
    Superseded,
    /// The table lacks a partition that records are to wait for. Nothing of the micro-batch is in the
    /// database; that its first file waits is noted there.
    #[error(transparent)]
    NoPartition(#[from] Missing),
    /// There is no database to commit to.
    #[error(transparent)]
    Database(#[from] Impatience),
}

impl Sink {
    /// A sink for a stream.
    pub fn new(database: Arc<Database>, stream: &Stream, patience: Patience) -> Sink {
        let pace = &stream.pace;
        Sink {
            database,
            stream: stream.name.clone(),
            keep: stream.listeners.idempotency_keep,
            conn: None,
            first_path: FirstPath::new(),
            recent: Recent::default(),
            limit: pace.dead_letters_max,
            on_missing: pace.on_missing_partition,
            claims: Claims::new(pace.writers),
            plans: StatementPlans::new(),
            was_connected: false,
            reconnected: None,
            patience,
        }
    }

    /// Another sink for the same stream, with a connection of its own.
    pub fn beside(&self) -> Sink {
        Sink {
            database: self.database.clone(),
            stream: self.stream.clone(),
            keep: self.keep,
            conn: None,
            first_path: FirstPath::new(),
            recent: self.recent.clone(),
            limit: self.limit,
            on_missing: self.on_missing,
            claims: self.claims.beside(),
            plans: StatementPlans::new(),
            was_connected: false,
            reconnected: None,
            patience: self.patience.beside(),
        }
    }

    /// Commits `batch`, whatever it takes: waits for a database that is away, and takes the careful
    /// path for rows that it refuses. `busy` is called, perhaps more than once, when the server has
    /// work for a while: what it starts does not compete with this for the processor, as it would
    /// if it were started before.
    ///
    /// # Errors
    /// [`SinkError`]; nothing of the micro-batch is then in the database.
    pub async fn commit(
        &mut self,
        batch: &MicroBatch,
        busy: &mut (dyn FnMut() + Send),
    ) -> Result<Committed, SinkError> {
        let mut path = self.first_path.path();
        let mut filtered_tries = 0;
        // Whether there was a duplicate that no lookup has found.
        let mut is_unseen = false;
        let mut in_doubt = None;
        loop {
            let mut conn = self.connection().await?;
            let (stream, keep, recent) = (&self.stream, self.keep, &self.recent);
            let (limit, on_missing) = (self.limit, self.on_missing);
            let attempt = Attempt { stream, keep, limit, on_missing, batch, recent, path };
            let failure = match in_time(attempt.run(&mut conn, &mut in_doubt, &mut *busy)).await {
                Ok(committed) => {
                    // What was committed stays so: without this connection the next one goes on.
                    if in_time(self.plans.note(&mut conn, batch)).await.is_ok() {
                        self.keep(conn);
                    }
                    let duplicates =
                        if is_unseen { Duplicates::Older } else { committed.duplicates };
                    self.first_path.note(duplicates);
                    return Ok(committed);
                }
                Err(failure) => failure,
            };
            match failure {
                Failure::Superseded => {
                    let landed = in_time(attempt::landed(&mut conn, in_doubt.as_ref())).await;
                    match landed {
                        Ok(true) => {
                            let mut committed = in_doubt.expect("only what was in doubt can land");
                            committed.visible.note_commit();
                            return Ok(committed);
                        }
                        Ok(false) => return Err(SinkError::Superseded),
                        Err(error) => self.patience.pause(&self.database, error).await?,
                    }
                }
                Failure::Refused(error) => {
                    let is_duplicate = error.code().as_deref() == Some("23505");
                    filtered_tries += u32::from(path == Path::Filtered);
                    is_unseen |= is_duplicate && path == Path::Filtered;
                    let filter = is_duplicate && filtered_tries < FILTERED_TRIES;
                    path = if filter { Path::Filtered } else { Path::Careful };
                    self.keep(conn);
                }
                Failure::NoPartition(missing) => {
                    if let Some(missing) = self.note_missing(conn, batch, &missing).await? {
                        return Err(SinkError::NoPartition(missing));
                    }
                }
                Failure::Lost(error) => self.patience.pause(&self.database, error).await?,
            }
        }
    }

    /// How far the files that `survey` has seen stand, also `in_full`.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn checkpoints(
        &mut self,
        survey: &Survey,
        in_full: bool,
    ) -> Result<Loaded, SinkError> {
        loop {
            let mut conn = self.connection().await?;
            let loaded = in_time(checkpoint::load(&mut conn, &self.stream, survey, in_full)).await;
            if let Some(loaded) = self.judge(conn, loaded).await? {
                return Ok(loaded);
            }
        }
    }

    /// Tries to connect, once.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(&mut self) -> Result<(), sqlx::Error> {
        self.conn = Some(self.database.connect().await?);
        self.was_connected = true;
        Ok(())
    }

    /// When a connection was lost and replaced the last time.
    pub fn reconnected(&self) -> Option<Instant> {
        self.reconnected
    }

    /// The files that have stopped the stream. Those that the limit lets pass now go on.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn stopped(&mut self) -> Result<Vec<Stopped>, SinkError> {
        loop {
            let mut conn = self.connection().await?;
            let stopped = in_time(stop::release(&mut conn, &self.stream, self.limit)).await;
            if let Some(stopped) = self.judge(conn, stopped).await? {
                return Ok(stopped);
            }
        }
    }

    /// Claims files, so that other writers leave them to this one.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn claim(&mut self, request: &ClaimRequest) -> Result<Claim, SinkError> {
        loop {
            let mut conn = self.connection().await?;
            let claim = in_time(self.claims.take(&mut conn, &self.stream, request)).await;
            if let Some(claim) = self.judge(conn, claim).await? {
                return Ok(claim);
            }
        }
    }

    /// Leaves what was claimed to other writers. Without a connection there is nothing to leave.
    pub async fn release(&mut self) {
        let Some(mut conn) = self.conn.take() else { return };
        if in_time(self.claims.give_up(&mut conn)).await.is_ok() {
            self.conn = Some(conn);
        }
    }

    /// How many files may be claimed at a time, by the size of the server's table of locks.
    pub fn claims_max(&self) -> usize {
        self.claims.max
    }

    /// Notes that a file can't be loaded, and why.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn refuse(&mut self, partition: &Partition, reason: &str) -> Result<(), SinkError> {
        loop {
            let mut conn = self.connection().await?;
            let refused =
                in_time(checkpoint::refuse(&mut conn, &self.stream, partition, reason)).await;
            if self.judge(conn, refused).await?.is_some() {
                return Ok(());
            }
        }
    }

    /// What came of work on the connection, which is kept if it was good. `None` if the work is to
    /// be tried again, by then after a pause.
    async fn judge<T>(
        &mut self,
        conn: PgConnection,
        done: Result<T, sqlx::Error>,
    ) -> Result<Option<T>, Impatience> {
        match done {
            Ok(done) => {
                self.keep(conn);
                Ok(Some(done))
            }
            Err(error) => {
                self.patience.pause(&self.database, error).await?;
                Ok(None)
            }
        }
    }

    /// The connection, a new one if need be.
    async fn connection(&mut self) -> Result<PgConnection, Impatience> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        loop {
            let mut conn = self.patience.connect(&self.database).await?;
            match in_time(self.claims.renew(&mut conn)).await {
                Ok(()) => {
                    self.plans = StatementPlans::new();
                    if std::mem::replace(&mut self.was_connected, true) {
                        self.reconnected = Some(Instant::now());
                    }
                    return Ok(conn);
                }
                Err(error) => self.patience.pause(&self.database, error).await?,
            }
        }
    }

    /// Keeps the connection after work on it has succeeded.
    fn keep(&mut self, conn: PgConnection) {
        self.patience.note_success();
        self.conn = Some(conn);
    }
}

/// Gives work up that has not ended after [`STALL`]; its connection is then to be closed.
async fn in_time<T, E: From<sqlx::Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let stalled = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
    tokio::time::timeout(STALL, work).await.unwrap_or_else(stalled)
}
