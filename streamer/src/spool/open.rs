//! The segments that are appended to, and the requests that are to be written into them.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Append, Content, Receipt, Segment, SpoolError};
use crate::framing::{FRAME_BYTES, Head, Key};

/// So many bytes are gathered before they are written; records of a request that has as many are
/// not copied.
const BUFFER_BYTES: usize = 64 * 1024;

pub(super) type Reply = oneshot::Sender<Result<Receipt, SpoolError>>;

/// A segment that is appended to.
pub(super) struct Open {
    pub(super) content: Content,
    pub(super) head: Head,
    pub(super) name: Arc<str>,
    pub(super) file: Arc<File>,
    pub(super) synced: Arc<AtomicU64>,
    pub(super) born: Instant,
    /// Whether nothing more is to be appended to it.
    pub(super) is_full: bool,
    /// What is to be written at `written`.
    buffer: Vec<u8>,
    written: u64,
    /// Where it ends once the buffer is written.
    end: u64,
    /// Why it can't be written.
    failure: Option<io::Error>,
    pub(super) pending: Vec<Pending>,
}

/// A request whose records are in the buffer, or written.
pub(super) struct Pending {
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) records: u64,
    pub(super) key: Option<Key>,
    pub(super) waits: bool,
    pub(super) reply: Reply,
    /// Those that came under its key meanwhile.
    pub(super) others: Vec<Other>,
}

/// A request under a key that is being written, or that is stored.
pub(super) struct Other {
    pub(super) key: Key,
    pub(super) waits: bool,
    pub(super) reply: Reply,
}

impl Open {
    /// A segment that was just made.
    pub(super) fn new(content: Content, name: &str, segment: &Segment) -> Open {
        let head = Head::new(content.header.clone());
        Open {
            buffer: head.bytes(),
            written: 0,
            end: head.len,
            failure: None,
            head,
            content,
            name: name.into(),
            file: segment.file.clone(),
            synced: segment.synced.clone(),
            born: Instant::now(),
            is_full: false,
            pending: Vec::new(),
        }
    }

    /// Takes a request up: into the buffer, or into the file if that is much.
    pub(super) fn put(&mut self, append: &Append, reply: Reply) {
        let Append { bytes, records, key, waits, .. } = append;
        let in_frame = u32::try_from(*records).unwrap_or(u32::MAX);
        self.buffer.extend(self.head.frame(in_frame, *key, bytes));
        let start = self.end + count(FRAME_BYTES);
        self.end = start + count(bytes.len());
        let is_copied = bytes.len() < BUFFER_BYTES;
        if is_copied {
            self.buffer.extend_from_slice(bytes);
        }
        if !is_copied || self.buffer.len() >= BUFFER_BYTES {
            self.write_buffer();
        }
        if !is_copied {
            self.write(bytes);
        }
        let (end, records, key, waits) = (self.end, *records, *key, *waits);
        self.pending.push(Pending { start, end, records, key, waits, reply, others: Vec::new() });
    }

    /// Where it ends once all is written.
    pub(super) fn len(&self) -> u64 {
        self.end
    }

    /// Writes what is left and syncs it, into a file that is still there behind it.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.write_buffer();
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        self.file.sync_data()?;
        match self.is_removed() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the segment was removed")),
            false => Ok(()),
        }
    }

    fn write_buffer(&mut self) {
        let mut buffer = std::mem::take(&mut self.buffer);
        self.write(&buffer);
        buffer.clear();
        buffer.shrink_to(2 * BUFFER_BYTES);
        self.buffer = buffer;
    }

    /// Writes behind what is written. A failure is told by [`Open::sync`].
    fn write(&mut self, bytes: &[u8]) {
        if self.failure.is_none() {
            self.failure = self.file.write_all_at(bytes, self.written).err();
            self.written += count(bytes.len());
        }
    }

    pub(super) fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a count of bytes in memory fits")
}
