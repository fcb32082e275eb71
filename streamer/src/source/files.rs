//! The files of a stream, as its readers share them: what is to be read, who has what in hand, and what
//! needs no look.
//!
//! It is a memory of what the checkpoints and the folder say, and never the truth of either: who is granted
//! a file is given its checkpoint anew.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use xxhash_rust::xxh3::xxh3_64;

use super::Checkpoint;
use super::feed::Work;
use super::fingerprint::Stat;
use super::folder::{Folder, Found, Unlisted, is_spooled, partition_path};
use super::known::{Known, Look};
use super::layouts::Layouts;
use crate::config::Stream;
use crate::layout::HeaderError;
use crate::schema::Table;

/// How many files that are to be read one listing takes down: the oldest.
pub const LISTED_MAX: usize = 10_000;

/// How many files a listing meets before it looks them up together.
const MET_TOGETHER: usize = 256;

/// How many paths that have had several files are remembered. Of one that was forgotten and changes, the
/// compare-and-set of its checkpoint tells.
const GENERATIONS_MAX: usize = 100_000;

/// A handle on the files of a stream, for each of its readers.
#[derive(Debug, Clone)]
pub struct Files(Arc<Mutex<State>>);

/// What the readers share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) known: Known,
    pub(super) layouts: Layouts,
    /// What is to be told of files.
    pub(super) notices: VecDeque<Work>,
    /// What the last listing found that is to be read, oldest first.
    pub(super) unclaimed: VecDeque<Found>,
    /// The names of the files that readers have claimed.
    pub(super) in_hand: HashSet<String>,
    /// Whether something was not granted since the last listing.
    pub(super) is_passed_over: bool,
    /// Whether there is more in the folder than the last listing took down.
    is_cut: bool,
    /// How many readers are about to go on from where the checkpoints stand.
    rewinding: usize,
    standing: Standing,
    /// When it was last learned from the checkpoints.
    loaded: Instant,
    lag_bytes: u64,
}

/// What is in the folder, as far as checkpoints are compared with it.
#[derive(Debug, Default)]
pub struct Survey {
    names: HashSet<u64>,
    looks: HashSet<Look>,
}

/// How far files stand by their checkpoints: no more than what tells which of them need a look.
#[derive(Debug, Default)]
pub struct Standing {
    /// Finished ones that look as they did then.
    settled: HashSet<Look>,
    /// The next offsets of others, by hash of the name.
    offsets: HashMap<u64, u64>,
    /// Which file under its path the newest is, where it is not the first, by hash of the name.
    generations: HashMap<u64, u32>,
}

/// Files that a listing has met and not looked up yet. One by one, each look-up would wait for memory alone; and a name
/// of its own is only for what is to be read.
#[derive(Default)]
struct Met {
    /// With where the name of each ends in `names`.
    files: Vec<(Look, Stat, usize)>,
    names: String,
}

/// What a listing has found.
#[derive(Default)]
struct Census {
    unread: Vec<Found>,
    lag_bytes: u64,
    is_cut: bool,
}

impl Files {
    /// The files of `stream`, which go into `table` and stand as `standing` says.
    pub fn new(stream: &Stream, table: Arc<Table>, standing: Standing) -> Files {
        let mut state = State {
            known: Known::new(stream.settle),
            layouts: Layouts::new(table),
            notices: VecDeque::new(),
            unclaimed: VecDeque::new(),
            in_hand: HashSet::new(),
            is_passed_over: false,
            is_cut: false,
            rewinding: 0,
            standing: Standing::default(),
            loaded: Instant::now(),
            lag_bytes: 0,
        };
        state.take_up(standing);
        Files(Arc::new(Mutex::new(state)))
    }

    /// A reader will put down what it has in hand, and then call [`Files::reload`]: until then there is something left
    /// to read.
    pub fn begin_rewind(&self) {
        self.state().rewinding += 1;
    }

    /// Goes on from where the checkpoints stand now; what was listed is forgotten, and so is to be listed
    /// again. What readers have in hand stays theirs.
    pub fn reload(&self, standing: Standing) {
        let mut state = self.state();
        state.take_up(standing);
        state.rewinding = state.rewinding.saturating_sub(1);
    }

