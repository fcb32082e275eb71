//! Latency: from the creation of an event, as a column of its row tells it, to its row being
//! visible.
//!
//! The clock of whoever made the event is compared with that of this machine. A creation that lies
//! ahead counts as a latency of nothing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::Utc;
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// A longer latency counts as this one: a hundred years. Unit: microseconds.
const LATENCY_MAX: u64 = 100 * 365 * 86_400 * 1_000_000;

/// Quantiles are known to two digits: to 1 %.
const DIGITS: u8 = 2;

/// The least bound of the buckets that are told to Prometheus; each of the others is twice the one
/// before it. Unit: microseconds.
const BUCKET_MIN: u64 = 1_000;

/// How many bounds there are: the last is 2^33 ms, 99 days.
const BUCKETS: usize = 34;

/// When the events of a transaction's rows were created, as far as they tell, and when the rows
/// were visible.
#[derive(Debug, Clone, Default)]
pub struct Visible {
    /// Microseconds since 1970.
    created_us: Arc<[i64]>,
    /// Microseconds since 1970.
    at_us: i64,
}

/// The latencies of each stream's rows since the process has begun. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Latencies(Arc<Mutex<BTreeMap<String, Latency>>>);

/// The latencies of rows, in bounded memory.
#[derive(Debug, Clone)]
pub struct Latency {
    /// In microseconds.
    histogram: Histogram<u64>,
    /// How many were within each bound and not within the one before it; behind them those beyond
    /// all.
    buckets: [u64; BUCKETS + 1],
    sum: Duration,
}

/// What matters of many latencies, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Quantiles {
    /// How many rows they are of.
    pub events: u64,
    /// Half of the rows took no longer.
    pub p50_seconds: f64,
    /// Nine of ten.
    pub p90_seconds: f64,
    /// 99 of a hundred.
    pub p99_seconds: f64,
    /// All.
    pub max_seconds: f64,
}

impl Visible {
    /// Rows that are to be committed, with the creations of their events in microseconds since
    /// 1970.
    pub(crate) fn soon(created_us: impl Iterator<Item = i64>) -> Visible {
        Visible { created_us: created_us.collect(), at_us: 0 }
    }

    /// They are committed, as of now.
    pub(crate) fn note_commit(&mut self) {
        self.at_us = Utc::now().timestamp_micros();
    }

    /// When the rows were visible, in microseconds since 1970.
    pub fn at_us(&self) -> i64 {
        self.at_us
    }

    /// Of each event its creation, in microseconds since 1970, and the latency of its row, in
    /// microseconds.
    pub fn events(&self) -> impl Iterator<Item = (i64, u64)> {
        let latency = |created: i64| u64::try_from(self.at_us.saturating_sub(created)).unwrap_or(0);
        self.created_us.iter().map(move |&created| (created, latency(created)))
    }
}

impl Latencies {
    /// Counts rows of `stream` in.
    pub fn note(&self, stream: &str, visible: &Visible) {
        if visible.created_us.is_empty() {
            return;
        }
        let mut streams = self.lock();
        if !streams.contains_key(stream) {
            streams.insert(stream.to_owned(), Latency::default());
        }
        let latency = streams.get_mut(stream).expect("it was put there");
        visible.events().for_each(|(_, micros)| latency.note(micros));
    }

    /// Of each stream that has some.
    pub fn quantiles(&self) -> BTreeMap<String, Quantiles> {
        self.lock().iter().map(|(name, latency)| (name.clone(), latency.quantiles())).collect()
    }

