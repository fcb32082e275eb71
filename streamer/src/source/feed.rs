//! Putting micro-batches together: which file comes next, and how much of it.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;

use super::again::Again;
use super::content::{Content, Packing};
use super::file::{OpenFile, Step};
use super::fingerprint::Stat;
use super::folder::{Folder, Found, Unlisted, partition};
use super::known::Known;
use super::layouts::Layouts;
use super::part::Reading;
use super::{Checkpoint, GONE_MAX};
use crate::batch::{MicroBatch, Part};
use crate::config::Stream;
use crate::layout::Layout;
use crate::schema::Table;

/// Bytes that a micro-batch holds at most, give or take one record.
const BATCH_BYTES_MAX: usize = 8 << 20;

/// Partitions that a micro-batch takes from at most: files without records fill none.
const PARTS_MAX: usize = 1000;

/// Reads the files of one stream, oldest first, each from where its checkpoint stands.
#[derive(Debug)]
pub struct Feed {
    stream: Stream,
    folder: Folder,
    layouts: Layouts,
    /// By path below the folder: the newest partition's number and how far it was read.
    pub(super) positions: HashMap<String, (u32, Checkpoint)>,
    known: Known,
    /// What is to be told of files.
    notices: VecDeque<Work>,
    /// What the last listing found that is to be read, oldest first.
    pub(super) queue: VecDeque<Found>,
    /// What is read only once it is granted.
    pub(super) unclaimed: VecDeque<Found>,
    /// Whether something was not granted since the last listing.
    pub(super) is_passed_over: bool,
    current: Option<Current>,
    lag_bytes: u64,
}

/// The file that is being read.
#[derive(Debug)]
struct Current {
    found: Found,
    partition: String,
    /// Which file under its path it is, from 1.
    number: u32,
    file: OpenFile,
    layout: Arc<Layout>,
    /// The header as it stands in the file.
    header: Arc<[u8]>,
    /// Where the checkpoint stands once what was handed out is committed.
    committed_offset: u64,
    /// Whether it then says that the file was read to its end.
    was_done: bool,
}

/// What the feed has for the stream.
#[derive(Debug)]
pub enum Work {
    /// Records to commit.
    Batch(MicroBatch),
    /// A file that can't be loaded as it is.
    Refused {
        /// The partition's name.
        partition: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A file that can't be read now; it is tried again at each listing.
    Unreadable {
        /// The file's name.
        name: String,
        /// Why.
        error: io::Error,
    },
}

/// Why reading a file stopped.
enum Stop {
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
    /// A feed of `stream`'s files below `folder` that goes on from `checkpoints`, by partition.
    pub fn new(
        stream: Stream,
        folder: Folder,
        table: Arc<Table>,
        checkpoints: HashMap<String, Checkpoint>,
    ) -> Feed {
        let known = Known::new(stream.settle);
        let mut feed = Feed {
            stream,
            folder,
            layouts: Layouts::new(table),
            positions: HashMap::new(),
            known,
            notices: VecDeque::new(),
            queue: VecDeque::new(),
            unclaimed: VecDeque::new(),
            is_passed_over: false,
            current: None,
            lag_bytes: 0,
        };
        feed.rewind(checkpoints);
        feed
    }

    /// Forgets what was read ahead and goes on from `checkpoints`. The folder is to be listed again.
    pub fn rewind(&mut self, checkpoints: HashMap<String, Checkpoint>) {
        self.positions.clear();
        self.known.unsettle();
        self.queue.clear();
        self.unclaimed.clear();
        self.current = None;
        self.take_up(checkpoints);
    }

    /// Lists the folder: what there is to read, oldest first.
    ///
    /// # Errors
    /// When the folder can't be listed.
    pub fn list(&mut self) -> io::Result<()> {
        let (mut found, unlisted) = self.folder.list()?;
        for Unlisted { name, error } in unlisted {
            self.notices
                .extend(self.known.is_news_of(&name).then_some(Work::Unreadable { name, error }));
        }
        self.known.prune(&found);
        if self.positions.len() > found.len() + GONE_MAX {
            let names: HashSet<&str> = found.iter().map(|file| file.name.as_str()).collect();
            self.positions.retain(|name, _| names.contains(name.as_str()));
        }
        found.retain(|file| !self.is_settled(file));
        found.sort_by(|a, b| (a.stat.modified(), &a.name).cmp(&(b.stat.modified(), &b.name)));
        self.known.keep_waiting_for(&found);
        self.lag_bytes = found.iter().map(|file| self.rest_bytes(file)).sum();
        if let Some(current) = &self.current {
            found.retain(|file| file.name != current.found.name);
        }
        self.queue = found.into();
        Ok(())
    }

