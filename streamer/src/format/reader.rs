//! Reading a stream of bytes as records of one format, whatever the format is.
//!
//! A [`Reader`] is fed by its caller: with a buffer, the place in it up to where the reader has
//! taken its bytes, and whether anything will follow the buffer. It moves that place on, and knows
//! at which offset of the stream and on which line it stands. So it owns neither the bytes nor a
//! file, a record's bytes are where its caller has them, and all that it needs to go on elsewhere
//! is its [`State`]. In whatever pieces bytes come, the records are the same.

use std::ops::Range;

use super::beginning::{Beginning, Header, HeaderFault, mark_len};
use super::cut::{Cut, Fault, line_ends};
use super::{Fields, Format, Splitter};

/// Reads one stream of bytes.
#[derive(Debug)]
pub struct Reader {
    format: Format,
    splitter: Splitter,
    state: State,
}

/// All that a reader needs to go on, in another process if need be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    /// The next byte to read.
    offset: u64,
    /// The line that it stands on, from 1.
    line: u64,
}

/// What stands next in a stream. Blank lines in front of it are passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    /// A record. [`Reader::record`] has its fields until the next call.
    Record(Place),
    /// Bytes that are no record.
    Malformed(Place, Fault),
    /// A record longer than allowed, whose line does not end in the buffer. The place is that of
    /// its bytes in the buffer. [`Reader::pass_line`] passes over the rest of it.
    Endless(Place, Fault),
    /// More bytes are needed to tell. If none will follow, the stream ends here.
    Incomplete,
}

/// Where a record stands, or bytes that are none; their line end excluded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Where it starts in the stream, in bytes.
    pub offset: u64,
    /// The line it starts on, from 1.
    pub line: u64,
    /// Where it starts in the buffer.
    pub start: usize,
    /// Where it ends there.
    pub end: usize,
}

/// A record, with all that is to be known of it.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// Its bytes as they stand in the stream, its line end excluded.
    pub raw: &'a [u8],
    /// Where they stand there.
    pub range: Range<u64>,
    /// The line it starts on, from 1, where there are lines.
    pub line: Option<u64>,
    /// Its fields; none where its format has no header.
    pub fields: Fields<'a>,
}

impl Reader {
    /// A reader that stands at the beginning of a stream. Records have at most `record_bytes_max`
    /// bytes, quotes and line end included.
    pub fn new(format: Format, record_bytes_max: usize) -> Reader {
        let splitter = Splitter::new(format, record_bytes_max);
        Reader { format, splitter, state: State::default() }
    }

    /// What it reads.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Where it stands.
    pub fn state(&self) -> State {
        self.state
    }

    /// Goes on from where a reader stood that had read the same bytes; that must be between two
    /// records.
    pub fn resume(&mut self, state: State) {
        self.state = state;
    }

    /// Reads what the stream begins with: a byte order mark, and the header where the format has
    /// one. Is to be called until it has told, before the first record is read. After
    /// [`Beginning::Unreadable`] it can only be read on as if it were text.
    pub fn begin(&mut self, buffer: &[u8], at: &mut usize, complete: bool) -> Beginning {
        if self.state.offset == 0 {
            match mark_len(&buffer[*at..], complete) {
                Ok(Some(len)) => self.take(at, len),
                Ok(None) => return Beginning::NotYet,
                Err(fault) => return Beginning::Unreadable(fault),
            }
        }
        if *at == buffer.len() {
            return if complete { Beginning::Empty } else { Beginning::NotYet };
        }
        if !self.format.has_header() {
            return Beginning::Records;
        }
        match self.next(buffer, at, complete) {
            Next::Record(place) => match self.header(place, buffer) {
                Ok(header) => Beginning::Header(header),
                Err(fault) => Beginning::Unreadable(fault),
            },
            Next::Malformed(_, fault) | Next::Endless(_, fault) => {
                Beginning::Unreadable(HeaderFault::NoRecord(fault))
            }
            Next::Incomplete if complete => Beginning::Empty,
            Next::Incomplete => Beginning::NotYet,
        }
    }

