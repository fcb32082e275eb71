//! The dataset transfers: bank transfers, by regions.

use crate::broken::Fault;
use crate::event_id::EventIds;
use crate::lines::{Lines, csv_field};
use crate::records::Records;
use crate::skew::skewed_below;
use fake::Fake;
use fake::faker::name::raw::Name;
use fake::locales::EN;
use rand::seq::IndexedRandom;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::collections::HashSet;

/// Region and weight, unless others are asked for.
const REGIONS: [(&str, f64); 5] = [
    ("African Free Trade Zone", 0.10),
    ("Eurasian Trade Zone", 0.20),
    ("South Asian Trade Zone", 0.05),
    ("North American Trade Zone", 0.40),
    ("East Asian Trade Zone", 0.25),
];

/// The last two only with people.
const COLUMNS: [&str; 7] = [
    "transfer_id",
    "account_id",
    "account_region",
    "transaction_value",
    "event_time",
    "account_name",
    "counterparty",
];
const COLUMNS_WITHOUT_PEOPLE: usize = 5;

const FAULTS: [Fault; 10] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::Instead(0, b""),
    Fault::CutShort(0),
    Fault::CutShort(1),
    Fault::Instead(2, b"\"Eurasian\" zone"),
    Fault::Instead(3, b"0.00"),
    Fault::Behind(3, b"5"),
    Fault::Instead(3, b"10000.01"),
    Fault::Within(4, 5, b"02-30"),
];

const ACCOUNTS: usize = 20_000;

/// 10,000.00: the most that is transferred at a time.
const CENTS_MAX: u32 = 1_000_000;

/// The bank whose transfers are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Banking {
    /// The regions of the accounts, each with its weight: its share of the accounts, and so of the
    /// transfers.
    pub regions: Vec<(String, f64)>,
    /// Whether the names of the account's holder and of the other side are told.
    pub people: bool,
}

impl Default for Banking {
    fn default() -> Self {
        let regions = REGIONS.map(|(name, weight)| (name.to_owned(), weight));
        Self { regions: regions.to_vec(), people: false }
    }
}

/// The accounts of a bank.
#[derive(Debug)]
pub(crate) struct Transfers {
    accounts: Vec<Account>,
    people: bool,
    ids: EventIds,
}

/// The texts are CSV fields, quoted where needed.
#[derive(Debug)]
struct Account {
    number: u32,
    region: String,
    /// Empty unless people are asked for.
    name: String,
}

impl Transfers {
    /// `banking` must have been checked: there are regions, and weights above zero.
    pub(crate) fn open(seed: u64, banking: &Banking) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let regions: Vec<(String, f64)> =
            banking.regions.iter().map(|(name, weight)| (csv_field(name), *weight)).collect();
        let mut numbers = HashSet::with_capacity(ACCOUNTS);
        let mut accounts = Vec::with_capacity(ACCOUNTS);
        while accounts.len() < ACCOUNTS {
            let number = rng.random_range(1_000_000..10_000_000);
            if !numbers.insert(number) {
                continue;
            }
            let (region, _) =
                regions.choose_weighted(&mut rng, |(_, weight)| *weight).expect("it was checked");
            let name = match banking.people {
                true => csv_field(&Name(EN).fake_with_rng::<String, _>(&mut rng)),
                false => String::new(),
            };
            accounts.push(Account { number, region: region.clone(), name });
        }
        Self { accounts, people: banking.people, ids: EventIds::default() }
    }
}

impl Records for Transfers {
    fn columns(&self) -> &'static [&'static str] {
        if self.people { &COLUMNS } else { &COLUMNS[..COLUMNS_WITHOUT_PEOPLE] }
    }

    fn faults(&self) -> &'static [Fault] {
        &FAULTS
    }

    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines) {
        let account = self.accounts.choose(rng).expect("there are accounts");
        line.id(self.ids.next(moment, rng));
        line.shown(account.number);
        line.text(&account.region);
        // Small ones are more frequent.
        line.decimal(i64::from(1 + skewed_below(CENTS_MAX, rng)), 2);
        line.time(moment);
        if self.people {
            let other = self.accounts.choose(rng).expect("there are accounts");
            line.text(&account.name);
            line.text(&other.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::events::sample;
    use std::collections::HashMap;

    const RECORDS: u32 = 100_000;

    fn shares(records: &[csv::StringRecord]) -> HashMap<String, f64> {
        let mut shares: HashMap<String, f64> = HashMap::new();
        for record in records {
            *shares.entry(record[2].to_owned()).or_default() += 1.0 / f64::from(RECORDS);
        }
        shares
    }

    /// 20,000 accounts are drawn by the weights: a share of 0.4 has a standard deviation of 0.0035.
    #[test]
    fn regions_have_the_shares_of_their_weights() {
        let shares = shares(&sample(Dataset::Transfers(Banking::default()), u64::from(RECORDS)));
        assert_eq!(shares.len(), REGIONS.len());
        for (region, weight) in REGIONS {
            assert!((shares[region] - weight).abs() < 0.0125, "{shares:?}");
        }
    }

    #[test]
    fn regions_and_weights_can_be_chosen() {
        let regions = vec![("North, East".to_owned(), 3.0), ("South".to_owned(), 1.0)];
        let banking = Banking { regions, people: false };
        let shares = shares(&sample(Dataset::Transfers(banking), u64::from(RECORDS)));
        assert!((shares["North, East"] - 0.75).abs() < 0.0125, "{shares:?}");
    }

    #[test]
    fn values_are_exact_cents_and_accounts_have_seven_digits_and_one_region() {
        let mut regions: HashMap<String, String> = HashMap::new();
        let (mut least, mut most) = (u64::MAX, 0);
        for record in sample(Dataset::Transfers(Banking::default()), u64::from(RECORDS)) {
            assert_eq!(record.len(), 5);
            assert_eq!(record[1].len(), 7);
            let known = regions.entry(record[1].to_owned()).or_insert(record[2].to_owned());
            assert_eq!(*known, record[2]);
            let (units, cents) = record[3].split_once('.').unwrap();
            assert_eq!(cents.len(), 2);
            let cents = units.parse::<u64>().unwrap() * 100 + cents.parse::<u64>().unwrap();
            (least, most) = (least.min(cents), most.max(cents));
        }
        assert!(
            (1..10).contains(&least) && (999_000..=1_000_000).contains(&most),
            "{least} {most}"
        );
    }

    #[test]
    fn people_have_names_that_stay() {
        let banking = Banking { people: true, ..Banking::default() };
        let mut names: HashMap<String, String> = HashMap::new();
        for record in sample(Dataset::Transfers(banking), 50_000) {
            assert_eq!(record.len(), 7);
            assert!(!record[5].is_empty() && !record[6].is_empty());
            let known = names.entry(record[1].to_owned()).or_insert(record[5].to_owned());
            assert_eq!(*known, record[5]);
        }
    }
}
