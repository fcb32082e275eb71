//! One row of a micro-batch: where it lies, and what can be told of its bytes.

/// Where one row lies and where its record came from.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace {
    /// The first bytes of the key, for quick comparison.
    pub(super) prefix: u128,
    /// Where the row starts in [`MicroBatch::bytes`](super::MicroBatch::bytes); the count of
    /// columns is first.
    pub(super) start: usize,
    /// Where its key ends.
    pub(super) key_end: usize,
    /// Where what is sent of the row ends. Behind it stand the texts of its key, or its time.
    pub(super) end: usize,
    /// Which part it belongs to.
    pub part: usize,
    /// Which of the micro-batch's layouts it has.
    pub(super) layout: u32,
    /// The record it came from.
    pub(super) record: RecordPlace,
    /// Whether a row with the same key stands before it.
    pub(super) is_repeat: bool,
    /// Its place in key order.
    pub(super) index: usize,
}

/// The record a row came from.
#[derive(Debug, Clone, Copy)]
pub struct RecordPlace {
    /// Where it starts in its partition.
    pub offset: u64,
    /// Where it ends there, its line end excluded.
    pub end_offset: u64,
    /// Where it starts in [`MicroBatch::raw`](super::MicroBatch::raw).
    pub start: usize,
    /// Where it ends in them.
    pub end: usize,
    /// Its line, from 1, where its log has lines.
    pub line: Option<u64>,
}

impl RowPlace {
    /// Which of the micro-batch's layouts it has.
    pub fn layout(&self) -> usize {
        self.layout as usize
    }

    /// Where its record starts in its partition.
    pub fn offset(&self) -> u64 {
        self.record.offset
    }

    /// What sorts rows in the order in which they were read.
    pub fn read_order(&self) -> usize {
        self.start
    }

    /// Whether a row with the same key stands before it.
    pub fn is_repeat(&self) -> bool {
        self.is_repeat
    }

    /// Its key, behind the count of columns.
    pub(super) fn key<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        &bytes[self.start + 2..self.key_end]
    }
}

/// The values of an encoded key.
pub(super) struct Values<'a> {
    pub(super) bytes: &'a [u8],
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

pub(super) fn has_null(key: &[u8]) -> bool {
    Values { bytes: key }.any(|value| value.is_none())
}

/// The first 16 bytes of the first key value, as a number that sorts as they do.
pub(super) fn prefix(key: &[u8]) -> u128 {
    let value = key.get(4..).unwrap_or_default();
    let mut bytes = [0; 16];
    let len = value.len().min(16);
    bytes[..len].copy_from_slice(&value[..len]);
    u128::from_be_bytes(bytes)
}

/// Puts rows in the order of their keys: of the first bytes of the first value, then of all bytes;
/// those of equal keys in the order of reading.
pub(super) fn sort(rows: &mut [RowPlace], bytes: &[u8]) {
    // Two numbers are moved while they are sorted, in place of the rows.
    rows.sort_by_cached_key(|row| row.prefix);
    for alike in rows.chunk_by_mut(|a, b| a.prefix == b.prefix) {
        alike.sort_unstable_by(|a, b| a.key(bytes).cmp(b.key(bytes)).then(a.start.cmp(&b.start)));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{RecordPlace, RowPlace, prefix, sort};

    proptest! {
        #[test]
        fn rows_are_in_the_order_of_their_keys(keys in prop::collection::vec(
            prop::collection::vec(prop::sample::select(vec![0_u8, 1, 255]), 0..24), 0..40,
        )) {
            let (mut bytes, mut rows) = (Vec::new(), Vec::new());
            for (index, key) in keys.iter().enumerate() {
                let start = bytes.len();
                bytes.extend([0, 1]);
                bytes.extend(i32::try_from(key.len()).unwrap().to_be_bytes());
                bytes.extend(key);
                let record =
                    RecordPlace { offset: 0, end_offset: 0, start: 0, end: 0, line: Some(1) };
                let (key_end, prefix) = (bytes.len(), prefix(&bytes[start + 2..]));
                rows.push(RowPlace {
                    prefix, start, key_end, end: key_end, part: 0, layout: 0, record, is_repeat: false, index,
                });
            }
            let mut expected = rows.clone();
            expected.sort_by_key(|row| (row.prefix, row.key(&bytes).to_vec(), row.start));
            sort(&mut rows, &bytes);
            let places = |rows: &[RowPlace]| rows.iter().map(|row| row.index).collect::<Vec<_>>();
            prop_assert_eq!(places(&rows), places(&expected));
        }
    }
}
