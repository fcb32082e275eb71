//! Idempotency keys: what comes twice under one key is stored once, for a day and across restarts.
//!
//! Each process writes the keys that it has seen to a journal beside the segments. A key's line is
//! synced before the first byte of its records is written, and says where they go: a segment that
//! ends before they do was torn while they were written, and is cut off where they start, so that
//! they are stored whole or not at all.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use xxhash_rust::xxh3::xxh3_128;

use super::SpoolError;

/// How long a key is honoured.
const HONOURED: Duration = Duration::from_secs(24 * 3600);

/// After this time a journal is followed by another, so that old ones can go.
const JOURNAL_AGE: Duration = Duration::from_secs(3600);

/// How many keys are kept in mind, with some 100 bytes each.
const KEYS_MAX: usize = 1_000_000;

/// What the names of journals end with.
const ENDING: &str = ".keys";

/// A key that a client gave, and what it gave it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Key {
    /// Hash of the key.
    pub key: u128,
    /// Hash of the records.
    pub records: u128,
}

impl Key {
    /// The key of these records.
    pub fn new(key: &[u8], records: &[u8]) -> Key {
        Key { key: xxh3_128(key), records: xxh3_128(records) }
    }
}

/// Where the records of a key are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stored {
    pub(super) segment: String,
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) records: u64,
}

/// The keys of a stream.
pub(super) struct KeyBook {
    folder: PathBuf,
    seen: HashMap<u128, (SystemTime, u128, Stored)>,
    journal: Option<Journal>,
}

struct Journal {
    file: File,
    born: SystemTime,
    unwritten: Vec<u8>,
}

/// A line of a journal.
enum Line {
    Stored {
        at: SystemTime,
        key: Key,
        stored: Stored,
    },
    /// The records of this key were not stored after all.
    Void(u128),
}

impl KeyBook {
    /// Reads the journals of the folder; removes those that are too old.
    pub(super) fn open(folder: &Path) -> io::Result<KeyBook> {
        let mut seen = HashMap::new();
        let now = SystemTime::now();
        for path in journals(folder)? {
            let age = now.duration_since(fs::metadata(&path)?.modified()?).unwrap_or_default();
            if age > HONOURED + JOURNAL_AGE {
                fs::remove_file(&path)?;
                continue;
            }
            for line in lines(&fs::read_to_string(&path)?) {
                match line {
                    Line::Void(key) => drop(seen.remove(&key)),
                    Line::Stored { at, key, stored } => {
                        seen.insert(key.key, (at, key.records, stored));
                    }
                }
            }
        }
        let mut book = KeyBook { folder: folder.to_owned(), seen, journal: None };
        book.forget_old();
        Ok(book)
    }

    /// Where the records of a key are, if they came before.
    ///
    /// # Errors
    /// When others came under this key, or there is no room for another one.
    pub(super) fn look_up(&mut self, key: Key) -> Result<Option<Stored>, SpoolError> {
        let now = SystemTime::now();
        match self.seen.get(&key.key) {
            Some((at, records, stored)) if is_honoured(*at, now) => {
                if *records == key.records {
                    Ok(Some(stored.clone()))
                } else {
                    Err(SpoolError::KeyReused)
                }
            }
            Some(_) => Ok(None),
            None => {
                if self.seen.len() >= KEYS_MAX {
                    self.forget_old();
                }
                if self.seen.len() >= KEYS_MAX { Err(SpoolError::TooManyKeys) } else { Ok(None) }
            }
        }
    }

    /// The records of a key are about to be stored.
    pub(super) fn note(&mut self, key: Key, stored: Stored) -> io::Result<()> {
        let at = SystemTime::now();
        let line = Line::Stored { at, key, stored: stored.clone() }.text();
        self.journal()?.unwritten.extend(line.into_bytes());
        self.seen.insert(key.key, (at, key.records, stored));
        Ok(())
    }

    /// They were not stored after all.
    pub(super) fn void(&mut self, key: Key) {
        self.seen.remove(&key.key);
        if let Some(journal) = &mut self.journal {
            journal.unwritten.extend(Line::Void(key.key).text().into_bytes());
        }
    }

    /// Writes and syncs what was noted.
    pub(super) fn sync(&mut self) -> io::Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        let unwritten = std::mem::take(&mut journal.unwritten);
        if unwritten.is_empty() {
            return Ok(());
        }
        journal.file.write_all(&unwritten)?;
        journal.file.sync_data()
    }

    fn journal(&mut self) -> io::Result<&mut Journal> {
        let now = SystemTime::now();
        let is_old =
            |journal: &Journal| now.duration_since(journal.born).is_ok_and(|age| age > JOURNAL_AGE);
        if self.journal.as_ref().is_some_and(is_old) {
            self.sync()?;
            *self = KeyBook::open(&self.folder)?;
        }
        if self.journal.is_none() {
            let file = create(&self.folder, now)?;
            self.journal = Some(Journal { file, born: now, unwritten: Vec::new() });
        }
        Ok(self.journal.as_mut().expect("it was made"))
    }

    fn forget_old(&mut self) {
        let now = SystemTime::now();
        self.seen.retain(|_, (at, _, _)| is_honoured(*at, now));
    }
}

