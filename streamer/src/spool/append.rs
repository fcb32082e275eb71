//! What is handed to a spool, and what comes back.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::Content;
use crate::batch::Counts;
use crate::framing::Key;
use crate::memory::Held;

/// The records of one request, which are stored whole or not at all.
#[derive(Debug, Clone)]
pub struct Append {
    /// Which segments they fit into.
    pub content: Content,
    /// The records, each with its line end.
    pub bytes: Arc<Held>,
    /// How many there are.
    pub records: u64,
    /// The key that the client gave, if any: what comes twice under a key is stored once, and
    /// committed in one transaction.
    pub key: Option<Key>,
    /// Whether somebody waits for the outcome.
    pub waits: bool,
}

/// What was synced.
#[derive(Debug)]
pub struct Receipt {
    /// How many records; as the first time, if this is a repetition.
    pub records: u64,
    /// Whether the same was stored before, under the same key.
    pub is_repeated: bool,
    /// Tells what became of the records; of a repetition, only when. Nothing, where nobody waits.
    pub outcome: Option<oneshot::Receiver<Counts>>,
}