    /// When it was last learned from the checkpoints.
    pub fn loaded(&self) -> Instant {
        self.state().loaded
    }

    /// Lists the folder: what there is to read, oldest first, of which at most `max` are kept in mind.
    ///
    /// # Errors
    /// When the folder can't be listed.
    pub fn list(&self, folder: &Folder, max: usize) -> io::Result<()> {
        self.state().known.begin_listing();
        let (mut census, mut met) = (Census::default(), Met::default());
        let unlisted = folder.visit(|name, stat| {
            met.push(name, stat);
            if met.files.len() == MET_TOGETHER {
                census.note(&mut met, &mut self.state(), max);
            }
        })?;
        let mut state = self.state();
        census.note(&mut met, &mut state, max);
        state.take_down(census, unlisted, max);
        Ok(())
    }

    /// Takes down what has come by the stream's doors since; returns whether there is anything.
    pub fn take_spooled(&self, folder: &Folder) -> bool {
        let Some(spool) = folder.spool() else { return false };
        let mut state = self.state();
        let grown = spool.offer(|name| state.in_hand.contains(name));
        let is_any = !grown.is_empty();
        for found in grown {
            if state.unclaimed.iter().all(|other| other.name != found.name) {
                state.unclaimed.push_back(found);
            }
        }
        is_any
    }

    /// Whether records under this header can go into the stream's table.
    ///
    /// # Errors
    /// Why not.
    pub fn check_header(&self, header: Vec<String>, stream: &Stream) -> Result<(), HeaderError> {
        self.state().layouts.of(header, stream).map(drop)
    }

    /// Whether the folder holds more than was taken down and that is read, or was never listed since the
    /// checkpoints were learned.
    pub fn needs_listing(&self) -> bool {
        let state = self.state();
        state.is_cut && state.unclaimed.is_empty()
    }

    /// Whether nothing is left to read, and no reader has anything in hand.
    pub fn is_idle(&self) -> bool {
        let state = self.state();
        let is_read = state.unclaimed.is_empty() && !state.is_cut && state.notices.is_empty();
        is_read && state.in_hand.is_empty() && state.rewinding == 0
    }

    /// Whether a reader has files in hand.
    pub fn is_any_in_hand(&self) -> bool {
        !self.state().in_hand.is_empty()
    }

    /// Whether a file was left to another streamer since the last listing.
    pub fn is_passed_over(&self) -> bool {
        self.state().is_passed_over
    }

    /// Whether a file ends in a record that is not written whole. It counts once the file is still.
    pub fn is_waiting(&self) -> bool {
        self.state().known.is_waiting()
    }

    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn take_up(&mut self, mut standing: Standing) {
        self.known.reset_settled(std::mem::take(&mut standing.settled).into_iter());
        self.standing = standing;
        self.loaded = Instant::now();
        self.unclaimed.clear();
        self.is_cut = true;
    }

    /// Takes the outcome of a listing.
    fn take_down(&mut self, census: Census, unlisted: Vec<Unlisted>, max: usize) {
        for Unlisted { name, error } in unlisted {
            let is_news = self.known.is_news_of(&name);
            self.notices.extend(is_news.then_some(Work::Unreadable { name, error }));
        }
        self.known.end_listing();
        let mut unread = census.unread;
        self.is_cut = census.is_cut || unread.len() > max;
        unread.sort_unstable_by(oldest_first);
        unread.truncate(max);
        let offsets = &mut self.standing.offsets;
        if !self.is_cut && offsets.len() > unread.len() + LISTED_MAX {
            let names: HashSet<u64> = unread.iter().map(|found| hash(&found.name)).collect();
            offsets.retain(|name, _| names.contains(name));
        }
        unread.retain(|found| !self.in_hand.contains(&found.name) && !self.known.is_settled(found));
        self.lag_bytes = census.lag_bytes;
        self.unclaimed = unread.into();
        self.is_passed_over = false;
    }

    /// Which file under its path the newest is, from 1, as far as is known.
    pub(super) fn generation(&self, name: &str) -> u32 {
        self.standing.generations.get(&hash(name)).copied().unwrap_or(1)
    }

