//! The requests of a micro-batch that came under an Idempotency-Key, and what becomes of those
//! whose key was used before.

use std::ops::Range;

use super::{DeadLetter, MicroBatch, Notes, RowPlace};
use crate::framing::Key;
use crate::layout::Reason;

/// The SQLSTATE of records whose key was used for others: unique_violation.
const UNIQUE_VIOLATION: &str = "23505";

/// Why records are dead letters whose key was used for others.
const REUSED: &str = "Idempotency-Key used before for other records";

/// Records that came together under a key, all of which are in the micro-batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// Which part of the micro-batch they belong to.
    pub part: usize,
    /// Where they stand in the partition.
    pub offsets: Range<u64>,
    /// How many there are.
    pub records: u64,
    /// The key.
    pub key: Key,
    /// What its key says.
    pub verdict: Verdict,
}

/// What the key of a request says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verdict {
    /// It was not used before, as far as is known: its records go into the table.
    #[default]
    New,
    /// The same records came before under the key.
    Repeated,
    /// Others did.
    Reused,
}

impl MicroBatch {
    /// The micro-batch as its requests' `verdicts` leave it: without the records that came before;
    /// those whose key was used for others are dead letters. Every record counts as read.
    pub fn judged(&self, verdicts: &[Verdict]) -> MicroBatch {
        let mut requests = self.requests.clone();
        requests.iter_mut().zip(verdicts).for_each(|(one, verdict)| one.verdict = *verdict);
        let mut batch = MicroBatch {
            fit: self.fit.clone(),
            layouts: self.layouts.clone(),
            parts: self.parts.clone(),
            bytes: self.bytes.clone(),
            raw: self.raw.clone(),
            rows: Vec::new(),
            notes: Notes::default(),
            held_bytes: self.held_bytes,
            share: self.share.clone(),
            lag: self.lag,
            records_max: self.records_max,
            watched: self.watched.clone(),
            requests,
        };
        for row in &self.rows {
            match batch.verdict_of(row.part, row.offset()) {
                Verdict::New => batch.keep(*row),
                Verdict::Repeated => {}
                Verdict::Reused => {
                    let letter = self.dead_letter(row, Reason::of_record(UNIQUE_VIOLATION, REUSED));
                    batch.parts[row.part].dead_letters.push(letter);
                }
            }
        }
        for at in 0..batch.parts.len() {
            let mut letters = std::mem::take(&mut batch.parts[at].dead_letters);
            letters.retain(|one: &DeadLetter| {
                batch.verdict_of(at, one.offsets.start) != Verdict::Repeated
            });
            letters.sort_by_key(|one| one.offsets.start);
            batch.parts[at].dead_letters = letters;
        }
        batch.finish();
        batch
    }

    /// The requests that came before.
    pub fn repeated(&self) -> impl Iterator<Item = &Request> {
        self.requests.iter().filter(|request| request.verdict == Verdict::Repeated)
    }

    /// Takes over a row of the micro-batch that this is made of.
    fn keep(&mut self, row: RowPlace) {
        self.note(&row);
        self.rows.push(RowPlace { is_repeat: false, index: self.rows.len(), ..row });
    }

    fn verdict_of(&self, part: usize, offset: u64) -> Verdict {
        // In the order of reading.
        let behind =
            self.requests.partition_point(|one| (one.part, one.offsets.start) <= (part, offset));
        let request = behind.checked_sub(1).map(|at| &self.requests[at]);
        let request = request.filter(|one| one.part == part && one.offsets.contains(&offset));
        request.map_or(Verdict::New, |one| one.verdict)
    }
}
