//! The files of a stream, as its readers share them: what is to be read, who has what in hand, and
//! what needs no look.
//!
//! It is a memory of what the checkpoints and the folder say, and never the truth of either: who is
//! granted a file is given its checkpoint anew.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::known::Known;
use super::places::Places;
use super::work::Work;
use crate::config::Reading;
use crate::partition::fingerprint::{Look, Stat};
use crate::partition::standing::Standing;
use crate::partition::{Found, Kind, Lag, Name};
use crate::source::folder::Unlisted;

/// How many files that are to be read one listing takes down: the oldest.
pub const LISTED_MAX: usize = 10_000;

/// How many files a listing finds before it looks them up together.
const ENTRIES_MAX: usize = 256;

/// A handle on the files of a stream, for each of its readers.
#[derive(Debug, Clone)]
pub struct Files(Arc<Mutex<State>>);

/// What the readers share.
#[derive(Debug)]
pub(super) struct State {
    pub(super) known: Known,
    /// What is to be told of files.
    pub(super) notices: VecDeque<Work>,
    /// What the last listing found that is to be read, oldest first.
    pub(super) unclaimed: VecDeque<Found>,
    /// The names of the files that readers have claimed.
    pub(super) in_hand: HashSet<Name>,
    /// Whether something was not granted since the last listing.
    pub(super) is_passed_over: bool,
    /// Whether there is more in the folder than the last listing took down.
    is_cut: bool,
    /// Whether a micro-batch is of one file, because one of several was put off.
    pub(super) is_one_by_one: bool,
    /// The names of the files that are left as they stand.
    put_off: HashSet<Name>,
    /// How many readers are about to go on from where the checkpoints stand.
    rewinding: usize,
    standing: Standing,
    /// When it was last learned from the checkpoints.
    loaded: Instant,
    lag_bytes: u64,
    /// When the oldest file that had something to read at the last listing was written last, in
    /// seconds since 1970.
    oldest: Option<i64>,
}

/// Files that a listing has found and not looked up yet. One by one, each look-up would wait for
/// memory alone; and a name of its own is only for what is to be read.
#[derive(Default)]
struct Entries {
    /// With where the name of each ends in `names`.
    files: Vec<(Kind, Look, Stat, usize)>,
    names: String,
}

/// What a listing has found to read.
#[derive(Default)]
struct Unread {
    files: Vec<Found>,
    lag_bytes: u64,
    oldest: Option<i64>,
    is_cut: bool,
}

impl Files {
    /// The files that `reading` means, which stand as `standing` says.
    pub fn new(reading: &Reading, standing: Standing) -> Files {
        let mut state = State {
            known: Known::new(reading.settle),
            notices: VecDeque::new(),
            unclaimed: VecDeque::new(),
            in_hand: HashSet::new(),
            is_passed_over: false,
            is_cut: false,
            is_one_by_one: false,
            put_off: HashSet::new(),
            rewinding: 0,
            standing: Standing::default(),
            loaded: Instant::now(),
            lag_bytes: 0,
            oldest: None,
        };
        state.take_up(standing);
        Files(Arc::new(Mutex::new(state)))
    }

    /// A reader will put down what it has in hand, and then call [`Files::reload`]: until then
    /// there is something left to read.
    pub fn begin_rewind(&self) {
        self.state().rewinding += 1;
    }

    /// Goes on from where the checkpoints stand now; what was listed is forgotten, and so is to be
    /// listed again. What readers have in hand stays theirs.
    pub fn reload(&self, standing: Standing) {
        let mut state = self.state();
        state.take_up(standing);
        state.rewinding = state.rewinding.saturating_sub(1);
    }

    /// When it was last learned from the checkpoints.
    pub fn loaded(&self) -> Instant {
        self.state().loaded
    }

    /// Lists the folder: what there is to read, oldest first, of which at most `max` are kept in
    /// mind.
    ///
    /// # Errors
    /// When the folder can't be listed.
    pub fn list(&self, places: &Places, max: usize) -> io::Result<()> {
        self.state().known.begin_listing();
        let (mut unread, mut entries) = (Unread::default(), Entries::default());
        let unlisted = places.visit(|kind, name, stat| {
            entries.push(kind, name, stat);
            if entries.files.len() == ENTRIES_MAX {
                unread.take(&mut entries, &mut self.state(), max);
            }
        })?;
        let mut state = self.state();
        unread.take(&mut entries, &mut state, max);
        state.take_down(unread, unlisted, max);
        Ok(())
    }

    /// Takes down what has come by the stream's listeners since; returns whether there is anything.
    pub fn take_spooled(&self, places: &Places) -> bool {
        let Some(spool) = places.spool() else { return false };
        let mut state = self.state();
        let grown = spool.offer(|name| state.is_taken(name));
        let is_any = !grown.is_empty();
        for found in grown {
            if state.unclaimed.iter().all(|other| other.name != found.name) {
                state.unclaimed.push_back(found);
            }
        }
        is_any
    }

