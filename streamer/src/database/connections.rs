//! The connections of the process. There are at most [`Connections::limit`] for micro-batches, two
//! for questions (who holds a lock, which keys are known), two for chores beside the loading (old
//! rows, old bookkeeping, retries), one that holds the claims on files, and one for signs of life.
//!
//! Connections of the first three kinds are lent: who came first is served first. One on which all
//! went well is given back and lent again; any other is closed, and so is one that nobody has used
//! for a minute. What is lent is given back however its borrower ends, also when it is cancelled.
//!
//! A new connection tells what is behind it. Where that is another server, or another database,
//! than behind the last one, the checkpoints may be others: a backup may have been restored. Who
//! has read them has to read them again: see [`Connections::replaced`].

use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use sqlx::PgConnection;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

use super::Database;
use super::session::{Identity, Session};
use crate::config::CONNECTIONS_DEFAULT;

/// How many there are for questions, and how many for chores.
const ASIDE: usize = 2;

/// A connection that was not used for so long is closed.
const IDLE_MAX: Duration = Duration::from_secs(60);

/// Where the server has no connection left but some are lent, one of these is waited for; so often
/// it is looked whether the server has one.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// The SQLSTATE of a server, or a role, that has no connection left.
const TOO_MANY_CONNECTIONS: &str = "53300";

/// The connections of the process. Clones share them.
#[derive(Debug, Clone)]
pub struct Connections(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    places: Arc<Lender>,
    questions: Arc<Lender>,
    chores: Arc<Lender>,
    /// Who may wait for a lock with a connection in hand.
    lock_waits: Arc<Semaphore>,
    known: Mutex<Known>,
}

/// What is known of the database behind the connections.
#[derive(Debug, Default)]
struct Known {
    identity: Option<Identity>,
    replaced: Option<Instant>,
}

/// How many connections for micro-batches there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Those that are lent now.
    pub in_use: usize,
    /// How many may be lent at a time.
    pub limit: usize,
    /// Borrowers that wait for one.
    pub waiting: usize,
}

/// Lends connections of one kind.
#[derive(Debug)]
struct Lender {
    limit: usize,
    permits: Arc<Semaphore>,
    waiting: AtomicUsize,
    /// Those that are not lent, and since when.
    idle: Mutex<Vec<(Session, Instant)>>,
    /// One was given back.
    returned: Notify,
    /// Held by each connection that it has made.
    made: Arc<()>,
}

/// The right to one connection at a time, until this is dropped.
#[derive(Debug)]
pub struct Lent {
    session: Option<Session>,
    lender: Arc<Lender>,
    _permit: OwnedSemaphorePermit,
}

/// A connection for something beside the micro-batches. It is closed at the end, unless it is kept.
#[derive(Debug)]
pub struct Aside {
    session: Session,
    lent: Lent,
}

impl Default for Connections {
    fn default() -> Connections {
        Connections::new(CONNECTIONS_DEFAULT)
    }
}

impl Connections {
    /// At most `limit` of them for micro-batches; of those that have one at most half wait for
    /// locks.
    pub fn new(limit: usize) -> Connections {
        let lender = |limit| Arc::new(Lender::new(limit));
        Connections(Arc::new(Shared {
            places: lender(limit),
            questions: lender(ASIDE),
            chores: lender(ASIDE),
            lock_waits: Arc::new(Semaphore::new((limit / 2).max(1))),
            known: Mutex::default(),
        }))
    }

    /// How many connections for micro-batches there are now.
    pub fn usage(&self) -> Usage {
        let Lender { limit, permits, waiting, .. } = &*self.0.places;
        let in_use = limit.saturating_sub(permits.available_permits());
        Usage { in_use, limit: *limit, waiting: waiting.load(Ordering::Relaxed) }
    }

    /// The right to a connection for a micro-batch, as soon as it is one's turn.
    pub async fn lend(&self) -> Lent {
        self.0.places.lend().await
    }

    /// Whether somebody waits for one.
    pub fn is_wanted(&self) -> bool {
        self.usage().waiting > 0
    }

    /// The right to wait for a lock with a connection in hand. It is to be asked for without one.
    pub async fn lock_wait(&self) -> OwnedSemaphorePermit {
        let permits = self.0.lock_waits.clone();
        permits.acquire_owned().await.expect("nobody closes it")
    }

    /// When it was noticed the last time that another server or another database was behind a
    /// connection.
    pub fn replaced(&self) -> Option<Instant> {
        self.known().replaced
    }

    /// Closes those that nobody has used for a while.
    pub fn close_idle(&self) {
        self.retain(|since| since.elapsed() < IDLE_MAX);
    }

    /// Closes those that are not lent: one of them was lost, and so may the others be.
    pub fn close_unlent(&self) {
        self.retain(|_| false);
    }

    fn retain(&self, is_kept: impl Fn(Instant) -> bool) {
        let Shared { places, questions, chores, .. } = &*self.0;
        for lender in [places, questions, chores] {
            lender.idle().retain(|(_, since)| is_kept(*since));
        }
    }

