//! Records put together as they are to be sent.

use std::time::Duration;

/// Records that are sent together.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Batch {
    /// Counted from 0.
    pub(crate) number: u64,
    /// The records as CSV, without a header.
    pub(crate) lines: Vec<u8>,
    /// When each was due, since the run began.
    pub(crate) due: Vec<Duration>,
}

impl Batch {
    /// How many records it has.
    pub(crate) fn records(&self) -> u64 {
        u64::try_from(self.due.len()).unwrap_or(u64::MAX)
    }
}
