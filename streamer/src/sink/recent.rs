//! Keys that were lately written. Most duplicates repeat such: a request or an export that was sent
//! again.
//!
//! They are kept in Bloom filters, which say of a key that it is certainly not among them, or that
//! it probably is: then the table is asked. Whether a key is in the table, only the table knows; a
//! duplicate that is not recent is refused by it.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use fastbloom::BloomFilter;

use crate::batch::{MicroBatch, RowPlace};
use crate::memory::{Memory, Share};

/// How many keys a generation has at most, those counted twice that came twice. So many keys, at
/// least, are kept of the generations before it.
const GENERATION_KEYS: usize = 1_000_000;
/// How many the first generation has, and how many times as many each next one: a stream with few
/// records takes little memory.
const FIRST_KEYS: usize = 4_000;
const GROWTH: usize = 4;
/// Bits of a filter for each key.
const BITS: usize = 16;
/// How many of them a key sets. Of 10,000 other keys a full filter takes 24 for recent: (1 -
/// e^(-4/16))^4. Two are asked.
const HASHES: u32 = 4;

/// The keys that the writers of one stream have lately written, those of the last million rows at
/// least, in 8 kB to 7 MB. Where memory is short fewer are, or none; then any key may be recent.
/// Clones share them.
#[derive(Clone)]
pub(super) struct Recent(Arc<Mutex<Generations>>);

struct Generations {
    memory: Memory,
    /// The oldest first.
    all: VecDeque<Generation>,
    /// Whether keys were not noted, and none are.
    is_forgetful: bool,
}

struct Generation {
    filter: BloomFilter,
    keys: usize,
    keys_max: usize,
    _share: Share,
}

impl Recent {
    /// None yet; what is noted goes into shares of `memory`.
    pub(super) fn new(memory: &Memory) -> Recent {
        Recent(Arc::new(Mutex::new(Generations::new(memory))))
    }

    /// Notes the keys of a micro-batch.
    pub(super) fn note(&self, batch: &MicroBatch) {
        let mut generations = self.lock();
        batch.notes.key_hashes().iter().for_each(|&hash| generations.note(hash));
    }

    /// Which of the rows have a key that was lately noted, and a few others.
    pub(super) fn contains(&self, batch: &MicroBatch, rows: &[RowPlace]) -> Vec<bool> {
        let hashes: Vec<u64> = rows.iter().map(|row| batch.key_hash(row)).collect();
        let generations = self.lock();
        hashes.into_iter().map(|hash| generations.contains(hash)).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Recent {
    /// The filters are some million bits.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Recent").finish_non_exhaustive()
    }
}

impl Generations {
    fn new(memory: &Memory) -> Generations {
        Generations { memory: memory.clone(), all: VecDeque::new(), is_forgetful: false }
    }

    fn note(&mut self, hash: u64) {
        if self.all.back().is_none_or(|young| young.keys == young.keys_max) {
            self.begin();
        }
        if let Some(young) = self.all.back_mut() {
            young.filter.insert_hash(hash);
            young.keys += 1;
        }
    }

    /// Begins a generation, and forgets those that are not needed any more.
    fn begin(&mut self) {
        let before = self.all.back().map(|young| young.keys_max * GROWTH);
        let keys_max = before.unwrap_or(FIRST_KEYS).min(GENERATION_KEYS);
        let young = loop {
            let young = Generation::new(keys_max, &self.memory);
            // Younger keys rather than older ones.
            if young.is_some() || self.all.pop_front().is_none() {
                break young;
            }
        };
        self.is_forgetful = young.is_none();
        self.all.extend(young);
        let is_enough = |all: &VecDeque<Generation>| {
            all.iter().skip(1).map(|one| one.keys).sum::<usize>() >= GENERATION_KEYS
        };
        while is_enough(&self.all) {
            self.all.pop_front();
        }
    }

    fn contains(&self, hash: u64) -> bool {
        let mut generations = self.all.iter().rev();
        self.is_forgetful || generations.any(|generation| generation.filter.contains_hash(hash))
    }
}

impl Generation {
    fn new(keys_max: usize, memory: &Memory) -> Option<Generation> {
        let share = memory.try_keep(BITS * keys_max / 8)?;
        let filter = BloomFilter::with_num_bits(BITS * keys_max).hashes(HASHES);
        Some(Generation { filter, keys: 0, keys_max, _share: share })
    }
}

#[cfg(test)]
mod tests {
    use std::hash::BuildHasher;

    use super::{GENERATION_KEYS, Generations};
    use crate::memory::Memory;

    fn hash(number: usize) -> u64 {
        foldhash::fast::FixedState::default().hash_one(number)
    }

    fn noted(numbers: std::ops::Range<usize>) -> Generations {
        let mut generations = Generations::new(&Memory::unlimited());
        numbers.for_each(|number| generations.note(hash(number)));
        generations
    }

    fn count(generations: &Generations, numbers: std::ops::Range<usize>) -> usize {
        numbers.filter(|number| generations.contains(hash(*number))).count()
    }

    #[test]
    fn the_last_million_keys_are_recent_and_few_others() {
        let all = 5 * GENERATION_KEYS / 2;
        let generations = noted(0..all);
        assert_eq!(count(&generations, all - GENERATION_KEYS..all), GENERATION_KEYS);
        let forgotten = count(&generations, 0..GENERATION_KEYS);
        let others = count(&generations, all..all + GENERATION_KEYS);
        for wrong in [forgotten, others] {
            // The filter before is full, this one is half full.
            assert!((1_000..5_000).contains(&wrong), "{wrong}");
        }
    }

    #[test]
    fn all_keys_are_recent_while_they_are_few() {
        for all in [1, 4_000, 20_000, 90_000, 400_000] {
            assert_eq!(count(&noted(0..all), 0..all), all);
        }
    }

    #[test]
    fn nothing_is_recent_at_first() {
        assert_eq!(count(&Generations::new(&Memory::unlimited()), 0..10), 0);
    }

    #[test]
    fn any_key_may_be_recent_where_there_is_no_memory_to_note_it() {
        let mut generations = Generations::new(&Memory::new(16 << 10));
        assert_eq!(count(&generations, 0..10), 0);
        generations.note(hash(1));
        assert_eq!(count(&generations, 0..10), 10);
    }
}