    /// Whether the folder holds more than was taken down and that is read, or was never listed
    /// since the checkpoints were learned.
    pub fn needs_listing(&self) -> bool {
        let state = self.state();
        state.is_cut && state.unclaimed.is_empty()
    }

    /// A micro-batch of these files can't be committed for now, and is not waited for. A file that
    /// is alone in it is left as it stands. Of several it is not known which are in the way: from
    /// now on each micro-batch is of one file. Returns whether a file was left.
    pub fn put_off<'n>(&self, mut names: impl Iterator<Item = &'n Name>) -> bool {
        let mut state = self.state();
        match (names.next(), names.next()) {
            (Some(name), None) => state.put_off.insert(name.clone()),
            _ => {
                state.is_one_by_one = true;
                false
            }
        }
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
        self.known.reset_settled(standing.take_settled().into_iter());
        self.standing = standing;
        self.loaded = Instant::now();
        self.unclaimed.clear();
        self.is_cut = true;
    }

    /// Takes the outcome of a listing.
    fn take_down(&mut self, listed: Unread, unlisted: Vec<Unlisted>, max: usize) {
        for Unlisted { name, error } in unlisted {
            let is_news = self.known.is_news_of(&name);
            self.notices.extend(is_news.then_some(Work::Unreadable { name, error }));
        }
        self.known.end_listing();
        let mut unread = listed.files;
        self.is_cut = listed.is_cut || unread.len() > max;
        unread.sort_unstable_by(oldest_first);
        unread.truncate(max);
        if !self.is_cut && self.standing.offsets_len() > unread.len() + LISTED_MAX {
            self.standing.forget_all_but(unread.iter().map(|found| &found.name));
        }
        unread.retain(|found| !self.is_taken(&found.name) && !self.known.is_settled(found));
        (self.lag_bytes, self.oldest) = (listed.lag_bytes, listed.oldest);
        self.unclaimed = unread.into();
        self.is_passed_over = false;
    }

    /// Whether the file is in a reader's hand, or put off.
    fn is_taken(&self, name: &Name) -> bool {
        self.in_hand.contains(name) || self.put_off.contains(name)
    }

    /// The newest generation of the name, as far as is known: from 1.
    pub(super) fn generation(&self, name: &Name) -> u32 {
        self.standing.generation(name)
    }

    /// A file was read up to `offset`, of which `read_bytes` were waited for.
    pub(super) fn note_read(&mut self, name: &Name, generation: u32, offset: u64, read_bytes: u64) {
        self.standing.note(name, generation, offset);
        self.lag_bytes = self.lag_bytes.saturating_sub(read_bytes);
    }

    /// A file needs no look until it changes.
    pub(super) fn settle(&mut self, name: &Name, stat: Stat) {
        // A segment grows, and is deleted once it is read.
        if name.kind() == Kind::File && self.known.settle(name, stat) {
            self.standing.forget(name);
        }
    }

    /// What is left to read.
    pub(super) fn lag(&self) -> Lag {
        Lag::bytes(self.lag_bytes, self.oldest)
    }

    /// What is left of a file behind its checkpoint, in bytes. Of a packed file all is left until
    /// the last of it is read.
    pub(super) fn rest_bytes(&self, found: &Found) -> u64 {
        if found.is_packed() {
            return found.stat.size;
        }
        let offset = self.standing.offset(&found.name);
        found.stat.size.checked_sub(offset).unwrap_or(found.stat.size)
    }
}

impl Entries {
    fn push(&mut self, kind: Kind, name: &str, stat: Stat) {
        self.names.push_str(name);
        self.files.push((kind, stat.look(name), stat, self.names.len()));
    }
}

impl Unread {
    /// Looks `entries` up, and takes those that need a look.
    fn take(&mut self, entries: &mut Entries, state: &mut State, max: usize) {
        let mut start = 0;
        for (kind, look, stat, end) in entries.files.drain(..) {
            if state.known.meet(look) {
                let name = Name::new(kind, &entries.names[start..end]);
                state.known.meet_unsettled(&name);
                self.take_unsettled(Found { name, stat }, state, max);
            }
            start = end;
        }
        entries.names.clear();
    }

    fn take_unsettled(&mut self, found: Found, state: &State, max: usize) {
        let rest_bytes = state.rest_bytes(&found);
        self.lag_bytes += rest_bytes;
        if rest_bytes > 0 {
            let written = found.stat.modified().0;
            self.oldest = Some(self.oldest.map_or(written, |oldest| oldest.min(written)));
        }
        if state.is_taken(&found.name) {
            return;
        }
        self.files.push(found);
        if self.files.len() >= max.saturating_mul(2) {
            self.files.select_nth_unstable_by(max, oldest_first);
            self.files.truncate(max);
            self.is_cut = true;
        }
    }
}

fn oldest_first(a: &Found, b: &Found) -> std::cmp::Ordering {
    (a.stat.modified(), &a.name).cmp(&(b.stat.modified(), &b.name))
}

#[cfg(test)]
#[path = "files_tests.rs"]
mod tests;
