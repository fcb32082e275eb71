//! How far behind the reading of logs is.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::Unit;

/// What was found in logs and is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// How much it is.
    pub left: u64,
    /// What that counts.
    pub unit: Unit,
    /// About how many records that is; `None` where nothing was read to reckon from.
    pub records: Option<u64>,
    /// How long ago the oldest log that has some of it was written last; nothing if nothing is
    /// left.
    pub age: Duration,
}

impl Lag {
    /// So many bytes, with about so many records in them. The oldest log that has some of them was
    /// written last at `written`, in seconds since 1970.
    pub fn bytes(left: u64, records: Option<u64>, written: Option<i64>) -> Lag {
        let written = written.filter(|_| left > 0).and_then(|seconds| u64::try_from(seconds).ok());
        let written =
            written.and_then(|seconds| UNIX_EPOCH.checked_add(Duration::from_secs(seconds)));
        // A clock that was set back makes nothing old.
        let age = written.and_then(|written| SystemTime::now().duration_since(written).ok());
        Lag { left, unit: Unit::Bytes, records, age: age.unwrap_or_default() }
    }

    /// How many bytes are left, where it counts bytes.
    pub fn left_bytes(&self) -> Option<u64> {
        (self.unit == Unit::Bytes).then_some(self.left)
    }
}

impl Default for Lag {
    /// Nothing.
    fn default() -> Lag {
        Lag::bytes(0, Some(0), None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_left_nothing_waits() {
        let hour = Duration::from_secs(3600);
        let ago = SystemTime::now().duration_since(UNIX_EPOCH).unwrap() - hour;
        let written = i64::try_from(ago.as_secs()).ok();
        assert_eq!(Lag::bytes(0, Some(0), written), Lag::default());
        assert!(Lag::bytes(1, None, written).age >= hour);
        assert_eq!(Lag::bytes(1, None, Some(i64::MAX)).age, Duration::ZERO);
    }
}
