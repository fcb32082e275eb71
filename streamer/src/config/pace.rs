//! How much goes into PostgreSQL at a time, and how often.

use std::time::Duration;

use super::groups::OnMissingPartition;
use crate::limit::DeadLetterLimit;
use crate::number::grouped;

/// Records that a micro-batch has at most, where pauses are made and nothing else is set.
const PACED_ROWS: u64 = 1000;

/// A user is told of the pace where what waits takes longer.
const SLOW: Duration = Duration::from_secs(60);

/// How much goes into PostgreSQL at a time, and how often.
#[derive(Debug, Clone)]
pub struct Pace {
    /// The pause between the starts of two micro-batches of files.
    pub every: Duration,
    /// How long what has come by a listener waits for more, before its micro-batch starts.
    pub linger: Duration,
    /// Whether no pause is made while a full micro-batch is waiting.
    pub catch_up: bool,
    /// Records that a micro-batch has at most, where that is set.
    pub max_rows: Option<u64>,
    /// How many files are worked on at a time, where no pause is to be kept between micro-batches.
    pub writers: usize,
    /// How many dead letters a file may have before the stream stops.
    pub dead_letters_max: Option<DeadLetterLimit>,
    /// What becomes of records that the table has no partition for.
    pub on_missing_partition: OnMissingPartition,
}

impl Pace {
    /// Records that a micro-batch of files has at most; `None` where that follows what waits.
    pub fn records_max(&self) -> Option<u64> {
        self.max_rows.or((!self.every.is_zero() && !self.catch_up).then_some(PACED_ROWS))
    }

    /// How many records of the stream's listeners start a micro-batch before `linger` is over.
    pub fn records_enough(&self) -> u64 {
        self.max_rows.unwrap_or(PACED_ROWS)
    }

    /// How long so many records of files take because of the pauses alone; `None` where pauses do
    /// not matter.
    pub fn time_for(&self, records: u64) -> Option<Duration> {
        let is_paced = !self.every.is_zero() && !self.catch_up;
        let records_max = self.records_max().filter(|_| is_paced)?;
        let pauses = u32::try_from(records.div_ceil(records_max)).unwrap_or(u32::MAX);
        Some(self.every.saturating_mul(pauses))
    }

    /// That so many records of files take long because of the pauses, where that is so, and what to
    /// do.
    pub fn slow_text(&self, records: u64) -> Option<String> {
        let time = self.time_for(records).filter(|time| *time > SLOW)?;
        Some(format!(
            "at {} records every {} the {} waiting take {}; catch_up = true loads them at once",
            grouped(self.records_max()?),
            humantime::format_duration(self.every),
            grouped(records),
            humantime::format_duration(Duration::from_secs(time.as_secs())),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pace(every: u64, max_rows: Option<u64>, catch_up: bool) -> Pace {
        Pace {
            every: Duration::from_secs(every),
            linger: Duration::ZERO,
            catch_up,
            max_rows,
            writers: 1,
            dead_letters_max: None,
            on_missing_partition: OnMissingPartition::Auto,
        }
    }

    #[test]
    fn the_size_is_fixed_where_it_is_set_or_pauses_are_made() {
        let sizes = [
            pace(10, None, false),
            pace(10, Some(5), true),
            pace(10, None, true),
            pace(0, None, false),
            pace(0, Some(7), false),
        ];
        let expected = [Some(1000), Some(5), None, None, Some(7)];
        assert_eq!(sizes.map(|pace| pace.records_max()), expected);
    }

    #[test]
    fn a_pace_that_takes_long_is_told_with_the_way_out() {
        let text = pace(10, None, false).slow_text(3_000_000).unwrap();
        assert_eq!(
            text,
            "at 1,000 records every 10s the 3,000,000 waiting take 8h 20m; \
             catch_up = true loads them at once"
        );
        assert_eq!(pace(10, None, false).slow_text(6000), None);
        assert!(pace(10, None, false).slow_text(6001).is_some());
        assert_eq!(pace(10, None, true).slow_text(3_000_000), None);
        assert_eq!(pace(0, None, false).slow_text(3_000_000), None);
    }
}
