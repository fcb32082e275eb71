//! The records of a request: checked, counted, and as they go into a segment.

use crate::format::json_body::{BadRecord, check_lines, lines_of};
use crate::format::{Beginning, Format, HeaderFault, Next, Place, Reader, without_mark};
use crate::spool::Content;

/// Records that may go into a segment.
#[derive(Debug, PartialEq, Eq)]
pub struct Records {
    /// Which segments they fit into.
    pub content: Content,
    /// The names in their header; none where each record has its own.
    pub header: Option<Vec<String>>,
    /// The records, each with its line end.
    pub bytes: Vec<u8>,
    /// How many there are.
    pub count: u64,
}

/// Why a request has no records that could be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordsError {
    /// There is no header.
    #[error("the CSV has no header line")]
    NoHeader,
    /// The first line is no header.
    #[error("the CSV header {0}")]
    Header(&'static str),
    /// A record that is no JSON object.
    #[error(transparent)]
    Json(#[from] BadRecord),
    /// A record that is none.
    #[error("record {record}, on line {line}: {reason}")]
    Malformed {
        /// Which it is, from 1, the header not counted.
        record: u64,
        /// Where it starts, from 1.
        line: u64,
        /// What is wrong.
        reason: String,
    },
}

/// The records of CSV with a header line.
///
/// # Errors
/// [`RecordsError`], for the first record that is none.
pub fn csv(mut body: Vec<u8>, record_bytes_max: usize) -> Result<Records, RecordsError> {
    let mut reader = Reader::new(Format::Csv, record_bytes_max);
    let mut at = 0;
    let header = match reader.begin(&body, &mut at, true) {
        Beginning::Header(header) => header,
        Beginning::Unreadable(fault) => return Err(RecordsError::Header(words(fault))),
        Beginning::NotYet | Beginning::Empty | Beginning::Records => {
            return Err(RecordsError::NoHeader);
        }
    };
    let (begin, mut count) = (at, 0);
    loop {
        match reader.next(&body, &mut at, true) {
            Next::Record(_) => count += 1,
            Next::Malformed(Place { line, .. }, fault)
            | Next::Endless(Place { line, .. }, fault) => {
                let reason = fault.reason().into_owned();
                return Err(RecordsError::Malformed { record: count + 1, line, reason });
            }
            Next::Incomplete => break,
        }
    }
    body.truncate(at);
    body.drain(..begin);
    // A lone CR would wait for the LF that may follow it.
    end_line(&mut body);
    let content = Content { format: Format::Csv, header: Some(header.raw) };
    Ok(Records { content, header: Some(header.names), bytes: body, count })
}

/// What is wrong with a header that came in a request.
fn words(fault: HeaderFault) -> &'static str {
    match fault {
        HeaderFault::NoRecord(_) => "is no CSV",
        HeaderFault::Nul => "holds a NUL character",
        HeaderFault::NotUtf8 | HeaderFault::Encoding(_) | HeaderFault::Packed(_) => {
            "is not valid UTF-8"
        }
    }
}

/// The records of a body that is one JSON object, or an array of them.
///
/// # Errors
/// [`RecordsError::Json`], for the first that is none.
pub fn json(body: &[u8]) -> Result<Records, RecordsError> {
    let mut bytes = Vec::with_capacity(body.len() + 1);
    let count = lines_of(body, &mut bytes)?;
    Ok(Records::of_lines(bytes, count))
}

/// The records of a body with a JSON object on each line.
///
/// # Errors
/// [`RecordsError::Json`], for the first that is none.
pub fn ndjson(mut body: Vec<u8>) -> Result<Records, RecordsError> {
    let count = check_lines(&body)?;
    // Within a segment it would be no mark.
    let mark = body.len() - without_mark(&body).len();
    body.drain(..mark);
    Ok(Records::of_lines(body, count))
}