    /// Whether a file ends in a record that is not written whole. It counts once the file is still.
    pub fn is_waiting(&self) -> bool {
        self.known.is_waiting()
    }

    /// The next piece of work from what the last listing found; `None` when all is read.
    pub fn next_work(&mut self) -> Option<Work> {
        if let Some(notice) = self.notices.pop_front() {
            return Some(notice);
        }
        let mut batch: Option<MicroBatch> = None;
        while let Some(mut current) = self.next_file() {
            let into = batch.get_or_insert_with(|| MicroBatch::new(current.layout.clone()));
            if !Arc::ptr_eq(&into.layout, &current.layout) || self.is_full(into) {
                self.current = Some(current);
                break;
            }
            match self.read(&mut current, into) {
                Stop::Full => {
                    self.current = Some(current);
                    break;
                }
                Stop::End | Stop::Wait => {}
                Stop::Damaged(reason) => {
                    let (partition, stat) = (current.partition, current.file.stat());
                    self.refuse(&current.found, partition, stat, reason);
                }
                Stop::Failed(error) => self.cannot_read(&current.found, error),
            }
        }
        if let Some(mut batch) = batch.filter(|batch| !batch.parts.is_empty()) {
            batch.finish();
            batch.lag_bytes = self.lag_bytes;
            return Some(Work::Batch(batch));
        }
        self.notices.pop_front()
    }

    /// The file to read from: the one begun, else the oldest that has something.
    fn next_file(&mut self) -> Option<Current> {
        if let Some(mut current) = self.current.take() {
            match current.file.is_still_itself() {
                Ok(true) => return Some(current),
                Ok(false) => {
                    tracing::warn!("{} was written over while it was read", current.partition);
                }
                Err(error) => self.cannot_read(&current.found, error),
            }
        }
        while let Some(found) = self.queue.pop_front() {
            match self.open(&found) {
                Ok(Some(current)) => return Some(current),
                Ok(None) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.cannot_read(&found, error),
            }
        }
        None
    }

    /// Opens a file where its checkpoint stands; `None` if there is nothing to read in it now.
    fn open(&mut self, found: &Found) -> io::Result<Option<Current>> {
        if Packing::of(&found.name).is_some() && self.known.is_being_written(found) {
            return Ok(None);
        }
        let (file, stat) = self.folder.open(found)?;
        let mut content = Content::new(file, &found.name);
        let start = content.anew();
        let known = self.positions.get(&found.name);
        let (number, resumed) = match Again::of(&mut content, &found.name, known)? {
            Again::Done => {
                self.known.settle(&found.name, stat);
                return Ok(None);
            }
            Again::New { number } => (number, None),
            Again::Resumed { number, checkpoint, consumed } => {
                (number, Some((checkpoint, consumed)))
            }
        };
        let partition = partition(&found.name, number);
        let mut file = OpenFile::from_start(start, stat, self.stream.record_bytes_max);
        let still = resumed.is_some() || self.known.is_still(&found.name, stat);
        let header = match file.header(still)? {
            Ok(Some(header)) => header,
            Ok(None) if file.ends_here()? => {
                self.known.settle(&found.name, stat);
                return Ok(None);
            }
            Ok(None) => {
                match file.damage().filter(|_| still) {
                    Some(damage) => self.refuse(found, partition, stat, damage.to_owned()),
                    None => self.known.wait_for(&found.name, stat),
                }
                return Ok(None);
            }
            Err(error) => {
                self.refuse(found, partition, stat, error.to_string());
                return Ok(None);
            }
        };
        let layout = match self.layouts.of(header.names, &self.stream) {
            Ok(layout) => layout,
            Err(error) => {
                self.refuse(found, partition, stat, error.to_string());
                return Ok(None);
            }
        };
        let (mut committed_offset, mut was_done) = (0, false);
        if let Some((checkpoint, consumed)) = resumed {
            (committed_offset, was_done) = (checkpoint.next_offset, checkpoint.is_done);
            file.resume(&checkpoint, consumed, content);
        }
        let found = found.clone();
        let header = header.raw;
        Ok(Some(Current {
            found,
            partition,
            number,
            file,
            layout,
            header,
            committed_offset,
            was_done,
        }))
    }

