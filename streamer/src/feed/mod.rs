//! The files of a stream: what is known of them, which comes next, and how much of it makes a
//! micro-batch.

mod again;
mod backlog;
pub mod files;
mod known;
pub mod lanes;
mod opening;
pub mod places;
pub mod room;
pub mod share;
mod size;
mod taken;
mod work;

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;

use crate::batch::{MicroBatch, Part};
use crate::config::{Pace, Reading};
use crate::layout::{Fit, Fits};
use crate::memory::Memory;
use crate::partition::fingerprint::Stat;
use crate::partition::{Checkpoint, Found, Kind, Name, Partition};
use crate::source::file::{OpenFile, Step};
use backlog::Read;
use files::Files;
use lanes::{Lane, Lanes, PerLane};
use places::Places;
use room::Room;
use size::Size;
use taken::{Taken, bytes_of};
pub use work::Work;

/// Bytes that a micro-batch holds at most, give or take one record.
const BATCH_BYTES_MAX: usize = 14 << 20;

/// Partitions that a micro-batch takes from at most: files without records fill none.
const PARTS_MAX: usize = 1000;

/// Reads logs of one stream, those of each lane one after the other, each from where its checkpoint
/// stands.
#[derive(Debug)]
pub struct Feed {
    reading: Reading,
    size: Size,
    /// How many records the next micro-batch has at most.
    records_max: u64,
    places: Places,
    /// How files fit the table.
    fits: Fits,
    files: Files,
    /// The files that were asked for, and were not granted yet.
    asked: Vec<Found>,
    lanes: Lanes,
    /// Whether the last micro-batch began with the first lane.
    began_first: bool,
    /// What was granted and is not read.
    hands: PerLane<Hand>,
    /// The names of all files that were claimed.
    in_hand: Vec<Name>,
    memory: Memory,
    /// The room for the micro-batch that is read.
    room: Room,
    /// The memory for the next micro-batch.
    spare: Option<MicroBatch>,
}

/// What a feed has of a lane.
#[derive(Debug, Default)]
struct Hand {
    /// The file that is being read.
    current: Option<Current>,
    /// The files that are to be read.
    queue: VecDeque<Granted>,
}

/// A file that is to be read.
#[derive(Debug)]
struct Granted {
    found: Found,
    /// The newest partition of its name, and how far it was read.
    known: Option<(Partition, Checkpoint)>,
}

/// The file that is being read.
#[derive(Debug)]
struct Current {
    found: Found,
    partition: Partition,
    /// Whether nothing of it was handed out, and there is no checkpoint of it.
    is_new: bool,
    file: OpenFile,
    fit: Fit,
    /// The header as it stands in the file.
    header: Option<Arc<[u8]>>,
    /// Where the checkpoint stands once what was handed out is committed.
    committed_offset: u64,
    /// Whether it then says that the file was read to its end.
    was_done: bool,
    /// How many records were read, if that began with the first; to reckon how many a packed file
    /// holds.
    records: Option<u64>,
}

/// Why reading a file ended.
enum ReadEnd {
    /// The micro-batch is full.
    Full,
    /// The file has no more.
    End,
    /// The file's last record is not written whole.
    Wait,
    /// A packed file ends before its time, and nobody is writing it.
    Damaged(String),
    /// The file can't be read.
    Failed(io::Error),
}

impl Feed {
    /// A reader of those of `files` in `places` that are on `lanes`; they fit their table by `fits`,
    /// and what is read of them into shares of `memory`.
    pub fn new(
        reading: &Reading,
        pace: &Pace,
        places: Places,
        fits: Fits,
        files: Files,
        lanes: Lanes,
        memory: &Memory,
    ) -> Feed {
        Feed {
            memory: memory.clone(),
            room: Room::reserved(memory),
            reading: reading.clone(),
            size: Size::new(pace, lanes),
            records_max: 0,
            places,
            fits,
            files,
            asked: Vec::new(),
            lanes,
            began_first: false,
            hands: PerLane::default(),
            in_hand: Vec::new(),
            spare: None,
        }
    }

    /// Takes back a micro-batch that is committed, so that its memory is used again; not that of a
    /// giant, nor where others lack memory.
    pub fn reuse(&mut self, batch: MicroBatch) {
        let is_wanted = batch.held_bytes <= 2 * BATCH_BYTES_MAX && !self.memory.is_short();
        self.spare = Some(batch).filter(|_| is_wanted);
    }

    /// The room for a micro-batch that is read ahead, if there is some.
    pub fn room_ahead(&self) -> Option<Room> {
        Room::ahead(&self.memory, self.reading.record_bytes_max)
    }

    /// The room for a micro-batch that was asked for.
    pub fn room(&self) -> Room {
        Room::reserved(&self.memory)
    }

