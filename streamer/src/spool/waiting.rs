//! Who waits for which records of a segment to be committed.

use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use crate::batch::{Counts, MicroBatch, Part, Watched};
use crate::partition::Partition;

/// How many arrivals of a segment are kept in mind at most, so that a long backlog costs no memory.
const ARRIVALS_MAX: usize = 10_000;

/// What is kept in mind of the segments' records, by the segment's name.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    segments: HashMap<String, Account>,
    waiters: u64,
}

#[derive(Debug, Default)]
struct Account {
    /// In order of their ranges.
    waiters: VecDeque<Waiter>,
    /// In order of their ends.
    arrivals: VecDeque<Arrival>,
}

#[derive(Debug)]
struct Waiter {
    id: u64,
    range: Range<u64>,
    /// What became of the records; of those that came before, nobody counts it again.
    outcome: Counts,
    is_repeated: bool,
    tell: oneshot::Sender<Counts>,
}

/// Records that were synced together.
#[derive(Debug)]
struct Arrival {
    end: u64,
    records: u64,
    at: Instant,
}

impl Waiters {
    /// Somebody waits for the records in `range`. Waiters come in the order of their ranges, but
    /// for those who ask again.
    pub(super) fn wait(
        &mut self,
        segment: &str,
        range: Range<u64>,
        is_repeated: bool,
    ) -> oneshot::Receiver<Counts> {
        let (tell, told) = oneshot::channel();
        self.waiters += 1;
        let outcome = Counts::default();
        let waiter = Waiter { id: self.waiters, range, outcome, is_repeated, tell };
        let waiters = &mut self.account(segment).waiters;
        let at = waiters.partition_point(|other| other.range.start <= waiter.range.start);
        waiters.insert(at, waiter);
        told
    }

    /// Records up to `end` were synced.
    pub(super) fn arrive(&mut self, segment: &str, end: u64, records: u64) {
        let arrivals = &mut self.account(segment).arrivals;
        if arrivals.len() < ARRIVALS_MAX {
            arrivals.push_back(Arrival { end, records, at: Instant::now() });
        }
    }

    /// How long the records before `end` have waited.
    pub(super) fn arrived(&mut self, segment: &str, end: u64) -> Vec<(u64, Duration)> {
        let Some(account) = self.segments.get_mut(segment) else { return Vec::new() };
        let before = account.arrivals.iter().take_while(|arrival| arrival.end <= end).count();
        account.arrivals.drain(..before).map(|one| (one.records, one.at.elapsed())).collect()
    }

    /// How long the oldest records have waited that did not arrive yet in the table.
    pub(super) fn oldest_age(&self) -> Duration {
        let oldest = self.segments.values().filter_map(|account| account.arrivals.front());
        oldest.map(|arrival| arrival.at.elapsed()).max().unwrap_or_default()
    }

    /// The ranges of `parts` that somebody waits for; `segment_of` names the segment of a
    /// partition.
    pub(super) fn watched(
        &mut self,
        parts: &[Part],
        segment_of: impl Fn(&Partition) -> Option<&str>,
    ) -> Vec<Watched> {
        let mut watched = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let account = segment_of(&part.partition).and_then(|name| self.segments.get_mut(name));
            let Some(account) = account else { continue };
            account.waiters.retain(|waiter| !waiter.tell.is_closed());
            let within = account.waiters.iter().filter(|waiter| {
                waiter.range.start < part.end.offset && part.start_offset < waiter.range.end
            });
            watched.extend(within.map(|one| Watched {
                part: at,
                offsets: one.range.clone(),
                waiter: one.id,
            }));
        }
        watched
    }

    /// Adds what a commit has done with the ranges of [`Waiters::watched`], and tells whoever has
    /// nothing left to wait for.
    pub(super) fn tell(&mut self, batch: &MicroBatch, outcomes: &[Counts]) {
        for (watched, outcome) in batch.watched.iter().zip(outcomes) {
            let end = batch.parts[watched.part].end.offset;
            for account in self.segments.values_mut() {
                let Some(at) = account.waiters.iter().position(|one| one.id == watched.waiter)
                else {
                    continue;
                };
                account.waiters[at].outcome.add(*outcome);
                if watched.offsets.end <= end
                    && let Some(waiter) = account.waiters.remove(at)
                {
                    // Who has gone away meanwhile need not know.
                    let _ = waiter.tell.send(waiter.outcome);
                }
                break;
            }
        }
    }

    /// What stands before `end` was found to be committed. Who asked again is told so; for the
    /// others nobody has counted.
    pub(super) fn pass(&mut self, segment: &str, end: u64) {
        let Some(account) = self.segments.get_mut(segment) else { return };
        let waiters = std::mem::take(&mut account.waiters);
        for waiter in waiters {
            match (waiter.range.end <= end, waiter.is_repeated) {
                (false, _) => account.waiters.push_back(waiter),
                (true, true) => drop(waiter.tell.send(waiter.outcome).ok()),
                (true, false) => drop(waiter.tell),
            }
        }
    }

    /// Nothing more is to be expected of a segment.
    pub(super) fn give_up(&mut self, segment: &str) {
        self.segments.remove(segment);
    }

    fn account(&mut self, segment: &str) -> &mut Account {
        if !self.segments.contains_key(segment) {
            self.segments.insert(segment.to_owned(), Account::default());
        }
        self.segments.get_mut(segment).expect("it was put there")
    }
}
