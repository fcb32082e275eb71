//! What comes of opening a file: how its records fit the table, or why they don't.

use std::io;
use std::sync::Arc;

use super::again::Again;
use super::work::Work;
use super::{Current, Feed, Granted};
use crate::format::{Beginning, Format};
use crate::layout::Fit;
use crate::memory::names_bytes;
use crate::partition::fingerprint::Stat;
use crate::partition::{Found, Kind, Partition};
use crate::source::content::Content;
use crate::source::file::OpenFile;

/// What opening a file came to: how its records fit the table.
pub(super) enum Opening {
    /// The file has nothing to tell by yet.
    NotYet,
    /// The file has no record.
    Empty,
    /// They do, below this header, where the file has one.
    Fits(Fit, Option<Arc<[u8]>>),
    /// They don't: why, and what to do.
    Refused(String),
}

impl Feed {
    /// Opens a file where its checkpoint stands; `None` if there is nothing to read in it now.
    pub(super) fn open(&self, Granted { found, known }: &Granted) -> io::Result<Option<Current>> {
        if found.is_packed() && self.files.state().known.is_being_written(found) {
            return Ok(None);
        }
        let (file, stat) = self.places.open(&found.name)?;
        if let Some(spool) = self.places.spool() {
            let committed = known.as_ref().map_or(0, |(_, known)| known.next_offset);
            spool.note_committed(&found.name, committed);
        }
        let limit = self.places.spool().and_then(|spool| spool.limit(&found.name));
        let mut content = Content::new(file, found.name.as_str(), &self.memory).within(limit);
        let start = content.anew();
        let (generation, is_new, resumed) =
            match Again::of(&mut content, &found.name, known.as_ref())? {
                Again::Done => {
                    self.files.state().settle(&found.name, stat);
                    return Ok(None);
                }
                Again::New { generation, is_new } => (generation, is_new, None),
                Again::Resumed { generation, checkpoint, consumed } => {
                    (generation, false, Some((checkpoint, consumed)))
                }
            };
        let partition = Partition::new(found.name.clone(), generation);
        let format = match partition.kind() {
            Kind::Segment => Format::of(found.name.as_str()),
            Kind::File => self.reading.format_of(found.name.as_str()),
        };
        let (kind, record_bytes_max) = (partition.kind(), self.reading.record_bytes_max);
        let mut file = OpenFile::from_start(kind, start, stat, format, record_bytes_max);
        let still = resumed.is_some() || self.is_still(&found.name, stat);
        let renewals = self.fits.renewals();
        let (fit, header) = match self.fit(&mut file, still)? {
            Opening::Fits(fit, header) => (fit, header),
            Opening::Empty => {
                self.files.state().settle(&found.name, stat);
                return Ok(None);
            }
            Opening::NotYet => {
                match file.damage().filter(|_| still) {
                    Some(damage) => self.refuse(found, partition, stat, damage.to_owned()),
                    None => self.files.state().known.wait_for(&found.name, stat),
                }
                return Ok(None);
            }
            Opening::Refused(reason) => {
                self.refuse(found, partition, stat, reason);
                if self.fits.renewals() != renewals {
                    // The table was another one meanwhile: it is to be looked at again.
                    self.files.state().known.unsettle(&found.name, stat);
                }
                return Ok(None);
            }
        };
        let (mut committed_offset, mut was_done) = (0, false);
        if let Some((checkpoint, consumed)) = resumed {
            (committed_offset, was_done) = (checkpoint.next_offset, checkpoint.is_done);
            file.resume(&checkpoint, consumed, content);
        }
        let records = (committed_offset == 0).then_some(0);
        Ok(Some(Current {
            found: found.clone(),
            partition,
            is_new,
            file,
            fit,
            header,
            committed_offset,
            was_done,
            records,
        }))
    }

    /// How the records of a file that was just opened fit the table.
    pub(super) fn fit(&self, file: &mut OpenFile, still: bool) -> io::Result<Opening> {
        let header = match file.begin(still)? {
            Beginning::NotYet => return Ok(Opening::NotYet),
            Beginning::Empty => return Ok(Opening::Empty),
            Beginning::Unreadable(fault) => return Ok(Opening::Refused(fault.to_string())),
            Beginning::Records => return Ok(Opening::Fits(self.fits.of_objects(), None)),
            Beginning::Header(header) => header,
        };
        let bytes = names_bytes(header.raw.len());
        if bytes > self.memory.largest() {
            let len = header.raw.len();
            let reason =
                format!("line 1 has {len} bytes, more than the setting memory has room for");
            return Ok(Opening::Refused(reason));
        }
        // As long as its names are compared with the table's.
        let _share = self.memory.try_share(bytes).ok_or_else(no_memory)?;
        Ok(match self.fits.of_header(header.names) {
            Ok(fit) => Opening::Fits(fit, Some(header.raw)),
            Err(error) => Opening::Refused(error.to_string()),
        })
    }

    pub(super) fn refuse(&self, found: &Found, partition: Partition, stat: Stat, reason: String) {
        self.files.state().settle(&found.name, stat);
        let mut files = self.files.state();
        if files.known.is_news(&found.name, stat) {
            files.notices.push_back(Work::Refused { partition, reason });
        }
    }

    pub(super) fn cannot_read(&self, found: &Found, error: io::Error) {
        let mut files = self.files.state();
        files.known.give_up(&found.name);
        if error.kind() == io::ErrorKind::OutOfMemory {
            return self.memory.tell_waits(found.name.as_str(), &error);
        }
        if files.known.is_news(&found.name, found.stat) {
            files.notices.push_back(Work::Unreadable { name: found.name.to_string(), error });
            if let Some(spool) = self.places.spool() {
                spool.note_refused(&found.name);
            }
        }
    }
}

/// There is no memory for the header of a file now, but soon there may be.
fn no_memory() -> io::Error {
    io::Error::new(io::ErrorKind::OutOfMemory, "there is no memory for its header now")
}
