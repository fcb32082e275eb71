//! Who does what: users look at products, put some of those they looked at into the cart, and
//! buy some of those in the cart.

use crate::shop::Shop;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// Views and carts remembered at a time. The oldest make room at random: most are never bought.
const REMEMBERED: usize = 2_048;

/// A user and a product, by their places in the shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Pair {
    pub(crate) user: usize,
    pub(crate) product: usize,
}

/// One deed of one user: the value of `event_type`, and to which product.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Visit {
    pub(crate) event_type: &'static str,
    pub(crate) pair: Pair,
}

/// What has been looked at and put into carts lately.
#[derive(Debug, Default)]
pub(crate) struct Visits {
    viewed: Vec<Pair>,
    in_cart: Vec<Pair>,
}

impl Visits {
    /// What happens next. Whatever cannot happen yet, such as a purchase from an empty cart, is a
    /// view instead.
    pub(crate) fn next(&mut self, shop: &Shop, rng: &mut ChaCha8Rng) -> Visit {
        let deed = match rng.random_range(0..100) {
            0..6 => take(&mut self.in_cart, rng).map(|pair| ("purchase", pair)),
            6..9 => take(&mut self.in_cart, rng).map(|pair| ("remove_from_cart", pair)),
            9..21 => take(&mut self.viewed, rng).map(|pair| {
                remember(&mut self.in_cart, pair, rng);
                ("add_to_cart", pair)
            }),
            21..24 => take(&mut self.viewed, rng).map(|pair| ("add_to_wishlist", pair)),
            _ => None,
        };
        let (event_type, pair) = deed.unwrap_or_else(|| {
            let pair = Pair { user: shop.any_user(rng), product: shop.any_product(rng) };
            remember(&mut self.viewed, pair, rng);
            ("view", pair)
        });
        Visit { event_type, pair }
    }
}

fn take(pairs: &mut Vec<Pair>, rng: &mut ChaCha8Rng) -> Option<Pair> {
    (!pairs.is_empty()).then(|| {
        let place = rng.random_range(0..pairs.len());
        pairs.swap_remove(place)
    })
}

fn remember(pairs: &mut Vec<Pair>, pair: Pair, rng: &mut ChaCha8Rng) {
    if pairs.len() < REMEMBERED {
        pairs.push(pair);
    } else {
        pairs[rng.random_range(0..REMEMBERED)] = pair;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;
    use std::collections::HashMap;

    #[test]
    fn nothing_is_bought_that_was_not_in_the_cart_nor_carted_unseen() {
        let shop = Shop::open();
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut visits = Visits::default();
        let mut counts: HashMap<(&str, Pair), u32> = HashMap::new();
        for _ in 0..50_000 {
            let Visit { event_type, pair } = visits.next(&shop, &mut rng);
            *counts.entry((event_type, pair)).or_default() += 1;
            let count = |event_type| counts.get(&(event_type, pair)).copied().unwrap_or(0);
            let left_cart = count("purchase") + count("remove_from_cart");
            assert!(left_cart <= count("add_to_cart"));
            assert!(count("add_to_cart") + count("add_to_wishlist") <= count("view"));
        }
    }

    #[test]
    fn memory_is_bounded() {
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let mut pairs = Vec::new();
        for user in 0..3 * REMEMBERED {
            remember(&mut pairs, Pair { user, product: 0 }, &mut rng);
        }
        assert_eq!(pairs.len(), REMEMBERED);
    }
}
