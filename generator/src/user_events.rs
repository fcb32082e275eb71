//! The dataset user-events: what users do in a shop.

use crate::broken::Fault;
use crate::event_id::EventIds;
use crate::lines::Lines;
use crate::records::Records;
use crate::shop::Shop;
use crate::visits::Visits;
use rand_chacha::ChaCha8Rng;

const COLUMNS: [&str; 9] = [
    "event_id",
    "user_id",
    "product_id",
    "event_type",
    "event_time",
    "price",
    "category",
    "user_device",
    "user_location",
];

pub(crate) const FAULTS: [Fault; 15] = [
    Fault::TooFewFields,
    Fault::TooManyFields,
    Fault::Instead(0, b""),
    Fault::CutShort(0),
    Fault::Instead(1, b""),
    Fault::Behind(1, b"abc"),
    Fault::Instead(2, b"9223372036854775808"),
    Fault::Within(4, 5, b"02-30"),
    Fault::Within(4, 11, b"25"),
    Fault::Behind(5, b"5"),
    Fault::Instead(5, b"100000000.00"),
    Fault::Behind(5, b" EUR"),
    Fault::Instead(6, b"Caf\xe9"),
    Fault::Instead(8, b"Os\0lo"),
    Fault::Instead(8, b"\"Oslo, Norway\" north"),
];

/// The shop and what goes on in it.
#[derive(Debug)]
pub(crate) struct UserEvents {
    shop: Shop,
    visits: Visits,
    ids: EventIds,
}

impl UserEvents {
    pub(crate) fn open() -> Self {
        Self { shop: Shop::open(), visits: Visits::default(), ids: EventIds::default() }
    }
}

impl Records for UserEvents {
    fn columns(&self) -> &'static [&'static str] {
        &COLUMNS
    }

    fn faults(&self) -> &'static [Fault] {
        &FAULTS
    }

    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines) {
        let id = self.ids.next(moment, rng);
        let visit = self.visits.next(&self.shop, rng);
        let user = self.shop.user(visit.pair.user);
        let product = self.shop.product(visit.pair.product);
        line.id(id);
        line.text(&user.id);
        line.text(&product.id);
        line.text(visit.event_type);
        line.time(moment);
        line.text(&product.price);
        line.text(&product.category);
        line.text(&user.device);
        line.text(&user.location);
    }
}