    /// Reads records of one file into `batch` until it is full or the file has no more.
    fn read(&mut self, current: &mut Current, batch: &mut MicroBatch) -> Stop {
        let still = self.known.is_still(&current.found.name, current.file.stat());
        let mut part = Reading::default();
        let stop = loop {
            if part.records + batch.records() >= self.records_max()
                || batch.held_bytes >= BATCH_BYTES_MAX
            {
                // Looking one byte ahead spares an empty micro-batch that only says: done.
                break match current.file.ends_here() {
                    Ok(true) => Stop::End,
                    Ok(false) => Stop::Full,
                    Err(error) => Stop::Failed(error),
                };
            }
            match current.file.step(still) {
                Ok(Step::End) => break Stop::End,
                Ok(Step::Wait) => match current.file.damage().filter(|_| still) {
                    Some(damage) => break Stop::Damaged(damage.to_owned()),
                    None => break Stop::Wait,
                },
                Ok(step) => part.take(step, batch),
                Err(error) => break Stop::Failed(error),
            }
        };
        match stop {
            Stop::End => self.known.settle(&current.found.name, current.file.stat()),
            Stop::Wait => self.known.wait_for(&current.found.name, current.file.stat()),
            Stop::Full | Stop::Damaged(_) | Stop::Failed(_) => {}
        }
        self.finish(part, current, batch, matches!(stop, Stop::End));
        stop
    }

    /// Closes the part that was read, and notes where reading stands.
    fn finish(&mut self, part: Reading, current: &mut Current, batch: &mut MicroBatch, end: bool) {
        let position = current.file.position(end);
        let start_offset = current.committed_offset;
        if position.offset == start_offset && end == current.was_done {
            return;
        }
        let read_bytes = match (current.file.is_packed(), end) {
            (false, _) => position.offset - start_offset,
            (true, true) => current.found.stat.size,
            (true, false) => 0,
        };
        self.lag_bytes = self.lag_bytes.saturating_sub(read_bytes);
        let checkpoint = Checkpoint {
            next_offset: position.offset,
            next_line: position.line,
            fingerprint: Some(position.fingerprint.clone()),
            is_done: end,
        };
        self.positions.insert(current.found.name.clone(), (current.number, checkpoint));
        (current.committed_offset, current.was_done) = (position.offset, end);
        batch.parts.push(Part {
            partition: current.partition.clone(),
            header: current.header.clone(),
            start_offset,
            end: position,
            records: part.records,
            dead_letters: part.dead_letters,
            raw: part.raw,
        });
    }

    fn refuse(&mut self, found: &Found, partition: String, stat: Stat, reason: String) {
        self.known.settle(&found.name, stat);
        if self.known.is_news(&found.name, stat) {
            self.notices.push_back(Work::Refused { partition, reason });
        }
    }

    fn cannot_read(&mut self, found: &Found, error: io::Error) {
        self.known.give_up(&found.name);
        if self.known.is_news(&found.name, found.stat) {
            self.notices.push_back(Work::Unreadable { name: found.name.clone(), error });
        }
    }

    fn is_settled(&self, found: &Found) -> bool {
        let is_committed = |(_, checkpoint): &(u32, Checkpoint)| {
            let print = checkpoint.fingerprint.as_ref();
            checkpoint.is_done && print.and_then(|print| print.stat) == Some(found.stat)
        };
        self.known.is_settled(found) || self.positions.get(&found.name).is_some_and(is_committed)
    }

    /// What is left of a file behind its checkpoint, in bytes. Of a packed file all is left until the
    /// last of it is read.
    pub(super) fn rest_bytes(&self, found: &Found) -> u64 {
        if Packing::of(&found.name).is_some() {
            return found.stat.size;
        }
        let offset = self.positions.get(&found.name).map_or(0, |(_, c)| c.next_offset);
        found.stat.size.checked_sub(offset).unwrap_or(found.stat.size)
    }

    fn is_full(&self, batch: &MicroBatch) -> bool {
        batch.records() >= self.records_max()
            || batch.held_bytes >= BATCH_BYTES_MAX
            || batch.parts.len() >= PARTS_MAX
    }

    fn records_max(&self) -> u64 {
        u64::try_from(self.stream.max_rows).unwrap_or(u64::MAX)
    }
}
