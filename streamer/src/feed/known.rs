//! What is known of files between two listings, so that each is opened only when it is time to.
//!
//! Of a file that needs no look no more is kept than a hash and the number of a listing, so that a
//! folder of a million finished files costs little.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use crate::partition::fingerprint::{Look, STAMP_TRUSTED, Stat};
use crate::partition::{Found, Name};

/// Many of them, and the number of the listing that met each last.
pub(super) type Looks = HashMap<Look, u32, foldhash::fast::RandomState>;

/// What is known of the files of a stream.
#[derive(Debug)]
pub(super) struct Known {
    /// How long a file must be still before its last line counts as it is.
    settle: Duration,
    /// The number of the last listing that has begun.
    listing: u32,
    /// Files that need no look until they change.
    settled: Looks,
    /// Files whose last record is not written whole, by name.
    waiting: HashMap<Name, Waiting>,
    /// Files that something was told of.
    told: Looks,
    /// Folders that could not be listed.
    told_folders: HashSet<String>,
}

/// A file whose last record is not written whole.
#[derive(Debug)]
struct Waiting {
    stat: Stat,
    /// Since when it looks as it does.
    since: Instant,
    /// The listing that met it last.
    listing: u32,
}

impl Known {
    pub(super) fn new(settle: Duration) -> Known {
        Known {
            settle,
            listing: 0,
            settled: Looks::default(),
            waiting: HashMap::new(),
            told: Looks::default(),
            told_folders: HashSet::new(),
        }
    }

    /// The file needs no further look until it changes, if a change would be sure to show. Returns
    /// whether that is so.
    pub(super) fn settle(&mut self, name: &Name, stat: Stat) -> bool {
        self.waiting.remove(name);
        let Some(stat) = stat.if_conclusive() else { return false };
        self.settled.insert(stat.look(name.as_str()), self.listing);
        true
    }

    /// The file needs a look, though it is what it was.
    pub(super) fn unsettle(&mut self, name: &Name, stat: Stat) {
        self.settled.remove(&stat.look(name.as_str()));
    }

    /// Whether the file needs no look.
    pub(super) fn is_settled(&self, found: &Found) -> bool {
        self.settled.contains_key(&found.look())
    }

    /// Only these files need no look.
    pub(super) fn reset_settled(&mut self, settled: impl Iterator<Item = Look>) {
        self.settled = settled.map(|look| (look, self.listing)).collect();
    }

    /// A listing begins.
    pub(super) fn begin_listing(&mut self) {
        self.listing = self.listing.wrapping_add(1);
    }

    /// The listing has come by a file that looks so; whether it needs a look.
    pub(super) fn meet(&mut self, look: Look) -> bool {
        if let Some(told) = self.told.get_mut(&look) {
            *told = self.listing;
        }
        if let Some(settled) = self.settled.get_mut(&look) {
            *settled = self.listing;
            return false;
        }
        true
    }

    /// The listing has come by a file that needs a look.
    pub(super) fn meet_unsettled(&mut self, name: &Name) {
        if let Some(waiting) = self.waiting.get_mut(name) {
            waiting.listing = self.listing;
        }
    }

    /// Forgets files that the listing has not met: they are gone, or nothing is left in them. What
    /// other threads have learned meanwhile is kept.
    pub(super) fn end_listing(&mut self) {
        let now = self.listing;
        self.settled.retain(|_, listing| *listing == now);
        self.told.retain(|_, listing| *listing == now);
        self.waiting.retain(|_, waiting| waiting.listing == now);
    }

    /// The file's last record is not written whole; an empty file has none to wait for.
    pub(super) fn wait_for(&mut self, name: &Name, stat: Stat) {
        if stat.size == 0 {
            self.settle(name, stat);
            return;
        }
        let (since, listing) = (Instant::now(), self.listing);
        let waiting = self.waiting.entry(name.clone()).or_insert(Waiting { stat, since, listing });
        if waiting.stat != stat {
            *waiting = Waiting { stat, since, listing };
        }
    }

    /// Whether there is a file whose last record is not written whole.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the file was not written whole when it was last looked at, and has not been still
    /// since.
    pub(super) fn is_being_written(&mut self, found: &Found) -> bool {
        let is_waiting = self.waiting.contains_key(&found.name);
        if is_waiting {
            self.wait_for(&found.name, found.stat);
        }
        is_waiting && !self.is_still(&found.name, found.stat)
    }

    /// Whether nobody has written the file for the time of `settle`, by our own watch or an old
    /// time stamp.
    pub(super) fn is_still(&self, name: &Name, stat: Stat) -> bool {
        let watched = self.waiting.get(name).filter(|waiting| waiting.stat == stat);
        watched.is_some_and(|waiting| waiting.since.elapsed() >= self.settle)
            || stat.age().is_some_and(|age| age >= self.settle.max(STAMP_TRUSTED))
    }

    /// The file can't be read: there is nothing to wait for.
    pub(super) fn give_up(&mut self, name: &Name) {
        self.waiting.remove(name);
    }

    /// Whether this is the first time that something is told of the file as it looks now.
    pub(super) fn is_news(&mut self, name: &Name, stat: Stat) -> bool {
        self.told.insert(stat.look(name.as_str()), self.listing).is_none()
    }

    /// Whether this is the first time that something is told of the folder.
    pub(super) fn is_news_of(&mut self, folder: &str) -> bool {
        self.told_folders.insert(folder.to_owned())
    }
}