    /// Does something with those of each stream.
    pub(crate) fn each<E>(
        &self,
        mut action: impl FnMut(&str, &Latency) -> Result<(), E>,
    ) -> Result<(), E> {
        self.lock().iter().try_for_each(|(name, latency)| action(name, latency))
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Latency>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for Latency {
    fn default() -> Latency {
        let histogram = Histogram::new_with_bounds(1, LATENCY_MAX, DIGITS);
        Latency {
            histogram: histogram.expect("such bounds and digits can be had"),
            buckets: [0; BUCKETS + 1],
            sum: Duration::ZERO,
        }
    }
}

impl Latency {
    /// Counts one in. Unit: microseconds.
    pub fn note(&mut self, micros: u64) {
        self.histogram.saturating_record(micros);
        self.buckets[bucket(micros)] += 1;
        self.sum = self.sum.saturating_add(Duration::from_micros(micros));
    }

    /// How many were counted in.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// All together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// What they are on average.
    pub fn mean(&self) -> Duration {
        let nanos = self.sum.as_nanos().checked_div(u128::from(self.count())).unwrap_or_default();
        u64::try_from(nanos).map_or(Duration::MAX, Duration::from_nanos)
    }

    /// The greatest bounds of classes, in seconds, and how many are in each; the last has none.
    pub(crate) fn buckets(&self) -> impl Iterator<Item = (f64, u64)> {
        let bounds = (0..BUCKETS).map(|at| Duration::from_micros(BUCKET_MIN << at).as_secs_f64());
        bounds.chain([f64::INFINITY]).zip(self.buckets)
    }

    /// The quantiles now.
    pub fn quantiles(&self) -> Quantiles {
        let seconds = |micros| Duration::from_micros(micros).as_secs_f64();
        let at = |share| seconds(self.histogram.value_at_quantile(share).min(self.histogram.max()));
        Quantiles {
            events: self.count(),
            p50_seconds: at(0.5),
            p90_seconds: at(0.9),
            p99_seconds: at(0.99),
            max_seconds: seconds(self.histogram.max()),
        }
    }
}

/// The first bucket whose bound is not less.
fn bucket(micros: u64) -> usize {
    let multiple = micros.div_ceil(BUCKET_MIN).max(1);
    // The exponent of the least power of two that is not less.
    let exponent = (multiple - 1).checked_ilog2().map_or(0, |log| log + 1);
    usize::try_from(exponent).map_or(BUCKETS, |at| at.min(BUCKETS))
}

impl Quantiles {
    /// Each with its share of the rows, as Prometheus writes it.
    pub(crate) fn named(&self) -> [(&'static str, f64); 4] {
        [
            ("0.5", self.p50_seconds),
            ("0.9", self.p90_seconds),
            ("0.99", self.p99_seconds),
            ("1", self.max_seconds),
        ]
    }
}

impl fmt::Display for Quantiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, max] = self.named().map(|(_, seconds)| shown(seconds));
        write!(f, "P50 {p50}, P90 {p90}, P99 {p99}, max {max}")
    }
}

/// A time as a person likes to read it: with as many digits as are known, in the unit that fits.
pub(crate) fn shown(seconds: f64) -> String {
    match seconds {
        _ if seconds < 0.01 => format!("{:.2} ms", seconds * 1e3),
        _ if seconds < 0.1 => format!("{:.1} ms", seconds * 1e3),
        _ if seconds < 1.0 => format!("{:.0} ms", seconds * 1e3),
        _ if seconds < 120.0 => format!("{seconds:.1} s"),
        _ if seconds < 7_200.0 => format!("{:.1} min", seconds / 60.0),
        _ if seconds < 172_800.0 => format!("{:.1} h", seconds / 3_600.0),
        _ => format!("{:.1} days", seconds / 86_400.0),
    }
}

/// Microseconds from 1970 to 2000, where PostgreSQL's timestamps start.
pub(crate) const EPOCH_2000_US: i64 = 946_684_800_000_000;

/// Microseconds since 1970. In which unit a number counts, its size tells: seconds, milli-, micro-
/// or nanoseconds, as long as the time is between 1973 and 5138.
pub(crate) fn since_1970_us(number: i64) -> i64 {
    match number.unsigned_abs() {
        0..100_000_000_000 => number * 1_000_000,
        100_000_000_000..100_000_000_000_000 => number * 1_000,
        100_000_000_000_000..100_000_000_000_000_000 => number,
        _ => number / 1_000,
    }
}

