//! The files of a stream, as its readers share them: what is to be read, who has what in hand, and
//! what needs no look.
//!
//! It is a memory of what the checkpoints and the folder say, and never the truth of either: who is
//! granted a file is given its checkpoint anew.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::backlog::{Backlog, Read, now};
use super::known::Known;
use super::lanes::{FILES, Lane, LiveSince, PerLane};
use super::places::Places;
use super::work::Work;
use crate::config::Reading;
use crate::format::Packing;
use crate::partition::fingerprint::{Look, Stat};
use crate::partition::standing::Standing;
use crate::partition::{Density, Found, Kind, Lag, Name, Partition};
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
    pub(super) unclaimed: PerLane<VecDeque<Found>>,
    live_since: LiveSince,
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
    unread: Backlog,
    plain: Density,
    packed: Density,
}

/// Files that a listing has found and not looked up yet. One by one, each look-up would wait for
/// memory alone; and a name of its own is only for what is to be read.
#[derive(Default)]
struct Entries {
    /// With where the name of each ends in `names`.
    files: Vec<(Look, Stat, usize)>,
    names: String,
}

/// What a listing has found to read.
#[derive(Default)]
struct Unread {
    files: PerLane<Vec<Found>>,
    backlog: Backlog,
    is_cut: bool,
}

