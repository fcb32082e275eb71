//! CSV (RFC 4180): cuts one record at a time off the front of a buffer.
//!
//! The csv crate's parser splits and unescapes; this module adds what it leaves out: bad quoting is
//! noticed (see `quoting.rs`), a record has a greatest length, and `""` is told from nothing.
//! Where the quoting is bad only the physical line that opened the quote is refused, and the next line
//! is read as a record of its own: one stray quote never swallows its neighbours.

use std::borrow::Cow;

use csv_core::ReadRecordResult;
use memchr::memchr;

use super::Record;
use super::quoting::{self, QuoteError};

/// What stands at the front of a buffer. Lengths are bytes from the buffer's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// A whole record; its fields are in the [`Splitter`] until the next call.
    Record {
        /// Where it starts: behind any blank lines.
        start: usize,
        /// Where it ends, its line end excluded.
        end: usize,
        /// Where the next record may start.
        next: usize,
    },
    /// Bytes that can't be a record; reading goes on at `next`.
    Malformed {
        /// Where the refused line or lines start.
        start: usize,
        /// Where they end, their line end excluded.
        end: usize,
        /// Where reading goes on.
        next: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// The record is longer than allowed and its line does not end in the buffer: the bytes up to the
    /// first line end behind `fault_at` are to be skipped.
    Endless {
        /// Where it starts: behind any blank lines.
        start: usize,
        /// Where the line that is refused has its fault: the record's first line need not be the one.
        fault_at: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// Nothing but line ends, up to `next`.
    Blank {
        /// Where they end.
        next: usize,
    },
    /// More bytes are needed to tell.
    Incomplete,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A quote that is not closed before the file or the longest record ends.
    UnclosedQuote,
    /// Something other than a delimiter or a line end behind a closing quote.
    TextAfterQuote,
    /// More bytes than a record may have.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl Fault {
    /// The fault in words, for a dead letter.
    pub fn reason(self) -> Cow<'static, str> {
        match self {
            Fault::UnclosedQuote => "the quote that opens here is never closed".into(),
            Fault::TextAfterQuote => {
                "text behind a closing quote; a quote inside a quoted field is written twice".into()
            }
            Fault::TooLong { limit } => format!("the record is longer than {limit} bytes").into(),
        }
    }
}

/// Cuts records off buffers. Holds the fields of the last record it cut.
#[derive(Debug)]
pub struct Splitter {
    parser: csv_core::Reader,
    delimiter: u8,
    record_bytes_max: usize,
    /// Whether the parser stands at the start of a record.
    at_start: bool,
    output: Vec<u8>,
    ends: Vec<usize>,
    field_count: usize,
    quoted: Vec<bool>,
}

impl Splitter {
    /// A splitter for records of at most `record_bytes_max` bytes, quotes and line end included.
    pub fn new(delimiter: u8, record_bytes_max: usize) -> Splitter {
        Splitter {
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            record_bytes_max,
            at_start: false,
            output: Vec::new(),
            ends: vec![0; 16],
            field_count: 0,
            quoted: Vec::new(),
        }
    }

    /// Cuts one record off the front of `buffer`, which must start where a record starts. `complete`
    /// says that nothing will follow the buffer: a last record without a line end counts.
    pub fn cut(&mut self, buffer: &[u8], complete: bool) -> Cut {
        let start = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if start == buffer.len() {
            let next = start - usize::from(is_half_line_end(buffer, complete));
            return if next == 0 { Cut::Incomplete } else { Cut::Blank { next } };
        }
        let window_end = buffer.len().min(start + self.record_bytes_max + 1);
        let window = &buffer[start..window_end];
        let Some(len) = self.parse(window, complete && window_end == buffer.len()) else {
            self.at_start = false;
            if window.len() > self.record_bytes_max {
                return self.overlong(buffer, start, window, complete);
            }
            return if complete { self.malformed_at_end(buffer, start) } else { Cut::Incomplete };
        };
        let end = start + trimmed(&window[..len]);
        if start + len == buffer.len() && is_half_line_end(buffer, complete) {
            self.at_start = false;
            return Cut::Incomplete;
        }
        self.quoted.clear();
        if memchr(b'"', &buffer[start..end]).is_some()
            && let Err(error) =
                quoting::check(&buffer[start..end], self.delimiter, &mut self.quoted)
        {
            self.at_start = false;
            return resumed_after(buffer, start, start + error.opened_at, error.into(), complete);
        }
        if len > self.record_bytes_max {
            let fault = Fault::TooLong { limit: self.record_bytes_max };
            return Cut::Malformed { start, end, next: line_end(buffer, end), fault };
        }
        Cut::Record { start, end, next: line_end(buffer, end) }
    }

