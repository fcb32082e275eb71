//! Which neighbouring micro-batches become one line of the ledger.

use crate::ledger::compaction::Line;

/// What one line is of at most: so the way from a row to its record in the file stays short.
const RANGE_BYTES: i64 = 16 << 20;
const RANGE_RECORDS: i64 = 100_000;

/// From the first number of a line to its last at most: where a number is looked up, the primary
/// key is searched for so long. Held by a constraint of the table, too.
const RANGE_NUMBERS: i64 = 1 << 20;

/// How far the numbers of two neighbours may lie apart: each between them costs a bit, and this
/// many about half of what a line does.
const NUMBERS_APART: i64 = 1024;

/// Which lines are merged into which: numbers, and in the same place that of the last line of the
/// range. New lines that stay alone are among them, to be put to the old ones.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Merges {
    pub(super) numbers: Vec<i64>,
    pub(super) into: Vec<i64>,
    pub(super) ranges: u64,
}

/// Makes ranges of `lines`, which are in order of place. Returns with them where the last range
/// starts: more may come for it.
pub(super) fn ranges(lines: &[Line]) -> (Merges, Option<(String, i64)>) {
    let (mut merges, mut start, mut records) = (Merges::default(), 0, 0);
    for (at, line) in lines.iter().enumerate() {
        if at > start && !fits(&lines[start..at], records, line) {
            merges.push(&lines[start..at]);
            (start, records) = (at, 0);
        }
        records += line.records;
    }
    merges.push(&lines[start..]);
    let last = lines.get(start).map(|line| (line.partition.clone(), line.start_offset));
    (merges, last)
}

/// Whether `next` goes on where a range of so many records ends, and is not too much for it.
fn fits(range: &[Line], records: i64, next: &Line) -> bool {
    let (Some(first), Some(last)) = (range.first(), range.last()) else { return false };
    next.partition == last.partition
        && next.start_offset == last.end_offset
        && (1..=NUMBERS_APART).contains(&(next.first_batch_id - last.batch_id))
        && next.batch_id - first.first_batch_id < RANGE_NUMBERS
        && next.end_offset - first.start_offset <= RANGE_BYTES
        && records + next.records <= RANGE_RECORDS
}

impl Merges {
    /// Takes a range, unless it is one line that was put to the old ones before.
    fn push(&mut self, range: &[Line]) {
        let Some(last) = range.last() else { return };
        if range.len() > 1 || last.is_new {
            self.numbers.extend(range.iter().map(|line| line.batch_id));
            self.into.extend(range.iter().map(|_| last.batch_id));
            self.ranges += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lines of one partition, each from where the one before ends: number, bytes, records.
    fn lines(partition: &str, each: &[(i64, i64, i64)]) -> Vec<Line> {
        let mut start_offset = 0;
        let line = |&(batch_id, bytes, records): &(i64, i64, i64)| {
            let end_offset = start_offset + bytes;
            let start = std::mem::replace(&mut start_offset, end_offset);
            let partition = partition.to_owned();
            let first_batch_id = batch_id;
            let is_new = false;
            Line {
                batch_id,
                first_batch_id,
                partition,
                start_offset: start,
                end_offset,
                records,
                is_new,
            }
        };
        each.iter().map(line).collect()
    }

    fn into(lines: &[Line]) -> Vec<(i64, i64)> {
        let (merges, _) = ranges(lines);
        merges.numbers.into_iter().zip(merges.into).collect()
    }

    #[test]
    fn neighbours_become_ranges_of_one_partition_without_a_gap() {
        let mut all = lines("a", &[(1, 10, 1), (3, 10, 1), (5, 10, 1)]);
        all.extend(lines("b", &[(2, 10, 1), (4, 10, 1)]));
        assert_eq!(into(&all), [(1, 5), (3, 5), (5, 5), (2, 4), (4, 4)]);
        assert_eq!(ranges(&all).1, Some(("b".to_owned(), 0)));
        all[1].end_offset -= 1;
        assert_eq!(into(&all), [(1, 3), (3, 3), (2, 4), (4, 4)], "a gap of a byte");
        assert_eq!(into(&all[2..4]), []);
        all[2].is_new = true;
        assert_eq!(into(&all[2..4]), [(5, 5)], "it is put to the old ones");
        assert_eq!(ranges(&[]), (Merges::default(), None));
    }

    #[test]
    fn a_range_ends_at_each_of_its_limits() {
        let at_most = [(1, 1, 1), (2, 1, RANGE_RECORDS - 1)];
        assert_eq!(into(&lines("a", &at_most)).len(), 2);
        for too_much in [
            [(1, 1, 1), (2, 1, RANGE_RECORDS)],
            [(1, RANGE_BYTES, 1), (2, 1, 1)],
            [(1, 1, 1), (2 + NUMBERS_APART, 1, 1)],
            [(2, 1, 1), (1, 1, 1)],
        ] {
            assert_eq!(into(&lines("a", &too_much)), [], "{too_much:?}");
        }
        let mut far = lines("a", &[(RANGE_NUMBERS - 1, 1, 1), (RANGE_NUMBERS, 1, 1)]);
        far[0].first_batch_id = 1;
        assert_eq!(into(&far).len(), 2);
        far[0].first_batch_id = 0;
        assert_eq!(into(&far), []);
    }
}
