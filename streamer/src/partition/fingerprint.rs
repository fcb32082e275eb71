//! Knowing a file again. A file is its path and what was consumed of it: hashes of its beginning
//! and of the bytes before the next offset. Size, inode and times only tell when to look again.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::sys::stat::FileStat;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128, xxh3_128_with_seed};

/// A hash of a file's name and of what the file looks like: another one once it changes.
pub type Look = u128;

/// Bytes that can be read from anywhere.
pub trait ReadAt {
    /// Reads some of the bytes at `offset`; none behind the last one.
    ///
    /// # Errors
    /// When the file can't be read.
    fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize>;
}

/// How many bytes each of the two hashes covers at most.
pub const WINDOW_BYTES: usize = 4096;

/// Changes within this time of the last look may carry the same time stamps (the kernel's clock for
/// files ticks every few milliseconds, some file systems every second or two), so such stamps prove
/// nothing.
const STAMP_GRAIN: Duration = Duration::from_secs(2);

/// A time stamp is trusted to say how long a file has been still when it is older than this: no
/// file server's clock is that wrong.
pub const STAMP_TRUSTED: Duration = Duration::from_secs(3600);

/// When files were first looked at, by the wall clock and by one that nobody sets.
static BEGAN: LazyLock<(SystemTime, Instant)> =
    LazyLock::new(|| (SystemTime::now(), Instant::now()));

/// What identifies the consumed part of a file. By default nothing was consumed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The first bytes that were consumed.
    head: Window,
    /// The last bytes that were consumed.
    tail: Window,
    /// What the file looked like; `None` when it had changed too recently for this to prove
    /// anything.
    pub stat: Option<Stat>,
}

/// A hash over a few bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Window {
    bytes: u64,
    #[serde(with = "hexadecimal")]
    xxh3: u128,
}

/// Numbers as 32 hexadecimal digits: JSON's own don't hold 128 bits everywhere.
mod hexadecimal {
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(number: &u128, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&format!("{number:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u128, D::Error> {
        let digits = String::deserialize(from)?;
        u128::from_str_radix(&digits, 16).map_err(serde::de::Error::custom)
    }
}

/// What the file system tells of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stat {
    /// In bytes.
    pub size: u64,
    /// The inode's number and its device's.
    inode: (u64, u64),
    /// Seconds and nanoseconds since 1970: of the content's last change.
    modified: (i64, i64),
    /// Of the last change of anything, which no program can set at will.
    changed: (i64, i64),
}

impl Stat {
    /// Takes what matters.
    pub fn of(metadata: &Metadata) -> Stat {
        Stat {
            size: metadata.size(),
            inode: (metadata.dev(), metadata.ino()),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// Takes the same from what the system itself says of an entry of a folder.
    // The types differ between systems.
    #[allow(clippy::useless_conversion, clippy::unnecessary_fallible_conversions)]
    pub fn of_entry(stat: &FileStat) -> Stat {
        Stat {
            size: u64::try_from(stat.st_size).unwrap_or_default(),
            inode: (u64::try_from(stat.st_dev).unwrap_or_default(), stat.st_ino.into()),
            modified: (stat.st_mtime.into(), stat.st_mtime_nsec.into()),
            changed: (stat.st_ctime.into(), stat.st_ctime_nsec.into()),
        }
    }

    /// A hash of all of it and of the file's name.
    pub fn look(&self, name: &str) -> Look {
        let (modified, changed) = (self.modified, self.changed);
        let numbers = [modified.0, modified.1, changed.0, changed.1].map(i64::cast_unsigned);
        let mut bytes = [0; 56];
        let all = [self.size, self.inode.0, self.inode.1].into_iter().chain(numbers);
        for (eight, number) in bytes.chunks_exact_mut(8).zip(all) {
            eight.copy_from_slice(&number.to_le_bytes());
        }
        xxh3_128_with_seed(name.as_bytes(), xxh3_64(&bytes))
    }

    /// The inode's number on its device.
    pub fn inode(&self) -> u64 {
        self.inode.1
    }

    /// When the content last changed, for putting files in order.
    pub fn modified(&self) -> (i64, i64) {
        self.modified
    }

    /// When anything of it last changed, which no program can set at will.
    pub fn changed(&self) -> (i64, i64) {
        self.changed
    }

    /// How long ago the file last changed, nothing when that lies in the future: by a clock that
    /// nobody sets and that stands still while the machine sleeps, so that no file that is being
    /// written grows old by a leap.
    pub fn age(&self) -> Option<Duration> {
        self.age_at(BEGAN.0 + BEGAN.1.elapsed())
    }

    fn age_at(&self, now: SystemTime) -> Option<Duration> {
        let seconds = u64::try_from(self.changed.0).ok()?;
        let nanos = u32::try_from(self.changed.1).ok()?;
        let changed = UNIX_EPOCH.checked_add(Duration::new(seconds, nanos))?;
        now.duration_since(changed).ok()
    }

    /// Itself, if a later change would be sure to show in it.
    pub fn if_conclusive(self) -> Option<Stat> {
        let age = self.age_at(SystemTime::now());
        age.is_some_and(|age| age > STAMP_GRAIN).then_some(self)
    }
}

#[cfg(test)]
impl Fingerprint {
    /// Of a file that looks so, and of which nothing was consumed.
    pub(crate) fn of_nothing(stat: Stat) -> Fingerprint {
        Fingerprint { stat: Some(stat), ..Fingerprint::default() }
    }
}

impl ReadAt for &File {
    fn read_at(&mut self, into: &mut [u8], offset: u64) -> io::Result<usize> {
        loop {
            match FileExt::read_at(*self, into, offset) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result,
            }
        }
    }
}

impl Window {
    fn of(bytes: &[u8]) -> Window {
        let len = u64::try_from(bytes.len()).expect("a window is small");
        Window { bytes: len, xxh3: xxh3_128(bytes) }
    }

