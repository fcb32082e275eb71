//! What is known of files between two listings, so that each is opened only when it is time to.
//!
//! Of a file that needs no look no more is kept than a hash of 16 bytes, so that a folder of a million
//! finished files costs little.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::fingerprint::{STAMP_TRUSTED, Stat};
use super::folder::Found;

/// A hash of a file's name and of what the file looks like: another one once it changes.
pub(super) type Look = u128;

/// What is known of the files of a stream.
#[derive(Debug)]
pub(super) struct Known {
    /// How long a file must be still before its last line counts as it is.
    settle: Duration,
    /// Files that need no look until they change.
    settled: HashSet<Look>,
    /// Files whose last record is not written whole, by name, and since when they look as they do.
    waiting: HashMap<String, (Stat, Instant)>,
    /// Files that something was told of.
    told: HashSet<Look>,
    /// Folders that could not be listed.
    told_folders: HashSet<String>,
    since_listing: Since,
}

/// What was learned since the last listing began.
#[derive(Debug)]
struct Since {
    begun: Instant,
    settled: Vec<Look>,
    told: Vec<Look>,
}

/// What of all that a listing has met.
#[derive(Debug, Default)]
pub(super) struct Met {
    settled: HashSet<Look>,
    told: HashSet<Look>,
    waiting: HashSet<String>,
}

impl Known {
    pub(super) fn new(settle: Duration) -> Known {
        Known {
            settle,
            settled: HashSet::new(),
            waiting: HashMap::new(),
            told: HashSet::new(),
            told_folders: HashSet::new(),
            since_listing: Since::now(),
        }
    }

    /// The file needs no further look until it changes, if a change would be sure to show. Returns whether
    /// that is so.
    pub(super) fn settle(&mut self, name: &str, stat: Stat) -> bool {
        self.waiting.remove(name);
        let Some(stat) = stat.if_conclusive() else { return false };
        let look = stat.look(name);
        self.settled.insert(look);
        self.since_listing.settled.push(look);
        true
    }

    /// Whether the file needs no look.
    pub(super) fn is_settled(&self, found: &Found) -> bool {
        self.settled.contains(&found.look())
    }

    /// Only these files need no look.
    pub(super) fn reset_settled(&mut self, settled: HashSet<Look>) {
        self.settled = settled;
    }

    /// A listing begins.
    pub(super) fn begin_listing(&mut self) {
        self.since_listing = Since::now();
    }

    /// The listing has come by a file; whether it needs a look.
    pub(super) fn meet(&self, found: &Found, met: &mut Met) -> bool {
        let look = found.look();
        if self.told.contains(&look) {
            met.told.insert(look);
        }
        if self.settled.contains(&look) {
            met.settled.insert(look);
            return false;
        }
        if self.waiting.contains_key(&found.name) {
            met.waiting.insert(found.name.clone());
        }
        true
    }

    /// Forgets files that the listing has not met: they are gone, or nothing is left in them. What other
    /// threads have learned meanwhile is kept.
    pub(super) fn end_listing(&mut self, mut met: Met) {
        let Since { begun, settled, told } = &self.since_listing;
        met.settled.extend(settled);
        met.told.extend(told);
        (self.settled, self.told) = (met.settled, met.told);
        self.waiting.retain(|name, (_, since)| met.waiting.contains(name) || *since >= *begun);
    }

    /// The file's last record is not written whole; an empty file has none to wait for.
    pub(super) fn wait_for(&mut self, name: &str, stat: Stat) {
        if stat.size == 0 {
            self.settle(name, stat);
            return;
        }
        let since = self.waiting.entry(name.to_owned()).or_insert((stat, Instant::now()));
        if since.0 != stat {
            *since = (stat, Instant::now());
        }
    }

    /// Whether there is a file whose last record is not written whole.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Whether the file was not written whole when it was last looked at, and has not been still since.
    pub(super) fn is_being_written(&mut self, found: &Found) -> bool {
        let is_waiting = self.waiting.contains_key(&found.name);
        if is_waiting {
            self.wait_for(&found.name, found.stat);
        }
        is_waiting && !self.is_still(&found.name, found.stat)
    }

    /// Whether nobody has written the file for the time of `settle`, by our own watch or an old time
    /// stamp.
    pub(super) fn is_still(&self, name: &str, stat: Stat) -> bool {
        let watched = self.waiting.get(name).filter(|(seen, _)| *seen == stat);
        watched.is_some_and(|(_, since)| since.elapsed() >= self.settle)
            || stat.age().is_some_and(|age| age >= self.settle.max(STAMP_TRUSTED))
    }

    /// The file can't be read: there is nothing to wait for.
    pub(super) fn give_up(&mut self, name: &str) {
        self.waiting.remove(name);
    }

    /// Whether this is the first time that something is told of the file as it looks now.
    pub(super) fn is_news(&mut self, name: &str, stat: Stat) -> bool {
        let look = stat.look(name);
        let is_news = self.told.insert(look);
        if is_news {
            self.since_listing.told.push(look);
        }
        is_news
    }

    /// Whether this is the first time that something is told of the folder.
    pub(super) fn is_news_of(&mut self, folder: &str) -> bool {
        self.told_folders.insert(folder.to_owned())
    }
}

impl Since {
    fn now() -> Since {
        Since { begun: Instant::now(), settled: Vec::new(), told: Vec::new() }
    }
}