impl Files {
    /// The files that `reading` means, which stand as `standing` says.
    pub fn new(reading: &Reading, standing: Standing) -> Files {
        let mut state = State {
            known: Known::new(reading.settle),
            notices: VecDeque::new(),
            unclaimed: PerLane::default(),
            live_since: LiveSince(reading.live_first.then(now)),
            in_hand: HashSet::new(),
            is_passed_over: false,
            is_cut: false,
            is_one_by_one: false,
            put_off: HashSet::new(),
            rewinding: 0,
            standing: Standing::default(),
            loaded: Instant::now(),
            unread: Backlog::default(),
            plain: Density::default(),
            packed: Density::default(),
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

    /// Lists the folder: which files there are to read, oldest first, of which at most `max` of a
    /// lane are kept in mind. What is in the spool comes by [`Files::take_spooled`].
    ///
    /// # Errors
    /// When the folder can't be listed.
    pub fn list(&self, places: &Places, max: usize) -> io::Result<()> {
        self.state().known.begin_listing();
        let (mut unread, mut entries) = (Unread::default(), Entries::default());
        let unlisted = places.visit(|kind, name, stat| {
            if kind == Kind::Segment {
                return;
            }
            entries.push(name, stat);
            if entries.files.len() == ENTRIES_MAX {
                unread.take(&mut entries, &mut self.state(), max);
            }
        })?;
        let mut state = self.state();
        unread.take(&mut entries, &mut state, max);
        state.take_down(unread, unlisted, max);
        if let Some(spool) = places.spool() {
            spool.offer_again(|name| state.is_pending(name));
        }
        Ok(())
    }

    /// Takes down what has come by the stream's listeners since; returns whether there is anything.
    pub fn take_spooled(&self, places: &Places) -> bool {
        let Some(spool) = places.spool() else { return false };
        let mut state = self.state();
        let grown = spool.offer(|name| state.is_taken(name));
        let is_any = !grown.is_empty();
        let unclaimed = state.unclaimed.of_mut(Lane::Spool);
        for found in grown {
            if unclaimed.iter().all(|other| other.name != found.name) {
                unclaimed.push_back(found);
            }
        }
        is_any
    }

    /// When what has come by the stream's listeners is to be committed, see [`SpoolReader::due`].
    ///
    /// [`SpoolReader::due`]: crate::spool::SpoolReader::due
    pub fn spool_due(&self, places: &Places, records: u64, linger: Duration) -> Option<Instant> {
        let state = self.state();
        places.spool()?.due(records, linger, |name| state.is_taken(name))
    }

    /// About how many records are left to read of files; `None` where that can't be told.
    pub fn records_left(&self) -> Option<u64> {
        self.state().left(0, true).1
    }

    /// What is left to read of the stream, the micro-batches that are in hand not counted.
    pub fn lag(&self, places: &Places) -> Lag {
        let (bytes, age) = places.spool().map(|spool| spool.backlog()).unwrap_or_default();
        self.state().lag(bytes, age)
    }

    /// Whether the folder holds more than was taken down and that is read, or was never listed
    /// since the checkpoints were learned.
    pub fn needs_listing(&self) -> bool {
        let state = self.state();
        state.is_cut && state.is_all_claimed()
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
        let is_read = state.is_all_claimed() && !state.is_cut && state.notices.is_empty();
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
        // What is in the spool is not found by a listing.
        let spooled = std::mem::take(self.unclaimed.of_mut(Lane::Spool));
        self.unclaimed = PerLane::default();
        *self.unclaimed.of_mut(Lane::Spool) = spooled;
        self.is_cut = true;
    }

    /// Whether a reader has the segment in hand, or will be given it.
    fn is_pending(&self, segment: &Name) -> bool {
        let mut unclaimed = self.unclaimed.of(Lane::Spool).iter();
        self.is_taken(segment) || unclaimed.any(|found| found.name == *segment)
    }

    fn is_all_claimed(&self) -> bool {
        self.unclaimed.iter().all(VecDeque::is_empty)
    }

    /// The lane that a log is on.
    pub(super) fn lane_of(&self, found: &Found) -> Lane {
        self.live_since.lane_of(found)
    }

    /// Takes the outcome of a listing.
    fn take_down(&mut self, listed: Unread, unlisted: Vec<Unlisted>, max: usize) {
        for Unlisted { name, error } in unlisted {
            let is_news = self.known.is_news_of(&name);
            self.notices.extend(is_news.then_some(Work::Unreadable { name, error }));
        }
        self.known.end_listing();
        let mut unread = listed.files;
        self.is_cut = listed.is_cut || unread.iter().any(|files| files.len() > max);
        for files in unread.iter_mut() {
            files.sort_unstable_by(oldest_first);
            files.truncate(max);
        }
        let count: usize = unread.iter().map(Vec::len).sum();
        if !self.is_cut && self.standing.offsets_len() > count + LISTED_MAX {
            self.standing.forget_all_but(unread.iter().flatten().map(|found| &found.name));
        }
        for &lane in FILES {
            let mut files = std::mem::take(unread.of_mut(lane));
            files.retain(|one| !self.is_taken(&one.name) && !self.known.is_settled(one));
            *self.unclaimed.of_mut(lane) = files.into();
        }
        self.unread = listed.backlog;
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

    /// A log was read up to `offset`.
    pub(super) fn note_read(&mut self, partition: &Partition, offset: u64, read: Read) {
        let Partition { name, generation } = partition;
        self.standing.note(name, *generation, offset);
        let (density, unread) = match Packing::of(name.as_str()) {
            Some(_) => (&mut self.packed, &mut self.unread.packed),
            None => (&mut self.plain, &mut self.unread.plain),
        };
        if let Some(records) = read.records {
            density.note(read.bytes, records);
        }
        // What is in the spool is counted there.
        if name.kind() == Kind::File {
            *unread = unread.saturating_sub(read.bytes);
        }
    }

    /// A file needs no look until it changes.
    pub(super) fn settle(&mut self, name: &Name, stat: Stat) {
        // A segment grows, and is deleted once it is read.
        if name.kind() == Kind::File && self.known.settle(name, stat) {
            self.standing.forget(name);
        }
    }

    /// What is left to read of files, and of the spool, where so many bytes wait, the oldest for so
    /// long.
    pub(super) fn lag(&self, spool_bytes: u64, spool_age: Duration) -> Lag {
        let spooled = (spool_bytes > 0).then(|| now().saturating_sub_unsigned(spool_age.as_secs()));
        let oldest = self.unread.oldest.filter(|_| self.unread.plain + self.unread.packed > 0);
        let written = oldest.into_iter().chain(spooled).min();
        let (bytes, records) = self.left(spool_bytes, true);
        Lag::bytes(bytes, records, written)
    }

    /// How many bytes are left in the spool, where so many wait, and in files if these count, too;
    /// and about how many records that is.
    pub(super) fn left(&self, spool_bytes: u64, and_files: bool) -> (u64, Option<u64>) {
        let Backlog { plain, packed, .. } =
            if and_files { self.unread } else { Backlog::default() };
        let of_plain = self.plain.records_in(plain + spool_bytes);
        let records =
            of_plain.zip(self.packed.records_in(packed)).map(|(a, b)| a.saturating_add(b));
        (plain + packed + spool_bytes, records)
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
    fn push(&mut self, name: &str, stat: Stat) {
        self.names.push_str(name);
        self.files.push((stat.look(name), stat, self.names.len()));
    }
}

impl Unread {
    /// Looks `entries` up, and takes those that need a look.
    fn take(&mut self, entries: &mut Entries, state: &mut State, max: usize) {
        let mut start = 0;
        for (look, stat, end) in entries.files.drain(..) {
            if state.known.meet(look) {
                let name = Name::new(Kind::File, &entries.names[start..end]);
                state.known.meet_unsettled(&name);
                self.take_unsettled(Found { name, stat }, state, max);
            }
            start = end;
        }
        entries.names.clear();
    }

    fn take_unsettled(&mut self, found: Found, state: &State, max: usize) {
        let rest_bytes = state.rest_bytes(&found);
        if rest_bytes > 0 {
            self.backlog.note(&found, rest_bytes);
        }
        if state.is_taken(&found.name) {
            return;
        }
        let files = self.files.of_mut(state.lane_of(&found));
        files.push(found);
        if files.len() >= max.saturating_mul(2) {
            files.select_nth_unstable_by(max, oldest_first);
            files.truncate(max);
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