/// Where the segment `name`, which is `len` bytes long, is to be cut off because the records of a
/// key were torn there. Their keys are taken back first.
pub(super) fn void_torn(folder: &Path, name: &str, len: u64) -> io::Result<Option<u64>> {
    let mut torn = HashMap::new();
    for path in journals(folder)? {
        for line in lines(&fs::read_to_string(path)?) {
            match line {
                Line::Stored { key, stored, .. } if stored.segment == name && stored.end > len => {
                    torn.insert(key.key, stored.start);
                }
                Line::Stored { .. } => {}
                Line::Void(key) => drop(torn.remove(&key)),
            }
        }
    }
    if torn.is_empty() {
        return Ok(None);
    }
    let mut journal = create(folder, SystemTime::now())?;
    let text: String = torn.keys().map(|key| Line::Void(*key).text()).collect();
    journal.write_all(text.as_bytes())?;
    journal.sync_all()?;
    Ok(torn.into_values().min())
}

/// A new journal, behind all others in the order of names. Its name is synced.
fn create(folder: &Path, now: SystemTime) -> io::Result<File> {
    let name = format!("{:020}-{}{ENDING}", nanos(now), std::process::id());
    let file = OpenOptions::new().append(true).create_new(true).open(folder.join(name))?;
    File::open(folder)?.sync_all()?;
    Ok(file)
}

/// The journals of the folder, oldest first.
fn journals(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let paths = entries.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<PathBuf>>>()?;
    let is_journal =
        |path: &PathBuf| path.as_os_str().as_encoded_bytes().ends_with(ENDING.as_bytes());
    let mut paths: Vec<PathBuf> = paths.into_iter().filter(is_journal).collect();
    paths.sort_unstable();
    Ok(paths)
}

/// The whole lines of a journal; a torn one was never acknowledged.
fn lines(text: &str) -> impl Iterator<Item = Line> {
    text.split_inclusive('\n').filter_map(|line| Line::parse(line.strip_suffix('\n')?))
}

impl Line {
    fn text(&self) -> String {
        match self {
            Line::Void(key) => format!("void {key:032x}\n"),
            Line::Stored { at, key: Key { key, records }, stored } => {
                let Stored { segment, start, end, records: count } = stored;
                let at = nanos(*at);
                format!("{at} {key:032x} {records:032x} {count} {start} {end} {segment}\n")
            }
        }
    }

    fn parse(line: &str) -> Option<Line> {
        let hash = |text: &str| u128::from_str_radix(text, 16).ok();
        let mut words = line.split(' ');
        let first = words.next()?;
        if first == "void" {
            return Some(Line::Void(hash(words.next()?)?));
        }
        let at = UNIX_EPOCH + Duration::from_nanos(first.parse().ok()?);
        let key = Key { key: hash(words.next()?)?, records: hash(words.next()?)? };
        let mut number = || words.next()?.parse::<u64>().ok();
        let (records, start, end) = (number()?, number()?, number()?);
        let segment = words.next()?.to_owned();
        Some(Line::Stored { at, key, stored: Stored { segment, start, end, records } })
    }
}

fn is_honoured(at: SystemTime, now: SystemTime) -> bool {
    // A clock that was set back makes no key old.
    now.duration_since(at).map_or(true, |age| age < HONOURED)
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stored(segment: &str, start: u64, end: u64) -> Stored {
        Stored { segment: segment.to_owned(), start, end, records: 3 }
    }

    #[test]
    fn keys_are_known_after_a_restart_until_they_are_taken_back() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let [one, two] = [b"1", b"2"].map(|key| Key::new(key, b"records"));
        let mut book = KeyBook::open(folder).unwrap();
        assert_eq!(book.look_up(one).unwrap(), None);
        book.note(one, stored("a.csv", 0, 10)).unwrap();
        book.note(two, stored("a.csv", 10, 30)).unwrap();
        book.sync().unwrap();
        let mut book = KeyBook::open(folder).unwrap();
        assert_eq!(book.look_up(one).unwrap(), Some(stored("a.csv", 0, 10)));
        let other = book.look_up(Key::new(b"1", b"other records"));
        assert!(matches!(other, Err(SpoolError::KeyReused)));
        // The segment was torn within the records of the second.
        assert_eq!(void_torn(folder, "b.csv", 0).unwrap(), None);
        assert_eq!(void_torn(folder, "a.csv", 29).unwrap(), Some(10));
        assert_eq!(void_torn(folder, "a.csv", 10).unwrap(), None, "it is taken back once");
        let mut book = KeyBook::open(folder).unwrap();
        assert_eq!(book.look_up(two).unwrap(), None);
        assert!(book.look_up(one).unwrap().is_some());
    }

    #[test]
    fn a_torn_line_is_no_key() {
        let folder = tempfile::tempdir().unwrap();
        let key = Key::new(b"1", b"records");
        let line = Line::Stored { at: SystemTime::now(), key, stored: stored("a.csv", 0, 10) };
        let line = line.text();
        fs::write(folder.path().join("1.keys"), &line[..line.len() - 1]).unwrap();
        assert_eq!(KeyBook::open(folder.path()).unwrap().look_up(key).unwrap(), None);
    }
}
