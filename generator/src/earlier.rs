//! Earlier records of a run, kept to be repeated: an even sample of bounded size.

use rand::RngExt;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

/// Lines kept; about half a megabyte.
const KEPT: usize = 4_096;

/// A sample of the lines seen so far, each with the same chance to be in it.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    lines: Vec<Vec<u8>>,
    seen: usize,
}

impl Earlier {
    pub(crate) fn remember(&mut self, line: &[u8], rng: &mut ChaCha8Rng) {
        self.seen = self.seen.saturating_add(1);
        if self.lines.len() < KEPT {
            self.lines.push(line.to_vec());
        } else if let Some(replaced) = self.lines.get_mut(rng.random_range(0..self.seen)) {
            replaced.clear();
            replaced.extend_from_slice(line);
        }
    }

    /// One of the lines; none before the first is remembered.
    pub(crate) fn any(&self, rng: &mut ChaCha8Rng) -> Option<&[u8]> {
        self.lines.choose(rng).map(Vec::as_slice)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    #[test]
    fn the_sample_is_even_and_bounded() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut earlier = Earlier::default();
        assert_eq!(earlier.any(&mut rng), None);
        for number in 0..10 * KEPT {
            earlier.remember(number.to_string().as_bytes(), &mut rng);
        }
        assert_eq!(earlier.lines.len(), KEPT);
        let is_in_first_half = |line: &&Vec<u8>| {
            std::str::from_utf8(line).unwrap().parse::<usize>().unwrap() < 5 * KEPT
        };
        let first_half = earlier.lines.iter().filter(is_in_first_half).count();
        assert!((KEPT * 45 / 100..KEPT * 55 / 100).contains(&first_half), "{first_half}");
    }
}
