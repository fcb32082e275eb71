//! Reading ahead: the next micro-batch is read and encoded on a thread of its own while the present
//! one is being committed.

use std::time::{Duration, Instant};

use tokio::task::{JoinError, JoinHandle, spawn_blocking};

use crate::batch::MicroBatch;
use crate::feed::room::Room;
use crate::feed::{Feed, Work};

/// A feed that may be at work.
pub(super) struct ReadAhead {
    state: State,
    /// What was read ahead and not asked for yet.
    ready: Option<Work>,
    /// How long it took to read that, and what was given last.
    ready_in: Duration,
    taken_in: Duration,
    /// What is committed, and whose memory the next micro-batch may have.
    spare: Option<MicroBatch>,
}

enum State {
    Idle(Box<Feed>),
    Reading(JoinHandle<(Box<Feed>, Option<Work>, Duration)>),
    /// The feed is on a thread whose end a method awaits; a method that was cancelled leaves it so.
    Lent,
}

impl ReadAhead {
    pub(super) fn new(feed: Feed) -> ReadAhead {
        let (ready_in, taken_in) = (Duration::ZERO, Duration::ZERO);
        ReadAhead {
            state: State::Idle(Box::new(feed)),
            ready: None,
            ready_in,
            taken_in,
            spare: None,
        }
    }

    /// Gives back a micro-batch that is committed.
    pub(super) fn give_back(&mut self, batch: MicroBatch) {
        self.spare = Some(batch);
    }

    /// The next micro-batch does not follow at once: gives back what would only spare some work.
    pub(super) async fn pause(&mut self) -> Result<(), JoinError> {
        self.spare = None;
        self.at_rest(Feed::pause).await
    }

    /// Starts reading the next micro-batch ahead, where there is room for it.
    pub(super) fn start_ahead(&mut self) {
        if let State::Idle(feed) = &self.state
            && let Some(room) = feed.room_ahead()
        {
            self.start(u64::MAX, room);
        }
    }

    /// Starts reading the next micro-batch, of at most `records_max` records.
    fn start(&mut self, records_max: u64, room: Room) {
        self.state = match std::mem::replace(&mut self.state, State::Lent) {
            State::Idle(mut feed) if self.ready.is_none() => {
                if let Some(spare) = self.spare.take() {
                    feed.reuse(spare);
                }
                State::Reading(spawn_blocking(move || {
                    let begun = Instant::now();
                    let work = feed.next_work(records_max, room);
                    (feed, work, begun.elapsed())
                }))
            }
            state => state,
        };
    }

    /// The next piece of work: the one read ahead, else at most `records_max` records read now.
    pub(super) async fn next(&mut self, records_max: u64) -> Result<Option<Work>, JoinError> {
        let feed = self.rest().await?;
        let room = feed.room();
        self.state = State::Idle(feed);
        // What is read ahead may have found no room.
        self.start(records_max, room);
        let feed = self.rest().await?;
        self.state = State::Idle(feed);
        self.taken_in = self.ready_in;
        Ok(self.ready.take())
    }

    /// Whether something is or was read ahead.
    pub(super) fn is_ahead(&self) -> bool {
        self.is_ready() || matches!(self.state, State::Reading(_))
    }

    /// How long it took to read and convert what [`ReadAhead::next`] gave last.
    pub(super) fn taken_in(&self) -> Duration {
        self.taken_in
    }

    /// Whether something was read ahead.
    pub(super) fn is_ready(&self) -> bool {
        self.ready.is_some()
    }

    /// Forgets what was granted and what was read ahead.
    pub(super) async fn reset(&mut self) -> Result<(), JoinError> {
        self.at_rest(Feed::reset).await?;
        self.ready = None;
        Ok(())
    }

    /// Does something quick with the feed at rest.
    pub(super) async fn at_rest<T>(
        &mut self,
        action: impl FnOnce(&mut Feed) -> T,
    ) -> Result<T, JoinError> {
        let mut feed = self.rest().await?;
        let outcome = action(&mut feed);
        self.state = State::Idle(feed);
        Ok(outcome)
    }

    /// The feed at rest; what it has read by then is kept.
    async fn rest(&mut self) -> Result<Box<Feed>, JoinError> {
        match std::mem::replace(&mut self.state, State::Lent) {
            State::Idle(feed) => Ok(feed),
            State::Reading(reading) => {
                let (feed, work, took) = reading.await?;
                (self.ready, self.ready_in) = (work, took);
                Ok(feed)
            }
            State::Lent => unreachable!("one task uses it, and cancels no method of it"),
        }
    }
}
