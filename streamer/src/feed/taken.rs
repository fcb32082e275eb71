//! Taken records into one part of a micro-batch: each becomes a row or a dead letter.

use crate::batch::{DeadLetter, MicroBatch};
use crate::layout::{BAD_COPY_FILE_FORMAT, Reason};
use crate::source::file::{Refused, Step};

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
    pub(super) fn take(&mut self, step: Step<'_>, batch: &mut MicroBatch) {
        self.records += 1;
        match step {
            Step::Record(record) => {
                batch.take(&record, &mut self.reasons);
                if !self.reasons.is_empty() {
                    let reasons = std::mem::take(&mut self.reasons);
                    let letter = DeadLetter::new(record.range, record.line, record.raw, reasons);
                    self.refuse(letter, batch);
                }
            }
            Step::Refused(Refused { raw, range, line, fault }) => {
                let reason = Reason::of_record(BAD_COPY_FILE_FORMAT, fault.reason());
                self.refuse(DeadLetter::new(range, Some(line), raw, vec![reason]), batch);
            }
            Step::End | Step::Wait => unreachable!("the caller ends there"),
        }
    }

    fn refuse(&mut self, letter: DeadLetter, batch: &mut MicroBatch) {
        batch.held_bytes += letter.raw.len();
        self.dead_letters.push(letter);
    }
}
