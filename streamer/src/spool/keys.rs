//! The keys of requests that are synced here, so that most repetitions are known without asking
//! anybody.
//!
//! This is a memory and decides nothing: a key that it has forgotten is taken in once more, and
//! skipped when it comes to the commit. So it can be small.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use crate::framing::Key;

/// How many keys are kept in mind, with some 200 bytes each.
const KEYS_MAX: usize = 50_000;

/// Where the records of a key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    /// Hash of the records.
    pub(super) hash: u128,
    pub(super) segment: Arc<str>,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) records: u64,
}

/// The keys of a stream whose records were synced lately.
#[derive(Debug, Default)]
pub(super) struct Keys {
    stored: HashMap<u128, (u64, Stored)>,
    /// The oldest first, each with the number that it had in `stored`.
    order: VecDeque<(u64, u128)>,
    noted: u64,
}

impl Keys {
    /// The records of `key` are synced.
    pub(super) fn note(&mut self, key: Key, stored: Stored) {
        self.noted += 1;
        self.stored.insert(key.key, (self.noted, stored));
        self.order.push_back((self.noted, key.key));
        if self.order.len() > KEYS_MAX
            && let Some((number, oldest)) = self.order.pop_front()
            && self.stored.get(&oldest).is_some_and(|(last, _)| *last == number)
        {
            self.stored.remove(&oldest);
        }
    }

    /// Where the records of a key are, as far as is kept in mind.
    pub(super) fn get(&self, key: Key) -> Option<&Stored> {
        self.stored.get(&key.key).map(|(_, stored)| stored)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_keys_are_forgotten_but_not_those_that_came_again() {
        let mut keys = Keys::default();
        let key = |n: usize| Key { key: n as u128, records: 0 };
        let stored = |end| Stored { hash: 0, segment: "a".into(), start: 0, end, records: 1 };
        for n in 0..KEYS_MAX {
            keys.note(key(n), stored(1));
        }
        keys.note(key(0), stored(2));
        keys.note(key(KEYS_MAX), stored(1));
        assert_eq!(keys.get(key(0)).unwrap().end, 2);
        assert!(keys.get(key(1)).is_none() && keys.get(key(2)).is_some());
        assert_eq!(keys.stored.len(), KEYS_MAX);
    }
}
