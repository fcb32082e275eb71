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
mod claim_session;
mod claims;
mod connection;
mod describe;
mod dry_run;
mod first_path;
mod lock_waits;
mod lookup;
mod recent;
mod replay;
mod rows;
mod unplaced;
mod vigil;
mod watched;

use std::sync::Arc;
use std::time::Duration;

pub use claim_session::ClaimSession;
pub use claims::claimed;
pub use dry_run::{DryRun, Trial};
use first_path::{Duplicates, FirstPath};
pub use replay::{Replayed, RetryError, replay, retry};

use crate::batch::{Counts, MicroBatch, PartOutcome, Path};
use crate::config::{OnMissingPartition, Stream};
use crate::database::Database;
use crate::event::Times;
use crate::latency::Visible;
use crate::ledger::checkpoint;
use crate::ledger::stop::{self, Stopped};
use crate::limit::DeadLetterLimit;
use crate::memory::Memory;
use crate::partition::Partition;
use crate::partition::claim::{Claim, ClaimRequest};
use crate::partition::standing::{Loaded, Survey};
use crate::partitioning::Missing;
use crate::patience::{Impatience, Patience};
use crate::retry::TableChanged;
use crate::schema::SchemaError;
use attempt::{Attempt, Failure, begin};
use claims::Claims;
use connection::{Place, in_time};
use describe::changed;
use lock_waits::Suspended;
use recent::Recent;
use vigil::Vigil;

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
    /// While there is something in hand.
    place: Option<Place>,
    first_path: FirstPath,
    recent: Recent,
    /// How many dead letters a file may have.
    limit: Option<DeadLetterLimit>,
    on_missing: OnMissingPartition,
    claims: Claims,
    /// While it waits for a lock.
    suspended: Option<Suspended>,
    patience: Patience,
    vigil: Arc<Vigil>,
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
    /// How long the transaction took, until its commit and from then on.
    pub times: Times,
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
    /// PostgreSQL refuses rows. They are not to blame before it is known that the table is what
    /// they were encoded for.
    #[error("rows were refused")]
    Doubtful,
    /// The table is not what the rows were encoded for.
    #[error(transparent)]
    Changed(#[from] TableChanged),
    /// The table can't be written to.
    #[error(transparent)]
    Table(#[from] SchemaError),
    /// The table lacks a partition that records are to wait for. Nothing of the micro-batch is in
    /// the database; that its first file waits is noted there.
    #[error(transparent)]
    NoPartition(#[from] Missing),
    /// Others hold a lock that the micro-batch needs. It is to be put down, and read again after
    /// [`Sink::stand_by`].
    #[error("a lock was not got in time")]
    Locked,
    /// There is no database to commit to.
    #[error(transparent)]
    Database(#[from] Impatience),
}

impl Sink {
    /// A sink for a stream, whose claims are on `session`, and which keeps in shares of `memory` what
    /// it knows of keys.
    pub fn new(
        database: Arc<Database>,
        stream: &Stream,
        patience: Patience,
        session: ClaimSession,
        memory: &Memory,
    ) -> Sink {
        let pace = &stream.pace;
        let vigil = Vigil::new(database.clone(), &stream.name, patience.health().clone());
        Sink {
            database,
            stream: stream.name.clone(),
            keep: stream.listeners.idempotency_keep,
            place: None,
            first_path: FirstPath::new(),
            recent: Recent::new(memory),
            limit: pace.dead_letters_max,
            on_missing: pace.on_missing_partition,
            claims: Claims::new(session, pace.writers),
            suspended: None,
            patience,
            vigil: Arc::new(vigil),
        }
    }

    /// Another sink for the same stream.
    pub fn beside(&self) -> Sink {
        Sink {
            database: self.database.clone(),
            stream: self.stream.clone(),
            keep: self.keep,
            place: None,
            first_path: FirstPath::new(),
            recent: self.recent.clone(),
            limit: self.limit,
            on_missing: self.on_missing,
            claims: self.claims.beside(),
            suspended: None,
            patience: self.patience.beside(),
            vigil: Arc::new(self.vigil.beside()),
        }
    }

    /// Commits `batch`, whatever it takes: waits for a database that is away, and, if `is_sure`
    /// that the table is what it is encoded for, takes the careful path for rows that it refuses.
    /// `busy` is called, perhaps more than once, when the server has
    /// work for a while: what it starts does not compete with this for the processor, as it would
    /// if it were started before.
    ///
    /// # Errors
    /// [`SinkError`]; nothing of the micro-batch is then in the database.
    pub async fn commit(
        &mut self,
        batch: &MicroBatch,
        is_sure: bool,
        busy: &mut (dyn FnMut() + Send),
    ) -> Result<Committed, SinkError> {
        let vigil = self.vigil.clone();
        let committed = vigil.over(self.commit_patiently(batch, is_sure, busy)).await;
        if !matches!(committed, Err(SinkError::Locked)) {
            self.end_lock_wait();
        }
        committed
    }

    async fn commit_patiently(
        &mut self,
        batch: &MicroBatch,
        is_sure: bool,
        busy: &mut (dyn FnMut() + Send),
    ) -> Result<Committed, SinkError> {
        // The other paths came to nothing.
        let mut path = if is_sure { Path::Careful } else { self.first_path.path() };
        let mut filtered_tries = 0;
        // Whether there was a duplicate that no lookup has found.
        let mut is_unseen = false;
        let mut in_doubt = None;
        loop {
            let mut conn = self.connection().await?;
            let (stream, keep, recent) = (&self.stream, self.keep, &self.recent);
            let (limit, on_missing) = (self.limit, self.on_missing);
            let lock_wait = self.lock_wait();
            let attempt =
                Attempt { stream, keep, limit, on_missing, batch, recent, path, lock_wait };
            let failure = match in_time(attempt.run(&mut conn, &mut in_doubt, &mut *busy)).await {
                Ok(committed) => {
                    // What was committed stays so: without this connection the next one goes on.
                    let begun = batch.parts.iter().filter(|part| part.is_new).count();
                    if in_time(conn.note_begun(begun)).await.is_ok() {
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
                        Err(error) => {
                            drop(conn);
                            self.pause(error, in_doubt.is_none()).await?;
                        }
                    }
                }
                Failure::Refused(error) => {
                    let is_duplicate = error.code().as_deref() == Some("23505");
                    filtered_tries += u32::from(path == Path::Filtered);
                    is_unseen |= is_duplicate && path == Path::Filtered;
                    let filter = is_duplicate && filtered_tries < FILTERED_TRIES;
                    self.keep(conn);
                    if !filter && !is_sure {
                        return Err(SinkError::Doubtful);
                    }
                    path = if filter { Path::Filtered } else { Path::Careful };
                }
                Failure::NoPartition(missing) => {
                    if let Some(missing) = self.note_missing(conn, batch, &missing).await? {
                        return Err(SinkError::NoPartition(missing));
                    }
                }
                Failure::Lost(error) => match changed(error) {
                    Ok(changed) => return Err(changed.into()),
                    Err(error) => {
                        drop(conn);
                        self.pause(error, in_doubt.is_none()).await?;
                    }
                },
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
            let (mut conn, wait) = (self.connection().await?, self.lock_wait());
            let load = async {
                let mut tx = begin(&mut conn, Some(wait)).await?;
                let done = checkpoint::load(&mut tx, &self.stream, survey, in_full).await?;
                tx.commit().await?;
                Ok(done)
            };
            let loaded = self.vigil.over(in_time(load)).await;
            if let Some(loaded) = self.judge(conn, loaded).await? {
                return Ok(loaded);
            }
        }
    }

    /// The files that have stopped the stream. Those that the limit lets pass now go on.
    ///
    /// # Errors
    /// As [`Sink::commit`].
    pub async fn stopped(&mut self) -> Result<Vec<Stopped>, SinkError> {
        loop {
            let (mut conn, wait) = (self.connection().await?, self.lock_wait());
            let release = async {
                let mut tx = begin(&mut conn, Some(wait)).await?;
                let done = stop::release(&mut tx, &self.stream, self.limit).await?;
                tx.commit().await?;
                Ok(done)
            };
            let stopped = self.vigil.over(in_time(release)).await;
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
        let taken = self.claims.lock(&self.database, &self.stream, request).await;
        if request.wanted.is_empty() {
            return Ok(Claim::default());
        }
        loop {
            let (mut conn, wait) = (self.connection().await?, self.lock_wait());
            let (stream, wanted) = (&self.stream, &request.wanted);
            let grant = async {
                let mut tx = begin(&mut conn, Some(wait)).await?;
                let claim = self.claims.grant(&mut tx, stream, wanted, taken.as_ref()).await?;
                tx.commit().await?;
                Ok(claim)
            };
            let claim = self.vigil.over(in_time(grant)).await;
            if let Some(claim) = self.judge(conn, claim).await? {
                return Ok(claim);
            }
        }
    }

    /// Leaves what was claimed to other writers.
    pub async fn release(&mut self) {
        self.claims.give_up(&self.database).await;
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
            let (mut conn, wait) = (self.connection().await?, self.lock_wait());
            let refuse = async {
                let mut tx = begin(&mut conn, Some(wait)).await?;
                checkpoint::refuse(&mut tx, &self.stream, partition, reason).await?;
                tx.commit().await
            };
            let refused = self.vigil.over(in_time(refuse)).await;
            if self.judge(conn, refused).await?.is_some() {
                return Ok(());
            }
        }
    }
}
