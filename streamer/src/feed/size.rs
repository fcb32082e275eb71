//! How many records a micro-batch has at most, and how many wait.

use super::Feed;
use super::lanes::{self, Lanes};
use crate::config::Pace;
use crate::partition::Lag;

/// Where the number follows what waits, it is from 1,000, below which a transaction costs more than
/// its rows, to 30,000, above which nothing is gained.
const ADAPTIVE: std::ops::RangeInclusive<u64> = 1_000..=30_000;

/// What waits is then divided into so many micro-batches for each writer, so that the last are as
/// busy as the first, and reading and writing overlap.
const SHARES: u64 = 4;

/// What a record is taken to have, in bytes, before any was read.
const RECORD_BYTES: u64 = 100;

/// How many records a micro-batch has at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Size {
    /// So many.
    Fixed(u64),
    /// As follows from what waits, divided by this number.
    Adaptive(u64),
}

impl Size {
    pub(super) fn new(pace: &Pace, lanes: Lanes) -> Size {
        let writers = if pace.every.is_zero() { pace.writers } else { 1 };
        let shares = u64::try_from(writers).unwrap_or(u64::MAX).saturating_mul(SHARES);
        // What comes by a listener is not held back by the pace of files.
        let fixed = if lanes == lanes::SPOOL { pace.max_rows } else { pace.records_max() };
        fixed.map_or(Size::Adaptive(shares), Size::Fixed)
    }

    /// Of the next micro-batch, where as many records wait as `waiting` says if it is asked.
    pub(super) fn of_next(self, waiting: impl FnOnce() -> u64) -> u64 {
        match self {
            Size::Fixed(records) => records,
            Size::Adaptive(shares) => {
                (waiting() / shares).clamp(*ADAPTIVE.start(), *ADAPTIVE.end())
            }
        }
    }
}

impl Feed {
    /// What is left to read of the whole stream, behind the micro-batch `batch_bytes` of which were
    /// in the spool.
    pub(super) fn lag(&self, batch_bytes: u64) -> Lag {
        let spool = self.places.spool().map(|spool| spool.backlog()).unwrap_or_default();
        self.files.state().lag(spool.0.saturating_sub(batch_bytes), spool.1)
    }

    /// About how many records wait on the feed's lanes.
    pub fn waiting(&self) -> u64 {
        let spool_bytes = self.places.spool().map_or(0, |spool| spool.backlog().0);
        let spool_bytes = if self.lanes == lanes::FILES { 0 } else { spool_bytes };
        let files = self.files.state();
        let (bytes, records) = files.left(spool_bytes, self.lanes != lanes::SPOOL);
        records.unwrap_or(bytes / RECORD_BYTES)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_divided_among_the_writers() {
        assert_eq!(Size::Fixed(7).of_next(|| 1_000_000), 7);
        let sizes = [0, 8_000, 80_000, 240_000, 9_000_000].map(|n| Size::Adaptive(8).of_next(|| n));
        assert_eq!(sizes, [1_000, 1_000, 10_000, 30_000, 30_000]);
    }
}
