//! The kinds of records that can be made.

use crate::ad_events::{AdEvents, Advertising};
use crate::emoji::Emoji;
use crate::gps::Gps;
use crate::pos::Pos;
use crate::records::Records;
use crate::simulator::Simulator;
use crate::transfers::{Banking, Transfers};
use crate::user_events::UserEvents;

/// What kind of records a run makes.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Dataset {
    /// What users do in a shop.
    #[default]
    UserEvents,
    /// Views, clicks and purchases of advertisements.
    AdEvents(Advertising),
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

impl Dataset {
    /// What the names of the files begin with; also the name of the table that is meant for them.
    pub fn name(&self) -> &'static str {
        match self {
            Self::UserEvents => "user_events",
            Self::AdEvents(_) => "ad_events",
            Self::Transfers(_) => "transfers",
            Self::Gps => "gps_positions",
            Self::Pos => "pos_sales",
            Self::Emoji => "emoji_reactions",
            Self::Simulator => "simulator_events",
        }
    }

    /// Its records. What there is besides the events, such as accounts and ads, is the same for
    /// equal seeds.
    pub(crate) fn open(&self, seed: u64) -> Box<dyn Records> {
        match self {
            Self::UserEvents => Box::new(UserEvents::open()),
            Self::AdEvents(advertising) => Box::new(AdEvents::open(seed, advertising)),
            Self::Transfers(banking) => Box::new(Transfers::open(seed, banking)),
            Self::Gps => Box::new(Gps::open(seed)),
            Self::Pos => Box::new(Pos::open(seed)),
            Self::Emoji => Box::new(Emoji),
            Self::Simulator => Box::new(Simulator::default()),
        }
    }
}
