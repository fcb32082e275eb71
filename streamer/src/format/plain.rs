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
    let Some(mut at) = split_unquoted(line, delimiter, fields) else { return true };
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

/// Splits the fields in front of the first quote, eight bytes at a time: the start of the first
/// field that is not split; `None` where the line is split whole.
fn split_unquoted(line: &[u8], delimiter: u8, fields: &mut Vec<Field>) -> Option<usize> {
    let (words, rest) = line.as_chunks::<8>();
    let mut start = 0;
    let mut push = |end: usize| {
        fields.push(Field { start, end, is_quoted: false });
        start = end + 1;
        fields.len() < FIELDS_MAX
    };
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        if equal_bytes(word, b'"') != 0 {
            return Some(start);
        }
        let mut found = equal_bytes(word, delimiter);
        while found != 0 {
            if !push(number * 8 + (found.trailing_zeros() / 8) as usize) {
                return Some(start);
            }
            found &= found - 1;
        }
    }
    if rest.contains(&b'"') {
        return Some(start);
    }
    for (number, byte) in rest.iter().enumerate() {
        if *byte == delimiter && !push(words.len() * 8 + number) {
            return Some(start);
        }
    }
    push(line.len());
    None
}

/// The top bit of each byte of `word` that equals `byte`.
fn equal_bytes(word: u64, byte: u8) -> u64 {
    const LOW_BITS: u64 = u64::from_ne_bytes([0x7f; 8]);
    let zero_where_equal = word ^ u64::from_ne_bytes([byte; 8]);
    !(((zero_where_equal & LOW_BITS) + LOW_BITS) | zero_where_equal | LOW_BITS)
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

    #[test]
    fn a_line_of_more_fields_than_a_table_has_columns_is_not_split() {
        assert_eq!(fields(&[b','; 1599]).unwrap().len(), 1600);
        assert_eq!(fields(&[&[b','; 1599], b"\"a\"".as_slice()].concat()).unwrap().len(), 1600);
        assert_eq!(fields(&[b','; 1600]), None);
        assert_eq!(fields(&[&[b','; 1600], b"\"a\"".as_slice()].concat()), None);
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
