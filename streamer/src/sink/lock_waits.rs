//! Locks that others hold. A transaction waits for them only for a while: then its stream gives its
//! place back to others, puts its micro-batch down, and tries again later. From its second try on a
//! stream waits longer, and of all places at most half may wait so.

use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use tokio::sync::OwnedSemaphorePermit;

use super::{Sink, SinkError};
use crate::retry::pauses;

/// How long a transaction waits for a lock at first: longer than PostgreSQL waits before it looks
/// for a deadlock.
const FIRST_WAIT: Duration = Duration::from_millis(1500);

/// How long each later try waits.
const LATER_WAIT: Duration = Duration::from_secs(5);

/// The SQLSTATE of a lock that was not got in time.
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// A stream that waits for a lock, across its tries.
#[derive(Debug)]
pub(super) struct Suspended {
    since: Instant,
    pauses: ExponentialBackoff,
    /// What the last try has failed with.
    error: Option<sqlx::Error>,
    /// The right to wait, of the present try.
    permit: Option<OwnedSemaphorePermit>,
}

impl Sink {
    /// How long a transaction waits for a lock now.
    pub(super) fn lock_wait(&self) -> Duration {
        let has_permit = self.suspended.as_ref().is_some_and(|now| now.permit.is_some());
        if has_permit { LATER_WAIT } else { FIRST_WAIT }
    }

    /// A lock was not got in time: the place is given back.
    pub(super) fn note_locked(&mut self, error: sqlx::Error) {
        self.give_place_back();
        let begin = || {
            let since = Instant::now();
            Suspended { since, pauses: pauses(), error: None, permit: None }
        };
        let suspended = self.suspended.get_or_insert_with(begin);
        (suspended.error, suspended.permit) = (Some(error), None);
    }

    /// Waits until the lock that was not got is to be tried again. Nothing is in hand meanwhile.
    ///
    /// # Errors
    /// [`SinkError::Database`] if the streamer is to end, or gives up.
    pub async fn stand_by(&mut self) -> Result<(), SinkError> {
        let Some(suspended) = &mut self.suspended else { return Ok(()) };
        if let Some(error) = &suspended.error {
            self.vigil.tell_locked(self.patience.table(), error).await;
        }
        self.patience.check(&self.database, suspended.since, &mut suspended.error)?;
        let pause = suspended.pauses.next().expect("pauses never end");
        let waiting = async {
            tokio::time::sleep(pause).await;
            self.database.connections().lock_wait().await
        };
        suspended.permit = Some(self.patience.or_stop(waiting).await?);
        Ok(())
    }

    /// The work that waited for a lock has come to an end, or there is none any more.
    pub fn end_lock_wait(&mut self) {
        self.suspended = None;
        self.vigil.note_success();
    }
}

/// Whether a lock was not got in time.
pub(super) fn is_lock_timeout(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some(LOCK_NOT_AVAILABLE)
}
