//! Latencies of the last while, in bounded memory.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use serde::Serialize;

/// Quantiles are known to two digits: to 1 %.
const DIGITS: u8 = 2;

/// Latencies within a time that moves on: in slots, the oldest of which goes as a new one begins.
/// So the time is longer than what is asked for by up to one slot.
#[derive(Debug)]
pub(super) struct Window {
    slots: VecDeque<(Instant, Histogram<u32>)>,
    slot: Duration,
    length: Duration,
}

/// What matters of them, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(super) struct Quantiles {
    /// How many rows they are of.
    pub(super) rows: u64,
    pub(super) p50_s: f64,
    pub(super) p90_s: f64,
    pub(super) p99_s: f64,
    pub(super) max_s: f64,
}

impl Window {
    /// One of this length, in so many slots.
    pub(super) fn new(length: Duration, slots: u32) -> Window {
        Window { slots: VecDeque::new(), slot: length / slots, length }
    }

    /// Counts latencies in, each with how many rows have it. Unit: microseconds.
    pub(super) fn note(&mut self, now: Instant, latencies: impl Iterator<Item = (u64, u64)>) {
        if self.slots.back().is_none_or(|(begun, _)| now.duration_since(*begun) >= self.slot) {
            self.forget(now);
            let histogram = Histogram::new(DIGITS).expect("a histogram can have such digits");
            self.slots.push_back((now, histogram));
        }
        let (_, histogram) = self.slots.back_mut().expect("there is one by now");
        for (micros, rows) in latencies {
            // It grows with what it holds; only memory could keep it from that.
            let _ = histogram.record_n(micros, u32::try_from(rows).unwrap_or(u32::MAX));
        }
    }

    /// What matters of those that are in it; `None`, where none are.
    pub(super) fn quantiles(&mut self, now: Instant) -> Option<Quantiles> {
        self.forget(now);
        let (_, first) = self.slots.front()?;
        let mut all = first.clone();
        for (_, other) in self.slots.iter().skip(1) {
            all.add(other).ok()?;
        }
        let seconds = |micros: u64| Duration::from_micros(micros).as_secs_f64();
        let at = |share| seconds(all.value_at_quantile(share).min(all.max()));
        Some(Quantiles {
            rows: all.len(),
            p50_s: at(0.5),
            p90_s: at(0.9),
            p99_s: at(0.99),
            max_s: seconds(all.max()),
        })
    }

    fn forget(&mut self, now: Instant) {
        let is_old = |begun: Instant| now.duration_since(begun) >= self.length + self.slot;
        while self.slots.front().is_some_and(|(begun, _)| is_old(*begun)) {
            self.slots.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_no_longer_counts() {
        let second = Duration::from_secs(1);
        let (begun, mut window) = (Instant::now(), Window::new(second * 60, 4));
        assert_eq!(window.quantiles(begun), None);
        window.note(begun, [(1_000_000, 97), (9_000_000, 3)].into_iter());
        window.note(begun + second * 40, [(2_000_000, 100)].into_iter());
        let all = window.quantiles(begun + second * 60).unwrap();
        assert_eq!(all.rows, 200);
        assert!((all.p50_s - 2.0).abs() < 0.03 && (all.p99_s - 9.0).abs() < 0.1, "{all:?}");
        let late = window.quantiles(begun + second * 80).unwrap();
        assert_eq!((late.rows, late.max_s.round()), (100, 2.0));
        assert_eq!(window.quantiles(begun + second * 120), None);
    }
}
