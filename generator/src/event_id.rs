//! Event ids: UUID version 7, ever ascending.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use uuid::Uuid;

/// Makes the ids of one run.
#[derive(Debug, Default)]
pub(crate) struct EventIds {
    last_moment: u64,
    last_tail: u64,
}

impl EventIds {
    /// The id of an event at `moment`, microseconds since 1970, which must not be before the last.
    ///
    /// Layout by RFC 9562: 48 bits of milliseconds; the 12 bits `rand_a` carry the fraction of the
    /// millisecond (method 3 of section 6.2; each microsecond has its own value); the 62 bits
    /// `rand_b` are random, and within one microsecond they are counted up by a random step.
    pub(crate) fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng) -> Uuid {
        // A tail starts below 2^61 and grows by at most 2^16, so 2^45 ids of one microsecond fit
        // below 2^62: more than a year of writing.
        self.last_tail = if moment == self.last_moment {
            self.last_tail + rng.random_range(1..=1_u64 << 16)
        } else {
            rng.random_range(0..1_u64 << 61)
        };
        self.last_moment = moment;
        let milliseconds = u128::from(moment / 1_000);
        let fraction = u128::from(moment % 1_000 * 4_096 / 1_000);
        let version = 7_u128;
        let variant = 0b10_u128;
        Uuid::from_u128(
            milliseconds << 80
                | version << 76
                | fraction << 64
                | variant << 62
                | u128::from(self.last_tail),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn ids_are_version_7_and_carry_the_milliseconds() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let id = EventIds::default().next(1_767_225_600_123_456, &mut rng);
        assert_eq!(id.get_version_num(), 7);
        assert_eq!(id.get_variant(), uuid::Variant::RFC4122);
        let (seconds, nanoseconds) = id.get_timestamp().unwrap().to_unix();
        assert_eq!((seconds, nanoseconds), (1_767_225_600, 123_000_000));
    }

    #[test]
    fn ids_ascend_over_microseconds_and_within_one() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut ids = EventIds::default();
        let moments = (0..20_000_u64).map(|i| 1_767_225_600_000_000 + i / 3);
        let made: Vec<Uuid> = moments.map(|moment| ids.next(moment, &mut rng)).collect();
        assert!(made.is_sorted_by(|a, b| a < b));
    }
}
