//! What ails a spool: told in the log when it begins, and by `streamer health` for as long as it
//! lasts.

use std::collections::BTreeMap;

use crate::health::{Ailment, Health};

/// What can ail a spool.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    /// Nothing can be written.
    Unwritable,
    /// Segments were removed while they were in use.
    Removed,
    /// Parts of segments were damaged.
    Damaged,
    /// A segment can't be taken up.
    NotTaken,
    /// A segment that is committed can't be deleted.
    NotDeleted,
}

/// What ails a spool now.
#[derive(Debug, Default)]
pub(super) struct Troubles {
    health: Health,
    present: BTreeMap<Trouble, Ailment>,
}

impl Troubles {
    pub(super) fn new(health: Health) -> Troubles {
        Troubles { health, present: BTreeMap::new() }
    }

    /// Whether it ails the spool.
    pub(super) fn has(&self, trouble: Trouble) -> bool {
        self.present.contains_key(&trouble)
    }

    /// It has begun, if it was not there already.
    pub(super) fn begin(&mut self, trouble: Trouble, words: impl FnOnce() -> String) {
        if !self.has(trouble) {
            let words = words();
            tracing::error!("{words}");
            let ailment = match trouble {
                Trouble::Unwritable => self.health.note(words),
                // Records are taken and loaded all the same.
                _ => self.health.note_aside(words),
            };
            self.present.insert(trouble, ailment);
        }
    }

    /// It is over, if it was there.
    pub(super) fn end(&mut self, trouble: Trouble) {
        self.present.remove(&trouble);
    }
}
