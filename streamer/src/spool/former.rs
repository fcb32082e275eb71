//! The first version of the spool, as far as it is still read: segments without frames, and
//! Idempotency-Keys in journals beside them.
//!
//! A line of a journal said where the records of a key go, and was synced before the first byte of
//! them was written: a segment that ends before that was torn there, and is cut off where they
//! start. The keys are taken over into the database; until that is done they are kept in mind.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use sqlx::PgConnection;

use super::segment::{Adopted, MALFORMED, format_of, names};
use crate::format::{Format, Next, Reader};
use crate::framing::Key;
use crate::ledger::idempotency::{self, Former};
use crate::private;

/// How long keys were honoured.
const HONOURED: Duration = Duration::from_secs(24 * 3600);

/// What the names of journals end with.
const ENDING: &str = ".keys";

/// The journal that takes keys back, behind all others in the order of names.
const LAST: &str = "99999999999999999999.keys";

/// How many keys are taken over at a time.
const KEYS_AT_ONCE: usize = 5000;

/// A line of a journal.
enum Line {
    Stored {
        former: Former,
        segment: String,
        start: u64,
        end: u64,
    },
    /// The records of this key were not stored after all.
    Void(u128),
}

/// The keys of the journals, each in brief.
#[derive(Debug, Default)]
pub(super) struct Journals {
    folder: PathBuf,
    /// In order.
    keys: Vec<Brief>,
}

/// A key of a journal, in as few bytes as tell it from others.
#[derive(Debug)]
struct Brief {
    /// One half of its hash.
    key: u64,
    /// One half of its records' hash.
    hash: u64,
    /// How many records came under it; [`VOID`] if they were not stored, or are too old.
    records: u32,
    /// Which line it was.
    place: u32,
}

const VOID: u32 = u32::MAX;

impl Journals {
    /// Reads the journals of the folder.
    pub(super) fn load(folder: &Path) -> io::Result<Journals> {
        let since = nanos(SystemTime::now().checked_sub(HONOURED).unwrap_or(UNIX_EPOCH));
        let mut keys: Vec<Brief> = Vec::new();
        each_line(folder, |line| {
            let place = u32::try_from(keys.len()).unwrap_or(u32::MAX);
            keys.push(match line {
                Line::Void(key) => Brief { key: half(key), hash: 0, records: VOID, place },
                Line::Stored { former: Former { key, records, at_nanos }, .. } => {
                    let records = u32::try_from(records).unwrap_or(VOID - 1);
                    let records = if at_nanos < since { VOID } else { records };
                    Brief { key: half(key.key), hash: half(key.records), records, place }
                }
            });
        })?;
        // Of several lines for a key the last one counts.
        keys.sort_unstable_by_key(|brief| (brief.key, u32::MAX - brief.place));
        keys.dedup_by_key(|brief| brief.key);
        keys.retain(|brief| brief.records != VOID);
        keys.shrink_to_fit();
        Ok(Journals { folder: folder.to_owned(), keys })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Whether `key` is in a journal: with the same records or others, and how many.
    pub(super) fn get(&self, key: Key) -> Option<(bool, u64)> {
        let at = self.keys.binary_search_by_key(&half(key.key), |brief| brief.key).ok()?;
        let Brief { hash, records, .. } = self.keys[at];
        Some((hash == half(key.records), records.into()))
    }

    /// Takes the keys over into the database.
    ///
    /// # Errors
    /// When a journal can't be read, or the database does not take them.
    pub(super) async fn take_over(
        &self,
        conn: &mut PgConnection,
        stream: &str,
    ) -> Result<(), sqlx::Error> {
        for path in journals(&self.folder)? {
            let (mut file, mut line) = (BufReader::new(File::open(&path)?), Vec::new());
            let mut keys = Vec::new();
            while file.read_until(b'\n', &mut line)? > 0 {
                let parsed = Line::parse(&line);
                if let Some(Line::Stored { former, .. }) = parsed
                    && self.get(former.key).is_some_and(|(is_same, _)| is_same)
                {
                    keys.push(former);
                }
                line.clear();
                if keys.len() == KEYS_AT_ONCE {
                    idempotency::take_over(conn, stream, &keys).await?;
                    keys.clear();
                }
            }
            idempotency::take_over(conn, stream, &keys).await?;
        }
        Ok(())
    }

    /// Removes the journals.
    pub(super) fn remove(&self) -> io::Result<()> {
        journals(&self.folder)?.iter().try_for_each(fs::remove_file)
    }
}

/// Takes up segments of the first version that stand in one folder.
pub(super) struct Adoption<'f> {
    folder: &'f Path,
    record_bytes_max: usize,
    /// Where the records of keys stand in those segments, once that was read: the key's segment,
    /// where they start and where they end.
    places: Option<HashMap<u128, (String, u64, u64)>>,
}

