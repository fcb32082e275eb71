//! CSV (RFC 4180): cuts one record at a time off the front of a buffer.
//!
//! The csv crate's parser splits and unescapes what is not plain (see `plain.rs`); this module adds
//! what it leaves out: bad quoting is noticed (see `quoting.rs`), a record has a greatest length,
//! and `""` is told from nothing. Where the quoting is bad only the physical line that opened the
//! quote is refused, and the next line is read as a record of its own: one stray quote never
//! swallows its neighbours.

use csv_core::ReadRecordResult;
use memchr::{memchr, memchr2};

use super::cut::{Cut, Fault, is_half_line_end, line_end, line_ends, resumed_after};
use super::fields::{Field, Fields, Places};
use super::quoting::{self, QuoteError};
use super::{About, Split, plain};

/// So much is kept for the next record where few come, in bytes.
const KEPT_BYTES: usize = 4 * 1024;

/// Cuts records off buffers. Knows the fields of the last record it cut.
#[derive(Debug)]
pub(super) struct Splitter {
    parser: csv_core::Reader,
    delimiter: u8,
    record_bytes_max: usize,
    /// Whether the parser stands at the start of a record.
    at_start: bool,
    /// Whether the last record was plain: then its fields stand in it where `plain` says, else they
    /// are what the parser found.
    is_plain: bool,
    plain: Vec<Field>,
    /// The fields that the parser found, unescaped.
    output: Vec<u8>,
    ends: Vec<usize>,
    field_count: usize,
    quoted: Vec<bool>,
}

impl Split for Splitter {
    const ABOUT: About = About { endings: &[".csv"], delimiter: Some(b','), spans_lines: true };

    fn new(record_bytes_max: usize) -> Splitter {
        Splitter::new(b',', record_bytes_max)
    }

    #[inline]
    fn cut(&mut self, buffer: &[u8], complete: bool) -> Cut {
        self.cut_by(buffer, complete, true)
    }

    fn trim(&mut self) {
        if self.output.capacity() > KEPT_BYTES || self.ends.len() > KEPT_BYTES {
            *self = Splitter::new(self.delimiter, self.record_bytes_max);
        }
    }

    #[inline]
    fn fields<'a>(&'a self, raw: &'a [u8]) -> Fields<'a> {
        if self.is_plain {
            return Fields::new(raw, Places::Plain(&self.plain));
        }
        let ends = &self.ends[..self.field_count];
        let end = ends.last().copied().unwrap_or(0);
        Fields::new(&self.output[..end], Places::Parsed { ends, quoted: &self.quoted })
    }
}

impl Splitter {
    /// A splitter for records of at most `record_bytes_max` bytes, quotes and line end included.
    pub(super) fn new(delimiter: u8, record_bytes_max: usize) -> Splitter {
        Splitter {
            parser: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            record_bytes_max,
            at_start: false,
            is_plain: false,
            plain: Vec::new(),
            output: Vec::new(),
            ends: vec![0; 16],
            field_count: 0,
            quoted: Vec::new(),
        }
    }

    /// Cuts one record off the front of `buffer`; plain records, too, may be left to the parser.
    #[inline]
    fn cut_by(&mut self, buffer: &[u8], complete: bool, is_plain_tried: bool) -> Cut {
        let start = buffer.iter().take_while(|b| matches!(b, b'\r' | b'\n')).count();
        if start == buffer.len() {
            let next = start - usize::from(is_half_line_end(buffer, complete));
            return if next == 0 { Cut::Incomplete } else { Cut::Blank { next } };
        }
        let window_end = buffer.len().min(start + self.record_bytes_max + 1);
        let window = &buffer[start..window_end];
        let plain = if is_plain_tried { self.take_plain(window) } else { None };
        self.is_plain = plain.is_some();
        if let Some(len) = plain {
            let end = start + len;
            return Cut::Record { start, end, next: line_end(buffer, end), lines: 1 };
        }
        self.cut_slowly(buffer, start, complete)
    }

    /// Lets the parser cut the record that starts at `start`.
    #[inline(never)]
    fn cut_slowly(&mut self, buffer: &[u8], start: usize, complete: bool) -> Cut {
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
        let next = line_end(buffer, end);
        Cut::Record { start, end, next, lines: line_ends(&buffer[start..next]) }
    }

    /// Takes a plain record from the front of `window`: its length without its line end. `None` if
    /// it is not plain, or if there is anything about its end or length.
    fn take_plain(&mut self, window: &[u8]) -> Option<usize> {
        let len = memchr2(b'\n', b'\r', window)?;
        let is_half = window[len] == b'\r' && len + 1 == window.len();
        if is_half || len >= self.record_bytes_max {
            return None;
        }
        plain::split(&window[..len], self.delimiter, &mut self.plain).then_some(len)
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

/// The length of `record` without its line end.
fn trimmed(record: &[u8]) -> usize {
    match record {
        [rest @ .., b'\r' | b'\n'] => rest.len(),
        _ => record.len(),
    }
}

#[cfg(test)]
#[path = "csv_tests.rs"]
mod tests;
