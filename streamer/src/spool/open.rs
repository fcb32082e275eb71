//! The segments that are appended to, and the requests that are to be written into them.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use tokio::sync::oneshot;

use super::{Append, Content, Receipt, Segment, SpoolError};
use crate::framing::{FRAME_BYTES, Head, Key};

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
    /// What is to be written behind what is synced.
    pub(super) buffer: Vec<u8>,
    pub(super) pending: Vec<Pending>,
}

/// A request whose records are in the buffer.
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

    /// Puts a request into the buffer.
    pub(super) fn put(&mut self, append: Append, reply: Reply) {
        let Append { bytes, records, key, waits, .. } = append;
        let offset = self.len();
        let in_frame = u32::try_from(records).unwrap_or(u32::MAX);
        self.buffer.extend(self.head.frame(in_frame, key, &bytes));
        self.buffer.extend_from_slice(&bytes);
        let (start, end) = (offset + count(FRAME_BYTES), self.len());
        self.pending.push(Pending { start, end, records, key, waits, reply, others: Vec::new() });
    }

    /// Where it ends once the buffer is written.
    pub(super) fn len(&self) -> u64 {
        self.synced.load(Ordering::Acquire) + count(self.buffer.len())
    }

    /// Writes and syncs the buffer, into a file that is still there behind it.
    pub(super) fn sync(&self) -> io::Result<()> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.file.write_all_at(&self.buffer, self.synced.load(Ordering::Acquire))?;
        self.file.sync_data()?;
        match self.is_removed() {
            true => Err(io::Error::new(io::ErrorKind::NotFound, "the segment was removed")),
            false => Ok(()),
        }
    }

    pub(super) fn is_removed(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.nlink() == 0)
    }
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a count of bytes in memory fits")
}
