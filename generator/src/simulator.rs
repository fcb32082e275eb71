//! The dataset simulator: a value that wanders in time.

use crate::broken::Fault;
use crate::lines::Lines;
use crate::records::Records;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

const COLUMNS: [&str; 2] = ["time", "value"];

const FAULTS: [Fault; 6] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::Within(0, 5, b"02-30"),
    Fault::Instead(1, b""),
    Fault::Behind(1, b"5"),
    Fault::Instead(1, b"NaN"),
];

/// The value stays between 0 and this, in thousandths.
const VALUE_MAX: i64 = 100_000;

/// The most that it changes from one record to the next, in thousandths.
const STEP_MAX: i64 = 500;

/// The value, in thousandths.
#[derive(Debug)]
pub(crate) struct Simulator {
    value: i64,
}

impl Default for Simulator {
    fn default() -> Self {
        Self { value: VALUE_MAX / 2 }
    }
}

impl Records for Simulator {
    fn columns(&self) -> &'static [&'static str] {
        &COLUMNS
    }

    fn faults(&self) -> &'static [Fault] {
        &FAULTS
    }

    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines) {
        self.value = (self.value + rng.random_range(-STEP_MAX..=STEP_MAX)).clamp(0, VALUE_MAX);
        line.time(moment);
        line.decimal(self.value, 3);
    }
}

#[cfg(test)]
mod tests {
    use crate::dataset::Dataset;
    use crate::events::sample;

    #[test]
    fn the_value_wanders_in_small_steps_between_0_and_100() {
        let values: Vec<f64> = sample(Dataset::Simulator, 50_000)
            .iter()
            .map(|record| record[1].parse().unwrap())
            .collect();
        assert!(values.windows(2).all(|pair| (pair[0] - pair[1]).abs() < 0.5005));
        assert!(values.iter().all(|value| (0.0..=100.0).contains(value)));
        let is_new = |pair: &&[f64]| pair[0].total_cmp(&pair[1]).is_ne();
        assert!(values.windows(2).filter(is_new).count() > 49_000);
    }
}