    fn header(&self, place: Place, buffer: &[u8]) -> Result<Header, HeaderFault> {
        let record = self.record(place, buffer);
        Header::new(&record.fields, record.raw)
    }

    /// Reads what stands at `at` in `buffer`, and moves `at` behind it. `complete` says that
    /// nothing will follow the buffer: a last record without a line end counts.
    pub fn next(&mut self, buffer: &[u8], at: &mut usize, complete: bool) -> Next {
        loop {
            let cut = self.splitter.cut(&buffer[*at..], complete);
            match cut {
                Cut::Record { start, end, next, lines } => {
                    let place = self.place(buffer, at, start, end);
                    self.state.line += lines;
                    self.take(at, next - start);
                    return Next::Record(place);
                }
                Cut::Malformed { start, end, next, fault } => {
                    let place = self.place(buffer, at, start, end);
                    self.take_lines(buffer, at, next - start);
                    return Next::Malformed(place, fault);
                }
                Cut::Endless { start, fault_at, fault } => {
                    let place = self.place(buffer, at, start, buffer.len() - *at);
                    self.take_lines(buffer, at, fault_at - start);
                    return Next::Endless(place, fault);
                }
                Cut::Blank { next } => self.take_lines(buffer, at, next),
                Cut::Incomplete => return Next::Incomplete,
            }
        }
    }

    /// The record that was read last, from the buffer that it stands in.
    #[inline]
    pub fn record<'a>(&'a self, place: Place, buffer: &'a [u8]) -> Record<'a> {
        let raw = place.of(buffer);
        let fields = self.splitter.fields(raw);
        Record { raw, range: place.range(), line: Some(place.line), fields }
    }

    /// Gives back the memory that long records took.
    pub fn trim(&mut self) {
        self.splitter.trim();
    }

    /// Passes over the rest of a line, behind [`Next::Endless`]; false if its end is not in the
    /// buffer.
    pub fn pass_line(&mut self, buffer: &[u8], at: &mut usize) -> bool {
        let rest = &buffer[*at..];
        let end = memchr::memchr2(b'\n', b'\r', rest);
        self.take(at, end.unwrap_or(rest.len()));
        end.is_some()
    }

    /// Passes over the blank lines in front of what stands from `start` to `end`, counted from
    /// `at`.
    fn place(&mut self, buffer: &[u8], at: &mut usize, start: usize, end: usize) -> Place {
        let end = *at + end;
        if start > 0 {
            self.take_lines(buffer, at, start);
        }
        let State { offset, line } = self.state;
        Place { offset, line, start: *at, end }
    }

    fn take_lines(&mut self, buffer: &[u8], at: &mut usize, len: usize) {
        self.state.line += line_ends(&buffer[*at..*at + len]);
        self.take(at, len);
    }

    fn take(&mut self, at: &mut usize, len: usize) {
        *at += len;
        self.state.offset += u64::try_from(len).expect("a count of bytes in memory fits");
    }
}

impl State {
    /// A reader's that is to read the byte at `offset` next, on the line `line`; where that is not
    /// known, lines are counted from there.
    pub fn at(offset: u64, line: Option<u64>) -> State {
        State { offset, line: line.unwrap_or(1) }
    }

    /// The next byte to read.
    pub fn offset(self) -> u64 {
        self.offset
    }

    /// The line that it stands on, from 1.
    pub fn line(self) -> u64 {
        self.line
    }
}

impl Default for State {
    fn default() -> State {
        State { offset: 0, line: 1 }
    }
}

impl Place {
    /// Where it stands in the stream.
    pub fn range(&self) -> Range<u64> {
        let len = u64::try_from(self.end - self.start).expect("a count of bytes in memory fits");
        self.offset..self.offset + len
    }

    /// Its bytes in the buffer that the reader was given.
    pub fn of<'a>(&self, buffer: &'a [u8]) -> &'a [u8] {
        &buffer[self.start..self.end]
    }
}

#[cfg(test)]
#[path = "reader_tests.rs"]
mod tests;
