//! Reading ahead: the next micro-batch is read and encoded on a thread of its own while the present one
//! is being committed.

use std::io;

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::sink::Checkpoints;
use crate::source::feed::{Feed, Work};

/// A feed that may be at work.
pub(super) struct ReadAhead {
    state: State,
    /// What was read ahead and not asked for yet.
    ready: Option<Work>,
}

enum State {
    Idle(Box<Feed>),
    Reading(JoinHandle<(Box<Feed>, Option<Work>)>),
    /// The feed is on a thread whose end a method awaits; a method that was cancelled leaves it so.
    Lent,
}

impl ReadAhead {
    pub(super) fn new(feed: Feed) -> ReadAhead {
        ReadAhead { state: State::Idle(Box::new(feed)), ready: None }
    }

    /// Starts reading the next micro-batch.
    pub(super) fn start(&mut self) {
        self.state = match std::mem::replace(&mut self.state, State::Lent) {
            State::Idle(mut feed) if self.ready.is_none() => {
                State::Reading(spawn_blocking(move || {
                    let work = feed.next_work();
                    (feed, work)
                }))
            }
            state => state,
        };
    }

    /// The next piece of work: the one read ahead, else read now.
    pub(super) async fn next(&mut self) -> Result<Option<Work>, JoinError> {
        self.start();
        let feed = self.rest().await?;
        self.state = State::Idle(feed);
        Ok(self.ready.take())
    }

    /// Lists the folder.
    pub(super) async fn list(&mut self) -> Result<io::Result<()>, JoinError> {
        let mut feed = self.rest().await?;
        let (feed, listed) = spawn_blocking(move || {
            let listed = feed.list();
            (feed, listed)
        })
        .await?;
        self.state = State::Idle(feed);
        Ok(listed)
    }

    /// Forgets what was read ahead and goes on from `checkpoints`.
    pub(super) async fn rewind(&mut self, checkpoints: Checkpoints) -> Result<(), JoinError> {
        let mut feed = self.rest().await?;
        self.ready = None;
        feed.rewind(checkpoints);
        self.state = State::Idle(feed);
        Ok(())
    }

    /// Whether a file ends in a record that is not written whole.
    pub(super) async fn is_waiting(&mut self) -> Result<bool, JoinError> {
        let feed = self.rest().await?;
        let is_waiting = feed.is_waiting();
        self.state = State::Idle(feed);
        Ok(is_waiting)
    }

    /// The feed at rest; what it has read by then is kept.
    async fn rest(&mut self) -> Result<Box<Feed>, JoinError> {
        match std::mem::replace(&mut self.state, State::Lent) {
            State::Idle(feed) => Ok(feed),
            State::Reading(reading) => {
                let (feed, work) = reading.await?;
                self.ready = work;
                Ok(feed)
            }
            State::Lent => unreachable!("one task uses it, and cancels no method of it"),
        }
    }
}