    /// The fields of the last record that was cut.
    pub fn record(&self) -> Record<'_> {
        let ends = &self.ends[..self.field_count];
        Record::new(&self.output[..ends.last().copied().unwrap_or(0)], ends, &self.quoted)
    }

    /// Lets the parser read one record from the front of `window`: its length with its line end, or
    /// `None` when it does not end there.
    fn parse(&mut self, window: &[u8], complete: bool) -> Option<usize> {
        if !self.at_start {
            self.parser.reset();
            // A fresh parser would take a byte order mark off the first bytes it sees, in mid-file.
            self.parser.read_record(b"\n", &mut [], &mut []);
            self.at_start = true;
        }
        if self.output.len() < window.len() {
            self.output.resize(window.len(), 0);
        }
        let (mut read, mut written, mut ended) = (0, 0, 0);
        loop {
            let (result, nin, nout, nend) = self.parser.read_record(
                &window[read..],
                &mut self.output[written..],
                &mut self.ends[ended..],
            );
            read += nin;
            written += nout;
            ended += nend;
            match result {
                ReadRecordResult::Record => {
                    self.field_count = ended;
                    return Some(read);
                }
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
                ReadRecordResult::OutputFull => self.output.resize(self.output.len() * 2 + 1, 0),
                // An empty input tells the parser that this was all.
                ReadRecordResult::InputEmpty if complete && read == window.len() => {
                    if quoting::check(window, self.delimiter, &mut self.quoted).is_err() {
                        return None;
                    }
                }
                ReadRecordResult::InputEmpty | ReadRecordResult::End => return None,
            }
        }
    }

    /// A record that does not end within the longest length: a quote left open, or just long.
    fn overlong(&mut self, buffer: &[u8], start: usize, window: &[u8], complete: bool) -> Cut {
        let (opened_at, fault) = match quoting::check(window, self.delimiter, &mut self.quoted) {
            Err(error) => (error.opened_at, error.into()),
            Ok(()) => (0, Fault::TooLong { limit: self.record_bytes_max }),
        };
        resumed_after(buffer, start, start + opened_at, fault, complete)
    }

    /// The file ends inside a quote.
    fn malformed_at_end(&mut self, buffer: &[u8], start: usize) -> Cut {
        match quoting::check(&buffer[start..], self.delimiter, &mut self.quoted) {
            Err(error) => resumed_after(buffer, start, start + error.opened_at, error.into(), true),
            Ok(()) => unreachable!("a last record with good quotes is whole"),
        }
    }
}

impl From<QuoteError> for Fault {
    fn from(error: QuoteError) -> Fault {
        if error.text_follows { Fault::TextAfterQuote } else { Fault::UnclosedQuote }
    }
}

/// Refuses the bytes from `start` to the end of the physical line on which `fault_at` stands.
fn resumed_after(
    buffer: &[u8],
    start: usize,
    fault_at: usize,
    fault: Fault,
    complete: bool,
) -> Cut {
    let line = buffer[fault_at..].iter().position(|&b| b == b'\n' || b == b'\r');
    match line {
        // One more byte tells whether this is one line end or two.
        Some(found)
            if fault_at + found + 1 == buffer.len() && is_half_line_end(buffer, complete) =>
        {
            Cut::Incomplete
        }
        Some(found) => {
            let end = fault_at + found;
            Cut::Malformed { start, end, next: line_end(buffer, end), fault }
        }
        None if complete => Cut::Malformed { start, end: buffer.len(), next: buffer.len(), fault },
        None => Cut::Endless { start, fault_at, fault },
    }
}

/// Whether `buffer` may end between the two bytes of a CRLF.
fn is_half_line_end(buffer: &[u8], complete: bool) -> bool {
    !complete && buffer.last() == Some(&b'\r')
}

/// The length of `record` without its line end.
fn trimmed(record: &[u8]) -> usize {
    match record {
        [rest @ .., b'\r' | b'\n'] => rest.len(),
        _ => record.len(),
    }
}

/// The place behind the line end that stands at `end`, CRLF counting as one.
fn line_end(buffer: &[u8], end: usize) -> usize {
    match buffer[end..] {
        [b'\r', b'\n', ..] => end + 2,
        [b'\r' | b'\n', ..] => end + 1,
        _ => end,
    }
}

/// How many physical lines end in `bytes`: LF, CRLF and lone CR each count once.
pub fn line_ends(bytes: &[u8]) -> u64 {
    let mut count = memchr::memchr_iter(b'\n', bytes).count();
    if memchr(b'\r', bytes).is_some() {
        count += bytes.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
        count += usize::from(bytes.last() == Some(&b'\r'));
    }
    u64::try_from(count).expect("a count of bytes in memory fits")
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
