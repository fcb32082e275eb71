//! When events arrive: evenly, at random, or in bursts, at the same rate over a long time.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde::Deserialize;

/// How events are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pattern {
    /// At equal distances.
    #[default]
    Uniform,
    /// Each by itself, as many users who know nothing of one another (Poisson process).
    Poisson,
    /// Calm and busy times by turns, each of them a Poisson process (two-state Markov-modulated
    /// Poisson process).
    Mmpp,
}

/// How often the calm and the busy state change into the other, per second.
const SWITCHES_PER_SECOND: f64 = 0.5;

/// The gaps between events.
#[derive(Debug)]
pub(crate) struct Arrivals {
    pattern: Pattern,
    /// Events per second in the calm and in the busy state; equal unless there are bursts.
    rates: [f64; 2],
    /// The place in `rates`.
    state: usize,
    /// Seconds until the state changes; unknown before the first gap.
    until_switch: Option<f64>,
}

impl Arrivals {
    /// Arrivals at `rate` events per second, on average. Where there are bursts, the rate in the
    /// busy state is `rate_ratio` times that in the calm one. Both must be above zero.
    pub(crate) fn new(pattern: Pattern, rate: f64, rate_ratio: f64) -> Self {
        let rates = match pattern {
            Pattern::Uniform | Pattern::Poisson => [rate; 2],
            // Half of the time is spent in either state, so the mean of the two is the rate.
            Pattern::Mmpp => [2.0 / (1.0 + rate_ratio), 2.0 * rate_ratio / (1.0 + rate_ratio)]
                .map(|share| share * rate),
        };
        Self { pattern, rates, state: 0, until_switch: None }
    }

    /// Seconds from the last event to the next.
    pub(crate) fn next_gap(&mut self, rng: &mut ChaCha8Rng) -> f64 {
        match self.pattern {
            Pattern::Uniform => 1.0 / self.rates[0],
            Pattern::Poisson => exponential(self.rates[0], rng),
            Pattern::Mmpp => self.next_gap_in_bursts(rng),
        }
    }

    /// What is left of a gap when the state changes is drawn anew, by the new state's rate:
    /// exponential gaps remember nothing.
    fn next_gap_in_bursts(&mut self, rng: &mut ChaCha8Rng) -> f64 {
        let mut passed = 0.0;
        loop {
            let until_switch = match self.until_switch.take() {
                Some(seconds) => seconds,
                None => exponential(SWITCHES_PER_SECOND, rng),
            };
            let gap = exponential(self.rates[self.state], rng);
            if gap < until_switch {
                self.until_switch = Some(until_switch - gap);
                return passed + gap;
            }
            passed += until_switch;
            self.state = 1 - self.state;
        }
    }
}

/// A random time in seconds with a mean of `1 / rate`.
fn exponential(rate: f64, rng: &mut ChaCha8Rng) -> f64 {
    // From 0, included, to 1, excluded: the logarithm is finite.
    -(1.0 - rng.random::<f64>()).ln() / rate
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    const GAPS: u32 = 400_000;
    const RATE: f64 = 100.0;

    fn gaps(pattern: Pattern) -> Vec<f64> {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut arrivals = Arrivals::new(pattern, RATE, 5.0);
        (0..GAPS).map(|_| arrivals.next_gap(&mut rng)).collect()
    }

    fn mean_and_variance(values: &[f64]) -> (f64, f64) {
        let count: f64 = values.iter().map(|_| 1.0).sum();
        let mean = values.iter().sum::<f64>() / count;
        (mean, values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count)
    }

    /// The variance of the number of events in a window of `seconds`, divided by its mean.
    fn dispersion(gaps: &[f64], seconds: f64) -> f64 {
        let mut counts = vec![0.0];
        let mut now = 0.0;
        let mut window_end = seconds;
        for gap in gaps {
            now += gap;
            while now >= window_end {
                counts.push(0.0);
                window_end += seconds;
            }
            *counts.last_mut().unwrap() += 1.0;
        }
        let (mean, variance) = mean_and_variance(&counts);
        variance / mean
    }

    #[test]
    fn uniform_gaps_are_equal() {
        assert!(gaps(Pattern::Uniform).iter().all(|gap| (gap - 0.01).abs() < 1e-12));
    }

    /// The mean of so many gaps has a standard deviation of 0.16 %, their variance one of 0.45 %.
    #[test]
    fn poisson_gaps_have_the_mean_and_variance_of_exponential_ones() {
        let gaps = gaps(Pattern::Poisson);
        let (mean, variance) = mean_and_variance(&gaps);
        assert!((mean * RATE - 1.0).abs() < 0.01, "{mean}");
        assert!((variance * RATE * RATE - 1.0).abs() < 0.025, "{variance}");
        let dispersion = dispersion(&gaps, 1.0);
        assert!((0.9..1.1).contains(&dispersion), "{dispersion}");
    }

    /// In a window of 10 s the index of dispersion of this process is 1 + (difference of the
    /// rates)² / (2 × mean rate) × (1 - (1 - e^-10) / 10) = 81; 400 windows tell it to 7 %.
    #[test]
    fn mmpp_keeps_the_rate_and_comes_in_bursts() {
        let gaps = gaps(Pattern::Mmpp);
        let (mean, variance) = mean_and_variance(&gaps);
        assert!((mean * RATE - 1.0).abs() < 0.06, "{mean}");
        assert!(variance * RATE * RATE > 2.0, "{variance}");
        let dispersion = dispersion(&gaps, 10.0);
        assert!((60.0..105.0).contains(&dispersion), "{dispersion}");
    }

    #[test]
    fn calm_and_busy_times_last_two_seconds() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut arrivals = Arrivals::new(Pattern::Mmpp, RATE, 5.0);
        let (mut seconds, mut switches, mut state) = (0.0, 0.0, 0);
        for _ in 0..GAPS {
            seconds += arrivals.next_gap(&mut rng);
            switches += if arrivals.state == state { 0.0 } else { 1.0 };
            state = arrivals.state;
        }
        let lasted: f64 = seconds / switches;
        assert!((1.8..2.2).contains(&lasted), "{lasted}");
    }
}
