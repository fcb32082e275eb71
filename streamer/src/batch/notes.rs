//! What is noted of rows while they are encoded, when each is still in the processor's cache.

/// Notes of the rows of a micro-batch. They do not stand beside the rows: a row without a key or a
/// time leaves none, and they stay as they are when the rows are put in order.
#[derive(Debug, Default, Clone)]
pub struct Notes {
    key_hashes: Vec<u64>,
    created_us: Vec<i64>,
}

impl Notes {
    /// Notes the hash of a row's key.
    pub(super) fn note_key(&mut self, hash: u64) {
        self.key_hashes.push(hash);
    }

    /// Notes when a row's event was created, in microseconds since 1970.
    pub(super) fn note_created(&mut self, created_us: i64) {
        self.created_us.push(created_us);
    }

    /// Forgets all, and keeps the memory.
    pub(super) fn clear(&mut self) {
        self.key_hashes.clear();
        self.created_us.clear();
    }

    /// The hashes of all keys, see [`MicroBatch::key_hash`](super::MicroBatch::key_hash).
    pub fn key_hashes(&self) -> &[u64] {
        &self.key_hashes
    }

    /// When all events were created that tell it, in microseconds since 1970.
    pub fn created_us(&self) -> &[i64] {
        &self.created_us
    }
}
