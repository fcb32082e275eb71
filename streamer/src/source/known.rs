//! What is known of files between two listings, so that each is opened only when it is time to.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use super::fingerprint::{STAMP_TRUSTED, Stat};
use super::folder::Found;

/// What is known of the files of a stream, by name.
#[derive(Debug)]
pub(super) struct Known {
    /// How long a file must be still before its last line counts as it is.
    settle: Duration,
    /// Files that need no look until they change.
    settled: HashMap<String, Stat>,
    /// Files whose last record is not written whole, and since when they look as they do.
    waiting: HashMap<String, (Stat, Instant)>,
    /// Files that something was told of, as they looked then.
    told: HashMap<String, Stat>,
    /// Folders that could not be listed.
    told_folders: HashSet<String>,
}

impl Known {
    pub(super) fn new(settle: Duration) -> Known {
        Known {
            settle,
            settled: HashMap::new(),
            waiting: HashMap::new(),
            told: HashMap::new(),
            told_folders: HashSet::new(),
        }
    }

    /// The file needs no further look until it changes, if a change would be sure to show.
    pub(super) fn settle(&mut self, name: &str, stat: Stat) {
        self.waiting.remove(name);
        if let Some(stat) = stat.if_conclusive() {
            self.settled.insert(name.to_owned(), stat);
        }
    }

    /// Whether the file needs no look.
    pub(super) fn is_settled(&self, found: &Found) -> bool {
        self.settled.get(&found.name) == Some(&found.stat)
    }

    /// The checkpoints may have gone back: every file needs a look.
    pub(super) fn unsettle(&mut self) {
        self.settled.clear();
    }

    /// The file's last record is not written whole; an empty file has none to wait for.
    pub(super) fn wait_for(&mut self, name: &str, stat: Stat) {
        if stat.size == 0 {
            return self.settle(name, stat);
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

    /// Forgets to wait for files that are not `found`: they are gone, or nothing is left in them.
    pub(super) fn keep_waiting_for(&mut self, found: &[Found]) {
        keep_only(&mut self.waiting, found);
    }

    /// Forgets files that are gone; `found` are all there are.
    pub(super) fn prune(&mut self, found: &[Found]) {
        // What is known of files is at most as much as there are files, give or take one listing.
        if self.settled.len() > found.len() {
            keep_only(&mut self.settled, found);
        }
        if self.told.len() > found.len() {
            keep_only(&mut self.told, found);
        }
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
        self.told.insert(name.to_owned(), stat) != Some(stat)
    }

    /// Whether this is the first time that something is told of the folder.
    pub(super) fn is_news_of(&mut self, folder: &str) -> bool {
        self.told_folders.insert(folder.to_owned())
    }
}

/// Takes out what is not found.
fn keep_only<T>(known: &mut HashMap<String, T>, found: &[Found]) {
    if !known.is_empty() {
        let names: HashSet<&str> = found.iter().map(|file| file.name.as_str()).collect();
        known.retain(|name, _| names.contains(name.as_str()));
    }
}
