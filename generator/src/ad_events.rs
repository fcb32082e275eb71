//! The dataset ad-events: views, clicks and purchases of the ads of ten campaigns.

use crate::broken::Fault;
use crate::lines::Lines;
use crate::records::Records;
use crate::skew::{skewed_below, weighted};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;
use uuid::{Builder, Uuid};

const COLUMNS: [&str; 10] = [
    "user_id",
    "page_id",
    "ad_id",
    "ad_type",
    "event_type",
    "event_time_ns",
    "window_id",
    "ip_address",
    "campaign_id",
    "produce_time",
];

const FAULTS: [Fault; 11] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::Instead(0, b""),
    Fault::CutShort(0),
    Fault::Behind(2, b"0"),
    Fault::Instead(3, b"Ad\xe9"),
    Fault::Instead(4, b"hover"),
    Fault::Instead(5, b"9223372036854775808"),
    Fault::Behind(6, b".5"),
    Fault::Instead(7, b"256.1.1.1"),
    Fault::Behind(9, b" ms"),
];

const CAMPAIGNS: usize = 10;
const ADS_PER_CAMPAIGN: usize = 100;
const USERS: u32 = 20_000;
const PAGES: u32 = 500;

/// Kind of ad and weight.
const AD_TYPES: [(&str, u32); 7] = [
    ("image", 30),
    ("video", 25),
    ("carousel", 15),
    ("story", 12),
    ("text", 8),
    ("shopping", 6),
    ("collection", 4),
];

/// Most ads are only looked at.
const EVENT_TYPES: [(&str, u32); 3] = [("view", 90), ("click", 9), ("purchase", 1)];

/// An event is told of within so many milliseconds.
const PRODUCED_WITHIN_MS: u64 = 50;

/// The advertisements whose events are made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertising {
    /// Length of the tumbling windows since 1970 that `window_id` counts: at least a millisecond,
    /// and cut to whole microseconds.
    pub window: Duration,
}

impl Default for Advertising {
    fn default() -> Self {
        Self { window: Duration::from_secs(10) }
    }
}

/// Ads, users and pages.
#[derive(Debug)]
pub(crate) struct AdEvents {
    window_microseconds: u64,
    ads: Vec<Ad>,
    users: Vec<(Uuid, IpAddr)>,
    pages: Vec<Uuid>,
}

#[derive(Debug)]
struct Ad {
    id: Uuid,
    /// From 1 up.
    campaign: usize,
    ad_type: &'static str,
}

impl AdEvents {
    /// `advertising` must have been checked: the window is no shorter than a millisecond.
    pub(crate) fn open(seed: u64, advertising: &Advertising) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let ads = ads(&mut rng);
        let users = (0..USERS).map(|_| (uuid(&mut rng), address(&mut rng))).collect();
        let pages = (0..PAGES).map(|_| uuid(&mut rng)).collect();
        let window_microseconds = advertising.window.as_micros();
        let window_microseconds = u64::try_from(window_microseconds).unwrap_or(u64::MAX);
        Self { window_microseconds, ads, users, pages }
    }
}

/// As many for each campaign.
fn ads(rng: &mut ChaCha8Rng) -> Vec<Ad> {
    let campaigns = (1..=CAMPAIGNS).flat_map(|campaign| [campaign; ADS_PER_CAMPAIGN]);
    let ad = |campaign| Ad { id: uuid(rng), campaign, ad_type: weighted(&AD_TYPES, rng) };
    campaigns.map(ad).collect()
}

/// The ads of a run with this seed, each with its campaign, as CSV with a header. Runs without a
/// seed have those of seed 0.
pub fn mappings(seed: Option<u64>) -> String {
    let mut csv = "ad_id,campaign_id\n".to_owned();
    for ad in ads(&mut ChaCha8Rng::seed_from_u64(seed.unwrap_or_default())) {
        csv.push_str(&format!("{},{}\n", ad.id, ad.campaign));
    }
    csv
}

