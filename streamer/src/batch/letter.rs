//! Records that could not become rows.

use std::ops::Range;

use crate::layout::Reason;

/// A record that can't be a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record's bytes in the partition, its line end excluded.
    pub offsets: Range<u64>,
    /// The line it starts on, from 1, where its log has lines.
    pub line: Option<u64>,
    /// Its bytes, at most [`RAW_BYTES_MAX`] of them.
    pub raw: Vec<u8>,
    /// What is wrong with it, one entry a column.
    pub reasons: Vec<Reason>,
    /// What may mend it.
    pub kind: LetterKind,
}

/// What kind a dead letter is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LetterKind {
    /// The record or the table has to be mended by a person.
    Refused,
    /// The table has no partition for it. The streamer tries it again once there are others.
    NoPartition,
}

/// How much of a refused record is kept.
pub const RAW_BYTES_MAX: usize = 64 * 1024;

/// What a reason takes in memory, about, in bytes.
const REASON_BYTES: usize = 512;

impl DeadLetter {
    /// The dead letter of the record that stands at `offsets`, and begins with `raw`.
    pub fn new(
        offsets: Range<u64>,
        line: Option<u64>,
        raw: &[u8],
        reasons: Vec<Reason>,
    ) -> DeadLetter {
        let raw = raw[..raw.len().min(RAW_BYTES_MAX)].to_vec();
        DeadLetter { offsets, line, raw, reasons, kind: LetterKind::Refused }
    }

    /// What it takes in memory, about, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.raw.len() + size_of::<DeadLetter>() + self.reasons.len() * REASON_BYTES
    }
}

impl LetterKind {
    /// Its name in the database.
    pub fn name(self) -> &'static str {
        match self {
            LetterKind::Refused => "refused",
            LetterKind::NoPartition => "no partition",
        }
    }
}
