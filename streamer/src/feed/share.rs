//! Sharing the files with other readers, of this streamer and of others: one reads only those that
//! were granted to it.

use std::collections::HashSet;

use super::{Feed, Granted};
use crate::batch::MicroBatch;
use crate::partition::claim::{Claim, ClaimRequest, Wanted};
use crate::partition::{Checkpoints, Name, Partition};

/// How much is asked for at a time, in bytes, give or take one file: large files one by one, so
/// that there is something left for others.
const WANTED_BYTES: u64 = 1 << 20;

impl Feed {
    /// Whether less is left to read in what was granted than `batch` took: the next one might not
    /// be full.
    pub fn is_low(&self, batch: &MicroBatch) -> bool {
        let taken: u64 = batch.parts.iter().map(|part| part.bytes).sum();
        let files = self.files.state();
        let left = self.queue.iter().map(|granted| &granted.found).chain(self.current_file());
        left.map(|found| files.rest_bytes(found)).sum::<u64>() < taken
    }

    /// The next files to ask for, at most `max`. All that was granted before is read, and committed
    /// but for `uncommitted`.
    pub fn request(&mut self, max: usize, uncommitted: Option<&MicroBatch>) -> ClaimRequest {
        let mut request = ClaimRequest::default();
        let mut files = self.files.state();
        let claimed = std::mem::take(&mut self.in_hand);
        let parts = uncommitted.map(|batch| batch.parts.as_slice()).unwrap_or_default();
        let mut needed: HashSet<&Name> = parts.iter().map(|part| &part.partition.name).collect();
        let left = self.queue.iter().map(|granted| &granted.found).chain(self.current_file());
        needed.extend(left.map(|found| &found.name));
        let is_needed = |name: &Name| needed.contains(name);
        (self.in_hand, request.finished) = claimed.into_iter().partition(is_needed);
        for name in &request.finished {
            files.in_hand.remove(name);
        }
        let mut bytes = 0;
        while request.wanted.len() < max && bytes < WANTED_BYTES {
            let Some(found) = files.unclaimed.pop_front() else { break };
            bytes += files.rest_bytes(&found);
            files.in_hand.insert(found.name.clone());
            self.in_hand.push(found.name.clone());
            let newest = files.generation(&found.name);
            let partitions = [newest, newest + 1]
                .map(|generation| Partition::new(found.name.clone(), generation));
            request.wanted.push(Wanted { name: found.name.clone(), partitions });
            self.asked.push(found);
        }
        request
    }

    /// Takes the answer to what was `wanted`. Files that are not granted are passed over until the
    /// next listing.
    pub fn grant(&mut self, wanted: &[Wanted], mut claim: Claim) {
        for (found, wanted) in self.asked.drain(..).zip(wanted) {
            if claim.granted.contains(&found.name) {
                let newest = wanted
                    .partitions
                    .iter()
                    .rev()
                    .find_map(|partition| claim.checkpoints.remove_entry(partition));
                self.queue.push_back(Granted { found, known: newest });
            } else {
                let mut files = self.files.state();
                files.is_passed_over = true;
                files.in_hand.remove(&found.name);
                self.in_hand.retain(|name| *name != found.name);
            }
        }
    }

    /// Takes all that was listed, where nobody else is to be asked: each file stands as
    /// `checkpoints` say.
    pub fn take_all(&mut self, checkpoints: &Checkpoints) {
        loop {
            let ClaimRequest { wanted, .. } = self.request(usize::MAX, None);
            if wanted.is_empty() {
                return;
            }
            let granted: HashSet<Name> = wanted.iter().map(|file| file.name.clone()).collect();
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
