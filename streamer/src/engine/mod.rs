//! The engine: trigger, micro-batch, sink, for each stream; and the orderly end.

mod ahead;
mod away;
mod done;
mod ended;
mod instance;
mod keys;
mod listing;
mod placing;
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
use crate::schema::SchemaError;
use crate::sink::SinkError;
use crate::spool::Spools;
pub use instance::Presence;
use listing::{Costs, Listing};

/// How long the micro-batches in flight may take to end once the streamer is to stop. What takes
/// longer is left to PostgreSQL, which commits or rolls it back; the checkpoint tells at the next
/// start.
const STOP_GRACE: Duration = Duration::from_millis(2500);

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

/// Works on all streams until `plan.stop`, or until all is read. The first stream that fails stops
/// the others.
///
/// # Errors
/// The first stream's failure.
pub async fn run(
    database: Arc<Database>,
    data: &Path,
    streams: Vec<Stream>,
    plan: Plan,
    reporter: Reporter,
) -> Result<(), EngineError> {
    let mut tasks = JoinSet::new();
    let costs = Costs::default();
    for stream in streams {
        let (database, plan, reporter) = (database.clone(), plan.clone(), reporter.clone());
        let listing = Listing::new(costs.clone());
        let spool = plan.spools.reader(&stream.name);
        let places = Places::new(data.to_owned(), &stream.reading, spool);
        tasks.spawn(async move {
            worker::work(database, places, stream, listing, plan, reporter).await
        });
    }
    let mut outcome = Ok(());
    let overdue = async {
        plan.stop.cancelled().await;
        tokio::time::sleep(STOP_GRACE).await;
    };
    tokio::pin!(overdue);
    loop {
        let joined = tokio::select! {
            joined = tasks.join_next() => joined,
            () = &mut overdue => {
                tracing::warn!("a micro-batch did not end in time; the next start goes on from the checkpoint");
                break;
            }
        };
        let Some(joined) = joined else { break };
        let ended = joined.map_err(EngineError::Task).flatten();
        if ended.is_err() {
            plan.stop.cancel();
        }
        outcome = outcome.and(ended);
    }
    outcome
}
