//! The quotes of one CSV record, checked against RFC 4180.
//!
//! The csv parser takes any bytes as some record, so a stray quote could silently join fields or
//! swallow the records that follow. This check is what notices.

use memchr::memchr;

/// What is wrong with the quotes of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QuoteError {
    /// Where the offending field opened its quote: bytes from the start of what was checked.
    pub opened_at: usize,
    /// Whether something stands behind a closing quote; otherwise the quote is never closed.
    pub text_follows: bool,
}

/// Checks the record at the start of `bytes`, up to its line end or the end of `bytes`, and notes
/// for each of its fields in `quoted` whether it is quoted.
///
/// A quote inside an unquoted field (`5" pipe`) is text. Source: RFC 4180, section 2.
///
/// # Errors
/// The first field whose quote is not closed, or has text behind the closing one.
pub(super) fn check(bytes: &[u8], delimiter: u8, quoted: &mut Vec<bool>) -> Result<(), QuoteError> {
    quoted.clear();
    let mut at = 0;
    loop {
        let opens = bytes.get(at) == Some(&b'"');
        quoted.push(opens);
        if opens {
            at = closing_end(bytes, at, delimiter)?;
        } else {
            at += bytes[at..]
                .iter()
                .position(|&b| b == delimiter || b == b'\n' || b == b'\r')
                .unwrap_or(bytes.len() - at);
        }
        match bytes.get(at) {
            Some(&b) if b == delimiter => at += 1,
            Some(b'\r' | b'\n') | None => return Ok(()),
            Some(_) => unreachable!("a field ends at a delimiter, a line end or the end"),
        }
    }
}

/// The place behind the closing quote of the field that opens at `open`.
fn closing_end(bytes: &[u8], open: usize, delimiter: u8) -> Result<usize, QuoteError> {
    let mut at = open + 1;
    while let Some(found) = memchr(b'"', &bytes[at..]) {
        let after = at + found + 1;
        match bytes.get(after) {
            Some(b'"') => at = after + 1,
            Some(b'\r' | b'\n') | None => return Ok(after),
            Some(&b) if b == delimiter => return Ok(after),
            Some(_) => return Err(QuoteError { opened_at: open, text_follows: true }),
        }
    }
    Err(QuoteError { opened_at: open, text_follows: false })
}

#[cfg(test)]
mod tests {
    use super::{QuoteError, check};

    fn quoted(bytes: &[u8]) -> Result<Vec<bool>, QuoteError> {
        let mut quoted = Vec::new();
        check(bytes, b',', &mut quoted).map(|()| quoted)
    }

    #[test]
    fn quoted_fields_are_told_from_bare_ones() {
        assert_eq!(quoted(b"a,\"b\",\"\",\n"), Ok(vec![false, true, true, false]));
        assert_eq!(quoted(b"\"a \"\"b\"\" c\",\"x\ny\"\r\nnext"), Ok(vec![true, true]));
        assert_eq!(quoted(b"5\" pipe,6"), Ok(vec![false, false]));
    }

    #[test]
    fn text_behind_a_closing_quote_is_refused() {
        let error = quoted(b"1,\"a\"b,c\n").unwrap_err();
        assert_eq!(error, QuoteError { opened_at: 2, text_follows: true });
    }

    #[test]
    fn a_quote_never_closed_is_refused_where_it_opened() {
        let error = quoted(b"\"1\n\",\"a\n2,b\n").unwrap_err();
        assert_eq!(error, QuoteError { opened_at: 5, text_follows: false });
    }
}
