//! Which keys other streamers have committed, or this one before it was started: one question to
//! the database for each group of requests that are written together.
//!
//! It is asked so that whoever repeats a request is told so. Should it not answer at once, the
//! request is taken in, and its key is decided when it comes to the commit.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;

use crate::database::{Aside, Database};
use crate::ledger::idempotency::{self, Committed};
use crate::retry::pauses;

/// How long it may take to answer, or to connect: all requests of the group wait for it.
const ANSWER_WITHIN: Duration = Duration::from_secs(1);

/// Who asks.
pub(super) struct Lookup {
    database: Weak<Database>,
    stream: String,
    /// Keys that are older are forgotten.
    keep: Duration,
    /// After a failure, until when it is not asked, and the pauses to come.
    rest: Option<(Instant, ExponentialBackoff)>,
}

impl Lookup {
    pub(super) fn new(database: Weak<Database>, stream: &str, keep: Duration) -> Lookup {
        Lookup { database, stream: stream.to_owned(), keep, rest: None }
    }

    /// What was committed under `keys`; nothing, if the database does not tell.
    pub(super) async fn ask(&mut self, keys: &[u128]) -> Option<HashMap<u128, Committed>> {
        if self.rest.as_ref().is_some_and(|(until, _)| Instant::now() < *until) {
            return None;
        }
        let asking = async {
            let mut conn = connect(&self.database).await?;
            let known = idempotency::known(&mut conn, &self.stream, Some(self.keep), keys).await?;
            conn.keep();
            Ok::<_, sqlx::Error>(known)
        };
        match tokio::time::timeout(ANSWER_WITHIN, asking).await {
            Ok(Ok(known)) => {
                self.rest = None;
                Some(known)
            }
            failed => {
                if let Ok(Err(error)) = failed {
                    tracing::debug!(stream = %self.stream, "cannot look keys up: {error}");
                }
                let mut pauses = self.rest.take().map_or_else(pauses, |(_, pauses)| pauses);
                let pause = pauses.next().expect("pauses never end");
                self.rest = Some((Instant::now() + pause, pauses));
                None
            }
        }
    }
}

/// A connection for a question to a database that may be about to be closed.
pub(super) async fn connect(database: &Weak<Database>) -> Result<Aside, sqlx::Error> {
    match database.upgrade() {
        Some(database) => database.question().await,
        None => Err(sqlx::Error::PoolClosed),
    }
}
