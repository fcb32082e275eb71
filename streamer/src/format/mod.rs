//! Formats: bytes in, records out. Each format cuts a record off the front of a buffer and says how
//! many bytes it took; it knows nothing of files, offsets or tables.

pub mod csv;
mod quoting;

/// The fields of one record, unescaped.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// All fields, one behind the other.
    bytes: &'a [u8],
    /// The same as text, where it is valid UTF-8 as a whole: checked once for all fields.
    text: Option<&'a str>,
    /// Where each field ends in `bytes`.
    ends: &'a [usize],
    /// Which fields were quoted; empty where none was.
    quoted: &'a [bool],
}

impl<'a> Record<'a> {
    fn new(bytes: &'a [u8], ends: &'a [usize], quoted: &'a [bool]) -> Record<'a> {
        Record { bytes, text: std::str::from_utf8(bytes).ok(), ends, quoted }
    }

    /// How many fields there are.
    pub fn count(&self) -> usize {
        self.ends.len()
    }

    /// The bytes of field `index`.
    pub fn bytes(&self, index: usize) -> &'a [u8] {
        &self.bytes[self.range(index)]
    }

    /// The text of field `index`, if it is valid UTF-8.
    pub fn text(&self, index: usize) -> Option<&'a str> {
        match self.text {
            // A character split between two fields is valid in the whole, but in neither field.
            Some(text) => text.get(self.range(index)),
            None => std::str::from_utf8(self.bytes(index)).ok(),
        }
    }

    /// Whether field `index` was quoted: `""` is then an empty text, not nothing.
    pub fn is_quoted(&self, index: usize) -> bool {
        self.quoted.get(index).copied().unwrap_or(false)
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        let start = if index == 0 { 0 } else { self.ends[index - 1] };
        start..self.ends[index]
    }
}
