//! When the folder is to be listed again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::{Mutex, OwnedMutexGuard};
use tokio::time::Instant;

/// What the last listing of each stream cost, all together: they share the processor and the disk,
/// and often the folder.
#[derive(Clone, Default)]
pub(super) struct Costs {
    microseconds: Arc<AtomicU64>,
    turn: Arc<Mutex<()>>,
}

/// A stream's last listing of its folder.
pub(super) struct Listing {
    /// When it ended; never, before the first.
    ended: Option<Instant>,
    /// Whether there is to be another at once, whenever the last one was.
    is_requested: bool,
    cost: Duration,
    all: Costs,
}

impl Costs {
    fn replace(&self, old: Duration, new: Duration) {
        self.microseconds.fetch_add(microseconds(new), Ordering::Relaxed);
        self.microseconds.fetch_sub(microseconds(old), Ordering::Relaxed);
    }

    fn total(&self) -> Duration {
        Duration::from_micros(self.microseconds.load(Ordering::Relaxed))
    }
}

impl Drop for Listing {
    fn drop(&mut self) {
        self.all.replace(self.cost, Duration::ZERO);
    }
}

impl Listing {
    pub(super) fn new(all: Costs) -> Listing {
        Listing { ended: None, is_requested: true, cost: Duration::ZERO, all }
    }

    /// Waits until no other stream lists its folder: side by side each would cost more than it
    /// does.
    pub(super) async fn turn(&self) -> OwnedMutexGuard<()> {
        self.all.turn.clone().lock_owned().await
    }

    /// A listing that began at `started` ends now.
    pub(super) fn note(&mut self, started: Instant) {
        let cost = started.elapsed();
        self.all.replace(self.cost, cost);
        self.cost = cost;
        (self.ended, self.is_requested) = (Some(Instant::now()), false);
    }

    /// There is to be another, at once.
    pub(super) fn request(&mut self) {
        self.is_requested = true;
    }

    /// Whether another was asked for.
    pub(super) fn is_requested(&self) -> bool {
        self.is_requested
    }

    /// Whether the last one ended after `time`.
    pub(super) fn ended_after(&self, time: Instant) -> bool {
        self.ended.is_some_and(|ended| ended > time)
    }

    /// What the last one cost.
    pub(super) fn cost(&self) -> Duration {
        self.cost
    }

    /// Whether it is time for another: when one was asked for, at a change, or when `scan_every`
    /// has passed.
    pub(super) fn is_due(&self, scan_every: Duration, changed: bool) -> bool {
        let pause = if changed { self.spacing() } else { self.rest(scan_every) };
        self.is_requested || self.ended.is_none_or(|ended| ended.elapsed() >= pause)
    }

    /// The pause between two listings while the stream's files keep changing, of which they take at
    /// most a tenth.
    pub(super) fn spacing(&self) -> Duration {
        self.cost * 10
    }

    /// The pause while nothing happens, of which those of all streams together take at most half a
    /// hundredth.
    pub(super) fn rest(&self, scan_every: Duration) -> Duration {
        scan_every.max(self.all.total() * 200)
    }
}

fn microseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many seconds.
    fn s(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// A listing that took so many seconds ends now.
    fn list(stream: &mut Listing, seconds: u64) {
        stream.note(Instant::now() - s(seconds));
    }

    fn is_about(time: Duration, seconds: u64) -> bool {
        (s(seconds)..s(seconds) + s(1)).contains(&time)
    }

    #[test]
    fn streams_that_list_one_folder_take_no_more_together_than_one_alone() {
        let costs = Costs::default();
        let mut streams = [(); 7].map(|()| Listing::new(costs.clone()));
        for _ in 0..3 {
            streams.iter_mut().for_each(|stream| list(stream, 1));
        }
        for stream in &streams {
            assert!(is_about(stream.rest(s(5)), 7 * 200), "{:?}", stream.rest(s(5)));
            assert!(is_about(stream.spacing(), 10), "{:?}", stream.spacing());
        }
        // The files of one are gone: the others are listed more often, too.
        list(&mut streams[0], 0);
        assert!(is_about(streams[1].rest(s(5)), 6 * 200), "{:?}", streams[1].rest(s(5)));
    }

    #[test]
    fn a_folder_that_costs_nothing_is_listed_as_often_as_asked() {
        let mut stream = Listing::new(Costs::default());
        assert!(stream.is_due(s(5), false));
        list(&mut stream, 0);
        assert!(!stream.is_due(s(5), false));
        stream.request();
        assert!(stream.is_due(s(5), false), "another was asked for");
        list(&mut stream, 0);
        stream.ended = Some(Instant::now() - s(5));
        assert!(stream.is_due(s(5), false));
    }
}
