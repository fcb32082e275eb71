//! The fields of one record: where they stand in one borrowed buffer, and which of them were
//! quoted.

/// The fields of one record, unescaped. There are none where a record has names of its own, as a
/// JSON object has.
#[derive(Debug, Clone, Copy)]
pub struct Fields<'a> {
    /// All fields, one behind the other, perhaps with something between them.
    bytes: &'a [u8],
    /// The same as text, where it is valid UTF-8 as a whole: checked once for all fields.
    text: Option<&'a str>,
    places: Places<'a>,
}

/// Where the fields stand in the bytes of their record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Places<'a> {
    /// Each by itself, without its quotes.
    Plain(&'a [Field]),
    /// One behind the other.
    Parsed {
        /// Where each ends.
        ends: &'a [usize],
        /// Which were quoted; empty where none was.
        quoted: &'a [bool],
    },
}

/// Where a plain field stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) is_quoted: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn new(bytes: &'a [u8], places: Places<'a>) -> Fields<'a> {
        Fields { bytes, text: std::str::from_utf8(bytes).ok(), places }
    }

    pub(super) fn none() -> Fields<'a> {
        Fields { bytes: &[], text: Some(""), places: Places::Plain(&[]) }
    }

    /// How many fields there are.
    pub fn count(&self) -> usize {
        match self.places {
            Places::Plain(fields) => fields.len(),
            Places::Parsed { ends, .. } => ends.len(),
        }
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
        match self.places {
            Places::Plain(fields) => fields[index].is_quoted,
            Places::Parsed { quoted, .. } => quoted.get(index).copied().unwrap_or(false),
        }
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        match self.places {
            Places::Plain(fields) => fields[index].start..fields[index].end,
            Places::Parsed { ends, .. } => {
                let start = if index == 0 { 0 } else { ends[index - 1] };
                start..ends[index]
            }
        }
    }
}