    /// Gives back the memory that the next micro-batch would spare some work by: it does not follow
    /// at once.
    pub fn pause(&mut self) {
        self.spare = None;
        let is_short = self.memory.is_short();
        let current = self.hands.iter_mut().filter_map(|hand| hand.current.as_mut());
        current.for_each(|current| current.file.put_down(is_short));
    }

    /// Forgets what was granted and what was read ahead.
    pub fn reset(&mut self) {
        self.put_down();
        self.hands = PerLane::default();
    }

    /// Whether there may be something to do: in hand, to be claimed, or to be told.
    pub fn has_work(&self) -> bool {
        let files = self.files.state();
        let has_any = |hand: &Hand| hand.current.is_some() || !hand.queue.is_empty();
        let is_any_unclaimed = |lane: &Lane| !files.unclaimed.of(*lane).is_empty();
        self.hands.iter().any(has_any)
            || !files.notices.is_empty()
            || self.lanes.iter().any(is_any_unclaimed)
    }

    /// The files that were granted and are not read to their end.
    fn files_left(&self) -> impl Iterator<Item = &Found> {
        self.hands.iter().flat_map(|hand| {
            let current = hand.current.as_ref().map(|current| &current.found);
            current.into_iter().chain(hand.queue.iter().map(|granted| &granted.found))
        })
    }

    /// The next piece of work from what the last listing found, at most `records_max` records, as
    /// far as they fit into `room`; `None` when all that was granted is read.
    pub fn next_work(&mut self, records_max: u64, room: Room) -> Option<Work> {
        self.room = room;
        let notice = self.files.state().notices.pop_front();
        if notice.is_some() {
            return notice;
        }
        self.records_max = self.size.of_next(|| self.waiting()).min(records_max);
        let mut batch: Option<MicroBatch> = None;
        while let Some((lane, mut current)) = self.next_file() {
            let fit = || current.fit.clone();
            let into = batch.get_or_insert_with(|| match self.spare.take() {
                Some(spare) => self.room.reuse(spare, fit()),
                None => MicroBatch::new(fit()),
            });
            if !into.fit.is(&current.fit) || self.is_full(into) {
                self.hands.of_mut(lane).current = Some(current);
                break;
            }
            match self.read(&mut current, into) {
                ReadEnd::Full => {
                    self.hands.of_mut(lane).current = Some(current);
                    break;
                }
                ReadEnd::End | ReadEnd::Wait => {}
                ReadEnd::Damaged(reason) => {
                    let (partition, stat) = (current.partition, current.file.stat());
                    self.refuse(&current.found, partition, stat, reason);
                }
                ReadEnd::Failed(error) => self.cannot_read(&current.found, error),
            }
        }
        if let Some(mut batch) = batch.filter(|batch| !batch.parts.is_empty()) {
            batch.finish();
            self.began_first = !self.began_first;
            let spooled = batch.parts.iter().filter(|part| part.partition.kind() == Kind::Segment);
            let spooled_bytes = spooled.map(|part| part.bytes).sum();
            (batch.lag, batch.records_max) = (self.lag(spooled_bytes), self.records_max);
            let room = std::mem::replace(&mut self.room, Room::reserved(&self.memory));
            batch.share = Some(room.into_share());
            return Some(Work::Batch(batch));
        }
        self.files.state().notices.pop_front()
    }

    /// The file to read from, and its lane. Where there is more than one lane, micro-batches begin
    /// with what has come by a listener and with files in turn, so that neither keeps the other
    /// waiting.
    fn next_file(&mut self) -> Option<(Lane, Current)> {
        self.order().find_map(|lane| Some((lane, self.next_file_of(lane)?)))
    }

    /// Its lanes, the one first that is to be read first.
    fn order(&self) -> impl Iterator<Item = Lane> + Clone + use<> {
        let first = usize::from(self.began_first && self.lanes == lanes::ALL);
        let (behind, ahead) = self.lanes.split_at(first);
        ahead.iter().chain(behind).copied()
    }

    /// The file of a lane to read from: the one begun, else the oldest that has something.
    fn next_file_of(&mut self, lane: Lane) -> Option<Current> {
        if let Some(mut current) = self.hands.of_mut(lane).current.take() {
            match current.file.is_still_itself() {
                Ok(true) => return Some(current),
                Ok(false) => {
                    tracing::warn!("{} was written over while it was read", current.partition);
                }
                Err(error) => self.cannot_read(&current.found, error),
            }
        }
        while let Some(granted) = self.hands.of_mut(lane).queue.pop_front() {
            match self.open(&granted) {
                Ok(Some(current)) => return Some(current),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.cannot_read(&granted.found, error),
            }
        }
        None
    }

