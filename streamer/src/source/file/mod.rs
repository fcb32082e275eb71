//! Reading one file: bytes from an offset on, cut into records, with the line each one starts on.

mod frames;
mod segment;

use std::io;
use std::ops::Range;

use super::content::Content;
use crate::format::{Beginning, Fault, Format, Next, Place, Reader, Record, State};
use crate::partition::fingerprint::{Consumed, Fingerprint, ReadAt, Stat};
use crate::partition::{Checkpoint, Kind, Position};
use frames::Frames;
pub use frames::Request;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// How much is kept of a record that is longer than it may be, in bytes.
const KEPT_BYTES_MAX: usize = 64 * 1024;

/// A file that is being read.
#[derive(Debug)]
pub struct OpenFile {
    content: Content,
    /// What it looked like before the bytes were read.
    stat: Stat,
    /// What was read and not yet consumed lies from `begin` on.
    buffer: Vec<u8>,
    begin: usize,
    record_bytes_max: usize,
    /// Up to where the buffer's consumed bytes are in `consumed`.
    noted: usize,
    consumed: Consumed,
    /// Whether the buffer held everything up to the file's end at the last read.
    at_end: bool,
    /// It stands at `buffer[begin]`.
    reader: Reader,
    /// The beginning of the last record that was longer than it may be.
    kept: Vec<u8>,
    kind: Kind,
    /// The frames of a segment. A file has none, nor has a segment of the first version.
    frames: Option<Frames>,
}

/// What stands next in a file.
#[derive(Debug)]
pub enum Step<'a> {
    /// A record.
    Record(Record<'a>),
    /// Bytes that are no record.
    Refused(Refused<'a>),
    /// The file ends here.
    End,
    /// A record starts here, but its end is not written yet.
    Wait,
    /// A request ends here, perhaps not the last one.
    Between,
}

/// Bytes that are no record.
#[derive(Debug)]
pub struct Refused<'a> {
    /// The bytes, or as many of the first ones as are kept of a record that is longer than it may
    /// be.
    pub raw: &'a [u8],
    /// Where all of them stand in the file, the line end excluded.
    pub range: Range<u64>,
    /// The line they start on, from 1, where there are lines.
    pub line: Option<u64>,
    /// What is wrong.
    pub fault: Fault,
}

