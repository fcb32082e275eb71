//! Reading one file: bytes from an offset on, cut into records, with the line each one starts on.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::fingerprint::{Consumed, Fingerprint, Stat};
use super::{Checkpoint, Header, Position};
use crate::batch::{DeadLetter, RAW_BYTES_MAX};
use crate::format::Record;
use crate::format::csv::{Cut, Fault, Splitter, line_ends};
use crate::layout::{BAD_COPY_FILE_FORMAT, HeaderError, Reason};

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// A file that is being read.
#[derive(Debug)]
pub struct OpenFile {
    file: File,
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
    splitter: Splitter,
    record_bytes_max: usize,
}

/// What stands next in a file.
#[derive(Debug)]
pub enum Step<'a> {
    /// A record.
    Record {
        /// Its fields.
        record: Record<'a>,
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
    /// Reads `file` from its beginning.
    pub fn from_start(file: File, stat: Stat, record_bytes_max: usize) -> OpenFile {
        OpenFile {
            file,
            stat,
            buffer: Vec::new(),
            begin: 0,
            noted: 0,
            consumed: Consumed::default(),
            offset: 0,
            line: 1,
            at_end: false,
            splitter: Splitter::new(b',', record_bytes_max),
            record_bytes_max,
        }
    }

    /// Goes on from a checkpoint; `consumed` is what [`Consumed::verify`] found to be the same.
    pub fn resume(&mut self, checkpoint: &Checkpoint, consumed: Consumed) {
        self.buffer.clear();
        (self.begin, self.noted) = (0, 0);
        self.consumed = consumed;
        (self.offset, self.line) = (checkpoint.next_offset, checkpoint.next_line);
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
        let stat = Stat::of(&self.file.metadata()?);
        if stat == self.stat && stat.if_conclusive().is_some() {
            return Ok(true);
        }
        let fingerprint = self.fingerprint();
        let same = Consumed::verify(&self.file, &fingerprint, self.offset)?.is_some();
        self.stat = stat;
        // Bytes read ahead may be older than what stands there now.
        self.buffer.truncate(self.begin);
        self.at_end = false;
        Ok(same)
    }

    /// Where reading stands.
    pub fn position(&mut self, is_end: bool) -> Position {
        let fingerprint = self.fingerprint();
        Position { offset: self.offset, line: self.line, fingerprint, is_end }
    }

    /// Reads the header: the first record, whose names match columns. `None` while it is not written
    /// whole.
    ///
    /// # Errors
    /// Outer: the file can't be read. Inner: these bytes are no header.
    pub fn header(&mut self, still: bool) -> io::Result<Result<Option<Header>, HeaderError>> {
        self.fill()?;
        if let Some(encoding) = wide_encoding(&self.buffer) {
            return Ok(Err(HeaderError::Encoding(encoding)));
        }
        if self.buffer.starts_with(b"\xef\xbb\xbf") {
            self.consume(3);
        }
        Ok(match self.step(still)? {
            Step::Wait | Step::End => Ok(None),
            Step::Refused(letter) => Err(HeaderError::Unreadable(letter.reasons[0].reason.clone())),
            Step::Record { record, raw, .. } => {
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
            match self.splitter.cut(&self.buffer[self.begin..], complete) {
                Cut::Record { start, end, next } => {
                    let (from, to) = (self.begin + start, self.begin + end);
                    let (offset, line) = self.pass(start, next);
                    let raw = &self.buffer[from..to];
                    return Ok(Step::Record { record: self.splitter.record(), raw, offset, line });
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
                Cut::Incomplete if self.begin == self.buffer.len() => return Ok(Step::End),
                Cut::Incomplete => return Ok(Step::Wait),
                Cut::Endless { start } => {
                    self.pass(start, start);
                    return self.skip_line(still);
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
        Ok(self.begin == self.buffer.len())
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
        let read = read_at(&self.file, &mut self.buffer[kept..], self.offset + count(kept));
        self.buffer.truncate(kept + read.as_ref().copied().unwrap_or(0));
        self.at_end = read? == 0;
        Ok(())
    }

    /// Whether the file is as it was judged to be, and the buffer holds all that is left of it. Else a
    /// last line without a line end may just be growing.
    fn is_unchanged(&self) -> io::Result<bool> {
        let stat = Stat::of(&self.file.metadata()?);
        let rest = count(self.buffer.len() - self.begin);
        Ok(stat == self.stat && stat.size == self.offset + rest)
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

    /// Passes over a line longer than a record may be, in bounded memory. Its beginning is kept.
    fn skip_line(&mut self, still: bool) -> io::Result<Step<'_>> {
        self.note();
        let (offset, line, consumed) = (self.offset, self.line, self.consumed.clone());
        let len = RAW_BYTES_MAX.min(self.buffer.len() - self.begin);
        let raw = self.buffer[self.begin..self.begin + len].to_vec();
        match self.pass_line(still) {
            Ok(true) => {
                let fault = Fault::TooLong { limit: self.record_bytes_max };
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
    DeadLetter::new(offset, line, raw, vec![reason])
}

fn read_at(file: &File, into: &mut [u8], offset: u64) -> io::Result<usize> {
    loop {
        match file.read_at(into, offset) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
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
mod tests {
    use std::io::Write;

    use super::*;

    /// Reads all of `bytes` in a file: each record or refused line with its offset and line.
    fn read(bytes: &[u8], record_bytes_max: usize, still: bool) -> Vec<(String, u64, u64)> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let stat = Stat::of(&file.metadata().unwrap());
        let mut open = OpenFile::from_start(file, stat, record_bytes_max);
        let mut read = Vec::new();
        loop {
            match open.step(still).unwrap() {
                Step::Record { raw, offset, line, .. } => {
                    read.push((String::from_utf8_lossy(raw).into_owned(), offset, line));
                }
                Step::Refused(letter) => {
                    let len = letter.offsets.end - letter.offsets.start;
                    read.push((format!("refused {len}"), letter.offsets.start, letter.line));
                }
                Step::End | Step::Wait => return read,
            }
        }
    }

    fn place(text: &str, offset: u64, line: u64) -> (String, u64, u64) {
        (text.to_owned(), offset, line)
    }

    #[test]
    fn records_know_their_offset_and_physical_line() {
        let read = read(b"a\n\n\"b\r\nb\"\r\nc\nd", 100, true);
        let expected =
            [place("a", 0, 1), place("\"b\r\nb\"", 3, 3), place("c", 11, 5), place("d", 13, 6)];
        assert_eq!(read, expected);
    }

    #[test]
    fn a_last_line_without_a_line_end_waits_until_the_file_is_still() {
        assert_eq!(read(b"a\nb", 100, false), [place("a", 0, 1)]);
        assert_eq!(read(b"a\nb", 100, true), [place("a", 0, 1), place("b", 2, 2)]);
    }

    #[test]
    fn a_file_that_grew_since_it_was_judged_still_is_waited_for() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(b"a\n").unwrap();
        let stat = Stat::of(&file.metadata().unwrap());
        let mut open = OpenFile::from_start(file.try_clone().unwrap(), stat, 100);
        file.write_all(b"12.9").unwrap();
        assert!(matches!(open.step(true).unwrap(), Step::Record { .. }));
        assert!(matches!(open.step(true).unwrap(), Step::Wait));
    }

    #[test]
    fn a_line_end_across_two_reads_counts_once() {
        let mut bytes = vec![b'x'; CHUNK_BYTES - 1];
        bytes.extend(b"\r\n\r\nb\r\n");
        let read = read(&bytes, 1 << 20, false);
        assert_eq!(read[1], place("b", u64::try_from(CHUNK_BYTES).unwrap() + 3, 3));
    }

    #[test]
    fn a_line_of_megabytes_is_passed_over_in_bounded_memory() {
        let mut bytes = b"a\n".to_vec();
        bytes.extend(vec![b'x'; 3_000_000]);
        assert_eq!(read(&bytes, 1000, false), [place("a", 0, 1)], "its end is not written yet");
        bytes.extend(b"\nb\n");
        let expected = [place("a", 0, 1), place("refused 3000000", 2, 2), place("b", 3_000_003, 3)];
        assert_eq!(read(&bytes, 1000, false), expected);
    }

    #[test]
    fn records_longer_than_a_chunk_are_read() {
        let long = "y".repeat(CHUNK_BYTES * 3);
        let read = read(format!("a\n{long}\nb\n").as_bytes(), 1 << 20, false);
        assert_eq!(read.iter().map(|r| r.0.len()).collect::<Vec<_>>(), [1, long.len(), 1]);
    }

    #[test]
    fn wide_encodings_are_recognised() {
        assert_eq!(wide_encoding(b"\xff\xfea\0,\0"), Some("UTF-16"));
        assert_eq!(wide_encoding(b"a\0,\0b\0"), Some("UTF-16"));
        assert_eq!(wide_encoding(b"a,b\n"), None);
    }
}
