//! How much is left to read.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::partition::Found;

/// What is left to read of files.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Backlog {
    /// Bytes of those that are read as they are.
    pub(super) plain: u64,
    /// Bytes of those that are to be unpacked.
    pub(super) packed: u64,
    /// When the oldest file that had something to read at the last listing was written last, in
    /// seconds since 1970.
    pub(super) oldest: Option<i64>,
}

/// What was read of a log.
#[derive(Debug, Clone, Copy)]
pub(super) struct Read {
    /// How many bytes of it were waited for.
    pub(super) bytes: u64,
    /// How many records were in them, where that is known.
    pub(super) records: Option<u64>,
}

impl Backlog {
    pub(super) fn note(&mut self, found: &Found, rest_bytes: u64) {
        let bytes = if found.is_packed() { &mut self.packed } else { &mut self.plain };
        *bytes += rest_bytes;
        let written = found.stat.modified().0;
        self.oldest = Some(self.oldest.map_or(written, |oldest| oldest.min(written)));
    }
}

/// In seconds since 1970.
pub(super) fn now() -> i64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since_1970.as_secs()).unwrap_or(i64::MAX)
}