impl OpenFile {
    /// Reads `content`, a log of this kind, from its beginning.
    pub fn from_start(
        kind: Kind,
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
            record_bytes_max,
            noted: 0,
            consumed: Consumed::default(),
            at_end: false,
            reader: Reader::new(format, record_bytes_max),
            kept: Vec::new(),
            kind,
            frames: None,
        }
    }

    /// Goes on from a checkpoint; `consumed` is what [`Consumed::verify`] found to be the same in
    /// `content`.
    pub fn resume(&mut self, checkpoint: &Checkpoint, consumed: Consumed, content: Content) {
        self.content = content;
        self.buffer.clear();
        (self.begin, self.noted) = (0, 0);
        self.consumed = consumed;
        self.reader.resume(State::at(checkpoint.next_offset, checkpoint.next_line));
        self.at_end = false;
        if let Some(frames) = &mut self.frames {
            frames.lose();
        }
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
        // A segment is only appended to.
        if self.kind == Kind::Segment {
            (self.stat, self.at_end) = (stat, false);
            return Ok(true);
        }
        // A packed file would have to be unpacked anew to be read once more.
        if let Some(same) = self.content.is_packed_the_same()? {
            (self.stat, self.at_end) = (stat, false);
            return Ok(same);
        }
        let (fingerprint, offset) = (self.fingerprint(), self.offset());
        let same = Consumed::verify(&mut self.content, &fingerprint, offset)?.is_some();
        self.stat = stat;
        // Bytes read ahead may be older than what stands there now.
        self.buffer.truncate(self.begin);
        self.at_end = false;
        Ok(same)
    }

    /// Gives back the memory of what was read ahead. Of a packed file that is only to be done where
    /// memory `is_short`: to read on is then to unpack it from the beginning.
    pub fn put_down(&mut self, is_short: bool) {
        if self.is_packed() && !is_short {
            return;
        }
        self.note();
        self.content.put_down();
        self.reader.trim();
        self.buffer = Vec::new();
        (self.begin, self.noted, self.at_end) = (0, 0, false);
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
        let state = self.reader.state();
        let (offset, line) = (state.offset(), Some(state.line()));
        Position { offset, line, fingerprint, is_end }
    }

    /// Reads what the file begins with. To be called before the first record is read. `still` says
    /// that nobody is writing the file.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn begin(&mut self, still: bool) -> io::Result<Beginning> {
        if self.kind == Kind::Segment
            && let Some(beginning) = self.begin_segment()?
        {
            return Ok(beginning);
        }
        loop {
            let complete = self.is_complete(still)?;
            match self.reader.begin(&self.buffer, &mut self.begin, complete) {
                Beginning::NotYet if !self.at_end => self.fill()?,
                Beginning::NotYet if self.is_all_read() => return Ok(Beginning::Empty),
                beginning => return Ok(beginning),
            }
        }
    }

    /// The next record or whatever stands in its place. `still` says that nobody is writing the
    /// file: a last line without a line end counts.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn step(&mut self, still: bool) -> io::Result<Step<'_>> {
        if !self.enter_frame()? {
            return Ok(Step::End);
        }
        loop {
            let (end, complete) = self.readable(still)?;
            match self.reader.next(&self.buffer[..end], &mut self.begin, complete) {
                Next::Record(place) => {
                    return Ok(Step::Record(self.reader.record(place, &self.buffer)));
                }
                Next::Malformed(place, fault) => {
                    return Ok(Step::Refused(Refused {
                        raw: place.of(&self.buffer),
                        range: place.range(),
                        line: Some(place.line),
                        fault,
                    }));
                }
                Next::Endless(place, fault) => return self.pass_over(place, fault, still),
                // Blanks behind the last record of a request.
                Next::Incomplete if complete && self.frames.is_some() => {
                    self.pass(end - self.begin);
                    return Ok(Step::Between);
                }
                Next::Incomplete if !self.at_end => self.fill()?,
                Next::Incomplete if self.is_all_read() => return Ok(Step::End),
                Next::Incomplete => return Ok(Step::Wait),
            }
        }
    }

    /// Whether nothing is left to read.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn ends_here(&mut self) -> io::Result<bool> {
        if self.frames.is_some() {
            return Ok(!self.is_within_frame()? && self.next_frame()?.is_none());
        }
        if self.begin == self.buffer.len() && !self.at_end {
            self.fill()?;
        }
        Ok(self.is_all_read())
    }

    fn is_all_read(&self) -> bool {
        self.begin == self.buffer.len() && self.damage().is_none()
    }

    /// Up to where in the buffer records can be read, and whether nothing will follow there.
    fn readable(&mut self, still: bool) -> io::Result<(usize, bool)> {
        match self.readable_of_frame()? {
            Some(readable) => Ok(readable),
            None => Ok((self.buffer.len(), self.is_complete(still)?)),
        }
    }

    fn offset(&self) -> u64 {
        self.reader.state().offset()
    }

    /// Reads more bytes behind those in the buffer.
    fn fill(&mut self) -> io::Result<()> {
        self.note();
        self.buffer.drain(..self.begin);
        (self.begin, self.noted) = (0, 0);
        let kept = self.buffer.len();
        // A record longer than a chunk doubles the buffer, so that it is scanned few times.
        let more = kept.min(self.record_bytes_max.saturating_sub(kept)).max(CHUNK_BYTES);
        self.buffer.reserve_exact(more);
        self.buffer.resize(kept + more, 0);
        let offset = self.offset() + count(kept);
        let read = self.content.read_at(&mut self.buffer[kept..], offset);
        self.buffer.truncate(kept + read.as_ref().copied().unwrap_or(0));
        self.at_end = read? == 0;
        Ok(())
    }

    /// Whether the buffer holds all that will ever be left of the file.
    fn is_complete(&self, still: bool) -> io::Result<bool> {
        Ok(still && self.at_end && self.is_unchanged()?)
    }

    /// Whether the file is as it was judged to be, and the buffer holds all that is left of it.
    /// Else a last line without a line end may just be growing.
    fn is_unchanged(&self) -> io::Result<bool> {
        let stat = self.content.stat()?;
        let rest = count(self.buffer.len() - self.begin);
        let is_all = self.is_packed() || stat.size == self.offset() + rest;
        Ok(stat == self.stat && is_all && self.damage().is_none())
    }

    /// Takes the consumed bytes of the buffer into the fingerprint.
    fn note(&mut self) {
        self.note_before(self.begin);
    }

    fn note_before(&mut self, end: usize) {
        self.consumed.push(&self.buffer[self.noted..end]);
        self.noted = end;
    }

    fn fingerprint(&mut self) -> Fingerprint {
        self.note();
        self.consumed.fingerprint(self.stat)
    }

    /// Passes over a record longer than it may be, up to the end of the line on which its fault
    /// stands, in bounded memory. Its beginning is kept.
    fn pass_over(&mut self, place: Place, fault: Fault, still: bool) -> io::Result<Step<'_>> {
        self.note_before(place.start);
        let consumed = self.consumed.clone();
        let start = State::at(place.offset, Some(place.line));
        let raw = place.of(&self.buffer);
        self.kept.clear();
        self.kept.extend_from_slice(&raw[..raw.len().min(KEPT_BYTES_MAX)]);
        match self.pass_line(still) {
            Ok(true) => {
                let range = start.offset()..self.offset();
                let line = Some(place.line);
                Ok(Step::Refused(Refused { raw: &self.kept, range, line, fault }))
            }
            unfinished => {
                // The line counts whole or not at all.
                self.buffer.clear();
                (self.begin, self.noted, self.at_end) = (0, 0, false);
                self.reader.resume(start);
                self.consumed = consumed;
                unfinished.map(|_| Step::Wait)
            }
        }
    }

    /// Consumes the bytes before the next line end, or before the end of a file that is `still`;
    /// false if neither is there yet.
    fn pass_line(&mut self, still: bool) -> io::Result<bool> {
        loop {
            let (end, complete) = self.readable(still)?;
            if self.reader.pass_line(&self.buffer[..end], &mut self.begin) || complete {
                return Ok(true);
            }
            self.fill()?;
            if self.at_end && self.frames.is_none() {
                return self.is_complete(still);
            }
        }
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a count of bytes in memory fits")
}

#[cfg(test)]
mod tests;
