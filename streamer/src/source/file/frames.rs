//! Where reading stands among the frames of a segment.

use std::io;
use std::ops::Range;

use crate::framing::{FRAME_BYTES, Frame, Head, Key};
use crate::partition::fingerprint::ReadAt;
use crate::source::walk::Walk;

/// The frames of a segment that is being read.
#[derive(Debug)]
pub(super) struct Frames {
    head: Head,
    /// Where the records of the frame end that reading stands in; of one that it has left, too.
    /// Nothing, until that is found out.
    end: Option<u64>,
    key: Option<Key>,
}

/// A request whose records stand next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The key that it came under.
    pub key: Key,
    /// How many records it has.
    pub records: u32,
    /// Where they stand, in bytes.
    pub range: Range<u64>,
}

impl Frames {
    /// In front of the first frame.
    pub(super) fn new(head: Head) -> Frames {
        let end = Some(head.len);
        Frames { head, end, key: None }
    }

    /// Reading goes on elsewhere.
    pub(super) fn lose(&mut self) {
        (self.end, self.key) = (None, None);
    }

    /// Where the frame ends that `offset` is in; of one that ends right there, too.
    ///
    /// # Errors
    /// When the segment can't be read.
    pub(super) fn end(&mut self, offset: u64, content: &mut impl ReadAt) -> io::Result<u64> {
        if let Some(end) = self.end {
            return Ok(end);
        }
        let mut walk = Walk::new(content, self.head.clone());
        // Most checkpoints stand between two frames.
        walk.go_to(offset);
        let mut end = offset;
        if walk.step()?.is_none() {
            walk.go_to(self.head.len);
            end = self.head.len;
            while end < offset {
                let frame = walk.step()?;
                self.key = frame.and_then(|frame| frame.key);
                end = if frame.is_some() { walk.offset() } else { offset };
            }
        }
        self.end = Some(end);
        Ok(end)
    }

    /// Whether the records of a request with a key are being read.
    pub(super) fn is_within_request(&self, offset: u64) -> bool {
        self.key.is_some() && self.end.is_some_and(|end| offset < end)
    }

    /// The frame that begins with `bytes` at `offset`.
    ///
    /// # Errors
    /// When none does.
    pub(super) fn look(&self, offset: u64, bytes: &[u8]) -> io::Result<Frame> {
        self.head.read_frame(bytes).ok_or_else(|| {
            let message =
                format!("it is damaged at byte {offset}: the streamer mends it when it is started");
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// Reading stands in front of `frame`, at `offset`, and enters it. Returns where its records
    /// start.
    pub(super) fn enter(&mut self, offset: u64, frame: &Frame) -> u64 {
        let start = offset + frame_bytes();
        self.end = Some(start + frame.len);
        self.key = frame.key;
        start
    }

    /// The request that `frame`, at `offset`, holds, if it has a key.
    pub(super) fn request(offset: u64, frame: &Frame) -> Option<Request> {
        let start = offset + frame_bytes();
        let (key, records) = (frame.key?, frame.records);
        Some(Request { key, records, range: start..start + frame.len })
    }
}

fn frame_bytes() -> u64 {
    u64::try_from(FRAME_BYTES).expect("a small number")
}
