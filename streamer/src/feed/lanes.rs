//! Lanes: the logs of a stream that are taken in turn, and what there is of each.

use crate::partition::{Found, Kind};

/// Which logs are read one behind the other. What is in hand of one lane waits while a micro-batch
/// takes what there is of another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// What has come by a listener.
    Spool,
    /// Files that have changed since the streamer started, where these are to go first.
    Live,
    /// All other files.
    Backlog,
}

/// The lanes that a feed reads.
pub type Lanes = &'static [Lane];

/// Everything.
pub const ALL: Lanes = &[Lane::Spool, Lane::Live, Lane::Backlog];

/// Files alone.
pub const FILES: Lanes = &[Lane::Live, Lane::Backlog];

/// What has come by a listener, alone.
pub const SPOOL: Lanes = &[Lane::Spool];

/// Something for each lane.
#[derive(Debug, Clone, Default)]
pub(super) struct PerLane<T>([T; 3]);

/// Since when a file must have changed to be live, in seconds since 1970; `None` where no file is.
#[derive(Debug, Clone, Copy)]
pub(super) struct LiveSince(pub(super) Option<i64>);

impl LiveSince {
    pub(super) fn lane_of(self, found: &Found) -> Lane {
        match (found.name.kind(), self.0) {
            (Kind::Segment, _) => Lane::Spool,
            (Kind::File, Some(since)) if found.stat.changed().0 >= since => Lane::Live,
            (Kind::File, _) => Lane::Backlog,
        }
    }
}

impl<T> PerLane<T> {
    pub(super) fn of(&self, lane: Lane) -> &T {
        &self.0[lane as usize]
    }

    pub(super) fn of_mut(&mut self, lane: Lane) -> &mut T {
        &mut self.0[lane as usize]
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &T> {
        self.0.iter()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.0.iter_mut()
    }
}
