//! Sharing the files with other streamers: one reads only those that were granted to it.

use super::feed::Feed;
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
    /// Leaves what the last listing found unread until it is granted.
    pub fn set_aside(&mut self) {
        self.unclaimed = std::mem::take(&mut self.queue);
        self.is_passed_over = false;
    }

    /// The next files to ask for, at most `max`, oldest first.
    pub fn wanted(&self, max: usize) -> Vec<Wanted> {
        let mut bytes = 0;
        let few = self.unclaimed.iter().take(max).take_while(|found| {
            let is_room = bytes < WANTED_BYTES;
            bytes += self.rest_bytes(found);
            is_room
        });
        let wanted = few.map(|found| {
            let number = self.positions.get(&found.name).map_or(1, |(number, _)| *number);
            let partitions = [number, number + 1].map(|number| partition(&found.name, number));
            Wanted { name: found.name.clone(), partitions }
        });
        wanted.collect()
    }

    /// Takes the answer to `wanted`. Files that are not granted are passed over until the next listing.
    pub fn grant(&mut self, wanted: &[Wanted], claim: Claim) {
        self.take_up(claim.checkpoints);
        for found in self.unclaimed.drain(..wanted.len()) {
            if claim.granted.contains(&found.name) {
                self.queue.push_back(found);
            } else {
                self.is_passed_over = true;
            }
        }
    }

    /// Notes where partitions stand, of each path the newest.
    pub(super) fn take_up(&mut self, checkpoints: Checkpoints) {
        for (name, checkpoint) in checkpoints {
            let (path, number) = partition_path(&name);
            let newest = self.positions.get(path).map_or(0, |(number, _)| *number);
            if number >= newest {
                self.positions.insert(path.to_owned(), (number, checkpoint));
            }
        }
    }

    /// Whether a file was left to another streamer.
    pub fn is_passed_over(&self) -> bool {
        self.is_passed_over
    }
}
