//! One row of a micro-batch: where it lies, and what can be told of its bytes.

/// Where one row lies and where its record came from.
#[derive(Debug, Clone, Copy)]
pub struct RowPlace {
    /// The first bytes of the key, for quick comparison.
    pub(super) prefix: u128,
    /// Where the row starts in [`MicroBatch::bytes`](super::MicroBatch::bytes); the count of columns is first.
    pub(super) start: usize,
    /// Where its key ends.
    pub(super) key_end: usize,
    /// Where the row ends.
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
    /// Where it starts in [`MicroBatch::raw`](super::MicroBatch::raw).
    pub start: usize,
    /// Where it ends there, its line end excluded.
    pub end: usize,
    /// Its line in the file, from 1.
    pub line: u64,
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
