//! Lines of CSV in the making: field after field, each kind of value by the cheapest way to its
//! text.

use crate::time_text::TimeText;
use std::fmt::Display;
use std::io::Write;
use uuid::Uuid;

/// Whole lines, and the one that is being made.
#[derive(Debug)]
pub(crate) struct Lines {
    pub(crate) bytes: Vec<u8>,
    time: TimeText,
}

impl Lines {
    pub(crate) fn new() -> Self {
        Self { bytes: Vec::new(), time: TimeText::new() }
    }

    /// Begins a field: all but the first of a line, which must not be empty, have a comma in front.
    fn field(&mut self) -> &mut Vec<u8> {
        if !matches!(self.bytes.last(), None | Some(b'\n')) {
            self.bytes.push(b',');
        }
        &mut self.bytes
    }

    /// A text that needs no quotes or has them already; see [`csv_field`].
    pub(crate) fn text(&mut self, field: &str) {
        self.field().extend_from_slice(field.as_bytes());
    }

    pub(crate) fn shown(&mut self, value: impl Display) {
        write!(self.field(), "{value}").expect("memory can be written to");
    }

    pub(crate) fn id(&mut self, id: Uuid) {
        let mut text = [0; 36];
        self.field().extend_from_slice(id.hyphenated().encode_lower(&mut text).as_bytes());
    }

    /// `moment`: microseconds since 1970, before the year 10000.
    pub(crate) fn time(&mut self, moment: u64) {
        self.field();
        self.bytes.extend_from_slice(self.time.of(moment));
    }

    /// A number given in units of its last digit: 1234 with 2 decimals is 12.34.
    pub(crate) fn decimal(&mut self, value: i64, decimals: u32) {
        let one = 10_u64.pow(decimals);
        let (whole, part) = (value.unsigned_abs() / one, value.unsigned_abs() % one);
        let sign = if value < 0 { "-" } else { "" };
        let width = usize::try_from(decimals).expect("decimals are few");
        write!(self.field(), "{sign}{whole}.{part:0width$}").expect("memory can be written to");
    }

    pub(crate) fn end(&mut self) {
        self.bytes.push(b'\n');
    }
}

/// `text` as a CSV field, by the rules of the csv crate.
pub(crate) fn csv_field(text: &str) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record([text]).expect("memory can be written to");
    let line = writer.into_inner().expect("memory can be written to");
    let line = String::from_utf8(line).expect("the field was UTF-8");
    line.trim_end_matches('\n').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_has_its_text_and_lines_end() {
        let mut lines = Lines::new();
        lines.id(Uuid::nil());
        lines.text("\"Oslo, NO\"");
        lines.end();
        lines.shown(7);
        lines.time(1_000_007);
        lines.decimal(5, 2);
        lines.decimal(-1_234_567, 6);
        lines.end();
        assert_eq!(
            String::from_utf8(lines.bytes).unwrap(),
            "00000000-0000-0000-0000-000000000000,\"Oslo, NO\"\n\
             7,1970-01-01T00:00:01.000007Z,0.05,-1.234567\n"
        );
    }

    #[test]
    fn fields_are_quoted_where_needed() {
        assert_eq!(csv_field("Oslo"), "Oslo");
        assert_eq!(csv_field("Oslo, Norway"), "\"Oslo, Norway\"");
        assert_eq!(csv_field("12\" Vinyl"), "\"12\"\" Vinyl\"");
    }
}