    /// A file was read up to `offset`, of which `read_bytes` were waited for.
    pub(super) fn note_read(&mut self, name: &str, generation: u32, offset: u64, read_bytes: u64) {
        self.standing.note(hash(name), generation, offset);
        self.lag_bytes = self.lag_bytes.saturating_sub(read_bytes);
    }

    /// A file needs no look until it changes.
    pub(super) fn settle(&mut self, name: &str, stat: Stat) {
        // What comes by a door grows, and is deleted once it is read.
        if !is_spooled(name) && self.known.settle(name, stat) {
            self.standing.offsets.remove(&hash(name));
        }
    }

    /// What is left to read, in bytes.
    pub(super) fn lag_bytes(&self) -> u64 {
        self.lag_bytes
    }

    /// What is left of a file behind its checkpoint, in bytes. Of a packed file all is left until the
    /// last of it is read.
    pub(super) fn rest_bytes(&self, found: &Found) -> u64 {
        if found.is_packed() {
            return found.stat.size;
        }
        let offset = self.standing.offsets.get(&hash(&found.name)).copied().unwrap_or(0);
        found.stat.size.checked_sub(offset).unwrap_or(found.stat.size)
    }
}

impl Met {
    fn push(&mut self, name: &str, stat: Stat) {
        self.names.push_str(name);
        self.files.push((stat.look(name), stat, self.names.len()));
    }
}

impl Census {
    /// Looks up the files that were met, and takes note of those that need a look.
    fn note(&mut self, met: &mut Met, state: &mut State, max: usize) {
        let mut start = 0;
        for (look, stat, end) in met.files.drain(..) {
            let name = &met.names[start..end];
            if state.known.meet(look, name) {
                self.note_unsettled(Found { name: name.to_owned(), stat }, state, max);
            }
            start = end;
        }
        met.names.clear();
    }

    fn note_unsettled(&mut self, found: Found, state: &State, max: usize) {
        self.lag_bytes += state.rest_bytes(&found);
        if state.in_hand.contains(&found.name) {
            return;
        }
        self.unread.push(found);
        if self.unread.len() >= max.saturating_mul(2) {
            self.unread.select_nth_unstable_by(max, oldest_first);
            self.unread.truncate(max);
            self.is_cut = true;
        }
    }
}

fn oldest_first(a: &Found, b: &Found) -> std::cmp::Ordering {
    (a.stat.modified(), &a.name).cmp(&(b.stat.modified(), &b.name))
}

impl Survey {
    /// Looks at what is in `folder`; nothing, if it can't be listed.
    pub fn of(folder: &Folder) -> Survey {
        let mut survey = Survey::default();
        // Who lists the folder next tells why it can't be listed.
        drop(folder.visit(|name, stat| {
            survey.names.insert(hash(name));
            if !is_spooled(name) {
                survey.looks.insert(stat.look(name));
            }
        }));
        survey
    }

    /// Whether a file under this path was there.
    pub fn has(&self, path: &str) -> bool {
        self.names.contains(&hash(path))
    }
}

impl Standing {
    /// Takes note of a checkpoint, unless its file is not there.
    pub fn take(&mut self, survey: &Survey, partition: &str, checkpoint: &Checkpoint) {
        let (path, generation) = partition_path(partition);
        if !survey.has(path) {
            return;
        }
        let print = checkpoint.fingerprint.as_ref().filter(|_| checkpoint.is_done);
        let look = print.and_then(|print| print.stat).map(|stat| stat.look(path));
        match look.filter(|look| survey.looks.contains(look)) {
            Some(look) => drop(self.settled.insert(look)),
            None => self.note(hash(path), generation, checkpoint.next_offset),
        }
    }

    fn note(&mut self, name: u64, generation: u32, offset: u64) {
        let newest = self.generations.get(&name).copied().unwrap_or(1);
        if generation < newest {
            return;
        }
        self.offsets.insert(name, offset);
        if generation > newest {
            if self.generations.len() >= GENERATIONS_MAX {
                self.generations.clear();
            }
            self.generations.insert(name, generation);
        }
    }
}

fn hash(name: &str) -> u64 {
    xxh3_64(name.as_bytes())
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