    /// A new connection has this behind it.
    pub(super) fn note(&self, identity: Identity) {
        let mut known = self.known();
        let before = known.identity.replace(identity);
        let is_other = before.is_some_and(|before| Some(before) != known.identity);
        if is_other {
            known.replaced = Some(Instant::now());
            drop(known);
            self.close_unlent();
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lender {
    fn new(limit: usize) -> Lender {
        Lender {
            limit,
            permits: Arc::new(Semaphore::new(limit)),
            waiting: AtomicUsize::new(0),
            idle: Mutex::default(),
            returned: Notify::new(),
            made: Arc::default(),
        }
    }

    async fn lend(self: &Arc<Lender>) -> Lent {
        let permit = match self.permits.clone().try_acquire_owned() {
            Ok(permit) => permit,
            Err(_none_left) => {
                let _waiting = Waiting::of(&self.waiting);
                self.permits.clone().acquire_owned().await.expect("nobody closes it")
            }
        };
        Lent { session: None, lender: self.clone(), _permit: permit }
    }

    fn idle(&self) -> MutexGuard<'_, Vec<(Session, Instant)>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a connection is in somebody's hands.
    fn is_any_out(&self) -> bool {
        Arc::strong_count(&self.made) > 1 + self.idle().len()
    }
}

impl Lent {
    /// The connection: the one that was kept, else one that was given back, else a new one.
    ///
    /// # Errors
    /// When the server is not there or refuses. That it has no connection left is no error while
    /// others have one: theirs is waited for.
    pub async fn take(&mut self, database: &Database) -> Result<Session, sqlx::Error> {
        if let Some(session) = self.session.take() {
            return Ok(session);
        }
        loop {
            if let Some((session, _)) = self.lender.idle().pop() {
                return Ok(session);
            }
            match database.session().await {
                Ok(mut session) => {
                    session.counted = Some(self.lender.made.clone());
                    return Ok(session);
                }
                Err(error) if is_too_many(&error) && self.lender.is_any_out() => {
                    tracing::debug!("waiting for another's connection: {error}");
                }
                Err(error) => return Err(error),
            }
            drop(tokio::time::timeout(LOOK_EVERY, self.lender.returned.notified()).await);
        }
    }

    /// Keeps a connection on which all went well.
    pub fn keep(&mut self, session: Session) {
        self.session = Some(session);
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.lender.idle().push((session, Instant::now()));
            self.lender.returned.notify_one();
        }
    }
}

impl Aside {
    /// Gives a connection back on which all went well.
    pub fn keep(self) {
        let Aside { session, mut lent } = self;
        lent.keep(session);
    }
}

impl Deref for Aside {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.session
    }
}

impl DerefMut for Aside {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.session
    }
}

impl Database {
    /// A connection for a question, as soon as it is one's turn.
    ///
    /// # Errors
    /// When the server is not there or refuses.
    pub async fn question(&self) -> Result<Aside, sqlx::Error> {
        self.aside(&self.connections().0.questions).await
    }

    /// A connection for a chore, as soon as it is one's turn.
    ///
    /// # Errors
    /// As [`Database::question`].
    pub async fn chore(&self) -> Result<Aside, sqlx::Error> {
        self.aside(&self.connections().0.chores).await
    }

    async fn aside(&self, lender: &Arc<Lender>) -> Result<Aside, sqlx::Error> {
        let mut lent = lender.lend().await;
        let session = lent.take(self).await?;
        Ok(Aside { session, lent })
    }
}

/// Somebody who waits.
struct Waiting<'a>(&'a AtomicUsize);

impl Waiting<'_> {
    fn of(count: &AtomicUsize) -> Waiting<'_> {
        count.fetch_add(1, Ordering::Relaxed);
        Waiting(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

fn is_too_many(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.as_deref() == Some(TOO_MANY_CONNECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn who_came_first_is_served_first_and_who_is_cancelled_waits_no_more() {
        let connections = Connections::new(2);
        let (first, second) = (connections.lend().await, connections.lend().await);
        assert_eq!(connections.usage(), Usage { in_use: 2, limit: 2, waiting: 0 });
        type Lending<'a> = std::pin::Pin<Box<dyn Future<Output = Lent> + 'a>>;
        let lending = || -> Lending<'_> { Box::pin(connections.lend()) };
        let (mut third, mut fourth) = (lending(), lending());
        let is_ready = |lending: &mut Lending<'_>| {
            let mut context = std::task::Context::from_waker(std::task::Waker::noop());
            lending.as_mut().poll(&mut context).is_ready()
        };
        assert!(!is_ready(&mut third) && !is_ready(&mut fourth));
        assert!(connections.is_wanted());
        drop(first);
        let mut late = lending();
        assert!(!is_ready(&mut late) && !is_ready(&mut fourth) && is_ready(&mut third));
        drop((late, fourth, second));
        assert_eq!(connections.usage(), Usage { in_use: 0, limit: 2, waiting: 0 });
    }

    #[test]
    fn another_database_is_noticed_and_the_same_is_not() {
        let connections = Connections::default();
        let identity = |started: &str, database| Identity { started: started.to_owned(), database };
        connections.note(identity("1", 1));
        connections.note(identity("1", 1));
        assert_eq!(connections.replaced(), None, "the first one is no other");
        connections.note(identity("1", 2));
        let noticed = connections.replaced();
        assert!(noticed.is_some(), "another database");
        connections.note(identity("2", 2));
        assert!(connections.replaced() > noticed, "another server");
    }
}
