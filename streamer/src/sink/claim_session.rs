//! The session that holds the claims of all streams of this process, as advisory locks.
//!
//! PostgreSQL counts how often a session takes a lock. So the session knows what it holds, and for
//! whom: nothing is taken twice, and what is left behind by a writer that is gone is given up. When
//! the session is lost, its locks are taken again on a new one, as far as they are free. Where there
//! is no connection to be had for it, files are read without claims.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};

use sqlx::{PgConnection, Postgres, Row};
use tokio::sync::Mutex;

use crate::database::{Database, Session};

/// How long an answer may take; then the session is given up.
const WITHIN: Duration = Duration::from_secs(10);

/// So long it is not tried again to make a session after there was none to be had.
const REST: Duration = Duration::from_secs(5);

/// How often it is looked whether the session is still there.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// The share of the server's table of locks that one claim of all writers of a stream takes at
/// most. Each holds two at a time: that of the files it reads, and that of those it commits.
const LOCKS_SHARE: usize = 16;

/// The share that all streams of the process take.
const LOCKS_SHARE_OF_ALL: usize = 4;

/// How many files may be asked for at a time where none can be claimed.
const UNCLAIMED_MAX: usize = 1000;

/// Who holds claims: there as long as its owner.
pub(super) type Owner = Arc<()>;

/// The session; clones share it.
#[derive(Debug, Clone, Default)]
pub struct ClaimSession(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    session: Option<Session>,
    /// The locks that are held, and for whom.
    held: HashMap<i64, Weak<()>>,
    /// How many locks the server has room for.
    locks: usize,
    /// When there was none to be had.
    failed: Option<Instant>,
}

impl ClaimSession {
    /// Gives up the locks `finished`, and takes those of `wanted` that nobody else has; returns
    /// those that are `owner`'s now. `None` if there is no session.
    pub(super) async fn take(
        &self,
        database: &Database,
        owner: &Owner,
        wanted: &[i64],
        finished: &[i64],
    ) -> Option<HashSet<i64>> {
        let mut state = self.0.lock().await;
        let is_mine = |holder: &Weak<()>| std::ptr::eq(holder.as_ptr(), Arc::as_ptr(owner));
        let mut freed: Vec<i64> = finished.to_vec();
        freed.retain(|key| state.held.get(key).is_some_and(is_mine));
        let is_held = |key: &i64| state.held.get(key).is_some_and(|one| one.strong_count() > 0);
        let is_new = |key: &&i64| !is_held(key) || freed.contains(key);
        let new: Vec<i64> = wanted.iter().filter(is_new).copied().collect();
        let taken = state.change(database, freed, &new).await?;
        state.held.extend(taken.into_iter().map(|key| (key, Arc::downgrade(owner))));
        let is_held = |key: &&i64| state.held.get(*key).is_some_and(is_mine);
        Some(wanted.iter().filter(is_held).copied().collect())
    }

    /// Gives up locks, as far as they are held.
    pub(super) async fn give_up(&self, database: &Database, keys: Vec<i64>) {
        if !keys.is_empty() {
            let mut state = self.0.lock().await;
            let keys = keys.into_iter().filter(|key| state.held.contains_key(key)).collect();
            state.change(database, keys, &[]).await;
        }
    }

    /// How many locks one of `writers` of a stream may ask for at a time.
    pub(super) async fn max(&self, writers: usize) -> usize {
        let state = self.0.lock().await;
        if state.failed.is_some() {
            return UNCLAIMED_MAX;
        }
        let of_all = (state.locks / LOCKS_SHARE_OF_ALL).saturating_sub(state.held.len());
        state.locks.div_ceil(LOCKS_SHARE * writers).min(of_all).max(1)
    }

    /// Looks after the session from time to time, without end: where it was lost, its locks are
    /// taken again; what nobody owns any more is given up.
    pub async fn look_after(&self, database: &Database) {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let mut state = self.0.lock().await;
            if !state.held.is_empty() {
                state.change(database, Vec::new(), &[]).await;
            }
        }
    }
}

impl State {
    /// Gives up `freed` and what nobody owns, and takes what is free of `wanted`, which is
    /// returned; a second time on a new session if that of before is lost. `None` if there is none.
    async fn change(
        &mut self,
        database: &Database,
        mut freed: Vec<i64>,
        wanted: &[i64],
    ) -> Option<Vec<i64>> {
        let is_left = |(key, owner): (&i64, &Weak<()>)| (owner.strong_count() == 0).then_some(*key);
        freed.extend(self.held.iter().filter_map(is_left));
        freed.iter().for_each(|key| drop(self.held.remove(key)));
        if let Some(mut session) = self.session.take() {
            match within(change(&mut session, &freed, wanted)).await {
                Ok(taken) => {
                    self.session = Some(session);
                    return Some(taken);
                }
                Err(error) => tracing::debug!("the session of claims is lost: {error}"),
            }
        }
        if self.failed.is_some_and(|failed| failed.elapsed() < REST) {
            return None;
        }
        match within(self.renew(database, wanted)).await {
            Ok(taken) => {
                self.failed = None;
                Some(taken)
            }
            Err(error) => {
                tracing::debug!("no session for claims: {error}");
                self.failed = Some(Instant::now());
                None
            }
        }
    }

    /// Takes the locks that are held, and `wanted`, on a new session.
    async fn renew(
        &mut self,
        database: &Database,
        wanted: &[i64],
    ) -> Result<Vec<i64>, sqlx::Error> {
        let mut session = database.session().await?;
        let locks: i64 = sqlx::query_scalar(
            "select current_setting('max_locks_per_transaction')::bigint
                    * current_setting('max_connections')::bigint",
        )
        .fetch_one(&mut *session)
        .await?;
        self.locks = usize::try_from(locks).unwrap_or(0);
        let held: Vec<i64> = self.held.keys().copied().collect();
        change(&mut session, &[], &held).await?;
        let taken = change(&mut session, &[], wanted).await?;
        self.session = Some(session);
        Ok(taken)
    }
}

/// Gives up locks of the session, and takes those of `wanted` that are free. With neither it asks
/// whether the session is still there.
async fn change(
    conn: &mut PgConnection,
    freed: &[i64],
    wanted: &[i64],
) -> Result<Vec<i64>, sqlx::Error> {
    if !freed.is_empty() || wanted.is_empty() {
        let free = "select count(pg_advisory_unlock(k.key)) from unnest($1::bigint[]) k (key)";
        sqlx::query(free).bind(freed).execute(&mut *conn).await?;
    }
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let free = sqlx::query::<Postgres>(
        "select k.key from unnest($1::bigint[]) k (key) where pg_try_advisory_lock(k.key)",
    );
    let rows = free.bind(wanted).fetch_all(conn).await?;
    Ok(rows.iter().map(|row| row.get(0)).collect())
}

async fn within<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()));
    tokio::time::timeout(WITHIN, work).await.unwrap_or_else(late)
}
