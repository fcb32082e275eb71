//! The dataset emoji: reactions to a show.

use crate::broken::Fault;
use crate::lines::Lines;
use crate::records::Records;
use crate::skew::{skewed_below, weighted};
use rand_chacha::ChaCha8Rng;

const COLUMNS: [&str; 3] = ["user_id", "emoji_type", "timestamp"];

const FAULTS: [Fault; 7] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::Instead(0, b""),
    Fault::Behind(0, b"abc"),
    Fault::Instead(1, b""),
    Fault::Instead(1, b"\xf0\x9f\x98"),
    Fault::Within(2, 11, b"25"),
];

const USERS: u32 = 10_000;

/// Kind and weight.
const KINDS: [(&str, u32); 10] = [
    ("heart", 22),
    ("joy", 20),
    ("thumbs_up", 16),
    ("clap", 12),
    ("fire", 10),
    ("party", 7),
    ("surprised", 5),
    ("cry", 4),
    ("angry", 2),
    ("thumbs_down", 2),
];

/// Nothing is remembered from one reaction to the next.
#[derive(Debug)]
pub(crate) struct Emoji;

impl Records for Emoji {
    fn columns(&self) -> &'static [&'static str] {
        &COLUMNS
    }

    fn faults(&self) -> &'static [Fault] {
        &FAULTS
    }

    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines) {
        line.shown(1 + skewed_below(USERS, rng));
        line.text(weighted(&KINDS, rng));
        line.time(moment);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::events::sample;

    #[test]
    fn kinds_have_the_shares_of_their_weights() {
        let records = sample(Dataset::Emoji, 100_000);
        for (kind, weight) in KINDS {
            let count = records.iter().filter(|record| &record[1] == kind).count();
            let expected = usize::try_from(weight).unwrap() * 1_000;
            // More than four standard deviations of the largest share.
            assert!(count.abs_diff(expected) < 600, "{kind}: {count}");
        }
    }
}
