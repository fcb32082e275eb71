//! From frame to frame through a segment, without its records being read.

use std::io;

use crate::framing::{FRAME_BYTES, Frame, Head, Start};
use crate::partition::fingerprint::ReadAt;

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// Goes from frame to frame.
#[derive(Debug)]
pub struct Walk<'c, C> {
    content: &'c mut C,
    head: Head,
    /// Where the next frame starts.
    offset: u64,
    /// What was read, from `begin` on.
    chunk: Vec<u8>,
    begin: u64,
}

impl<'c, C: ReadAt> Walk<'c, C> {
    /// Reads what the segment begins with.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn start(content: &mut C) -> io::Result<Start> {
        let mut bytes = Vec::new();
        loop {
            let at = bytes.len();
            bytes.resize(at + CHUNK_BYTES, 0);
            let read = content.read_at(&mut bytes[at..], count(at))?;
            bytes.truncate(at + read);
            match Head::read(&bytes) {
                Start::NotYet if read > 0 => {}
                start => return Ok(start),
            }
        }
    }

    /// From the first frame behind `head` on.
    pub fn new(content: &'c mut C, head: Head) -> Walk<'c, C> {
        let offset = head.len;
        Walk { content, head, offset, chunk: Vec::new(), begin: 0 }
    }

    /// Where the next frame starts, or where there is none.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Goes on at `offset`, where a frame may start.
    pub fn go_to(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// The frame at [`Walk::offset`], which is moved behind it; nothing, where none starts there.
    ///
    /// # Errors
    /// When the segment can't be read.
    pub fn step(&mut self) -> io::Result<Option<Frame>> {
        let start = self.offset;
        self.fill(start, FRAME_BYTES)?;
        let Some(frame) = self.head.read_frame(self.bytes(start, FRAME_BYTES)) else {
            return Ok(None);
        };
        self.offset = start + count(FRAME_BYTES) + frame.len;
        Ok(Some(frame))
    }

    /// Whether the records of `frame`, which starts at `start`, are there and as they were written.
    ///
    /// # Errors
    /// When the segment can't be read.
    pub fn is_whole(&mut self, start: u64, frame: &Frame) -> io::Result<bool> {
        let Ok(len) = usize::try_from(frame.len) else { return Ok(false) };
        let start = start + count(FRAME_BYTES);
        self.fill(start, len)?;
        Ok(frame.is_void || self.head.has(frame, self.bytes(start, len)))
    }

    /// Makes the chunk hold what of the `len` bytes at `start` there is.
    fn fill(&mut self, start: u64, len: usize) -> io::Result<()> {
        let end = self.begin + count(self.chunk.len());
        if start >= self.begin && start + count(len) <= end {
            return Ok(());
        }
        self.chunk.clear();
        self.begin = start;
        let wanted = len.max(CHUNK_BYTES);
        // Piece by piece: a length that is wrong must not ask for memory.
        while self.chunk.len() < wanted {
            let at = self.chunk.len();
            self.chunk.resize(wanted.min(at + CHUNK_BYTES), 0);
            let read = self.content.read_at(&mut self.chunk[at..], start + count(at))?;
            self.chunk.truncate(at + read);
            if read == 0 {
                break;
            }
        }
        Ok(())
    }

    fn bytes(&self, start: u64, len: usize) -> &[u8] {
        let at = usize::try_from(start - self.begin).unwrap_or(usize::MAX);
        let rest = self.chunk.get(at..).unwrap_or_default();
        &rest[..len.min(rest.len())]
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a count of bytes in memory fits")
}
