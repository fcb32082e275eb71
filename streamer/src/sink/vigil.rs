//! The look after work that does not end: what it waits for is told, once, and noted for as long as
//! it lasts.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;

use crate::advice::waits::{Wait, wait_of};
use crate::database::Database;
use crate::health::{Ailment, Health};

/// After this time without an end it is asked what the work waits for.
const AFTER: Duration = Duration::from_secs(10);

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
    /// What all writers of the stream wait for now.
    present: Arc<Mutex<Weak<Standstill>>>,
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
        Vigil { database, stream, health, pid: AtomicI32::new(0), present }
    }

    /// That of another writer of the same stream.
    pub(super) fn beside(&self) -> Vigil {
        let (database, health) = (self.database.clone(), self.health.clone());
        let present = self.present.clone();
        Vigil { present, ..Vigil::new(database, &self.stream, health) }
    }

    /// Notes which of the server's processes works for the writer from now on.
    pub(super) async fn note(&self, conn: &mut PgConnection) -> Result<(), sqlx::Error> {
        let pid = sqlx::query_scalar("select pg_backend_pid()").fetch_one(conn).await?;
        self.pid.store(pid, Ordering::Relaxed);
        Ok(())
    }

    /// Does `work`, and tells what it waits for if that takes long.
    pub(super) async fn over<T>(&self, work: impl Future<Output = T>) -> T {
        tokio::pin!(work);
        let (begun, since) = (Instant::now(), Utc::now());
        tokio::select! {
            biased;
            done = &mut work => return done,
            () = tokio::time::sleep(AFTER) => {}
        }
        let mut standstill = None;
        let done = loop {
            tokio::select! {
                biased;
                done = &mut work => break done,
                asked = self.ask() => if let Some(wait) = asked {
                    standstill = wait.map(|wait| self.stand(&wait, begun, since));
                }
            }
            tokio::select! {
                biased;
                done = &mut work => break done,
                () = tokio::time::sleep(AGAIN) => {}
            }
        };
        drop(standstill);
        done
    }

    /// What the work waits for, if anything. Without an answer there is nothing new to tell: that
    /// the database is away, or does not answer, is seen by the work itself.
    async fn ask(&self) -> Option<Option<Wait>> {
        let asking = async {
            let mut conn = self.database.connect().await?;
            wait_of(&mut conn, self.pid.load(Ordering::Relaxed)).await
        };
        let asked: Result<_, sqlx::Error> = tokio::time::timeout(WITHIN, asking).await.ok()?;
        asked
            .inspect_err(|error| {
                tracing::debug!(stream = %self.stream, "cannot ask what is waited for: {error}");
            })
            .ok()
    }

    /// Notes what is waited for, and tells it if that is new.
    fn stand(&self, wait: &Wait, begun: Instant, since: DateTime<Utc>) -> Arc<Standstill> {
        let Wait { holders, words } = wait;
        let (stream, since) = (&self.stream, since.format("%Y-%m-%d %H:%M:%S UTC"));
        let words =
            format!("stream {stream} has committed nothing since {since}: it waits for {words}");
        let mut present = self.present.lock().unwrap_or_else(PoisonError::into_inner);
        let before = present.upgrade();
        let is_new = before.as_ref().is_none_or(|before| before.noted().holders != *holders);
        let _ailment = self.health.note_of(stream, words.clone());
        if is_new {
            tracing::warn!("{words}");
        }
        let noted = Noted { holders: holders.clone(), _ailment };
        let Some(standstill) = before else {
            let (stream, noted) = (stream.clone(), Mutex::new(noted));
            let standstill = Arc::new(Standstill { stream, begun, noted });
            *present = Arc::downgrade(&standstill);
            return standstill;
        };
        *standstill.noted() = noted;
        standstill
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