    /// Reads the window's bytes at `offset`; `None` if they are not the ones it was made of.
    fn matched(&self, content: &mut impl ReadAt, offset: u64) -> io::Result<Option<Vec<u8>>> {
        let Some(len) = usize::try_from(self.bytes).ok().filter(|len| *len <= WINDOW_BYTES) else {
            return Ok(None);
        };
        let (mut bytes, mut filled, mut at) = (vec![0; len], 0, offset);
        while filled < len {
            let read = content.read_at(&mut bytes[filled..], at)?;
            if read == 0 {
                return Ok(None);
            }
            filled += read;
            at += u64::try_from(read).expect("a window is small");
        }
        Ok((Window::of(&bytes) == *self).then_some(bytes))
    }
}

/// The bytes that the two hashes are made of, kept while a file is read.
#[derive(Debug, Clone, Default)]
pub struct Consumed {
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Consumed {
    /// Takes up the next bytes that were consumed.
    pub fn push(&mut self, bytes: &[u8]) {
        let wanted = WINDOW_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..bytes.len().min(wanted)]);
        if bytes.len() >= WINDOW_BYTES {
            self.tail.clear();
        }
        self.tail.extend_from_slice(&bytes[bytes.len().saturating_sub(WINDOW_BYTES)..]);
        let surplus = self.tail.len().saturating_sub(WINDOW_BYTES);
        self.tail.drain(..surplus);
    }

    /// The fingerprint so far.
    pub fn fingerprint(&self, stat: Stat) -> Fingerprint {
        let stat = stat.if_conclusive();
        Fingerprint { head: Window::of(&self.head), tail: Window::of(&self.tail), stat }
    }

    /// Looks whether `content` still is the one whose first `offset` bytes made `fingerprint`.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn verify(
        content: &mut impl ReadAt,
        fingerprint: &Fingerprint,
        offset: u64,
    ) -> io::Result<Option<Consumed>> {
        let Some(tail_start) = offset.checked_sub(fingerprint.tail.bytes) else { return Ok(None) };
        let Some(head) = fingerprint.head.matched(content, 0)? else { return Ok(None) };
        let Some(tail) = fingerprint.tail.matched(content, tail_start)? else { return Ok(None) };
        Ok(Some(Consumed { head, tail }))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn consumed(pieces: &[&[u8]]) -> Fingerprint {
        let mut consumed = Consumed::default();
        pieces.iter().for_each(|piece| consumed.push(piece));
        let stat = Stat { size: 0, inode: (0, 0), modified: (0, 0), changed: (0, 0) };
        consumed.fingerprint(stat)
    }

    #[test]
    fn the_pieces_do_not_matter() {
        let bytes: Vec<u8> = (0..=255).cycle().take(10_001).collect();
        let whole = consumed(&[&bytes]);
        assert_eq!(consumed(&[&bytes[..5000], &bytes[5000..5001], &bytes[5001..]]), whole);
        assert_ne!(consumed(&[&bytes[..10_000]]), whole);
    }

    #[test]
    fn a_file_is_known_while_its_consumed_part_is_the_same() {
        let mut file = tempfile::tempfile().unwrap();
        let bytes = vec![b'x'; 6000];
        let fingerprint = consumed(&[&bytes]);
        let known =
            |mut file: &File| Consumed::verify(&mut file, &fingerprint, 6000).unwrap().is_some();
        file.write_all(&bytes).unwrap();
        assert!(known(&file));
        file.write_all(b"more").unwrap();
        assert!(known(&file), "it grew");
        file.write_all_at(b"y", 5999).unwrap();
        assert!(!known(&file), "its end was written over");
        file.write_all_at(b"x", 5999).unwrap();
        file.write_all_at(b"y", 0).unwrap();
        assert!(!known(&file), "its beginning was written over");
        file.set_len(100).unwrap();
        assert!(!known(&file), "it was truncated");
    }
}
