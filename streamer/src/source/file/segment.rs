//! Segments: reading from frame to frame.

use std::io;

use super::frames::{Frames, Request};
use super::{OpenFile, count};
use crate::format::{Beginning, State};
use crate::framing::{FRAME_BYTES, Frame, Head, Start};

impl OpenFile {
    /// The request whose records stand next, where it has a key; nothing, where reading stands
    /// within a request or at the end.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn next_request(&mut self) -> io::Result<Option<Request>> {
        if self.frames.is_none() {
            return Ok(None);
        }
        let frame = self.next_frame()?;
        Ok(frame.and_then(|frame| Frames::request(self.offset(), &frame)))
    }

    /// Whether the records of a request with a key are being read.
    pub fn is_within_request(&self) -> bool {
        let offset = self.offset();
        self.frames.as_ref().is_some_and(|frames| frames.is_within_request(offset))
    }

    /// Reads the head of a segment; nothing, where it has none because it is of the first version.
    pub(super) fn begin_segment(&mut self) -> io::Result<Option<Beginning>> {
        let head = loop {
            match Head::read(&self.buffer) {
                Start::Head(head) => break head,
                Start::First => return Ok(None),
                Start::NotYet if !self.at_end => self.fill()?,
                Start::NotYet => return Ok(Some(Beginning::Empty)),
                Start::Newer(version) => {
                    let message =
                        format!("it was written by a later version of the streamer ({version})");
                    return Err(io::Error::new(io::ErrorKind::InvalidData, message));
                }
                Start::Damaged => return Err(io::ErrorKind::InvalidData.into()),
            }
        };
        let beginning = match &head.header {
            Some(header) if self.reader.format().has_header() => {
                let line = [header, b"\n".as_slice()].concat();
                self.reader.begin(&line, &mut 0, true)
            }
            _ => Beginning::Records,
        };
        let line = self.reader.state().line();
        self.begin = usize::try_from(head.len).expect("it is in memory");
        self.reader.resume(State::at(head.len, Some(line)));
        self.frames = Some(Frames::new(head));
        Ok(Some(beginning))
    }

    /// Enters the frame that stands next, where reading stands between two; false if there is none.
    pub(super) fn enter_frame(&mut self) -> io::Result<bool> {
        while self.frames.is_some() && !self.is_within_frame()? {
            let Some(frame) = self.next_frame()? else { return Ok(false) };
            self.enter(&frame);
        }
        Ok(true)
    }

    fn enter(&mut self, frame: &Frame) {
        let offset = self.offset();
        if let Some(frames) = &mut self.frames {
            frames.enter(offset, frame);
        }
        self.pass(FRAME_BYTES);
    }

    /// The frame with records that stands next, behind what was damaged; nothing, where reading
    /// stands within one, or at the end.
    pub(super) fn next_frame(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match self.frame_here()? {
                Some(frame) if frame.is_void => {
                    self.enter(&frame);
                    self.go_to(self.offset() + frame.len);
                }
                other => return Ok(other),
            }
        }
    }

    /// The frame that stands next, whatever is in it.
    fn frame_here(&mut self) -> io::Result<Option<Frame>> {
        if self.is_within_frame()? {
            return Ok(None);
        }
        while self.buffer.len() - self.begin < FRAME_BYTES && !self.at_end {
            self.fill()?;
        }
        let bytes = &self.buffer[self.begin..];
        match &self.frames {
            Some(frames) if bytes.len() >= FRAME_BYTES => {
                frames.look(self.offset(), bytes).map(Some)
            }
            _ => Ok(None),
        }
    }

    pub(super) fn is_within_frame(&mut self) -> io::Result<bool> {
        let offset = self.offset();
        let Some(frames) = &mut self.frames else { return Ok(false) };
        Ok(offset < frames.end(offset, &mut self.content)?)
    }

    /// Up to where in the buffer the records of a frame go, and whether all of them are there:
    /// those of each frame are for themselves. Nothing, where there are no frames.
    pub(super) fn readable_of_frame(&mut self) -> io::Result<Option<(usize, bool)>> {
        let offset = self.offset();
        let Some(frames) = &mut self.frames else { return Ok(None) };
        let left = frames.end(offset, &mut self.content)?.saturating_sub(offset);
        let left = usize::try_from(left).unwrap_or(usize::MAX);
        let rest = self.buffer.len() - self.begin;
        Ok(Some((self.begin + left.min(rest), left <= rest)))
    }

    /// Consumes bytes that are no records.
    pub(super) fn pass(&mut self, len: usize) {
        self.begin += len;
        let state = self.reader.state();
        self.reader.resume(State::at(state.offset() + count(len), Some(state.line())));
    }

    /// Goes on at `offset`, further on.
    fn go_to(&mut self, offset: u64) {
        self.buffer.clear();
        (self.begin, self.noted, self.at_end) = (0, 0, false);
        self.reader.resume(State::at(offset, Some(self.reader.state().line())));
    }
}