    /// Reads records of one file into `batch` until it is full or the file has no more.
    fn read(&mut self, current: &mut Current, batch: &mut MicroBatch) -> ReadEnd {
        let still = self.is_still(&current.found.name, current.file.stat());
        let mut part = Taken::default();
        let before = batch.records();
        let end = loop {
            let taken = before + part.records;
            // A request with a key is committed whole.
            let may_end = !current.file.is_within_request();
            if may_end && (taken >= self.records_max || !self.has_room(batch)) {
                // Looking one byte ahead spares an empty micro-batch that only says: done.
                break match current.file.ends_here() {
                    Ok(true) => ReadEnd::End,
                    Ok(false) => ReadEnd::Full,
                    Err(error) => ReadEnd::Failed(error),
                };
            }
            match current.file.next_request() {
                Ok(Some(request)) => {
                    let is_too_much = taken + u64::from(request.records) > self.records_max;
                    let bytes = bytes_of(&request);
                    if taken > 0 && is_too_much || !self.takes_whole(batch, bytes) {
                        break ReadEnd::Full;
                    }
                    part.begin(request, batch);
                }
                Ok(None) => {}
                Err(error) => break ReadEnd::Failed(error),
            }
            match current.file.step(still) {
                Ok(Step::End) => break ReadEnd::End,
                Ok(Step::Wait) => match current.file.damage().filter(|_| still) {
                    Some(damage) => break ReadEnd::Damaged(damage.to_owned()),
                    None => break ReadEnd::Wait,
                },
                Ok(Step::Between) => {}
                Ok(Step::Record(record)) => part.take(record, batch),
                Ok(Step::Refused(refused)) => part.refuse(refused, batch),
                Err(error) => break ReadEnd::Failed(error),
            }
        };
        match &end {
            ReadEnd::End => self.files.state().settle(&current.found.name, current.file.stat()),
            ReadEnd::Wait => {
                self.files.state().known.wait_for(&current.found.name, current.file.stat())
            }
            ReadEnd::Full | ReadEnd::Damaged(_) | ReadEnd::Failed(_) => {}
        }
        self.finish(part, current, batch, matches!(end, ReadEnd::End));
        end
    }

    /// Closes the part that was read, and notes where reading stands.
    fn finish(
        &mut self,
        mut part: Taken,
        current: &mut Current,
        batch: &mut MicroBatch,
        end: bool,
    ) {
        let position = current.file.position(end);
        let start_offset = current.committed_offset;
        if position.offset == start_offset && end == current.was_done {
            return;
        }
        let bytes = position.offset - start_offset;
        current.records = current.records.map(|records| records + part.records);
        let read = match (current.file.is_packed(), end) {
            (false, _) => Read { bytes, records: Some(part.records) },
            (true, true) => Read { bytes: current.found.stat.size, records: current.records },
            (true, false) => Read { bytes: 0, records: None },
        };
        self.files.state().note_read(&current.partition, position.offset, read);
        (current.committed_offset, current.was_done) = (position.offset, end);
        batch.requests.extend(part.requests(batch.parts.len()));
        batch.parts.push(Part {
            partition: current.partition.clone(),
            is_new: std::mem::take(&mut current.is_new),
            header: current.header.clone(),
            start_offset,
            end: position,
            bytes,
            records: part.records,
            dead_letters: part.dead_letters,
        });
    }

    /// Whether nobody writes the file any more.
    fn is_still(&self, name: &Name, stat: Stat) -> bool {
        let is_sealed = self.places.spool().is_some_and(|spool| spool.is_sealed(name));
        is_sealed || self.files.state().known.is_still(name, stat)
    }

    /// Whether a micro-batch may take so many bytes that can't be divided; it may have to wait.
    fn takes_whole(&mut self, batch: &MicroBatch, bytes: usize) -> bool {
        let held = batch.held_bytes;
        let (takes, waits) = (self.room.takes_whole(held, bytes), self.room.may_wait(held));
        if !takes && waits {
            // Who waits holds nothing: also not the windows of files that are put aside.
            let current = self.hands.iter_mut().filter_map(|hand| hand.current.as_mut());
            current.for_each(|current| current.file.put_down(true));
            self.room.wait_for(bytes);
        }
        takes || waits
    }

    fn has_room(&mut self, batch: &MicroBatch) -> bool {
        batch.held_bytes < BATCH_BYTES_MAX && self.room.takes_more(batch.held_bytes)
    }

    fn is_full(&mut self, batch: &MicroBatch) -> bool {
        batch.records() >= self.records_max
            || !self.has_room(batch)
            || batch.parts.len() >= PARTS_MAX
            || !batch.parts.is_empty() && self.files.state().is_one_by_one
    }
}