/// The bytes of the header that a body of CSV begins with, at most.
pub fn header_bytes(body: &[u8]) -> usize {
    let blank = body.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
    let end = memchr::memchr2(b'\n', b'\r', &body[blank..]);
    // A quoted name may go on behind its line.
    match memchr::memchr(b'"', &body[..end.map_or(body.len(), |end| blank + end)]) {
        Some(_) => body.len(),
        None => end.unwrap_or(body.len()),
    }
}

fn end_line(bytes: &mut Vec<u8>) {
    if !bytes.ends_with(b"\n") && !bytes.is_empty() {
        bytes.push(b'\n');
    }
}

impl Records {
    fn of_lines(mut bytes: Vec<u8>, count: usize) -> Records {
        end_line(&mut bytes);
        let count = u64::try_from(count).expect("a count of things in memory fits");
        let content = Content { format: Format::Ndjson, header: None };
        Records { content, header: None, bytes, count }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn csv_of(body: &[u8], record_bytes_max: usize) -> Result<Records, RecordsError> {
        csv(body.to_vec(), record_bytes_max)
    }

    fn ndjson_of(body: &[u8]) -> Result<Records, RecordsError> {
        ndjson(body.to_vec())
    }

    #[test]
    fn csv_is_counted_and_every_record_ends_its_line() {
        let records = csv_of(b"\xef\xbb\xbf\na,b\r\n1,2\r\n\n3,\"x\ny\"", 100).unwrap();
        let header = Some(b"a,b".as_slice().into());
        assert_eq!(records.content, Content { format: Format::Csv, header });
        assert_eq!(records.header.unwrap(), ["a", "b"]);
        assert_eq!((records.bytes.as_slice(), records.count), (&b"1,2\r\n\n3,\"x\ny\"\n"[..], 2));
        let records = csv_of(b"a\r1\r", 100).unwrap();
        assert_eq!((records.bytes.as_slice(), records.count), (&b"1\r\n"[..], 1));
        assert_eq!(csv_of(b"a,b\n", 100).unwrap().count, 0);
    }

    #[test]
    fn what_is_no_csv_is_told_with_its_place() {
        assert_eq!(csv_of(b"\n", 100), Err(RecordsError::NoHeader));
        assert_eq!(csv_of(b"\xff,a\n1,2\n", 100), Err(RecordsError::Header("is not valid UTF-8")));
        let error = csv_of(b"a,b\n1,2\n\n3,\"x\n5,6\n", 100).unwrap_err().to_string();
        assert_eq!(error, "record 2, on line 4: the quote that opens here is never closed");
        let error = csv_of(b"a,b\n1,222222222222\n", 10).unwrap_err().to_string();
        assert_eq!(error, "record 1, on line 2: the record is longer than 10 bytes");
    }

    #[test]
    fn json_of_any_form_becomes_lines() {
        let lines = b"{\"a\":1.50}\n{\"b\":[1,2]}\n";
        let text = b"\xef\xbb\xbf[ {\"a\": 1.50},\n {\"b\":\n[1,2]} ]";
        let records = json(text).unwrap();
        assert_eq!((records.bytes.as_slice(), records.count), (lines.as_slice(), 2));
        assert_eq!(json(b" {\"a\":1} ").unwrap().count, 1);
        assert_eq!(json(b"[]").unwrap().count, 0);
        let records = ndjson_of(b"\xef\xbb\xbf{\"a\":1.50}\r\n\n{\"b\":[1,2]}").unwrap();
        assert_eq!(records.bytes, b"{\"a\":1.50}\r\n\n{\"b\":[1,2]}\n");
        assert_eq!(records.count, 2);
        for (bad, words) in [("[{},{]", "record 2"), ("[{},5]", "record 2"), ("", "record 1")] {
            let error = json(bad.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{bad}: {error}");
        }
        assert!(
            ndjson_of(b"{}\n{\"a\"\n").unwrap_err().to_string().starts_with("record 2, at byte 3")
        );
    }
}
