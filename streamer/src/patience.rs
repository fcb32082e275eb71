//! Waiting for a database that is away: told once when it starts and once when it ends.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use backon::ExponentialBackoff;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::advice::{advise, holders};
use crate::database::Database;
use crate::health::{Ailment, Health, Kind};
use crate::retry::{Remedy, pauses, remedy, shown};

/// One worker's patience with the database.
#[derive(Debug)]
pub struct Patience {
    /// The table that it works on, if it is one of a user's.
    table: Option<Arc<str>>,
    give_up_after: Option<Duration>,
    stop: CancellationToken,
    health: Health,
    told: Arc<Mutex<Told>>,
    trouble: Option<Trouble>,
}

/// What workers on the same database have told, so that each thing is told once.
#[derive(Debug, Default)]
struct Told {
    /// Whether the database was there before.
    was_there: bool,
    /// The present time without it.
    outage: Weak<Outage>,
}

/// A time without the database; it lasts until the last worker is out of trouble.
#[derive(Debug)]
struct Outage {
    since: Instant,
    /// What is known of who is in the way.
    holders: String,
    ailment: Ailment,
}

/// A worker's part in an outage.
#[derive(Debug)]
struct Trouble {
    outage: Arc<Outage>,
    pauses: ExponentialBackoff,
}

/// Why waiting has ended without a database.
#[derive(Debug, thiserror::Error)]
pub enum Impatience {
    /// The streamer is to end.
    #[error("stopped")]
    Shutdown,
    /// Going on makes no sense before a person has changed something.
    #[error("use the database at {place}{}", advice.as_ref().map(|a| format!(" ({a})")).unwrap_or_default())]
    Refused {
        /// Where it is.
        place: String,
        /// What to do.
        advice: Option<String>,
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
        let told = Arc::default();
        Patience { table: None, give_up_after, stop, health, told, trouble: None }
    }

    /// The same, of a worker on this table.
    pub fn of_table(self, table: &str) -> Patience {
        Patience { table: Some(table.into()), ..self }
    }

    /// The patience of another worker on the same database.
    pub fn beside(&self) -> Patience {
        let (stop, health) = (self.stop.clone(), self.health.clone());
        let (table, told) = (self.table.clone(), self.told.clone());
        Patience { table, give_up_after: self.give_up_after, stop, health, told, trouble: None }
    }

    /// Where it is noted what is waited for.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// The table that it works on, if it is one of a user's.
    pub fn table(&self) -> Option<&str> {
        self.table.as_deref()
    }

    /// What comes of `work`, unless the streamer is to end before.
    ///
    /// # Errors
    /// [`Impatience::Shutdown`].
    pub async fn or_stop<T>(&self, work: impl Future<Output = T>) -> Result<T, Impatience> {
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Err(Impatience::Shutdown),
            done = work => Ok(done),
        }
    }

    /// After waiting since `since` for what `error` says: whether there is patience left.
    ///
    /// # Errors
    /// [`Impatience::GaveUp`] if there is none.
    pub fn check(
        &self,
        database: &Database,
        since: Instant,
        error: &mut Option<sqlx::Error>,
    ) -> Result<(), Impatience> {
        let after = since.elapsed();
        match error.take_if(|_| self.give_up_after.is_some_and(|limit| after > limit)) {
            Some(source) => Err(Impatience::GaveUp { place: database.place(), after, source }),
            None => Ok(()),
        }
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
        let was_there = std::mem::replace(&mut self.told().was_there, true);
        let trouble = self.trouble.take();
        if let Some(outage) = trouble.and_then(|trouble| Arc::into_inner(trouble.outage)) {
            let seconds = outage.since.elapsed().as_secs_f64();
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
            let advice = advise(database, self.table.as_deref(), &error).await;
            return Err(Impatience::Refused { place, advice, source: error });
        }
        let mut trouble = match self.trouble.take() {
            Some(trouble) => {
                // What was wrong first is seldom what is wrong now.
                let Outage { holders, ailment, .. } = &*trouble.outage;
                let was_there = self.told().was_there;
                ailment.reword(words(was_there, &place, &error, holders));
                trouble
            }
            None => {
                let holders = holders(database, self.table.as_deref(), &error).await;
                let holders = holders.map(|wait| wait.words);
                Trouble { outage: self.outage(&place, &error, holders), pauses: pauses() }
            }
        };
        let after = trouble.outage.since.elapsed();
        if self.give_up_after.is_some_and(|limit| after > limit) {
            return Err(Impatience::GaveUp { place, after, source: error });
        }
        let pause = trouble.pauses.next().expect("pauses never end");
        self.trouble = Some(trouble);
        tokio::select! {
            () = self.stop.cancelled() => Err(Impatience::Shutdown),
            () = tokio::time::sleep(pause) => Ok(()),
        }
    }

    /// The present outage; it is told if it is new, with what is known of who is in the way.
    fn outage(&self, place: &str, error: &sqlx::Error, holders: Option<String>) -> Arc<Outage> {
        let mut told = self.told();
        if let Some(outage) = told.outage.upgrade() {
            return outage;
        }
        let holders = holders.map(|words| format!("; it waits for {words}")).unwrap_or_default();
        let ailment = words(told.was_there, place, error, &holders);
        tracing::warn!("{ailment}; trying again");
        let kind = Kind::Database { place: place.to_owned() };
        let ailment = self.health.note(ailment).of_kind(kind);
        let outage = Arc::new(Outage { since: Instant::now(), holders, ailment });
        told.outage = Arc::downgrade(&outage);
        outage
    }

    fn told(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is wrong with the database, in one line.
fn words(was_there: bool, place: &str, error: &sqlx::Error, holders: &str) -> String {
    match was_there {
        true => format!("trouble with the database at {place}: {}{holders}", shown(error)),
        false => format!("no database at {place} yet: {}", shown(error)),
    }
}
