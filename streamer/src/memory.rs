//! The memory that the program counts: what it keeps of other people's bytes, such as bodies of
//! requests, lines, micro-batches, windows of decoders, filters.
//!
//! The setting `memory` is the sum. A part of it is reserved from the start: the least that each
//! connection, to the database and of a listener, works with. What is left is a [`Memory`], which
//! all ask for whatever they need beyond that. Nobody waits for more while holding more than what
//! was reserved for it: who is refused does with less, or puts down what it has and comes again. So
//! whoever holds a share can do its work to the end, gives it back, and nothing waits for ever.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// What is counted with, in bytes.
const UNIT_BYTES: usize = 1024;

/// What is kept without an end takes one part of so many at most.
const KEPT_PART: usize = 4;

/// How long memory counts as short after somebody was refused.
const SHORT: Duration = Duration::from_secs(60);

/// What is reserved for a connection of a listener: what it reads into, and what the server keeps
/// of it.
pub const CONNECTION_BYTES: usize = 16 * 1024;

/// What is reserved for a micro-batch, beside records of this length: what a file is read into, and
/// what the first rows take.
const MICRO_BATCH_BYTES: usize = 1 << 20;

/// What is read at a time, in bytes, and held beside the body of a request or the line of a
/// connection.
pub const READ_BYTES: usize = 64 * 1024;

/// What is reserved for a micro-batch whose records have at most `record_bytes_max` bytes: the
/// longest fits into it, as it stands in its file, as it is kept for the case that it is refused,
/// as a row, and as that is sent.
pub const fn micro_batch_bytes(record_bytes_max: usize) -> usize {
    record_bytes_max.saturating_mul(4).saturating_add(MICRO_BATCH_BYTES)
}

/// What it takes to read a line of `record_bytes_max` bytes, and to hand it on: a buffer that grows
/// by doubling, its fields, and the line.
pub const fn line_bytes(record_bytes_max: usize) -> usize {
    record_bytes_max.saturating_mul(4).saturating_add(READ_BYTES)
}

/// What it takes to make names of a header of so many bytes, and to compare them with a table's
/// columns, beside the header itself; nothing where that is little.
pub const fn names_bytes(header_bytes: usize) -> usize {
    if header_bytes <= READ_BYTES { 0 } else { header_bytes.saturating_mul(16) }
}

/// What it takes to read a body of so many bytes, and to make lines of it or to unpack it.
pub const fn request_bytes(body_bytes: usize) -> usize {
    body_bytes.saturating_mul(2).saturating_add(READ_BYTES)
}

/// How much must be shared so that the largest share has so many bytes.
pub const fn with_kept(largest: usize) -> usize {
    largest.div_ceil(KEPT_PART - 1).saturating_mul(KEPT_PART)
}

/// The memory beyond what is reserved. Clones share it.
#[derive(Debug, Clone)]
pub struct Memory(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    units: Arc<Semaphore>,
    capacity: usize,
    /// How many units are in shares that are kept.
    kept: AtomicUsize,
    /// How many wait for a share.
    waiting: AtomicUsize,
    /// Whether the log has told that files wait.
    is_told: AtomicBool,
    /// When somebody was refused one, or more, the last time.
    refused: Mutex<Option<Instant>>,
}

/// What of the shared memory is in use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SharedMemory {
    /// How many bytes are shared.
    pub shared_bytes: usize,
    /// Those of them that somebody has now.
    pub used_bytes: usize,
    /// Whether somebody waits for a share, or was refused one in the last seconds.
    pub is_short: bool,
}

/// Memory that is in use; free again once this is dropped.
#[derive(Debug)]
pub struct Share {
    memory: Memory,
    permit: Option<OwnedSemaphorePermit>,
    /// How many units of it count as kept.
    kept: usize,
}

