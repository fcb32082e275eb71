//! Reading one file: bytes from an offset on, cut into records, with the line each one starts on.

use std::io;

use super::Header;
use super::content::Content;
use crate::batch::{DeadLetter, RAW_BYTES_MAX};
use crate::format::csv::{Cut, Fault, Splitter, line_ends};
use crate::format::packing::Packing;
use crate::format::{Format, Record, json};
use crate::layout::{BAD_COPY_FILE_FORMAT, HeaderError, Reason};
use crate::partition::fingerprint::{Consumed, Fingerprint, ReadAt, Stat};
use crate::partition::{Checkpoint, Position};

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file that is being read.
#[derive(Debug)]
pub struct OpenFile {
    content: Content,
    /// What it looked like before the bytes were read.
    stat: Stat,
    /// What was read and not yet consumed lies from `begin` on.
    buffer: Vec<u8>,
    begin: usize,
    /// Up to where the buffer's consumed bytes are in `consumed`.
    noted: usize,
    consumed: Consumed,
    /// The place of `buffer[begin]` in the file.
    offset: u64,
    /// The line that starts there, from 1.
    line: u64,
    /// Whether the buffer held everything up to the file's end at the last read.
    at_end: bool,
    format: Format,
    record_bytes_max: usize,
    splitter: Splitter,
}

/// What stands next in a file.
#[derive(Debug)]
pub enum Step<'a> {
    /// A record.
    Record {
        /// Its fields, where the format has any.
        fields: Option<Record<'a>>,
        /// Its bytes, its line end excluded.
        raw: &'a [u8],
        /// Where it starts.
        offset: u64,
        /// Its line, from 1.
        line: u64,
    },
    /// Bytes that are no record.
    Refused(DeadLetter),
    /// The file ends here.
    End,
    /// A record starts here, but its end is not written yet.
    Wait,
}

impl OpenFile {
    /// Reads `content` from its beginning.
    pub fn from_start(
        content: Content,
        stat: Stat,
        format: Format,
        record_bytes_max: usize,
    ) -> OpenFile {
        OpenFile {
            content,
            stat,
            buffer: Vec::new(),
            begin: 0,
            noted: 0,
            consumed: Consumed::default(),
            offset: 0,
            line: 1,
            at_end: false,
            format,
            record_bytes_max,
            splitter: Splitter::new(b',', record_bytes_max),
        }
    }

    /// Goes on from a checkpoint; `consumed` is what [`Consumed::verify`] found to be the same in
    /// `content`.
    pub fn resume(&mut self, checkpoint: &Checkpoint, consumed: Consumed, content: Content) {
        self.content = content;
        self.buffer.clear();
        (self.begin, self.noted) = (0, 0);
        self.consumed = consumed;
        (self.offset, self.line) = (checkpoint.next_offset, checkpoint.next_line.unwrap_or(1));
        self.at_end = false;
    }

    /// What the file looked like before the bytes were read.
    pub fn stat(&self) -> Stat {
        self.stat
    }

