//! The sink's place: the right to one connection, which is borrowed for a micro-batch, or for a
//! question between two of them.

use std::time::{Duration, Instant};

use super::lock_waits::is_lock_timeout;
use super::{Sink, SinkError};
use crate::database::{Connections, Lent, Session};
use crate::patience::Impatience;
use crate::retry::{Remedy, remedy};

/// After this time without an end a transaction's connection is given up; the checkpoint then tells
/// whether it was committed.
const STALL: Duration = Duration::from_secs(300);

/// What a writer has while it works on a micro-batch: the right to a connection. Who has no place
/// holds no micro-batch.
#[derive(Debug)]
pub(super) struct Place {
    lent: Lent,
    /// Whether it is for a micro-batch. Else it is given back after a question.
    is_for_batch: bool,
}

impl Sink {
    /// Takes a place for a micro-batch, as soon as it is this sink's turn, unless it has one.
    ///
    /// # Errors
    /// [`SinkError::Database`] if the streamer is to end.
    pub async fn take_place(&mut self) -> Result<(), SinkError> {
        self.place().await?.is_for_batch = true;
        Ok(())
    }

    /// Gives the place back: no micro-batch is in hand any more.
    pub fn give_place_back(&mut self) {
        self.place = None;
    }

    /// The connections that places are of.
    pub fn connections(&self) -> &Connections {
        self.database.connections()
    }

    /// When it was noticed the last time that another database is behind the connections.
    pub fn replaced(&self) -> Option<Instant> {
        self.database.connections().replaced()
    }

    /// What came of work on the connection, which is kept if it was good. `None` if the work is to
    /// be tried again, by then after a pause.
    pub(super) async fn judge<T>(
        &mut self,
        session: Session,
        done: Result<T, sqlx::Error>,
    ) -> Result<Option<T>, SinkError> {
        match done {
            Ok(done) => {
                self.keep(session);
                Ok(Some(done))
            }
            Err(error) => {
                drop(session);
                self.pause(error, true).await?;
                Ok(None)
            }
        }
    }

    /// The connection, a new one if need be.
    pub(super) async fn connection(&mut self) -> Result<Session, Impatience> {
        loop {
            let database = self.database.clone();
            self.place().await?;
            let place = self.place.as_mut().expect("it was just taken");
            let taking = in_time(place.lent.take(&database));
            match self.patience.or_stop(taking).await? {
                Ok(session) => {
                    self.vigil.note(session.pid());
                    return Ok(session);
                }
                Err(error) => self.patience.pause(&self.database, error).await?,
            }
        }
    }

    /// Keeps the connection after work on it has succeeded.
    pub(super) fn keep(&mut self, session: Session) {
        self.patience.note_success();
        if self.suspended.is_none() {
            self.vigil.note_success();
        }
        if let Some(place) = &mut self.place {
            place.lent.keep(session);
        }
        self.place.take_if(|place| !place.is_for_batch);
    }

    /// After `error`, whose connection is closed: waits until the work is to be tried again. It
    /// `may_be_put_off` unless it may have been committed.
    ///
    /// # Errors
    /// [`SinkError::Locked`] if a micro-batch is in hand, which is not to wait for a lock; else as
    /// [`Sink::commit`].
    pub(super) async fn pause(
        &mut self,
        error: sqlx::Error,
        may_be_put_off: bool,
    ) -> Result<(), SinkError> {
        if may_be_put_off && is_lock_timeout(&error) {
            let has_batch = self.place.as_ref().is_some_and(|place| place.is_for_batch);
            self.note_locked(error);
            return if has_batch { Err(SinkError::Locked) } else { self.stand_by().await };
        }
        let is_of_server = matches!(&error, sqlx::Error::Database(_));
        if remedy(&error) == Remedy::Retry && (!is_of_server || is_cut(&error)) {
            self.database.connections().close_unlent();
        }
        Ok(self.patience.pause(&self.database, error).await?)
    }

    async fn place(&mut self) -> Result<&mut Place, Impatience> {
        if self.place.is_none() {
            let lent = self.patience.or_stop(self.database.connections().lend()).await?;
            self.place = Some(Place { lent, is_for_batch: false });
        }
        Ok(self.place.as_mut().expect("it was just taken"))
    }
}

/// Whether the server has ended the connection: it may have ended all.
fn is_cut(error: &sqlx::Error) -> bool {
    let code = error.as_database_error().and_then(|error| error.code());
    code.is_some_and(|code| matches!(code.get(..2), Some("08" | "57")))
}

/// Gives work up that has not ended after [`STALL`]; its connection is then to be closed.
pub(super) async fn in_time<T, E: From<sqlx::Error>>(
    work: impl Future<Output = Result<T, E>>,
) -> Result<T, E> {
    let stalled = |_| Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into()).into());
    tokio::time::timeout(STALL, work).await.unwrap_or_else(stalled)
}
