//! The engine: trigger, micro-batch, sink, for each stream; and the orderly end.

mod again;
mod ahead;
mod away;
mod compaction;
mod done;
mod ended;
mod halt;
mod instance;
mod keys;
mod learned;
mod listing;
mod looks;
mod pacing;
mod placing;
mod ranges;
mod rate;
mod renewal;
mod reporting;
mod rest;
mod retention;
mod unplaced;
mod watch;
mod worker;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::config::Stream;
use crate::database::Database;
use crate::event::Reporter;
use crate::feed::places::Places;
use crate::health::Health;
use crate::memory::Memory;
use crate::schema::SchemaError;
use crate::sink::{ClaimSession, SinkError};
use crate::spool::Spools;
pub use instance::Presence;
use listing::Costs;
use watch::Watches;
use worker::Job;

/// How long the micro-batches in flight may take to end once the streamer is to stop. What takes
/// longer is left to PostgreSQL, which commits or rolls it back; the checkpoint tells at the next
/// start.
const STOP_GRACE: Duration = Duration::from_millis(2500);

/// How often it is looked for connections that nobody uses.
const CLOSE_IDLE_EVERY: Duration = Duration::from_secs(10);

/// How the streams are worked on.
#[derive(Debug, Clone)]
pub struct Plan {
    /// End when nothing is left to read, instead of waiting for more.
    pub until_drained: bool,
    /// How long to look for a database that is away; without end if `None`.
    pub give_up_after: Option<Duration>,
    /// Ends the work between two micro-batches.
    pub stop: CancellationToken,
    /// Where it is noted what keeps the work from going on.
    pub health: Health,
    /// What comes by the streams' listeners.
    pub spools: Spools,
    /// The memory that is shared.
    pub memory: Memory,
}

/// Why the work ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The target table can't be used.
    #[error("stream {stream}")]
    Table {
        /// The stream.
        stream: String,
        /// Why.
        source: SchemaError,
    },
    /// The micro-batches can't be committed.
    #[error("stream {stream}")]
    Sink {
        /// The stream.
        stream: String,
        /// Why.
        source: SinkError,
    },
    /// The data folder can't be listed.
    #[error("list the data folder")]
    Folder(#[source] std::io::Error),
    /// A bug in the streamer.
    #[error("stream task ended badly")]
    Task(#[from] tokio::task::JoinError),
}

/// Closes connections that nobody uses, without end.
async fn close_idle(database: &Database) {
    loop {
        tokio::time::sleep(CLOSE_IDLE_EVERY).await;
        database.connections().close_idle();
    }
}

/// Works on all streams until `plan.stop`, or until all is read. A stream whose table can't be
/// worked on rests until it is mended; where all is to be read once, it ends, and the others read
/// on. What ails the database as a whole stops all streams.
///
/// # Errors
/// The first failure of a stream; those of others are told in the log.
pub async fn run(
    database: Arc<Database>,
    data: &Path,
    streams: Vec<Stream>,
    plan: Plan,
    reporter: Reporter,
) -> Result<(), EngineError> {
    let mut tasks = JoinSet::new();
    let (costs, claims, watches) = (Costs::default(), ClaimSession::default(), Watches::default());
    for stream in streams {
        let (database, plan, reporter) = (database.clone(), plan.clone(), reporter.clone());
        let spool = plan.spools.reader(&stream.name);
        let places = Places::new(data.to_owned(), &stream.reading, spool);
        let (claims, watches, costs) = (claims.clone(), watches.clone(), costs.clone());
        let job = Job { database, claims, watches, places, stream, costs, plan, reporter };
        tasks.spawn(worker::work(job));
    }
    let mut outcome = Ok(());
    let overdue = async {
        plan.stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    let tending = async {
        tokio::join!(claims.look_after(&database), close_idle(&database));
    };
    tokio::pin!(overdue, tending);
    loop {
        let joined = tokio::select! {
            joined = tasks.join_next() => joined,
            () = &mut tending => unreachable!("it has no end"),
            () = &mut overdue => {
                tracing::warn!("a micro-batch did not end in time; the next start goes on from the checkpoint");
                break;
            }
        };
        let Some(joined) = joined else { break };
        let Err(error) = joined.map_err(EngineError::Task).flatten() else { continue };
        if !plan.until_drained || matches!(error, EngineError::Task(_)) {
            plan.stop.cancel();
        }
        match &outcome {
            Ok(()) => outcome = Err(error),
            Err(_) => tracing::error!("{}", rest::in_line(&anyhow::Error::new(error))),
        }
    }
    database.connections().close_unlent();
    outcome
}
