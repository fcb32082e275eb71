//! Formats: bytes in, records out. Knows nothing of files and tables.
//!
//! A [`Reader`] reads a stream of bytes as records of one format. A format itself only cuts a
//! record off the front of a buffer: it is a file with a type that can `Split`, and a line in the
//! table of formats below.

mod beginning;
mod csv;
mod cut;
mod fields;
pub mod json;
pub mod json_body;
mod packing;
mod plain;
mod quoting;
mod reader;

use clap::ValueEnum;
use serde::Deserialize;

pub use beginning::{Beginning, Header, HeaderFault, without_mark};
use cut::Cut;
pub use cut::Fault;
pub use fields::Fields;
pub use packing::Packing;
pub use reader::{Next, Place, Reader, Record, State};

/// Cuts the records of one format off buffers.
trait Split {
    /// What else is to be known of the format.
    const ABOUT: About;

    /// For records of at most `record_bytes_max` bytes, line end included.
    fn new(record_bytes_max: usize) -> Self;

    /// Cuts one record off the front of `buffer`, which starts where a record starts. `complete`
    /// says that nothing will follow the buffer.
    fn cut(&mut self, buffer: &[u8], complete: bool) -> Cut;

    /// Gives back the memory of a long record, whose fields are not asked for any more.
    fn trim(&mut self) {}

    /// The fields of the record that was cut last, whose bytes are `raw`; none where the format has
    /// no header.
    fn fields<'a>(&'a self, raw: &'a [u8]) -> Fields<'a>;
}

/// What is to be known of a format, besides how its records are cut.
#[derive(Debug)]
struct About {
    /// What the names of its files end with. Those of the spool's segments end with the first.
    endings: &'static [&'static str],
    /// What stands between the fields of a record, below a header that names them. Where there is
    /// nothing, there is no header either: each record is a JSON object.
    delimiter: Option<u8>,
    /// Whether a record may go on behind a line end.
    spans_lines: bool,
}

/// Makes what has a part for each format. The names of settings and flags are those of the formats
/// in lower case.
macro_rules! formats {
    ($($(#[$doc:meta])* $name:ident: $splitter:ty,)+) => {
        /// What the bytes of a file are.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, ValueEnum)]
        #[serde(rename_all = "lowercase")]
        pub enum Format {
            $($(#[$doc])* $name,)+
        }

        impl Format {
            fn about(self) -> &'static About {
                match self {
                    $(Format::$name => const { &<$splitter as Split>::ABOUT },)+
                }
            }
        }

        /// The splitter of a reader's format. It is where its reader is: to look for it elsewhere
        /// would cost each record some time.
        #[derive(Debug)]
        #[allow(clippy::large_enum_variant, reason = "there are few readers at a time")]
        enum Splitter {
            $($name($splitter),)+
        }

        impl Splitter {
            fn new(format: Format, record_bytes_max: usize) -> Splitter {
                match format {
                    $(Format::$name => Splitter::$name(Split::new(record_bytes_max)),)+
                }
            }

            #[inline]
            fn cut(&mut self, buffer: &[u8], complete: bool) -> Cut {
                match self {
                    $(Splitter::$name(splitter) => Split::cut(splitter, buffer, complete),)+
                }
            }

            fn trim(&mut self) {
                match self {
                    $(Splitter::$name(splitter) => Split::trim(splitter),)+
                }
            }

            #[inline]
            fn fields<'a>(&'a self, raw: &'a [u8]) -> Fields<'a> {
                match self {
                    $(Splitter::$name(splitter) => Split::fields(splitter, raw),)+
                }
            }
        }
    };
}

// The table of formats.
formats! {
    /// CSV with a header.
    Csv: csv::Splitter,
    /// A JSON object on each line.
    Ndjson: json::Splitter,
}

impl Format {
    /// What a file of this name holds: CSV, unless it has the ending of another format before the
    /// one that says how it is packed.
    pub fn of(name: &str) -> Format {
        let name = Packing::stripped(name);
        let ends = |ending: &&str| {
            let start = name.len().checked_sub(ending.len()).filter(|start| *start > 0);
            let end = start.and_then(|start| name.get(start..));
            end.is_some_and(|end| end.eq_ignore_ascii_case(ending))
        };
        let named = Format::all().find(|format| format.about().endings.iter().any(ends));
        named.unwrap_or(Format::Csv)
    }

    /// What a stream holds that begins with these bytes, where nothing else tells: `{` begins JSON,
    /// anything else the header of CSV. Blanks and a byte order mark say nothing; `None` where
    /// there is nothing else yet.
    pub fn of_bytes(bytes: &[u8], complete: bool) -> Option<Format> {
        let bytes = bytes.trim_ascii_start();
        if !complete && beginning::is_half_mark(bytes) {
            return None;
        }
        match without_mark(bytes).trim_ascii_start().first()? {
            b'{' => Some(Format::Ndjson),
            _ => Some(Format::Csv),
        }
    }

    /// All there are.
    pub fn all() -> impl Iterator<Item = Format> {
        Format::value_variants().iter().copied()
    }

    /// What the name of a file ends with that is written in this format.
    pub fn ending(self) -> &'static str {
        self.about().endings[0]
    }

    /// Whether the first record names the fields of those that follow it. Else each record is a
    /// JSON object.
    pub fn has_header(self) -> bool {
        self.delimiter().is_some()
    }

    /// What stands between the fields of a record, where the format has a header.
    pub fn delimiter(self) -> Option<u8> {
        self.about().delimiter
    }

    /// Whether a record may go on behind a line end.
    pub fn spans_lines(self) -> bool {
        self.about().spans_lines
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

    #[test]
    fn a_written_file_has_a_name_that_tells_its_format() {
        for format in Format::all() {
            assert_eq!(Format::of(&format!("a{}", format.ending())), format);
        }
    }

    #[test]
    fn the_first_byte_tells_the_format_of_a_stream() {
        let of = |bytes: &[u8]| Format::of_bytes(bytes, false);
        assert_eq!(of(b" \n{"), Some(Format::Ndjson));
        assert_eq!(of(b"\n\xef\xbb\xbf\n{"), Some(Format::Ndjson));
        assert_eq!([of(b"[1]"), of(b"\xef\xbb\xbfa")], [Some(Format::Csv); 2]);
        assert_eq!([of(b""), of(b" \r\n"), of(b"\xef\xbb"), of(b"\xef\xbb\xbf")], [None; 4]);
        assert_eq!(Format::of_bytes(b"\xef\xbb", true), Some(Format::Csv));
    }
}
