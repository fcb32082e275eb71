//! Values of a regular series of instants, the last of so many of them.

use std::collections::VecDeque;

use serde::{Serialize, Serializer};

/// How many seconds are kept, and how many minutes.
pub(super) const SECONDS: usize = 900;
pub(super) const MINUTES: usize = 1440;

/// The last values of a series; what is not known is `None`.
#[derive(Debug, Clone)]
pub(super) struct Series {
    /// NaN is unknown.
    values: VecDeque<f32>,
    length: usize,
}

impl Series {
    /// One that holds so many values, and has none yet.
    pub(super) fn new(length: usize) -> Series {
        Series { values: VecDeque::with_capacity(length), length }
    }

    /// Appends the value of the next instant; the oldest goes, where there is no room.
    pub(super) fn push(&mut self, value: Option<f64>) {
        if self.values.len() == self.length {
            self.values.pop_front();
        }
        self.values.push_back(value.map_or(f32::NAN, narrowed));
    }

    /// The known ones among the last so many values.
    pub(super) fn last(&self, count: usize) -> impl Iterator<Item = f64> {
        let known = self.values.iter().rev().take(count).filter(|value| !value.is_nan());
        known.map(|value| f64::from(*value))
    }
}

/// A series by seconds and by minutes.
#[derive(Debug, Clone)]
pub(super) struct Rings {
    pub(super) seconds: Series,
    pub(super) minutes: Series,
}

impl Rings {
    pub(super) fn new() -> Rings {
        Rings { seconds: Series::new(SECONDS), minutes: Series::new(MINUTES) }
    }

    /// A second has this value; the minute that it ends, if it does, has what `of_minute` makes of
    /// its seconds.
    pub(super) fn note(
        &mut self,
        value: Option<f64>,
        ends_minute: bool,
        of_minute: fn(&Series) -> Option<f64>,
    ) {
        self.seconds.push(value);
        if ends_minute {
            self.minutes.push(of_minute(&self.seconds));
        }
    }
}

/// The mean of some values; unknown, where there are none.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, count) = values.fold((0.0, 0_u32), |(sum, count), one| (sum + one, count + 1));
    (count > 0).then(|| sum / f64::from(count))
}

/// Seven digits are more than a chart shows.
fn narrowed(value: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "a value for a chart, of which digits go")]
    let narrowed = value as f32;
    narrowed
}

impl Serialize for Series {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // Whole numbers are written without a point: most are zero, and there are many.
        let written = |value: &f32| match value {
            value if value.is_nan() => serde_json::Value::Null,
            value if value.fract() == 0.0 && value.abs() < 1e9 => {
                #[expect(clippy::cast_possible_truncation, reason = "it is whole, and small")]
                let whole = *value as i64;
                whole.into()
            }
            value => f64::from(*value).into(),
        };
        serializer.collect_seq(self.values.iter().map(written))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_values_go_and_what_is_unknown_stays_unknown() {
        let mut series = Series::new(3);
        assert_eq!(serde_json::to_string(&series).unwrap(), "[]");
        [Some(1.0), None, Some(2.5), Some(0.0)].into_iter().for_each(|value| series.push(value));
        assert_eq!(serde_json::to_string(&series).unwrap(), "[null,2.5,0]");
        assert_eq!(mean(series.last(3)), Some(1.25));
        assert_eq!(mean(series.last(1)), Some(0.0));
        assert_eq!(mean(std::iter::empty()), None);
    }
}
