//! How far logs stand, in brief: what tells which of many need a look.

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::xxh3_64;

use super::fingerprint::{Look, Stat};
use super::{Checkpoint, Checkpoints, Kind, Name, Partition};

/// How many names that have had several generations are remembered. Of one that was forgotten and
/// changes, the compare-and-set of its checkpoint tells.
const GENERATIONS_MAX: usize = 100_000;

/// What logs there are now, as far as checkpoints are compared with them.
#[derive(Debug, Default)]
pub struct Survey {
    names: HashSet<u64>,
    looks: HashSet<Look>,
}

/// How far logs stand by their checkpoints. Of a million finished files it keeps a hash each.
#[derive(Debug, Default)]
pub struct Standing {
    /// Finished ones that look as they did then.
    settled: HashSet<Look>,
    /// The next offsets of others, by hash of the name.
    offsets: HashMap<u64, u64>,
    /// The newest generation of each name, where it is not the first, by hash of the name.
    generations: HashMap<u64, u32>,
}

/// How far the logs of a stream stand.
#[derive(Debug, Default)]
pub struct Loaded {
    /// In brief.
    pub standing: Standing,
    /// In full, where that was asked for.
    pub checkpoints: Checkpoints,
}

impl Survey {
    /// Takes note of the log of this kind and name, which looks so.
    pub fn note(&mut self, kind: Kind, name: &str, stat: Stat) {
        self.names.insert(hash(name));
        if kind == Kind::File {
            self.looks.insert(stat.look(name));
        }
    }

    /// Whether there was a log of this name.
    pub fn has(&self, name: &Name) -> bool {
        self.names.contains(&hash(name.as_str()))
    }
}

impl Standing {
    /// Takes note of a checkpoint, unless its log is not there.
    pub fn take(&mut self, survey: &Survey, partition: &Partition, checkpoint: &Checkpoint) {
        let Partition { name, generation } = partition;
        if !survey.has(name) {
            return;
        }
        let print = checkpoint.fingerprint.as_ref().filter(|_| checkpoint.is_done);
        let look = print.and_then(|print| print.stat).map(|stat| stat.look(name.as_str()));
        match look.filter(|look| survey.looks.contains(look)) {
            Some(look) => drop(self.settled.insert(look)),
            None => self.note(name, *generation, checkpoint.next_offset),
        }
    }

    /// Hands over the hashes of the logs that are finished and look as they did then.
    pub fn take_settled(&mut self) -> HashSet<Look> {
        std::mem::take(&mut self.settled)
    }

    /// The log of this generation was read up to `offset`.
    pub fn note(&mut self, name: &Name, generation: u32, offset: u64) {
        let name = hash(name.as_str());
        let newest = self.generations.get(&name).copied().unwrap_or(1);
        if generation < newest {
            return;
        }
        self.offsets.insert(name, offset);
        if generation > newest {
            if self.generations.len() >= GENERATIONS_MAX {
                self.generations.clear();
            }
            self.generations.insert(name, generation);
        }
    }

    /// The newest generation of the name, as far as is known: from 1.
    pub fn generation(&self, name: &Name) -> u32 {
        self.generations.get(&hash(name.as_str())).copied().unwrap_or(1)
    }

    /// Up to where the newest generation was read, as far as is known.
    pub fn offset(&self, name: &Name) -> u64 {
        self.offsets.get(&hash(name.as_str())).copied().unwrap_or(0)
    }

    /// How many offsets are remembered.
    pub fn offsets_len(&self) -> usize {
        self.offsets.len()
    }

    /// Forgets the offset of one log.
    pub fn forget(&mut self, name: &Name) {
        self.offsets.remove(&hash(name.as_str()));
    }

    /// Forgets the offsets of all logs but these.
    pub fn forget_all_but<'n>(&mut self, names: impl Iterator<Item = &'n Name>) {
        let names: HashSet<u64> = names.map(|name| hash(name.as_str())).collect();
        self.offsets.retain(|name, _| names.contains(name));
    }
}

fn hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}