impl Memory {
    /// So many bytes, to be shared.
    pub fn new(bytes: usize) -> Memory {
        let capacity = (bytes / UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        let units = Arc::new(Semaphore::new(capacity));
        let (kept, waiting, is_told, refused) = Default::default();
        Memory(Arc::new(Inner { units, capacity, kept, waiting, is_told, refused }))
    }

    /// As much as anybody asks for: for commands that a person waits for.
    pub fn unlimited() -> Memory {
        Memory::new(usize::MAX)
    }

    /// How many bytes there are, whoever has them now.
    pub fn capacity(&self) -> usize {
        self.0.capacity.saturating_mul(UNIT_BYTES)
    }

    /// The largest share, in bytes, that there will be sooner or later: what is kept without an end
    /// takes no more than the rest.
    pub fn largest(&self) -> usize {
        self.capacity() - self.kept_max() * UNIT_BYTES
    }

    fn kept_max(&self) -> usize {
        self.0.capacity / KEPT_PART
    }

    /// How many bytes nobody has now.
    pub fn free(&self) -> usize {
        self.0.units.available_permits().saturating_mul(UNIT_BYTES)
    }

    /// What of it is in use now.
    pub fn usage(&self) -> SharedMemory {
        let shared_bytes = self.capacity();
        let used_bytes = shared_bytes - self.free().min(shared_bytes);
        SharedMemory { shared_bytes, used_bytes, is_short: self.is_short() }
    }

    /// Tells once that a file waits for memory, and why; later only at debug.
    pub fn tell_waits(&self, file: &str, why: &std::io::Error) {
        if self.0.is_told.swap(true, Ordering::Relaxed) {
            return tracing::debug!("{file} waits: {why}");
        }
        let SharedMemory { shared_bytes, used_bytes, .. } = self.usage();
        let (used, shared) = (used_bytes >> 20, shared_bytes >> 20);
        tracing::info!(
            "{file} waits: {why} ({used} of {shared} MiB are in use); \
             files are read as soon as there is some; raise the setting memory if it lasts; told once"
        );
    }

    /// Whether somebody waits for a share.
    pub fn is_wanted(&self) -> bool {
        self.0.waiting.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody was refused lately, or waits: who keeps a share only to spare some work
    /// gives it back.
    pub fn is_short(&self) -> bool {
        let refused = *self.refused();
        self.is_wanted() || refused.is_some_and(|refused| refused.elapsed() < SHORT)
    }

    fn refused(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A share of nothing, which may grow.
    pub fn nothing(&self) -> Share {
        Share { memory: self.clone(), permit: None, kept: 0 }
    }

    /// A share of so many bytes, if they are free now.
    pub fn try_share(&self, bytes: usize) -> Option<Share> {
        let mut share = self.nothing();
        share.try_grow(bytes).then_some(share)
    }

    /// A share of so many bytes to keep without an end, if they are free now, and if not too much is
    /// kept already.
    pub fn try_keep(&self, bytes: usize) -> Option<Share> {
        let (more, max) = (units(bytes), self.kept_max());
        let kept = |kept: usize| kept.checked_add(more).filter(|kept| *kept <= max);
        let order = Ordering::Relaxed;
        self.0.kept.fetch_update(order, order, kept).ok()?;
        // Dropped, it counts no more.
        let mut share = self.nothing();
        share.kept = more;
        share.try_grow(bytes).then_some(share)
    }

    /// A share of so many bytes, or of [`Memory::largest`], once they are free. Only for who holds
    /// none.
    pub async fn share(&self, bytes: usize) -> Share {
        let units = u32::try_from(units(bytes.min(self.largest()))).unwrap_or(u32::MAX);
        let waiting = Waiting::begin(&self.0.waiting);
        let permit = Arc::clone(&self.0.units).acquire_many_owned(units).await;
        drop(waiting);
        let mut share = self.nothing();
        share.permit = permit.ok();
        share
    }
}

impl Share {
    /// How many bytes it is.
    pub fn bytes(&self) -> usize {
        self.permit.as_ref().map_or(0, OwnedSemaphorePermit::num_permits) * UNIT_BYTES
    }

    /// Takes so many bytes more, if they are free now; else it stays as it is.
    pub fn try_grow(&mut self, bytes: usize) -> bool {
        let Ok(units) = u32::try_from(units(bytes)) else { return false };
        let more = Arc::clone(&self.memory.0.units).try_acquire_many_owned(units);
        let Ok(more) = more else {
            *self.memory.refused() = Some(Instant::now());
            return false;
        };
        self.take_over(more);
        true
    }

    /// Takes another share of the same memory over.
    pub fn merge(&mut self, mut other: Share) {
        if let Some(more) = other.permit.take() {
            self.take_over(more);
        }
    }

    fn take_over(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            None => self.permit = Some(more),
        }
    }

    /// Takes as many more that it is of `bytes`, if they are free now; else it stays as it is.
    pub fn try_grow_to(&mut self, bytes: usize) -> bool {
        let more = bytes.saturating_sub(self.bytes());
        more == 0 || self.try_grow(more)
    }

    /// Gives back what is more than `bytes`.
    pub fn shrink_to(&mut self, bytes: usize) {
        let Some(permit) = &mut self.permit else { return };
        drop(permit.split(permit.num_permits().saturating_sub(units(bytes))));
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.memory.0.kept.fetch_sub(self.kept, Ordering::Relaxed);
    }
}

/// Bytes, and the share that they are counted by.
#[derive(Debug)]
pub struct Held {
    bytes: Vec<u8>,
    _share: Option<Share>,
}

impl Held {
    /// Bytes that are counted by this share, or elsewhere.
    pub fn new(bytes: Vec<u8>, share: Option<Share>) -> Held {
        Held { bytes, _share: share }
    }
}

impl Deref for Held {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Somebody who waits, until this is dropped.
struct Waiting<'w>(&'w AtomicUsize);

impl Waiting<'_> {
    fn begin(waiting: &AtomicUsize) -> Waiting<'_> {
        waiting.fetch_add(1, Ordering::Relaxed);
        Waiting(waiting)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Rounded up.
fn units(bytes: usize) -> usize {
    bytes.div_ceil(UNIT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_not_free_until_it_is_given_back() {
        let memory = Memory::new(10 * UNIT_BYTES);
        let mut share = memory.try_share(3 * UNIT_BYTES - 5).unwrap();
        assert_eq!((share.bytes(), memory.free()), (3 * UNIT_BYTES, 7 * UNIT_BYTES));
        assert!(share.try_grow_to(9 * UNIT_BYTES) && !share.try_grow(2 * UNIT_BYTES));
        assert_eq!((share.bytes(), memory.free()), (9 * UNIT_BYTES, UNIT_BYTES));
        assert!(memory.try_share(2 * UNIT_BYTES).is_none());
        share.shrink_to(UNIT_BYTES);
        assert_eq!((share.bytes(), memory.free()), (UNIT_BYTES, 9 * UNIT_BYTES));
        drop(share);
        assert_eq!(memory.free(), memory.capacity());
    }

    #[test]
    fn what_is_kept_leaves_the_largest_share() {
        let memory = Memory::new(8 * UNIT_BYTES);
        let kept = memory.try_keep(2 * UNIT_BYTES).unwrap();
        assert!(memory.try_keep(1).is_none() && memory.largest() == memory.free());
        drop((kept, memory.try_share(8 * UNIT_BYTES)));
        let share = memory.try_share(7 * UNIT_BYTES);
        assert!(memory.try_keep(2 * UNIT_BYTES).is_none());
        drop(share);
        assert!(memory.try_keep(2 * UNIT_BYTES).is_some());
    }

    #[tokio::test]
    async fn who_waits_is_known_and_gets_what_was_given_back() {
        let memory = Memory::new(4 * UNIT_BYTES);
        let share = memory.try_share(2 * UNIT_BYTES).unwrap();
        let waiting = tokio::spawn({
            let memory = memory.clone();
            async move { memory.share(100 * UNIT_BYTES).await.bytes() }
        });
        while !memory.is_wanted() {
            tokio::task::yield_now().await;
        }
        drop(share);
        assert_eq!(waiting.await.unwrap(), 3 * UNIT_BYTES, "no more than there will be");
        assert!(!memory.is_wanted());
    }
}
