//! Taken records into one part of a micro-batch: each becomes a row or a dead letter.

use crate::batch::{DeadLetter, MicroBatch, Request, Verdict, bytes_of_rows};
use crate::format::Record;
use crate::layout::{BAD_COPY_FILE_FORMAT, Reason};
use crate::source::file::{self, Refused};

/// The part of a micro-batch that is being read.
#[derive(Default)]
pub(super) struct Taken {
    /// How many so far.
    pub(super) records: u64,
    pub(super) dead_letters: Vec<DeadLetter>,
    reasons: Vec<Reason>,
    /// The requests with a key, each with how many of its records were taken.
    requests: Vec<(file::Request, u64)>,
}

/// What the records of a request take in memory, about, in bytes: as they stand and as rows.
pub(super) fn bytes_of(request: &file::Request) -> usize {
    bytes_of_rows(len_of(request), request.records.into())
}

fn len_of(request: &file::Request) -> usize {
    usize::try_from(request.range.end - request.range.start).unwrap_or(usize::MAX)
}

impl Taken {
    /// What is taken next are the records of a request with a key.
    pub(super) fn begin(&mut self, request: file::Request, batch: &mut MicroBatch) {
        batch.reserve(len_of(&request), request.records.into());
        self.requests.push((request, 0));
    }

    /// Takes a record in: as a row, or as a dead letter.
    pub(super) fn take(&mut self, record: Record<'_>, batch: &mut MicroBatch) {
        self.count(record.range.start);
        batch.take(&record, &mut self.reasons);
        if !self.reasons.is_empty() {
            let reasons = std::mem::take(&mut self.reasons);
            self.push(DeadLetter::new(record.range, record.line, record.raw, reasons), batch);
        }
    }

    /// Takes what is no record in, as a dead letter.
    pub(super) fn refuse(&mut self, refused: Refused<'_>, batch: &mut MicroBatch) {
        self.count(refused.range.start);
        let Refused { raw, range, line, fault } = refused;
        let reason = Reason::of_record(BAD_COPY_FILE_FORMAT, fault.reason());
        self.push(DeadLetter::new(range, line, raw, vec![reason]), batch);
    }

    /// The requests with a key whose records were taken, as those of this part of a micro-batch.
    pub(super) fn requests(&mut self, part: usize) -> impl Iterator<Item = Request> {
        std::mem::take(&mut self.requests).into_iter().map(move |(request, records)| {
            let file::Request { key, range, .. } = request;
            Request { part, offsets: range, records, key, verdict: Verdict::New }
        })
    }

    /// Counts a record that starts at `offset`.
    fn count(&mut self, offset: u64) {
        self.records += 1;
        if let Some((request, records)) = self.requests.last_mut() {
            *records += u64::from(request.range.contains(&offset));
        }
    }

    fn push(&mut self, letter: DeadLetter, batch: &mut MicroBatch) {
        batch.held_bytes += letter.held_bytes();
        self.dead_letters.push(letter);
    }
}
