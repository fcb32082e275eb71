//! The kinds of records that can be made, and what each must offer.

use crate::ad_events::AdEvents;
use crate::broken::Fault;
use crate::emoji::Emoji;
use crate::gps::Gps;
use crate::lines::Lines;
use crate::pos::Pos;
use crate::simulator::Simulator;
use crate::transfers::{self, Transfers};
use crate::user_events::UserEvents;
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// What kind of records a run makes.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Dataset {
    /// What users do in a shop.
    #[default]
    UserEvents,
    /// Views, clicks and purchases of advertisements.
    AdEvents,
    /// Bank transfers.
    Transfers(Banking),
    /// Positions of vehicles.
    Gps,
    /// Sales at the tills of stores.
    Pos,
    /// Reactions to a show.
    Emoji,
    /// A value that wanders in time.
    Simulator,
}

/// The bank whose transfers are made.
#[derive(Debug, Clone, PartialEq)]
pub struct Banking {
    /// The regions of the accounts, each with its weight: its share of the accounts, and so of the transfers.
    pub regions: Vec<(String, f64)>,
    /// Whether the names of the account's holder and of the other side are told.
    pub people: bool,
}

impl Default for Banking {
    fn default() -> Self {
        let regions = transfers::REGIONS.map(|(name, weight)| (name.to_owned(), weight));
        Self { regions: regions.to_vec(), people: false }
    }
}

impl Dataset {
    /// What the names of the files begin with; also the name of the table that is meant for them.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UserEvents => "user_events",
            Self::AdEvents => "ad_events",
            Self::Transfers(_) => "transfers",
            Self::Gps => "gps_positions",
            Self::Pos => "pos_sales",
            Self::Emoji => "emoji_reactions",
            Self::Simulator => "simulator_events",
        }
    }

    /// Its records. What there is besides the events, such as accounts and ads, is the same for equal seeds.
    pub(crate) fn open(&self, seed: u64) -> Box<dyn Records> {
        match self {
            Self::UserEvents => Box::new(UserEvents::open()),
            Self::AdEvents => Box::new(AdEvents::open(seed)),
            Self::Transfers(banking) => Box::new(Transfers::open(seed, banking)),
            Self::Gps => Box::new(Gps::open(seed)),
            Self::Pos => Box::new(Pos::open(seed)),
            Self::Emoji => Box::new(Emoji),
            Self::Simulator => Box::new(Simulator::default()),
        }
    }
}

/// The records of one dataset.
pub(crate) trait Records: fmt::Debug + Send {
    /// In the order of the header.
    fn columns(&self) -> &'static [&'static str];

    /// How a record can be broken so that a strict loader refuses it.
    fn faults(&self) -> &'static [Fault];

    /// Adds the fields of the next record, which happens at `moment`, microseconds since 1970 and never
    /// before the last one.
    fn next(&mut self, moment: u64, rng: &mut ChaCha8Rng, line: &mut Lines);
}
