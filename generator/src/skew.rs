//! Uneven draws. Whole numbers only, because the last bits of `powf` and `sin` differ by machine.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// A number below `count`, by the square of an even share: a tenth of the numbers, the lowest, gets
/// a third of the draws.
pub(crate) fn skewed_below(count: u32, rng: &mut ChaCha8Rng) -> u32 {
    let even = u64::from(rng.random::<u32>());
    let squared = u128::from(even * even);
    u32::try_from((squared * u128::from(count)) >> 64).expect("it is below count")
}

/// One of `choices`, by their weights.
pub(crate) fn weighted<T: Copy>(choices: &[(T, u32)], rng: &mut ChaCha8Rng) -> T {
    let mut left = rng.random_range(0..choices.iter().map(|(_, weight)| weight).sum());
    for (choice, weight) in choices {
        if left < *weight {
            return *choice;
        }
        left -= weight;
    }
    unreachable!("what is drawn lies below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn a_tenth_of_the_numbers_makes_a_third_of_the_draws() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let popular = (0..100_000).filter(|_| skewed_below(20_000, &mut rng) < 2_000).count();
        assert!((30_000..34_000).contains(&popular), "{popular}");
    }

    #[test]
    fn weights_are_followed() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut counts = [0_u32; 3];
        for _ in 0..100_000 {
            counts[weighted(&[(0, 1), (1, 0), (2, 3)], &mut rng)] += 1;
        }
        assert_eq!(counts[1], 0);
        assert!((24_500..25_500).contains(&counts[0]), "{counts:?}");
    }
}
