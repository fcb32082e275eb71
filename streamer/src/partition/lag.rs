//! How far behind the reading of logs is.

use std::time::Duration;

use super::Unit;

/// What was found in logs and is not committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lag {
    /// How much it is.
    pub left: u64,
    /// What that counts.
    pub unit: Unit,
    /// How long ago the oldest log that has some of it was written last; nothing if nothing is left.
    pub age: Duration,
}

impl Lag {
    /// So many bytes, the oldest of which have waited for so long.
    pub fn bytes(left: u64, age: Duration) -> Lag {
        let age = if left == 0 { Duration::ZERO } else { age };
        Lag { left, unit: Unit::Bytes, age }
    }
}

impl Default for Lag {
    /// Nothing.
    fn default() -> Lag {
        Lag::bytes(0, Duration::ZERO)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_nothing_is_left_nothing_waits() {
        let second = Duration::from_secs(1);
        assert_eq!(Lag::bytes(0, second), Lag::default());
        assert_eq!(Lag::bytes(1, second).age, second);
    }
}
