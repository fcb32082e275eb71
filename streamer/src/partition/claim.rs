//! What a writer asks for and what it is granted of the logs that writers share.

use std::collections::HashSet;

use super::{Checkpoints, Name, Partition};

/// A log that is to be read.
#[derive(Debug)]
pub struct Wanted {
    /// Its name.
    pub name: Name,
    /// Its newest partition that is known, and the one that may have come since.
    pub partitions: [Partition; 2],
}

/// Which logs are to be claimed, and which no longer.
#[derive(Debug, Default)]
pub struct ClaimRequest {
    /// The next logs to read, oldest first.
    pub wanted: Vec<Wanted>,
    /// The names of claimed logs that are read and committed.
    pub finished: Vec<Name>,
}

/// What was claimed, and where the logs stand now.
#[derive(Debug, Default)]
pub struct Claim {
    /// The logs that this streamer is to work on.
    pub granted: HashSet<Name>,
    /// The newest partitions of all logs that were wanted: others may have moved them.
    pub checkpoints: Checkpoints,
}
