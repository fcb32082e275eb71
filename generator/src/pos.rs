//! The dataset pos: sales at the tills of stores.

use crate::broken::Fault;
use crate::event_id::EventIds;
use crate::lines::Lines;
use crate::records::Records;
use crate::skew::skewed_below;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const COLUMNS: [&str; 6] = ["sale_id", "store_id", "till", "sold_at", "items", "amount"];

const FAULTS: [Fault; 9] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::Instead(0, b""),
    Fault::CutShort(0),
    Fault::Behind(1, b"A"),
    Fault::Instead(2, b""),
    Fault::Within(3, 5, b"13"),
    Fault::Instead(4, b"0"),
    Fault::Behind(5, b"5"),
];

const STORES: u32 = 50;

/// Items in a basket are fewer.
const ITEMS_MAX: u32 = 40;

/// What an item costs at most, in cents.
const ITEM_CENTS_MAX: u32 = 6_000;

/// How many tills each store has.
#[derive(Debug)]
pub(crate) struct Pos {
    tills: Vec<u32>,
    ids: EventIds,
}

impl Pos {
    pub(crate) fn open(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let tills = (0..STORES).map(|_| rng.random_range(2..=12)).collect();
        Self { tills, ids: EventIds::default() }
    }
}

impl Records for Pos {
    fn columns(&self) -> &'static [&'static str] {
        &COLUMNS
    }

    fn faults(&self) -> &'static [Fault] {
        &FAULTS
    }

    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines) {
        let store = rng.random_range(0..self.tills.len());
        let items = 1 + skewed_below(ITEMS_MAX - 1, rng);
        let cents: u32 = (0..items).map(|_| 1 + skewed_below(ITEM_CENTS_MAX, rng)).sum();
        line.id(self.ids.next(moment, rng));
        line.shown(store + 1);
        line.shown(rng.random_range(1..=self.tills[store]));
        line.time(moment);
        line.shown(items);
        line.decimal(cents.into(), 2);
    }
}

#[cfg(test)]
mod tests {
    use crate::dataset::Dataset;
    use crate::events::sample;
    use std::collections::HashSet;

    #[test]
    fn baskets_are_small_and_cost_what_items_cost() {
        let (mut stores, mut tills, mut items_sold) = (HashSet::new(), HashSet::new(), 0);
        for record in sample(Dataset::Pos, 50_000) {
            let items: u64 = record[4].parse().unwrap();
            let cents: u64 = record[5].replace('.', "").parse().unwrap();
            assert!((items..=6_000 * items).contains(&cents), "{record:?}");
            items_sold += items;
            stores.insert(record[1].to_owned());
            tills.insert((record[1].to_owned(), record[2].to_owned()));
        }
        // A third of 39, and the one that every basket has.
        assert!((670_000..710_000).contains(&items_sold), "{items_sold}");
        assert_eq!(stores.len(), 50);
        assert!((100..=600).contains(&tills.len()));
    }
}