    /// Looks at an open file again: whether what was consumed of it is still the same. It may have
    /// grown.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn is_still_itself(&mut self) -> io::Result<bool> {
        let stat = self.content.stat()?;
        if stat == self.stat && stat.if_conclusive().is_some() {
            return Ok(true);
        }
        // A packed file would have to be unpacked anew to be read once more.
        if let Some(same) = self.content.is_packed_the_same()? {
            (self.stat, self.at_end) = (stat, false);
            return Ok(same);
        }
        let fingerprint = self.fingerprint();
        let same = Consumed::verify(&mut self.content, &fingerprint, self.offset)?.is_some();
        self.stat = stat;
        // Bytes read ahead may be older than what stands there now.
        self.buffer.truncate(self.begin);
        self.at_end = false;
        Ok(same)
    }

    /// Why nothing follows, where that is not the proper end of a packed file.
    pub fn damage(&self) -> Option<&str> {
        self.content.damage()
    }

    /// Whether the file is packed.
    pub fn is_packed(&self) -> bool {
        self.content.is_packed()
    }

    /// Where reading stands.
    pub fn position(&mut self, is_end: bool) -> Position {
        let fingerprint = self.fingerprint();
        Position { offset: self.offset, line: Some(self.line), fingerprint, is_end }
    }

    /// Passes over a byte order mark. To be called before the first record is read.
    ///
    /// # Errors
    /// Outer: the file can't be read. Inner: it is in another encoding, or packed.
    pub fn mark(&mut self) -> io::Result<Result<(), HeaderError>> {
        self.fill()?;
        if let Some(encoding) = wide_encoding(&self.buffer) {
            return Ok(Err(HeaderError::Encoding(encoding)));
        }
        if let Some(packing) = Packing::of_bytes(&self.buffer) {
            return Ok(Err(HeaderError::Packed(packing.name())));
        }
        if self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.consume(3);
        }
        Ok(Ok(()))
    }

    /// Reads the header: the first record, whose names match columns. `None` while it is not written
    /// whole.
    ///
    /// # Errors
    /// Outer: the file can't be read. Inner: these bytes are no header.
    pub fn header(&mut self, still: bool) -> io::Result<Result<Option<Header>, HeaderError>> {
        Ok(match self.step(still)? {
            Step::Wait | Step::End => Ok(None),
            Step::Refused(letter) => Err(HeaderError::Unreadable(letter.reasons[0].reason.clone())),
            Step::Record { fields, raw, .. } => {
                let record = fields.expect("what has a header has fields");
                let names = (0..record.count()).map(|i| record.text(i).map(str::to_owned));
                match names.collect::<Option<Vec<String>>>() {
                    None => Err(HeaderError::Unreadable("it is not valid UTF-8".to_owned())),
                    Some(names) if names.iter().any(|name| name.contains('\0')) => {
                        Err(HeaderError::Unreadable("it holds a NUL character".to_owned()))
                    }
                    Some(names) => Ok(Some(Header { names, raw: raw.into() })),
                }
            }
        })
    }

    /// The next record or whatever stands in its place. `still` says that nobody is writing the file: a
    /// last line without a line end counts.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn step(&mut self, still: bool) -> io::Result<Step<'_>> {
        loop {
            let complete = still && self.at_end && self.is_unchanged()?;
            let rest = &self.buffer[self.begin..];
            let cut = match self.format {
                Format::Csv => self.splitter.cut(rest, complete),
                Format::Ndjson => json::cut(rest, complete, self.record_bytes_max),
            };
            match cut {
                Cut::Record { start, end, next } => {
                    let (from, to) = (self.begin + start, self.begin + end);
                    let (offset, line) = self.pass(start, next);
                    let raw = &self.buffer[from..to];
                    let fields = (self.format == Format::Csv).then(|| self.splitter.record());
                    return Ok(Step::Record { fields, raw, offset, line });
                }
                Cut::Malformed { start, end, next, fault } => {
                    let (from, to) = (self.begin + start, self.begin + end);
                    let (offset, line) = self.pass(start, next);
                    let letter = refused(offset, line, &self.buffer[from..to], fault);
                    return Ok(Step::Refused(letter));
                }
                Cut::Blank { next } => {
                    self.pass(next, next);
                }
                Cut::Incomplete if !self.at_end => self.fill()?,
                Cut::Incomplete if self.is_all_read() => return Ok(Step::End),
                Cut::Incomplete => return Ok(Step::Wait),
                Cut::Endless { start, fault_at, fault } => {
                    self.pass(start, start);
                    return self.skip_line(fault_at - start, fault, still);
                }
            }
        }
    }

    /// Whether nothing is left to read.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn ends_here(&mut self) -> io::Result<bool> {
        if self.begin == self.buffer.len() && !self.at_end {
            self.fill()?;
        }
        Ok(self.is_all_read())
    }

    fn is_all_read(&self) -> bool {
        self.begin == self.buffer.len() && self.damage().is_none()
    }

    /// Consumes `next` bytes of the buffer, of which the first `start` are blank lines: where the record
    /// behind them starts, and on which line.
    fn pass(&mut self, start: usize, next: usize) -> (u64, u64) {
        let bytes = &self.buffer[self.begin..self.begin + next];
        let (blank, record) = bytes.split_at(start);
        let place = (self.offset + count(start), self.line + line_ends(blank));
        self.line = place.1 + line_ends(record);
        self.consume(next);
        place
    }

    fn consume(&mut self, bytes: usize) {
        self.begin += bytes;
        self.offset += count(bytes);
    }

    /// Reads more bytes behind those in the buffer.
    fn fill(&mut self) -> io::Result<()> {
        self.note();
        self.buffer.drain(..self.begin);
        (self.begin, self.noted) = (0, 0);
        let kept = self.buffer.len();
        // A record longer than a chunk doubles the buffer, so that it is scanned few times.
        self.buffer.resize(kept + CHUNK_BYTES.max(kept), 0);
        let read = self.content.read_at(&mut self.buffer[kept..], self.offset + count(kept));
        self.buffer.truncate(kept + read.as_ref().copied().unwrap_or(0));
        self.at_end = read? == 0;
        Ok(())
    }

    /// Whether the file is as it was judged to be, and the buffer holds all that is left of it. Else a
    /// last line without a line end may just be growing.
    fn is_unchanged(&self) -> io::Result<bool> {
        let stat = self.content.stat()?;
        let rest = count(self.buffer.len() - self.begin);
        let is_all = self.is_packed() || stat.size == self.offset + rest;
        Ok(stat == self.stat && is_all && self.damage().is_none())
    }

    /// Takes the consumed bytes of the buffer into the fingerprint.
    fn note(&mut self) {
        self.consumed.push(&self.buffer[self.noted..self.begin]);
        self.noted = self.begin;
    }

    fn fingerprint(&mut self) -> Fingerprint {
        self.note();
        self.consumed.fingerprint(self.stat)
    }

    /// Passes over a record longer than it may be, up to the end of the line on which its fault stands,
    /// in bounded memory. Its beginning is kept.
    fn skip_line(&mut self, fault_at: usize, fault: Fault, still: bool) -> io::Result<Step<'_>> {
        self.note();
        let (offset, line, consumed) = (self.offset, self.line, self.consumed.clone());
        let len = RAW_BYTES_MAX.min(self.buffer.len() - self.begin);
        let raw = self.buffer[self.begin..self.begin + len].to_vec();
        self.pass(0, fault_at);
        match self.pass_line(still) {
            Ok(true) => {
                let mut letter = refused(offset, line, &raw, fault);
                letter.offsets.end = self.offset;
                Ok(Step::Refused(letter))
            }
            unfinished => {
                // The line counts whole or not at all.
                self.buffer.clear();
                (self.begin, self.noted, self.at_end) = (0, 0, false);
                (self.offset, self.line, self.consumed) = (offset, line, consumed);
                unfinished.map(|_| Step::Wait)
            }
        }
    }

    /// Consumes the bytes before the next line end, or before the end of a file that is `still`; false
    /// if neither is there yet.
    fn pass_line(&mut self, still: bool) -> io::Result<bool> {
        loop {
            let rest = &self.buffer[self.begin..];
            let end = rest.iter().position(|&b| b == b'\n' || b == b'\r');
            let len = end.unwrap_or(rest.len());
            self.pass(0, len);
            if end.is_some() {
                return Ok(true);
            }
            self.fill()?;
            if self.at_end {
                return Ok(still && self.is_unchanged()?);
            }
        }
    }
}

fn refused(offset: u64, line: u64, raw: &[u8], fault: Fault) -> DeadLetter {
    let reason = Reason::of_record(BAD_COPY_FILE_FORMAT, fault.reason());
    DeadLetter::new(offset, Some(line), raw, vec![reason])
}

/// Recognises encodings of two or four bytes a character, by their mark or the NULs of plain letters.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some("UTF-16"),
        _ => None,
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a count of bytes in memory fits")
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
