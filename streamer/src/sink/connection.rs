//! The sink's one connection: made when it is needed, kept as long as all goes well on it.

use std::time::{Duration, Instant};

use sqlx::PgConnection;

use super::Sink;
use super::plans::StatementPlans;
use crate::patience::Impatience;

/// After this time without an end a transaction's connection is given up; the checkpoint then tells
/// whether it was committed.
const STALL: Duration = Duration::from_secs(300);

impl Sink {
    /// Tries to connect, once.
    ///
    /// # Errors
    /// Why there is no connection.
    pub async fn connect(&mut self) -> Result<(), sqlx::Error> {
        let mut conn = self.database.connect().await?;
        self.vigil.note(&mut conn).await?;
        (self.conn, self.was_connected) = (Some(conn), true);
        Ok(())
    }

    /// When a connection was lost and replaced the last time.
    pub fn reconnected(&self) -> Option<Instant> {
        self.reconnected
    }

    /// What came of work on the connection, which is kept if it was good. `None` if the work is to
    /// be tried again, by then after a pause.
    pub(super) async fn judge<T>(
        &mut self,
        conn: PgConnection,
        done: Result<T, sqlx::Error>,
    ) -> Result<Option<T>, Impatience> {
        match done {
            Ok(done) => {
                self.keep(conn);
                Ok(Some(done))
            }
            Err(error) => {
                self.patience.pause(&self.database, error).await?;
                Ok(None)
            }
        }
    }

    /// The connection, a new one if need be.
    pub(super) async fn connection(&mut self) -> Result<PgConnection, Impatience> {
        if let Some(conn) = self.conn.take() {
            return Ok(conn);
        }
        loop {
            let mut conn = self.patience.connect(&self.database).await?;
            let begin = async {
                self.vigil.note(&mut conn).await?;
                self.claims.renew(&mut conn).await
            };
            match in_time(begin).await {
                Ok(()) => {
                    self.plans = StatementPlans::new();
                    if std::mem::replace(&mut self.was_connected, true) {
                        self.reconnected = Some(Instant::now());
                    }
                    return Ok(conn);
                }
                Err(error) => self.patience.pause(&self.database, error).await?,
            }
        }
    }

    /// Keeps the connection after work on it has succeeded.
    pub(super) fn keep(&mut self, conn: PgConnection) {
        self.patience.note_success();
        self.conn = Some(conn);
    }
}

/// Gives work up that has not ended after [`STALL`]; its connection is then to be closed.
pub(super) async fn in_time<T, E: From<sqlx::Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let stalled = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
    tokio::time::timeout(STALL, work).await.unwrap_or_else(stalled)
}
