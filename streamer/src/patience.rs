//! Waiting for a database that is away: told once when it starts and once when it ends.

use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::database::Database;
use crate::health::{Ailment, Health};
use crate::retry::{Remedy, advice, pauses, remedy, shown};

/// One worker's patience with the database.
#[derive(Debug)]
pub struct Patience {
    give_up_after: Option<Duration>,
    stop: CancellationToken,
    health: Health,
    /// Whether the database was there before.
    was_there: bool,
    trouble: Option<Trouble>,
}

/// A time without the database.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    pauses: ExponentialBackoff,
    _ailment: Ailment,
}

/// Why waiting has ended without a database.
#[derive(Debug, thiserror::Error)]
pub enum Impatience {
    /// The streamer is to end.
    #[error("stopped")]
    Stopped,
    /// Going on makes no sense before a person has changed something.
    #[error("use the database at {place}{}", advice.map(|a| format!(" ({a})")).unwrap_or_default())]
    Refused {
        /// Where it is.
        place: String,
        /// What to do.
        advice: Option<&'static str>,
        /// PostgreSQL's words.
        source: sqlx::Error,
    },
    /// The database can't be reached at all.
    #[error("no database at {place} for {} s", after.as_secs())]
    GaveUp {
        /// Where it should be.
        place: String,
        /// How long it was tried.
        after: Duration,
        /// The last error.
        source: sqlx::Error,
    },
}

impl Patience {
    /// Patience until `stop`, or for `give_up_after` at a time. What it waits for ails `health`.
    pub fn new(
        give_up_after: Option<Duration>,
        stop: CancellationToken,
        health: Health,
    ) -> Patience {
        Patience { give_up_after, stop, health, was_there: false, trouble: None }
    }

    /// A new connection, as soon as there is one.
    ///
    /// # Errors
    /// [`Impatience`].
    pub async fn connect(&mut self, database: &Database) -> Result<PgConnection, Impatience> {
        loop {
            match database.connect().await {
                Ok(conn) => return Ok(conn),
                Err(error) => self.pause(database, error).await?,
            }
        }
    }

    /// Work on the database has succeeded again.
    pub fn note_success(&mut self) {
        let was_there = std::mem::replace(&mut self.was_there, true);
        if let Some(trouble) = self.trouble.take() {
            let seconds = trouble.since.elapsed().as_secs_f64();
            let back = if was_there { "back" } else { "there" };
            tracing::info!("the database is {back} after {seconds:.1} s");
        }
    }

    /// After `error`: waits a little if another try makes sense.
    ///
    /// # Errors
    /// [`Impatience`] if it makes none.
    pub async fn pause(
        &mut self,
        database: &Database,
        error: sqlx::Error,
    ) -> Result<(), Impatience> {
        let place = database.place();
        if remedy(&error) != Remedy::Retry {
            return Err(Impatience::Refused { place, advice: advice(&error), source: error });
        }
        let trouble = self.trouble.get_or_insert_with(|| {
            let ailment = match self.was_there {
                true => format!("trouble with the database at {place}: {}", shown(&error)),
                false => format!("no database at {place} yet: {}", shown(&error)),
            };
            tracing::warn!("{ailment}; trying again");
            let ailment = self.health.note(ailment);
            Trouble { since: Instant::now(), pauses: pauses(), _ailment: ailment }
        });
        let after = trouble.since.elapsed();
        if self.give_up_after.is_some_and(|limit| after > limit) {
            return Err(Impatience::GaveUp { place, after, source: error });
        }
        let pause = trouble.pauses.next().expect("pauses never end");
        tokio::select! {
            () = self.stop.cancelled() => Err(Impatience::Stopped),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }
}
