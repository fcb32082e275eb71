//! Sharing the files with other readers, of this streamer and of others: one reads only those that
//! were granted to it.

use std::collections::HashSet;

use super::lanes::Lane;
use super::{Feed, Granted, Hand};
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
        self.files_left().map(|found| files.rest_bytes(found)).sum::<u64>() < taken
    }

    /// Whether there are files to be claimed on a lane that goes before one of those in hand.
    pub fn is_passed_by(&self) -> bool {
        let files = self.files.state();
        let is_empty = |hand: &Hand| hand.current.is_none() && hand.queue.is_empty();
        let mut before = self.order().take_while(|lane| is_empty(self.hands.of(*lane)));
        let is_all_read = self.hands.iter().all(is_empty);
        !is_all_read && before.any(|lane| !files.unclaimed.of(lane).is_empty())
    }

    /// The next files to ask for, at most `max`. All that was granted before is read, and committed
    /// but for `uncommitted`.
    pub fn request(&mut self, max: usize, uncommitted: Option<&MicroBatch>) -> ClaimRequest {
        let mut request = ClaimRequest::default();
        let mut files = self.files.state();
        let claimed = std::mem::take(&mut self.in_hand);
        let parts = uncommitted.map(|batch| batch.parts.as_slice()).unwrap_or_default();
        let mut needed: HashSet<&Name> = parts.iter().map(|part| &part.partition.name).collect();
        needed.extend(self.files_left().map(|found| &found.name));
        let is_needed = |name: &Name| needed.contains(name);
        let (in_hand, finished) = claimed.into_iter().partition(is_needed);
        (self.in_hand, request.finished) = (in_hand, finished);
        for name in &request.finished {
            files.in_hand.remove(name);
        }
        let order = self.order();
        let mut bytes = 0;
        while request.wanted.len() < max && bytes < WANTED_BYTES {
            let next = |lane: Lane| files.unclaimed.of_mut(lane).pop_front();
            let Some(found) = order.clone().find_map(next) else { break };
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
                let lane = self.files.state().lane_of(&found);
                self.hands.of_mut(lane).queue.push_back(Granted { found, known: newest });
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
