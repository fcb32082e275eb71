//! Who shops and what is on sale. The shop is the same in every run, whatever the seed: user 17
//! has one device and one location in all files ever made.

use crate::lines::csv_field;
use crate::skew::skewed_below;
use fake::Fake;
use fake::faker::address::raw::{CityName, StateAbbr};
use fake::locales::{DE_DE, EN, FR_FR};
use rand::seq::{IndexedRandom, SliceRandom};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const SHOP_SEED: u64 = 0x5409;
const USERS: u32 = 20_000;
const PRODUCTS: u32 = 2_000;
/// Fewer than users, so that neighbours exist.
const LOCATIONS: usize = 1_500;

/// Device and weight.
const DEVICES: [(&str, u32); 8] = [
    ("Android phone", 34),
    ("iPhone", 26),
    ("Windows PC", 20),
    ("Mac", 8),
    ("iPad", 5),
    ("Android tablet", 4),
    ("Linux PC", 2),
    ("Smart TV", 1),
];

/// Category, weight, lowest and highest price in whole units.
const CATEGORIES: [(&str, u32, u32, u32); 12] = [
    ("Clothing, Shoes & Jewelry", 22, 8, 160),
    ("Electronics", 14, 15, 1_500),
    ("Home & Kitchen", 14, 6, 400),
    ("Books", 12, 4, 60),
    ("Beauty", 9, 3, 90),
    ("Toys & Games", 8, 5, 120),
    ("Sports & Outdoors", 7, 8, 600),
    ("Grocery", 5, 1, 40),
    ("Garden", 3, 4, 350),
    ("Office", 3, 2, 250),
    ("Pet Supplies", 2, 3, 110),
    ("Music 12\" Vinyl", 1, 12, 80),
];

/// A customer. The texts are CSV fields, quoted where needed.
#[derive(Debug)]
pub(crate) struct User {
    pub(crate) id: String,
    pub(crate) device: String,
    pub(crate) location: String,
}

/// Something on sale. The texts are CSV fields, quoted where needed.
#[derive(Debug)]
pub(crate) struct Product {
    pub(crate) id: String,
    pub(crate) price: String,
    pub(crate) category: String,
}

/// All users and products, the popular ones first. Ids are shuffled: they tell nothing of it.
#[derive(Debug)]
pub(crate) struct Shop {
    users: Vec<User>,
    products: Vec<Product>,
}

impl Shop {
    pub(crate) fn open() -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(SHOP_SEED);
        let locations: Vec<String> =
            (0..LOCATIONS).map(|_| csv_field(&location(&mut rng))).collect();
        let users = shuffled_ids(USERS, &mut rng)
            .into_iter()
            .map(|id| user(id, &locations, &mut rng))
            .collect();
        let products =
            shuffled_ids(PRODUCTS, &mut rng).into_iter().map(|id| product(id, &mut rng)).collect();
        Self { users, products }
    }

    pub(crate) fn user(&self, place: usize) -> &User {
        &self.users[place]
    }

    pub(crate) fn product(&self, place: usize) -> &Product {
        &self.products[place]
    }

    /// The place of a user, the popular ones more often.
    pub(crate) fn any_user(&self, rng: &mut ChaCha8Rng) -> usize {
        skewed_place(USERS, rng)
    }

    /// The place of a product, the popular ones more often.
    pub(crate) fn any_product(&self, rng: &mut ChaCha8Rng) -> usize {
        skewed_place(PRODUCTS, rng)
    }
}

fn skewed_place(count: u32, rng: &mut ChaCha8Rng) -> usize {
    usize::try_from(skewed_below(count, rng)).expect("a place in memory")
}

/// 1 to `count` in random order.
fn shuffled_ids(count: u32, rng: &mut ChaCha8Rng) -> Vec<u32> {
    let mut ids: Vec<u32> = (1..=count).collect();
    ids.shuffle(rng);
    ids
}

fn user(id: u32, locations: &[String], rng: &mut ChaCha8Rng) -> User {
    let (device, _) =
        DEVICES.choose_weighted(rng, |(_, weight)| *weight).expect("weights are above zero");
    let location = locations.choose(rng).expect("there are locations");
    User { id: id.to_string(), device: csv_field(device), location: location.clone() }
}

fn product(id: u32, rng: &mut ChaCha8Rng) -> Product {
    let (category, _, lowest, highest) = CATEGORIES
        .choose_weighted(rng, |(_, weight, _, _)| *weight)
        .expect("weights are above zero");
    let units = rng.random_range(*lowest..*highest);
    let cents = *[99, 99, 95, 50, 49, 0].choose(rng).expect("there are endings");
    Product {
        id: id.to_string(),
        price: format!("{units}.{cents:02}"),
        category: csv_field(category),
    }
}

/// Most have a comma, so that readers meet quoted fields; some have letters beyond ASCII.
fn location(rng: &mut ChaCha8Rng) -> String {
    let (city, region): (String, &str) = match rng.random_range(0..10) {
        0 => (CityName(DE_DE).fake_with_rng(rng), "Germany"),
        1 => (CityName(FR_FR).fake_with_rng(rng), "France"),
        2 => (CityName(EN).fake_with_rng(rng), "United Kingdom"),
        3 => (CityName(EN).fake_with_rng(rng), "Australia"),
        _ => (CityName(EN).fake_with_rng(rng), StateAbbr(EN).fake_with_rng(rng)),
    };
    if rng.random_ratio(1, 4) { city } else { format!("{city}, {region}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn the_shop_is_always_the_same() {
        assert_eq!(format!("{:?}", Shop::open()), format!("{:?}", Shop::open()));
    }

    #[test]
    fn ids_are_distinct_and_prices_fit_numeric_10_2() {
        let shop = Shop::open();
        let users: HashSet<&str> = shop.users.iter().map(|user| user.id.as_str()).collect();
        assert_eq!(users.len(), shop.users.len());
        for product in &shop.products {
            let (units, cents) = product.price.split_once('.').unwrap();
            assert!(units.len() <= 8 && cents.len() == 2, "{}", product.price);
        }
    }

    #[test]
    fn some_locations_need_quotes_and_some_do_not() {
        let shop = Shop::open();
        let quoted = shop.users.iter().filter(|user| user.location.starts_with('"')).count();
        assert!(quoted > shop.users.len() / 3 && quoted < shop.users.len() * 9 / 10, "{quoted}");
        assert!(shop.users.iter().any(|user| !user.location.is_ascii()));
        assert!(shop.users.iter().all(|user| user.location.trim_matches('"').len() > 2));
    }
}
