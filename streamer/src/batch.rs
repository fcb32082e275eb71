//! A micro-batch: the records of one transaction, encoded and ready to be sent.

use std::ops::Range;
use std::sync::Arc;

use crate::layout::{Layout, Reason};
use crate::source::Position;

/// Up to `max_rows` records of one or several partitions, all under the same layout.
#[derive(Debug)]
pub struct MicroBatch {
    /// How the records fit the table.
    pub layout: Arc<Layout>,
    /// What comes from each partition, in the order it was read.
    pub parts: Vec<Part>,
    /// The encoded rows, one behind the other, in the order of [`MicroBatch::rows`]' making.
    pub bytes: Vec<u8>,
    /// The records of the rows as they stand in their files, one behind the other, without their line ends:
    /// for those that the table refuses.
    pub raw: Vec<u8>,
    /// The rows in key order. Rows with equal keys stand together, the first read first.
    pub rows: Vec<RowPlace>,
    /// Rows, their raw records and dead letters, in bytes: what the micro-batch takes in memory.
    pub held_bytes: usize,
    /// What is left to read behind it, in bytes.
    pub lag_bytes: u64,
    /// The records whose outcome somebody waits for.
    pub watched: Vec<Watched>,
}

/// Records of one partition whose outcome somebody waits for. Some of them may be in other micro-batches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watched {
    /// Which part of the micro-batch they belong to.
    pub part: usize,
    /// Where they start in the partition, and where the last one ends.
    pub offsets: Range<u64>,
    /// Who waits.
    pub waiter: u64,
}

/// What a micro-batch takes from one partition.
#[derive(Debug)]
pub struct Part {
    /// The partition's name.
    pub partition: String,
    /// The file's header as it stands there, without its line end.
    pub header: Arc<[u8]>,
    /// Where it stood before: the compare of the compare-and-set.
    pub start_offset: u64,
    /// Where it stands after: the set.
    pub end: Position,
    /// Records taken, the header not counted.
    pub records: u64,
    /// Records that can't be rows, known before the table is asked.
    pub dead_letters: Vec<DeadLetter>,
}

/// Where one row lies and where its record came from.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace {
    /// The first bytes of the key, for quick comparison.
    prefix: u128,
    /// Where the row starts in [`MicroBatch::bytes`]; the count of columns is first.
    start: usize,
    /// Where its key ends.
    key_end: usize,
    /// Where the row ends.
    end: usize,
    /// Which part it belongs to.
    pub part: usize,
    /// The record it came from.
    record: RecordPlace,
    /// Whether a row with the same key stands before it.
    is_repeat: bool,
    /// Its place in key order.
    index: usize,
}

/// A record that can't be a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeadLetter {
    /// The record's bytes in the partition, its line end excluded.
    pub offsets: Range<u64>,
    /// The line it starts on, from 1.
    pub line: u64,
    /// Its bytes, at most [`RAW_BYTES_MAX`] of them.
    pub raw: Vec<u8>,
    /// What is wrong with it, one entry a column.
    pub reasons: Vec<Reason>,
}

/// How much of a refused record is kept.
pub const RAW_BYTES_MAX: usize = 64 * 1024;

/// The record a row came from.
#[derive(Debug, Clone, Copy)]
pub struct RecordPlace {
    /// Where it starts in its partition.
    pub offset: u64,
    /// Where it starts in [`MicroBatch::raw`].
    pub start: usize,
    /// Where it ends there, its line end excluded.
    pub end: usize,
    /// Its line in the file, from 1.
    pub line: u64,
}

impl MicroBatch {
    /// A micro-batch without records.
    pub fn new(layout: Arc<Layout>) -> MicroBatch {
        MicroBatch {
            layout,
            parts: Vec::new(),
            bytes: Vec::new(),
            raw: Vec::new(),
            rows: Vec::new(),
            held_bytes: 0,
            lag_bytes: 0,
            watched: Vec::new(),
        }
    }

    /// A micro-batch without records, in the memory of one that is committed.
    pub fn reused(self, layout: Arc<Layout>) -> MicroBatch {
        let MicroBatch { mut bytes, mut raw, mut rows, .. } = self;
        bytes.clear();
        raw.clear();
        rows.clear();
        MicroBatch { bytes, raw, rows, ..MicroBatch::new(layout) }
    }

    /// Records taken from all partitions.
    pub fn records(&self) -> u64 {
        self.parts.iter().map(|part| part.records).sum()
    }