/// The same of a timestamp as PostgreSQL has it; one that is infinite tells nothing.
pub(crate) fn since_1970_us_of_timestamp(timestamp: i64) -> Option<i64> {
    let is_finite = ![i64::MIN, i64::MAX].contains(&timestamp);
    is_finite.then(|| timestamp.saturating_add(EPOCH_2000_US))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_infinite_time_tells_no_age() {
        assert_eq!(since_1970_us_of_timestamp(0), Some(EPOCH_2000_US));
        assert_eq!(since_1970_us_of_timestamp(i64::MAX), None);
        assert_eq!(since_1970_us_of_timestamp(i64::MIN), None);
    }

    #[test]
    fn the_size_of_a_number_tells_its_unit() {
        for number in
            [1_767_225_600, 1_767_225_600_000, 1_767_225_600_000_000, 1_767_225_600_000_000_000]
        {
            assert_eq!(since_1970_us(number), 1_767_225_600_000_000, "{number}");
        }
        assert_eq!(since_1970_us(0), 0);
        assert_eq!(since_1970_us(i64::MIN), i64::MIN / 1_000);
    }

    #[test]
    fn quantiles_are_right_to_a_hundredth_from_microseconds_to_years() {
        for unit in [1, 1_000, 1_000_000, 86_400_000_000] {
            let mut latency = Latency::default();
            (1..=1000).for_each(|n| latency.note(n * unit));
            let found = latency.quantiles();
            assert_eq!(found.events, 1000);
            let unit = Duration::from_micros(unit).as_secs_f64();
            for ((name, seconds), expected) in found.named().into_iter().zip([500, 900, 990, 1000])
            {
                let expected = f64::from(expected) * unit;
                assert!((seconds / expected - 1.0).abs() < 0.01, "{name}: {seconds}, {expected}");
            }
            let mean = latency.mean().as_secs_f64() / unit;
            assert!((mean - 500.5).abs() < 0.01, "{mean}");
        }
    }

    #[test]
    fn a_latency_is_in_the_first_bucket_whose_bound_it_does_not_pass() {
        for (micros, at) in [
            (0, 0),
            (1_000, 0),
            (1_001, 1),
            (2_000, 1),
            (2_001, 2),
            (4_000, 2),
            (4_001, 3),
            (1_000 << 33, 33),
            ((1_000 << 33) + 1, 34),
            (u64::MAX, 34),
        ] {
            assert_eq!(bucket(micros), at, "{micros}");
        }
        let mut latency = Latency::default();
        [500, 1_000, 1_500, u64::MAX / 4].into_iter().for_each(|micros| latency.note(micros));
        let buckets: Vec<(f64, u64)> = latency.buckets().collect();
        assert_eq!(buckets[..2], [(0.001, 2), (0.002, 1)]);
        assert_eq!(buckets.last(), Some(&(f64::INFINITY, 1)));
    }

    #[test]
    fn what_lies_ahead_counts_as_nothing() {
        let mut visible = Visible::soon([10, i64::MAX, i64::MIN].into_iter());
        visible.at_us = 30;
        let latencies: Vec<u64> = visible.events().map(|(_, micros)| micros).collect();
        assert_eq!(latencies, [20, 0, i64::MAX.unsigned_abs()]);
        let all = Latencies::default();
        all.note("a", &visible);
        all.note("b", &Visible::default());
        assert_eq!(all.quantiles().keys().collect::<Vec<_>>(), ["a"]);
    }

    #[test]
    fn times_are_shown_in_the_unit_that_fits() {
        let times = [0.0012, 0.0123, 0.345, 1.26, 150.0, 10_800.0, 864_000.0].map(shown);
        assert_eq!(
            times,
            ["1.20 ms", "12.3 ms", "345 ms", "1.3 s", "2.5 min", "3.0 h", "10.0 days"]
        );
    }
}
