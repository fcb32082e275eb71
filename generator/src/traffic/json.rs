//! Records as the target is to get them: CSV as they were made, or a JSON object in a line for
//! each.

use csv::{ByteRecord, ReaderBuilder};
use std::sync::Arc;

/// How records are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// A header, then a line for each record.
    #[default]
    Csv,
    /// A JSON object in a line for each record.
    Ndjson,
}

/// Writes records in a format.
#[derive(Debug, Clone)]
pub(crate) struct Encoder {
    format: Format,
    /// The header as a line of CSV; empty where the format has none.
    header: Arc<[u8]>,
    /// The column names as JSON texts.
    keys: Arc<[String]>,
}

impl Encoder {
    pub(crate) fn new(format: Format, columns: &[&str]) -> Encoder {
        let header = match format {
            Format::Csv => columns.join(",") + "\n",
            Format::Ndjson => String::new(),
        };
        let keys = columns.iter().map(|name| json_text(name)).collect();
        Encoder { format, header: header.into_bytes().into(), keys }
    }

    /// What stands before the first record, of a connection or of a request.
    pub(crate) fn header(&self) -> &[u8] {
        &self.header
    }

    /// What a request says that it has.
    pub(crate) fn content_type(&self) -> &'static str {
        match self.format {
            Format::Csv => "text/csv",
            Format::Ndjson => "application/x-ndjson",
        }
    }

    /// Adds records, which are whole lines of CSV, to `out`.
    pub(crate) fn encode(&self, lines: &[u8], out: &mut Vec<u8>) {
        if self.format == Format::Csv {
            out.extend_from_slice(lines);
            return;
        }
        let mut reader = ReaderBuilder::new().has_headers(false).flexible(true).from_reader(lines);
        let mut record = ByteRecord::new();
        while reader.read_byte_record(&mut record).expect("memory can be read") {
            self.encode_object(&record, out);
        }
    }

    /// An empty field is null, and what looks like a number is one, digit for digit.
    fn encode_object(&self, record: &ByteRecord, out: &mut Vec<u8>) {
        let mut separator = b'{';
        for (key, field) in self.keys.iter().zip(record) {
            out.push(separator);
            out.extend_from_slice(key.as_bytes());
            out.push(b':');
            match field {
                b"" => out.extend_from_slice(b"null"),
                number if is_number(number) => out.extend_from_slice(number),
                text => out.extend_from_slice(json_text(&String::from_utf8_lossy(text)).as_bytes()),
            }
            separator = b',';
        }
        out.extend_from_slice(b"}\n");
    }
}

fn json_text(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether JSON has this as a number. Exponents are not looked for: no dataset has any.
fn is_number(field: &[u8]) -> bool {
    let digits = field.strip_prefix(b"-").unwrap_or(field);
    let mut parts = digits.splitn(2, |byte| *byte == b'.');
    let are_digits = |part: &[u8]| !part.is_empty() && part.iter().all(u8::is_ascii_digit);
    let is_whole = |part: &[u8]| are_digits(part) && (part == b"0" || part[0] != b'0');
    parts.next().is_some_and(is_whole) && parts.next().is_none_or(are_digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_becomes_an_object_by_its_columns() {
        let encoder = Encoder::new(Format::Ndjson, &["id", "who \"is\" it", "price"]);
        assert_eq!(encoder.header(), b"");
        let mut out = Vec::new();
        encoder.encode(b"7,\"Oslo, \"\"NO\"\"\",-0.50\n\"8\",,007\n", &mut out);
        assert_eq!(
            String::from_utf8(out).unwrap(),
            "{\"id\":7,\"who \\\"is\\\" it\":\"Oslo, \\\"NO\\\"\",\"price\":-0.50}\n\
             {\"id\":8,\"who \\\"is\\\" it\":null,\"price\":\"007\"}\n"
        );
    }

    #[test]
    fn numbers_are_what_json_has_as_such() {
        for number in ["0", "-1", "10.05", "0.001", "12345678901234567890"] {
            assert!(is_number(number.as_bytes()), "{number}");
            assert!(serde_json::from_str::<serde_json::Number>(number).is_ok(), "{number}");
        }
        for text in ["", "-", "01", "1.", ".5", "1e5", "1.2.3.4", "2026-01-01", "NaN", "+1"] {
            assert!(!is_number(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn csv_stays_as_it_is_under_its_header() {
        let encoder = Encoder::new(Format::Csv, &["a", "b"]);
        let mut out = encoder.header().to_vec();
        encoder.encode(b"1,\"x\"\n", &mut out);
        assert_eq!(out, b"a,b\n1,\"x\"\n");
    }
}