    /// Notes the row that was appended to [`MicroBatch::bytes`] at `start`; it belongs to the part that
    /// is read now, the one behind those in [`MicroBatch::parts`].
    pub fn push_row(&mut self, start: usize, key_end: usize, record: RecordPlace) {
        let row = RowPlace {
            prefix: prefix(&self.bytes[start + 2..key_end.max(start + 2)]),
            start,
            key_end,
            end: self.bytes.len(),
            part: self.parts.len(),
            record,
            is_repeat: false,
            index: self.rows.len(),
        };
        self.rows.push(row);
    }

    /// Puts the rows in key order and marks those that repeat the key of another.
    ///
    /// Rows in key order cost the index less, and writers that go in the same order can't deadlock.
    pub fn finish(&mut self) {
        let key_len = self.layout.key_len();
        if key_len == 0 {
            return;
        }
        let bytes = &self.bytes;
        let key = |row: &RowPlace| &bytes[row.start + 2..row.key_end];
        self.rows.sort_unstable_by(|a, b| {
            a.prefix.cmp(&b.prefix).then_with(|| key(a).cmp(key(b))).then(a.start.cmp(&b.start))
        });
        self.rows.iter_mut().enumerate().for_each(|(index, row)| row.index = index);
        for at in 1..self.rows.len() {
            let (before, row) = (self.rows[at - 1], self.rows[at]);
            let repeats = before.prefix == row.prefix && key(&before) == key(&row);
            // NULLs are distinct: a key with a NULL in it has no equal.
            self.rows[at].is_repeat = repeats && !has_null(key(&row));
        }
    }

    /// The first row read of each key, in key order.
    pub fn first_of_each_key(&self) -> Vec<RowPlace> {
        self.rows.iter().filter(|row| !row.is_repeat).copied().collect()
    }

    /// The row without the filled columns.
    pub fn row_bytes(&self, row: &RowPlace) -> &[u8] {
        &self.bytes[row.start..row.end]
    }

    /// The values of the row's key, `None` for NULL.
    pub fn key_values(&self, row: &RowPlace) -> impl Iterator<Item = Option<&[u8]>> {
        Values { bytes: &self.bytes[row.start + 2..row.key_end] }
    }

    /// The next row with the same key, in the order of reading.
    pub fn next_repeat(&self, row: &RowPlace) -> Option<&RowPlace> {
        self.rows.get(row.index + 1).filter(|next| next.is_repeat)
    }

    /// The dead letter that the row's record becomes.
    pub fn dead_letter(&self, row: &RowPlace, reason: Reason) -> DeadLetter {
        let record = &row.record;
        let raw = &self.raw[record.start..record.end];
        DeadLetter::new(record.offset, record.line, raw, vec![reason])
    }
}

impl RowPlace {
    /// Where its record starts in its partition.
    pub fn offset(&self) -> u64 {
        self.record.offset
    }
}

impl DeadLetter {
    /// The dead letter of the record `raw`, which stands at `offset`.
    pub fn new(offset: u64, line: u64, raw: &[u8], reasons: Vec<Reason>) -> DeadLetter {
        let len = u64::try_from(raw.len()).expect("lies in memory");
        let raw = raw[..raw.len().min(RAW_BYTES_MAX)].to_vec();
        DeadLetter { offsets: offset..offset + len, line, raw, reasons }
    }
}

/// The values of an encoded key.
struct Values<'a> {
    bytes: &'a [u8],
}

impl<'a> Iterator for Values<'a> {
    type Item = Option<&'a [u8]>;

    fn next(&mut self) -> Option<Self::Item> {
        let (len, rest) = self.bytes.split_first_chunk::<4>()?;
        let Ok(len) = usize::try_from(i32::from_be_bytes(*len)) else {
            self.bytes = rest;
            return Some(None);
        };
        let (value, rest) = rest.split_at(len);
        self.bytes = rest;
        Some(Some(value))
    }
}

fn has_null(key: &[u8]) -> bool {
    Values { bytes: key }.any(|value| value.is_none())
}

/// The first 16 bytes of the first key value, as a number that sorts as they do.
fn prefix(key: &[u8]) -> u128 {
    let value = key.get(4..).unwrap_or_default();
    let mut bytes = [0; 16];
    let len = value.len().min(16);
    bytes[..len].copy_from_slice(&value[..len]);
    u128::from_be_bytes(bytes)
}
