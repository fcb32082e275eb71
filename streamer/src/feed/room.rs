//! How much memory a micro-batch may take.

use std::sync::Arc;

use tokio::runtime::Handle;

use crate::batch::MicroBatch;
use crate::layout::Fit;
use crate::memory::{Memory, Share, micro_batch_bytes};

/// What is reserved for the first rows of a micro-batch, in bytes.
const FIRST_BYTES: usize = 512 * 1024;

/// How much more a micro-batch asks for at a time, in bytes.
const STEP_BYTES: usize = 1 << 20;

/// The room that a micro-batch has in memory. One that is read for the place of its writer has what
/// is reserved there, and may wait for more before it holds anything; one that is read ahead takes
/// only what is free.
#[derive(Debug)]
pub struct Room {
    memory: Memory,
    share: Share,
    /// How much rows and dead letters may take, in bytes.
    bytes: usize,
    is_ahead: bool,
}

impl Room {
    /// That which is reserved.
    pub fn reserved(memory: &Memory) -> Room {
        let memory = memory.clone();
        Room { share: memory.nothing(), memory, bytes: FIRST_BYTES, is_ahead: false }
    }

    /// As much, where it is free; records have at most `record_bytes_max` bytes.
    pub(super) fn ahead(memory: &Memory, record_bytes_max: usize) -> Option<Room> {
        let share = memory.try_share(micro_batch_bytes(record_bytes_max))?;
        Some(Room { share, is_ahead: true, ..Room::reserved(memory) })
    }

    /// Whether a micro-batch that holds so many bytes may take another record.
    pub(super) fn takes_more(&mut self, held_bytes: usize) -> bool {
        while self.bytes < allocated(held_bytes) {
            if !self.share.try_grow(STEP_BYTES) {
                return false;
            }
            self.bytes += STEP_BYTES;
        }
        true
    }

    /// Whether a micro-batch that holds so many bytes may take `more`, which can't be divided.
    pub(super) fn takes_whole(&mut self, held_bytes: usize, more: usize) -> bool {
        let bytes = allocated(held_bytes).saturating_add(more);
        let missing = bytes.saturating_sub(self.bytes);
        let is_there = missing == 0 || self.share.try_grow(missing);
        if is_there {
            self.bytes = self.bytes.max(bytes);
        }
        is_there
    }

    /// Whether a micro-batch that holds so many bytes may wait for more: only if it holds nothing.
    pub(super) fn may_wait(&self, held_bytes: usize) -> bool {
        !self.is_ahead && held_bytes == 0
    }

    /// Waits for so many bytes, or for the most that there will be. Whoever reads for the
    /// micro-batch must hold no share.
    pub(super) fn wait_for(&mut self, bytes: usize) {
        self.share = self.memory.nothing();
        self.share = Handle::current().block_on(self.memory.share(bytes));
        self.bytes = bytes;
    }

    /// A micro-batch without records, in the memory of one that is committed.
    pub(super) fn reuse(&mut self, mut spare: MicroBatch, fit: Fit) -> MicroBatch {
        if let Some(share) = spare.share.take().and_then(Arc::into_inner) {
            self.bytes += share.bytes();
            self.share.merge(share);
        }
        spare.reused(fit)
    }

    /// What the micro-batch has beyond what is reserved, as long as it lasts.
    pub(super) fn into_share(self) -> Arc<Share> {
        Arc::new(self.share)
    }
}

/// What rows of so many bytes take that are gathered in buffers which grow by doubling: half as
/// much again on average.
fn allocated(bytes: usize) -> usize {
    bytes.saturating_add(bytes / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_micro_batch_takes_what_is_free_and_no_more() {
        let memory = Memory::new(3 * STEP_BYTES);
        let mut room = Room::reserved(&memory);
        assert!(room.takes_more(FIRST_BYTES / 2) && memory.free() == 3 * STEP_BYTES);
        assert!(room.takes_more(2 * STEP_BYTES) && memory.free() == 0);
        assert!(!room.takes_more(3 * STEP_BYTES) && !room.takes_whole(STEP_BYTES, 3 * STEP_BYTES));
        assert!(Room::ahead(&memory, 1).is_none());
        drop(room.into_share());
        let ahead = Room::ahead(&memory, 1 << 18).unwrap();
        assert_eq!((ahead.bytes, memory.free()), (FIRST_BYTES, STEP_BYTES));
    }

    #[test]
    fn what_can_not_be_divided_waits_for_all_there_is() {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let memory = Memory::new(2 * STEP_BYTES);
        let held = memory.try_share(STEP_BYTES).unwrap();
        let waiting = {
            let memory = memory.clone();
            runtime.spawn_blocking(move || {
                let mut room = Room::reserved(&memory);
                let may_wait = !room.takes_whole(0, 100 * STEP_BYTES) && room.may_wait(0);
                room.wait_for(100 * STEP_BYTES);
                may_wait && room.takes_whole(0, 100 * STEP_BYTES)
            })
        };
        while !memory.is_wanted() {
            std::thread::yield_now();
        }
        drop(held);
        assert!(runtime.block_on(waiting).unwrap());
    }
}
