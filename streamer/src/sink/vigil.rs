//! The look after work that does not end: what it waits for is told, once, and noted for as long as
//! it lasts.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use crate::advice::holders;
use crate::advice::waits::{Wait, wait_of};
use crate::database::Database;
use crate::health::{Ailment, Health, Kind};
use chrono::{DateTime, Utc};

/// After this time without an end it is asked what the work waits for.
const AFTER: Duration = Duration::from_secs(10);

/// After so long of a later try.
const AFTER_AGAIN: Duration = Duration::from_secs(1);

/// The pause between two questions.
const AGAIN: Duration = Duration::from_secs(5);

/// How long the database may take to answer one.
const WITHIN: Duration = Duration::from_secs(5);

/// Who looks after the work of one writer.
#[derive(Debug)]
pub(super) struct Vigil {
    database: Arc<Database>,
    stream: String,
    health: Health,
    /// The server's process at the writer's connection; 0 where it is not known.
    pid: AtomicI32,
    /// What the writer is at, from its first try on.
    work: Mutex<Option<Work>>,
    /// What all writers of the stream wait for now.
    present: Arc<Mutex<Weak<Standstill>>>,
}

/// Work that has not come to an end.
#[derive(Debug)]
struct Work {
    begun: Instant,
    since: DateTime<Utc>,
    /// What it waits for, as was told.
    standstill: Option<Arc<Standstill>>,
}

/// Something that is waited for, until the last writer waits no more.
#[derive(Debug)]
struct Standstill {
    stream: String,
    begun: Instant,
    noted: Mutex<Noted>,
}

#[derive(Debug)]
struct Noted {
    holders: Vec<i32>,
    _ailment: Ailment,
}

impl Vigil {
    pub(super) fn new(database: Arc<Database>, stream: &str, health: Health) -> Vigil {
        let (stream, present) = (stream.to_owned(), Arc::default());
        let (pid, work) = (AtomicI32::new(0), Mutex::default());
        Vigil { database, stream, health, pid, work, present }
    }

    /// That of another writer of the same stream.
    pub(super) fn beside(&self) -> Vigil {
        let (database, health) = (self.database.clone(), self.health.clone());
        let present = self.present.clone();
        Vigil { present, ..Vigil::new(database, &self.stream, health) }
    }

    /// Notes which of the server's processes works for the writer from now on.
    pub(super) fn note(&self, pid: i32) {
        self.pid.store(pid, Ordering::Relaxed);
    }

    /// The work has come to an end: what comes next is other work.
    pub(super) fn note_success(&self) {
        *self.work() = None;
    }

    /// Does `work`, or a try at it, and tells what it waits for if that takes long. All tries count
    /// until [`Vigil::note_success`].
    pub(super) async fn over<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let is_first = self.work().is_none();
        let begun = self.begun();
        let least = if is_first { AFTER } else { AFTER_AGAIN };
        let after = AFTER.saturating_sub(begun.elapsed()).max(least);
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(after) => {}
        }
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                asked = self.ask() => match asked {
                    Some(Some(wait)) => self.stand(&wait),
                    // A later try may not have come to what it waits for.
                    Some(None) if is_first => self.work().iter_mut().for_each(Work::go_on),
                    _ => {}
                }
            }
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = tokio::time::sleep(AGAIN) => {}
            }
        }
    }

    /// A try has failed with `error` because it did not get a lock, on the writer's table as far as
    /// is known. Tells it if that takes long and was not told.
    pub(super) async fn tell_locked(&self, table: Option<&str>, error: &sqlx::Error) {
        let is_told = self.work().as_ref().is_some_and(|work| work.standstill.is_some());
        if is_told || self.begun().elapsed() < AFTER {
            return;
        }
        let found = holders(&self.database, table, error).await;
        let unknown =
            || Wait { holders: Vec::new(), is_upkeep: false, words: format!("a lock: {error}") };
        self.stand(&found.unwrap_or_else(unknown));
    }

    /// When the present work was begun.
    fn begun(&self) -> Instant {
        self.work().get_or_insert_with(Work::begin).begun
    }

    fn work(&self) -> MutexGuard<'_, Option<Work>> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What the work waits for, if anything. Without an answer there is nothing new to tell: that
    /// the database is away, or does not answer, is seen by the work itself.
    async fn ask(&self) -> Option<Option<Wait>> {
        let asking = async {
            let mut conn = self.database.question().await?;
            let wait = wait_of(&mut conn, self.pid.load(Ordering::Relaxed)).await?;
            conn.keep();
            Ok(wait)
        };
        let asked: Result<_, sqlx::Error> = tokio::time::timeout(WITHIN, asking).await.ok()?;
        asked
            .inspect_err(|error| {
                tracing::debug!(stream = %self.stream, "cannot ask what is waited for: {error}");
            })
            .ok()
    }

    /// Notes what is waited for, and tells it if that is new.
    fn stand(&self, wait: &Wait) {
        let Wait { holders, is_upkeep, words } = wait;
        let mut work = self.work();
        let work = work.get_or_insert_with(Work::begin);
        let (stream, time) = (&self.stream, work.since.format("%Y-%m-%d %H:%M:%S UTC"));
        let words =
            format!("stream {stream} has committed nothing since {time}: it waits for {words}");
        let kind = Kind::Lock { holders: holders.clone(), is_upkeep: *is_upkeep };
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let before = present.upgrade();
        let is_new = before.as_ref().is_none_or(|before| before.noted().holders != *holders);
        let _ailment = self.health.note_of(stream, words.clone()).of_kind(kind).since(work.since);
        if is_new {
            tracing::warn!("{words}");
        }
        let noted = Noted { holders: holders.clone(), _ailment };
        let standstill = match before {
            Some(standstill) => {
                *standstill.noted() = noted;
                standstill
            }
            None => {
                let (stream, begun, noted) = (stream.clone(), work.begun, Mutex::new(noted));
                let standstill = Arc::new(Standstill { stream, begun, noted });
                *present = Arc::downgrade(&standstill);
                standstill
            }
        };
        drop(present);
        work.standstill = Some(standstill);
    }
}

impl Work {
    fn begin() -> Work {
        Work { begun: Instant::now(), since: Utc::now(), standstill: None }
    }

    /// It waits for nothing now.
    fn go_on(&mut self) {
        self.standstill = None;
    }
}

impl Standstill {
    fn noted(&self) -> std::sync::MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Standstill {
    fn drop(&mut self) {
        let seconds = self.begun.elapsed().as_secs_f64();
        tracing::info!(stream = %self.stream, "the wait is over after {seconds:.1} s");
    }
}