impl<'f> Adoption<'f> {
    pub(super) fn new(folder: &'f Path, record_bytes_max: usize) -> Adoption<'f> {
        Adoption { folder, record_bytes_max, places: None }
    }

    /// Takes up a segment whose lock is held.
    pub(super) fn adopt(&mut self, file: File, name: &str) -> io::Result<Adopted> {
        let size = file.metadata()?.len();
        let mut bytes = Vec::new();
        io::Read::read_to_end(&mut &file, &mut bytes)?;
        let torn = self.take_torn_back(name, size)?;
        bytes.truncate(torn.and_then(|at| usize::try_from(at).ok()).unwrap_or(bytes.len()));
        let format = format_of(name);
        let is_alone = format
            .and_then(|format| name.strip_suffix(format.ending()))
            .is_some_and(|name| name.ends_with(MALFORMED));
        let len = match format {
            Some(format) if format.spans_lines() && !is_alone => {
                whole_records(format, &bytes, self.record_bytes_max)
            }
            _ => memchr::memrchr(b'\n', &bytes).map_or(0, |end| end + 1),
        };
        let len = u64::try_from(len).expect("a count of bytes in memory fits");
        if len < size {
            file.set_len(len)?;
            tracing::warn!("{name} ended in the middle of a record that was never acknowledged");
        }
        Ok(Adopted { file, len, keys: Vec::new() })
    }

    /// Where the segment `name`, which is `len` bytes long, is to be cut off because the records of
    /// a key were torn there. Their keys are taken back first.
    fn take_torn_back(&mut self, name: &str, len: u64) -> io::Result<Option<u64>> {
        if self.places.is_none() {
            self.places = Some(places(self.folder)?);
        }
        let is_torn = |(segment, _, end): &(String, _, u64)| segment == name && *end > len;
        let places = self.places.iter().flatten().filter(|(_, place)| is_torn(place));
        let torn: Vec<(u128, u64)> = places.map(|(key, (_, start, _))| (*key, *start)).collect();
        if torn.is_empty() {
            return Ok(None);
        }
        let path = self.folder.join(LAST);
        let mut journal = match private::create_file(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                File::options().append(true).open(&path)?
            }
            made => made?,
        };
        let text: String = torn.iter().map(|(key, _)| format!("void {key:032x}\n")).collect();
        journal.write_all(text.as_bytes())?;
        journal.sync_all()?;
        File::open(self.folder)?.sync_all()?;
        Ok(torn.into_iter().map(|(_, start)| start).min())
    }
}

/// Where the records of keys stand in the segments that are there.
fn places(folder: &Path) -> io::Result<HashMap<u128, (String, u64, u64)>> {
    let (mut places, names) = (HashMap::new(), names(folder));
    each_line(folder, |line| match line {
        Line::Stored { former, segment, start, end } if names.contains(&segment) => {
            places.insert(former.key.key, (segment, start, end));
        }
        Line::Stored { .. } => {}
        Line::Void(key) => drop(places.remove(&key)),
    })?;
    Ok(places)
}

/// How many bytes the whole records at the front of a segment have. A line end inside quotes ends
/// none.
fn whole_records(format: Format, bytes: &[u8], record_bytes_max: usize) -> usize {
    let mut reader = Reader::new(format, record_bytes_max);
    let mut at = 0;
    loop {
        match reader.next(bytes, &mut at, false) {
            Next::Record(_) | Next::Malformed(..) => {}
            Next::Endless(place, _) => return place.start,
            Next::Incomplete => return at,
        }
    }
}

/// The journals of the folder, in the order of their names, which is that of their making.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    let is_journal =
        |path: &PathBuf| path.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes());
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(is_journal).collect();
    paths.sort_unstable();
    Ok(paths)
}

/// Shows the lines of all journals. One that is no line, such as a torn one, was never
/// acknowledged.
fn each_line(folder: &Path, mut see: impl FnMut(Line)) -> io::Result<()> {
    let mut line = Vec::new();
    for path in journals(folder)? {
        let mut file = BufReader::new(File::open(&path)?);
        while file.read_until(b'\n', &mut line)? > 0 {
            Line::parse(&line).into_iter().for_each(&mut see);
            line.clear();
        }
    }
    Ok(())
}

impl Line {
    fn parse(line: &[u8]) -> Option<Line> {
        let text = std::str::from_utf8(line.strip_suffix(b"\n")?).ok()?;
        let mut words = text.split(' ');
        let first = words.next()?;
        let mut hash = || u128::from_str_radix(words.next()?, 16).ok();
        if first == "void" {
            return Some(Line::Void(hash()?));
        }
        let at_nanos = first.parse().ok()?;
        let key = Key { key: hash()?, records: hash()? };
        let mut number = || words.next()?.parse().ok();
        let former = Former { key, records: number()?, at_nanos };
        let (start, end) = (number()?, number()?);
        Some(Line::Stored { former, segment: words.next()?.to_owned(), start, end })
    }
}

/// One half of a hash.
fn half(hash: u128) -> u64 {
    u64::try_from(hash & u128::from(u64::MAX)).expect("half of it")
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