impl Records for AdEvents {
    fn columns(&self) -> &'static [&'static str] {
        &COLUMNS
    }

    fn faults(&self) -> &'static [Fault] {
        &FAULTS
    }

    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines) {
        let (user, address) = self.users[place(skewed_below(USERS, rng))];
        let ad = &self.ads[rng.random_range(0..self.ads.len())];
        line.id(user);
        line.id(self.pages[place(skewed_below(PAGES, rng))]);
        line.id(ad.id);
        line.text(ad.ad_type);
        line.text(weighted(&EVENT_TYPES, rng));
        line.shown(moment * 1_000 + rng.random_range(0..1_000));
        line.shown(moment / self.window_microseconds);
        line.shown(address);
        line.shown(ad.campaign);
        line.shown(moment / 1_000 + rng.random_range(0..PRODUCED_WITHIN_MS));
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).expect("a place in memory")
}

/// Version 4.
fn uuid(rng: &mut ChaCha8Rng) -> Uuid {
    Builder::from_random_bytes(rng.random()).into_uuid()
}

/// Nine in ten have version 4.
fn address(rng: &mut ChaCha8Rng) -> IpAddr {
    if rng.random_ratio(9, 10) {
        let [_, b, c, d]: [u8; 4] = rng.random();
        Ipv4Addr::new(rng.random_range(20..120), b, c, d).into()
    } else {
        let [_, _, c, d, e, f, g, h]: [u16; 8] = rng.random();
        Ipv6Addr::new(0x2a02, rng.random_range(0..0x1000), c, d, e, f, g, h).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::Dataset;
    use crate::events::sample;
    use std::collections::{HashMap, HashSet};

    fn campaign_by_ad(seed: u64) -> HashMap<String, String> {
        let mappings = mappings(Some(seed));
        let pairs = mappings.lines().skip(1).map(|line| line.split_once(',').unwrap());
        pairs.map(|(ad, campaign)| (ad.to_owned(), campaign.to_owned())).collect()
    }

    #[test]
    fn ten_campaigns_have_a_hundred_ads_each_by_the_seed() {
        assert_eq!(mappings(Some(1)), mappings(Some(1)));
        assert_ne!(mappings(Some(1)), mappings(Some(2)));
        assert_eq!(mappings(None), mappings(Some(0)));
        let mut campaigns: HashMap<String, HashSet<String>> = HashMap::new();
        for (ad, campaign) in campaign_by_ad(1) {
            campaigns.entry(campaign).or_default().insert(ad);
        }
        let numbers: HashSet<String> = (1..=10).map(|number: u32| number.to_string()).collect();
        assert_eq!(campaigns.keys().cloned().collect::<HashSet<_>>(), numbers);
        assert!(campaigns.values().all(|ads| ads.len() == 100));
    }

    #[test]
    fn records_agree_with_the_mappings_and_with_themselves() {
        let campaigns = campaign_by_ad(1);
        let records = sample(Dataset::AdEvents(Advertising::default()), 50_000);
        let mut kinds: HashMap<String, u32> = HashMap::new();
        let mut ads: HashMap<String, u32> = HashMap::new();
        for record in &records {
            assert_eq!(record[8], campaigns[&record[2]]);
            let nanoseconds: u64 = record[5].parse().unwrap();
            assert_eq!(record[6].parse(), Ok(nanoseconds / 10_000_000_000));
            let produced_ms: u64 = record[9].parse().unwrap();
            assert!((0..50).contains(&(produced_ms - nanoseconds / 1_000_000)));
            assert!(record[7].parse::<IpAddr>().is_ok());
            *kinds.entry(record[4].to_owned()).or_default() += 1;
            *ads.entry(record[2].to_owned()).or_default() += 1;
        }
        assert!((44_700..45_300).contains(&kinds["view"]), "{kinds:?}");
        assert!((4_250..4_750).contains(&kinds["click"]), "{kinds:?}");
        assert!((410..590).contains(&kinds["purchase"]), "{kinds:?}");
        assert_eq!(ads.len(), 1_000);
        // 50 on average, with a standard deviation of 7.
        assert!(ads.values().all(|count| (15..90).contains(count)), "{ads:?}");
    }

    #[test]
    fn windows_of_another_length_are_counted() {
        let advertising = Advertising { window: Duration::from_millis(1) };
        for record in sample(Dataset::AdEvents(advertising), 1_000) {
            let nanoseconds: u64 = record[5].parse().unwrap();
            assert_eq!(record[6].parse(), Ok(nanoseconds / 1_000_000));
        }
    }
}
