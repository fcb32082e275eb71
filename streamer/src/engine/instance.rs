//! What other streamers, `streamer status` and `streamer reset` know of this one: a row of the
//! ledger that is noted again and again, and removed at the end.
//!
//! It is a courtesy, as claims are. So whatever goes wrong here stops nothing; and that the
//! database is away is told by who loads.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sqlx::Executor;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use uuid::Uuid;

use crate::advice::advise;
use crate::config::Stream;
use crate::database::{Database, Session};
use crate::health::Health;
use crate::ledger::instance::{self, Instance};
use crate::retry::{Remedy, remedy, shown};

/// The pause between two signs of life, and how long the try to give one may take.
const EVERY: Duration = Duration::from_secs(5);

/// How much longer the program may take to end because of this.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

/// A sign of life need not be on the server's disk, nor wait for its standby.
const SETTINGS: &str = "set synchronous_commit = off";

/// The signs of life of this streamer, until [`Presence::end`].
#[derive(Debug)]
pub struct Presence {
    end: DropGuard,
    task: JoinHandle<()>,
}

/// The task that gives them.
struct Signs {
    database: Arc<Database>,
    health: Health,
    instance: Instance,
    since: Instant,
    conn: Option<Session>,
    /// Whether others may know of it.
    is_noted: bool,
    /// Whether it was told that they don't, and why.
    is_trouble_told: bool,
}

impl Presence {
    /// Tells that this process works on `streams` from now on; `address` is where its HTTP server
    /// listens. The database must have the streamer's tables.
    pub fn begin(
        database: &Arc<Database>,
        streams: &[Stream],
        address: Option<SocketAddr>,
        health: &Health,
    ) -> Presence {
        let host = nix::unistd::gethostname().unwrap_or_default();
        let signs = Signs {
            database: database.clone(),
            health: health.clone(),
            instance: Instance {
                instance_id: Uuid::new_v4(),
                host: host.to_string_lossy().into_owned(),
                pid: std::process::id().try_into().unwrap_or_default(),
                version: env!("CARGO_PKG_VERSION").to_owned(),
                streams: streams.iter().map(|stream| stream.name.clone()).collect(),
                address: address.map(|address| address.to_string()),
            },
            since: Instant::now(),
            conn: None,
            is_noted: false,
            is_trouble_told: false,
        };
        let end = CancellationToken::new();
        Presence { task: tokio::spawn(signs.give(end.clone())), end: end.drop_guard() }
    }

    /// Takes it back: the work is done.
    pub async fn end(self) {
        let Presence { end, mut task } = self;
        drop(end);
        if tokio::time::timeout(LEAVE_WITHIN, &mut task).await.is_err() {
            task.abort();
            // It holds the database, which is closed next.
            drop(task.await);
        }
    }
}

impl Signs {
    async fn give(mut self, end: CancellationToken) {
        while !end.is_cancelled() {
            match tokio::time::timeout(EVERY, self.note()).await {
                Ok(Err(error)) if remedy(&error) != Remedy::Retry => self.tell(&error).await,
                // Next time, then.
                Ok(_) | Err(_) => {}
            }
            tokio::select! {
                () = end.cancelled() => {}
                () = tokio::time::sleep(EVERY) => {}
            }
        }
        if self.is_noted {
            // Otherwise others wait until it was not seen for long enough.
            drop(self.leave().await);
        }
    }

    /// One sign of life. The connection is kept only if all went well.
    async fn note(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.connect().await?;
        self.is_noted = true;
        instance::note(&mut conn, &self.instance, self.since.elapsed()).await?;
        instance::remove_unseen(&mut conn).await?;
        // It may be the last one that the server or the role has, and a stream may be without.
        self.conn = Some(conn).filter(|_| self.health.is_ready());
        Ok(())
    }

    async fn leave(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.connect().await?;
        instance::remove(&mut conn, self.instance.instance_id).await
    }

    async fn connect(&mut self) -> Result<Session, sqlx::Error> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        let mut conn = self.database.session().await?;
        (&mut *conn).execute(SETTINGS).await?;
        Ok(conn)
    }

    /// Tells once why others don't know of this one.
    async fn tell(&mut self, error: &sqlx::Error) {
        if !std::mem::replace(&mut self.is_trouble_told, true) {
            let advice = advise(&self.database, None, error).await;
            let advice = advice.map(|advice| format!(" ({advice})")).unwrap_or_default();
            tracing::warn!(
                "other streamers and `streamer status` don't know of this one: {}{advice}",
                shown(error)
            );
        }
    }
}
