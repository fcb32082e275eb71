//! Taken records into one part of a micro-batch: each becomes a row or a dead letter.

use crate::batch::{DeadLetter, MicroBatch};
use crate::format::Record;
use crate::layout::{BAD_COPY_FILE_FORMAT, Reason};
use crate::source::file::Refused;

/// The part of a micro-batch that is being read.
#[derive(Default)]
pub(super) struct Taken {
    /// How many so far.
    pub(super) records: u64,
    pub(super) dead_letters: Vec<DeadLetter>,
    reasons: Vec<Reason>,
}

impl Taken {
    /// Takes a record in: as a row, or as a dead letter.
    pub(super) fn take(&mut self, record: Record<'_>, batch: &mut MicroBatch) {
        self.records += 1;
        batch.take(&record, &mut self.reasons);
        if !self.reasons.is_empty() {
            let reasons = std::mem::take(&mut self.reasons);
            self.push(DeadLetter::new(record.range, record.line, record.raw, reasons), batch);
        }
    }

    /// Takes what is no record in, as a dead letter.
    pub(super) fn refuse(&mut self, refused: Refused<'_>, batch: &mut MicroBatch) {
        self.records += 1;
        let Refused { raw, range, line, fault } = refused;
        let reason = Reason::of_record(BAD_COPY_FILE_FORMAT, fault.reason());
        self.push(DeadLetter::new(range, line, raw, vec![reason]), batch);
    }

    fn push(&mut self, letter: DeadLetter, batch: &mut MicroBatch) {
        batch.held_bytes += letter.raw.len();
        self.dead_letters.push(letter);
    }
}
