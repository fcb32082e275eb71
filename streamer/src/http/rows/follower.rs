//! A reader of rows, and the events that it is sent.

use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::wanted::Wanted;
use crate::memory::{Held, Memory};

/// How many parts of events wait for a reader at most: one that lets more come does not read.
pub(super) const WAITING_MAX: usize = 32;

/// Who follows a stream.
#[derive(Debug)]
pub(super) struct Follower {
    pub(super) stream: String,
    pub(super) wanted: Wanted,
    pub(super) sender: mpsc::Sender<Bytes>,
    /// Ends its connection.
    pub(super) hang_up: CancellationToken,
}

impl Follower {
    /// Sends events; false, if the follower is gone or does not read.
    pub(super) fn send(&self, events: Bytes) -> bool {
        match self.sender.try_send(events) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::debug!("a reader does not read what is sent; its connection is closed");
                self.hang_up.cancel();
                false
            }
            Err(mpsc::error::TrySendError::Closed(_)) => false,
        }
    }
}

/// The event that says that so many rows, or an unknown number, are not told, and why.
pub(super) fn gap(rows: Option<u64>, why: &str) -> Bytes {
    format!("event: gap\ndata: {}\n\n", json!({"rows": rows, "why": why})).into()
}

/// The event of a row: its micro-batch, its number among those, and it as JSON in one line.
pub(super) fn put_row(batch_id: i64, number: u64, json: &str, out: &mut Vec<u8>) {
    out.extend_from_slice(format!("id: {batch_id}:{number}\ndata: ").as_bytes());
    // Of a value that is JSON itself PostgreSQL keeps the line ends.
    let line = json.bytes().map(|byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte });
    out.extend(line);
    out.extend_from_slice(b"\n\n");
}

/// Events in memory that is counted until the last reader has them; `None`, if there is none.
pub(super) fn counted(events: Vec<u8>, memory: &Memory) -> Option<Bytes> {
    let share = memory.try_keep(events.capacity())?;
    Some(Bytes::from_owner(Owned(Held::new(events, Some(share)))))
}

struct Owned(Held);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::put_row;

    #[test]
    fn a_row_is_one_line_whatever_it_holds() {
        let mut out = Vec::new();
        put_row(7, 0, "{\"a\":{\n\"b\": 1}}", &mut out);
        assert_eq!(out, b"id: 7:0\ndata: {\"a\":{ \"b\": 1}}\n\n");
    }
}
