//! What a place in a log of records is.
//!
//! A log has a [`Name`] and holds records one behind the other, each at its offset. A log that was
//! replaced or truncated under its name is another [`Partition`]: the next generation. How far a
//! partition was read is a [`Position`] while it is in hand, and a [`Checkpoint`] once it is
//! committed. Offsets are always the next to read, and ranges are `[start, end)`; what they count,
//! the log's [`Kind`] knows. Nothing here opens a log or knows where one is kept.

pub mod claim;
mod density;
pub mod fingerprint;
mod lag;
mod name;
pub mod standing;

use std::collections::HashMap;

use crate::format::Packing;
pub use density::Density;
use fingerprint::{Fingerprint, Look, Stat};
pub use lag::Lag;
pub use name::{Kind, Name, Partition, SPOOL, Unit, file_text, file_text_without};

/// How far a partition was read, and what it looked like then: what a checkpoint holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Position {
    /// The next offset to read: the start of a record, or the log's end.
    pub offset: u64,
    /// The line that starts there, from 1, where the log has lines.
    pub line: Option<u64>,
    /// What was consumed of the log, to know it again.
    pub fingerprint: Fingerprint,
    /// Whether the log ends here.
    pub is_end: bool,
}

/// What the checkpoint says of a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The next offset to read.
    pub next_offset: u64,
    /// The line that starts there, from 1, where the log has lines.
    pub next_line: Option<u64>,
    /// What was consumed; `None` where nothing was.
    pub fingerprint: Option<Fingerprint>,
    /// Whether the log was read to its end then.
    pub is_done: bool,
}

/// By partition.
pub type Checkpoints = HashMap<Partition, Checkpoint>;

/// A log that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Its name.
    pub name: Name,
    /// What it looked like.
    pub stat: Stat,
}

impl Found {
    /// The hash of its name and of what it looks like.
    pub fn look(&self) -> Look {
        self.stat.look(self.name.as_str())
    }

    /// Whether it is to be unpacked.
    pub fn is_packed(&self) -> bool {
        Packing::of(self.name.as_str()).is_some()
    }
}
