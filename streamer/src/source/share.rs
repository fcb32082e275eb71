//! Sharing the files with other readers, of this streamer and of others: one reads only those that were
//! granted to it.

use std::collections::HashSet;

use super::feed::{Feed, Granted};
use super::folder::{partition, partition_path};
use crate::sink::{Checkpoints, Claim};

/// How much is asked for at a time, in bytes, give or take one file: large files one by one, so that
/// there is something left for others.
const WANTED_BYTES: u64 = 1 << 20;

/// A file that is to be read.
#[derive(Debug)]
pub struct Wanted {
    /// Its path below the folder.
    pub name: String,
    /// Its newest partition that is known, and the one that may have come since.
    pub partitions: [String; 2],
}

impl Feed {
    /// The next files to ask for, at most `max`, oldest first. Those that were granted before are read and
    /// committed.
    pub fn wanted(&mut self, max: usize) -> Vec<Wanted> {
        self.put_down();
        let (mut bytes, mut wanted) = (0, Vec::new());
        let mut files = self.files.state();
        while wanted.len() < max && bytes < WANTED_BYTES {
            let Some(found) = files.unclaimed.pop_front() else { break };
            bytes += files.rest_bytes(&found);
            files.in_hand.insert(found.name.clone());
            self.in_hand.push(found.name.clone());
            let number = files.generation(&found.name);
            let partitions = [number, number + 1].map(|number| partition(&found.name, number));
            wanted.push(Wanted { name: found.name.clone(), partitions });
            self.asked.push(found);
        }
        wanted
    }

    /// Takes the answer to `wanted`. Files that are not granted are passed over until the next listing.
    pub fn grant(&mut self, wanted: &[Wanted], mut claim: Claim) {
        for (found, wanted) in self.asked.drain(..).zip(wanted) {
            if claim.granted.contains(&found.name) {
                let newest = wanted.partitions.iter().rev().find_map(|partition| {
                    let checkpoint = claim.checkpoints.remove(partition)?;
                    Some((partition_path(partition).1, checkpoint))
                });
                self.queue.push_back(Granted { found, known: newest });
            } else {
                let mut files = self.files.state();
                files.is_passed_over = true;
                files.in_hand.remove(&found.name);
            }
        }
    }

    /// Takes all that was listed, where nobody else is to be asked: each file stands as `checkpoints` say.
    pub fn take_all(&mut self, checkpoints: &Checkpoints) {
        loop {
            let wanted = self.wanted(usize::MAX);
            if wanted.is_empty() {
                return;
            }
            let granted: HashSet<String> = wanted.iter().map(|file| file.name.clone()).collect();
            let partitions = wanted.iter().flat_map(|file| &file.partitions);
            let known = partitions.filter_map(|name| checkpoints.get_key_value(name));
            let checkpoints = known.map(|(name, at)| (name.clone(), at.clone())).collect();
            self.grant(&wanted, Claim { granted, checkpoints });
        }
    }

    /// Nothing of what was claimed is in hand any more.
    pub(super) fn put_down(&mut self) {
        let mut files = self.files.state();
        for name in self.in_hand.drain(..) {
            files.in_hand.remove(&name);
        }
        self.asked.clear();
    }
}
