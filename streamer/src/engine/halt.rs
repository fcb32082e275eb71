//! Why a turn of a writer comes to nothing.

use super::ended::Ended;
use crate::partitioning::Missing;
use crate::sink::SinkError;

/// Why a micro-batch is put down: it is read again later.
pub(super) enum Later {
    /// Others hold a lock.
    Lock,
    /// Another streamer was faster.
    Rival,
    /// The table lacks a partition.
    Partition(Missing),
}

/// Why a turn comes to nothing.
pub(super) enum Halt {
    Later(Later),
    Ended(Ended),
}

impl<E: Into<Ended>> From<E> for Halt {
    fn from(error: E) -> Halt {
        match error.into() {
            Ended::Sink(SinkError::Locked) => Halt::Later(Later::Lock),
            ended => Halt::Ended(ended),
        }
    }
}
