//! Formats: bytes in, records out. Each format cuts a record off the front of a buffer and says how
//! many bytes it took; it knows nothing of files, offsets or tables.

pub mod csv;
pub mod cut;
pub mod json;
pub mod json_body;
pub mod packing;
mod plain;
mod quoting;

use clap::ValueEnum;
use serde::Deserialize;

/// What the bytes of a file are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// CSV with a header.
    Csv,
    /// A JSON object on each line.
    Ndjson,
}

impl Format {
    /// What a file of this name holds: JSON lines where it ends in `.ndjson` or `.jsonl`, before the ending
    /// that says how it is packed.
    pub fn of(name: &str) -> Format {
        let ends = |name: &str, ending: &str| {
            let start = name.len().checked_sub(ending.len()).filter(|start| *start > 0);
            let end = start.and_then(|start| name.get(start..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
        };
        let packed = [".gz", ".zst"].into_iter().find(|ending| ends(name, ending));
        let name = &name[..name.len() - packed.map_or(0, str::len)];
        let is_json = [".ndjson", ".jsonl"].into_iter().any(|ending| ends(name, ending));
        if is_json { Format::Ndjson } else { Format::Csv }
    }
}

/// The fields of one record, unescaped.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// All fields, one behind the other, perhaps with something between them.
    bytes: &'a [u8],
    /// The same as text, where it is valid UTF-8 as a whole: checked once for all fields.
    text: Option<&'a str>,
    fields: Fields<'a>,
}

/// Where the fields stand in the bytes of their record.
#[derive(Debug, Clone, Copy)]
enum Fields<'a> {
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
struct Field {
    start: usize,
    end: usize,
    is_quoted: bool,
}

impl<'a> Record<'a> {
    fn new(bytes: &'a [u8], fields: Fields<'a>) -> Record<'a> {
        Record { bytes, text: std::str::from_utf8(bytes).ok(), fields }
    }

    /// How many fields there are.
    pub fn count(&self) -> usize {
        match self.fields {
            Fields::Plain(fields) => fields.len(),
            Fields::Parsed { ends, .. } => ends.len(),
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
        match self.fields {
            Fields::Plain(fields) => fields[index].is_quoted,
            Fields::Parsed { quoted, .. } => quoted.get(index).copied().unwrap_or(false),
        }
    }

    fn range(&self, index: usize) -> std::ops::Range<usize> {
        match self.fields {
            Fields::Plain(fields) => fields[index].start..fields[index].end,
            Fields::Parsed { ends, .. } => {
                let start = if index == 0 { 0 } else { ends[index - 1] };
                start..ends[index]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Format;

    #[test]
    fn a_name_tells_the_format_whatever_it_is_packed_with() {
        for name in ["a.ndjson", "in/a.b.JSONL", "a.ndjson.gz", "a.jsonl.ZST"] {
            assert_eq!(Format::of(name), Format::Ndjson, "{name}");
        }
        for name in
            ["a.csv", "a.csv.gz", "a.json", "ndjson", ".gz", "", "é.ndjson.bak", "a.jsonl.csv"]
        {
            assert_eq!(Format::of(name), Format::Csv, "{name}");
        }
    }
}
