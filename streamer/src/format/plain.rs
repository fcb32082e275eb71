//! Fields of a CSV record that need no unescaping: those of nearly all records. Between delimiters
//! and quotes, which are searched for many bytes at a time, they are what they are.

use memchr::memchr;

use super::fields::Field;

/// A record that has more fields is not plain. Origin: a table's greatest number of columns,
/// `MaxHeapAttributeNumber`.
const FIELDS_MAX: usize = 1600;

/// Splits a record that stands on one line, `line` without its end. False if it takes more than
/// that: a quote is doubled, goes on behind the line, or is wrong; or there are very many fields.
pub(super) fn split(line: &[u8], delimiter: u8, fields: &mut Vec<Field>) -> bool {
    fields.clear();
    let mut at = 0;
    loop {
        let is_quoted = line.get(at) == Some(&b'"');
        let start = at + usize::from(is_quoted);
        let closing = if is_quoted { b'"' } else { delimiter };
        let end = match memchr(closing, &line[start..]) {
            Some(found) => start + found,
            None if is_quoted => return false,
            None => line.len(),
        };
        if fields.len() == FIELDS_MAX {
            return false;
        }
        fields.push(Field { start, end, is_quoted });
        at = end + usize::from(is_quoted);
        match line.get(at) {
            Some(&byte) if byte == delimiter => at += 1,
            Some(_) => return false,
            None => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::quoting;
    use super::split;

    /// The fields and whether each was quoted; `None` where it takes more than this.
    fn fields(line: &[u8]) -> Option<Vec<(Vec<u8>, bool)>> {
        let mut fields = Vec::new();
        let field = |field: &super::Field| (line[field.start..field.end].to_vec(), field.is_quoted);
        split(line, b',', &mut fields).then(|| fields.iter().map(field).collect())
    }

    /// What the csv crate makes of a record with good quotes.
    fn judged(line: &[u8]) -> Option<Vec<(Vec<u8>, bool)>> {
        let mut quoted = Vec::new();
        quoting::check(line, b',', &mut quoted).ok()?;
        let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line);
        let record = reader.byte_records().next().unwrap().unwrap();
        Some(record.iter().map(<[u8]>::to_vec).zip(quoted).collect())
    }

    #[test]
    fn only_what_needs_no_unescaping_is_split() {
        let text = |text: &str, is_quoted| (text.as_bytes().to_vec(), is_quoted);
        assert_eq!(
            fields(b"a,\"b, c\",,\"\",5\" pipe"),
            Some(vec![
                text("a", false),
                text("b, c", true),
                text("", false),
                text("", true),
                text("5\" pipe", false)
            ])
        );
        assert_eq!(fields(b"a,"), Some(vec![text("a", false), text("", false)]));
        for other in ["\"a\"\"b\"", "\"a\"b", "a,\"b", "\""] {
            assert_eq!(fields(other.as_bytes()), None, "{other}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_split_is_split_as_the_csv_crate_does(line in prop::collection::vec(
            prop::sample::select(b"ab,,\"\" \0\xc3\xa9".to_vec()), 1..40,
        )) {
            if let Some(fields) = fields(&line) {
                prop_assert_eq!(Some(fields), judged(&line));
            }
        }
    }
}
