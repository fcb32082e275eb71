//! What became of the records that somebody waits for.

use super::rows::Written;
use crate::batch::{Counts, MicroBatch, Watched};

/// The outcome of each of [`MicroBatch::watched`], as far as its records are in this micro-batch.
pub(super) fn outcomes(batch: &MicroBatch, written: &Written<'_>) -> Vec<Counts> {
    if batch.watched.is_empty() {
        return Vec::new();
    }
    let tally = Tally::of(batch);
    let mut outcomes = vec![Counts::default(); batch.watched.len()];
    for row in &batch.rows {
        // What is neither in the table by this transaction nor refused was there before.
        tally.each(row.part, row.offset(), |at| {
            outcomes[at].records += 1;
            outcomes[at].duplicates += 1;
        });
    }
    for row in written.inserted.iter() {
        tally.each(row.part, row.offset(), |at| {
            outcomes[at].rows += 1;
            outcomes[at].duplicates -= 1;
        });
    }
    for (row, _) in &written.dead {
        tally.each(row.part, row.offset(), |at| {
            outcomes[at].dead_letters += 1;
            outcomes[at].duplicates -= 1;
        });
    }
    for (part, letters) in batch.parts.iter().map(|part| &part.dead_letters).enumerate() {
        for letter in letters {
            tally.each(part, letter.offsets.start, |at| {
                outcomes[at].records += 1;
                outcomes[at].dead_letters += 1;
            });
        }
    }
    for request in batch.repeated() {
        tally.each(request.part, request.offsets.start, |at| {
            outcomes[at].records += request.records;
            outcomes[at].repeated += request.records;
        });
    }
    outcomes
}

/// The watched ranges in order, to be searched.
struct Tally<'b> {
    ranges: Vec<(usize, &'b Watched)>,
}

impl<'b> Tally<'b> {
    fn of(batch: &'b MicroBatch) -> Tally<'b> {
        let mut ranges: Vec<(usize, &Watched)> = batch.watched.iter().enumerate().collect();
        ranges.sort_by_key(|(_, one)| (one.part, one.offsets.start, one.offsets.end));
        Tally { ranges }
    }

    /// Calls `note` with the place of each range that the record at `offset` is in. Ranges are
    /// either apart or the same: those of different requests, or of one that was repeated.
    fn each(&self, part: usize, offset: u64, mut note: impl FnMut(usize)) {
        let behind =
            self.ranges.partition_point(|(_, one)| (one.part, one.offsets.start) <= (part, offset));
        let before = self.ranges[..behind].iter().rev();
        before
            .take_while(|(_, one)| one.part == part && one.offsets.contains(&offset))
            .for_each(|(at, _)| note(*at));
    }
}
