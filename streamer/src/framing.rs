//! What a segment of the spool looks like: a head, and behind it a frame for each request.
//!
//! The head says which version of this format the segment has, and holds what stands above all of
//! its records (the header of CSV). It stands there twice, so that one damaged byte does not take
//! the segment's records with it. A frame holds the records of one request as they came, each with
//! its line end, behind 65 bytes that tell how many there are, under which Idempotency-Key they
//! came, and two checksums. So a request is there whole or not at all, and its key with it:
//! whatever a crash leaves, a frame whose checksums are right was written to its end.
//!
//! The checksums are seeded with a number that only the head has, another one in each segment:
//! what a client sends can't pass for a frame, nor can the blocks of a file that was there before.
//!
//! Version 1 had no head and no frames: the records alone, below their header. The keys were in
//! journals beside the segments.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed, xxh3_128};

/// The version that is written.
pub const VERSION: u32 = 2;

/// What a head begins with; the version as decimal digits and a line end follow. No text begins
/// with this byte, so no segment of version 1 does.
const MAGIC: &[u8] = b"\x89streamer segment ";

/// The longest version that is looked for, in digits.
const DIGITS_MAX: usize = 9;

/// Bytes of a frame in front of its records.
pub const FRAME_BYTES: usize = 65;

/// What a frame begins with. What it is stands behind: records under a key, records without one,
/// or bytes that were damaged and are passed over.
const FRAME_MAGIC: &[u8] = b"\x89rq";
const KEYED: u8 = b'K';
const PLAIN: u8 = b'R';
const VOID: u8 = b'V';

/// Bytes of a checksum, and where that of a frame stands.
const SUM_BYTES: usize = 8;
const SUM_AT: usize = FRAME_BYTES - SUM_BYTES - 1;

/// In the place of a header's length, where there is no header.
const NO_HEADER: u32 = u32::MAX;

/// An Idempotency-Key that a client gave, and what it gave it to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Key {
    /// Hash of the key.
    pub key: u128,
    /// Hash of the records.
    pub records: u128,
}

/// What a segment begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// What stands above the records, without its line end.
    pub header: Option<Arc<[u8]>>,
    seed: u64,
    /// How long the head is, in bytes: where the first frame starts.
    pub len: u64,
}

/// What the first bytes of a segment are.
#[derive(Debug)]
pub enum Start {
    /// A segment of version 1.
    First,
    /// A head.
    Head(Head),
    /// More bytes are needed to tell. If there are none, the head was never written whole.
    NotYet,
    /// A segment of this later version.
    Newer(u32),
    /// A head with damage in both of its copies.
    Damaged,
}

/// The bytes of a frame in front of its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes of the records.
    pub len: u64,
    /// How many records there are.
    pub records: u32,
    /// The key that they came under.
    pub key: Option<Key>,
    /// Whether its bytes are damaged and to be passed over.
    pub is_void: bool,
    /// Checksum of the records.
    sum: u64,
}

impl Key {
    /// The key of these records.
    pub fn new(key: &[u8], records: &[u8]) -> Key {
        Key { key: xxh3_128(key), records: xxh3_128(records) }
    }
}

impl Head {
    /// The head of a new segment whose records stand below `header`.
    pub fn new(header: Option<Arc<[u8]>>) -> Head {
        let mut head = Head { header, seed: RandomState::new().hash_one(VERSION), len: 0 };
        head.len = count(head.bytes().len());
        head
    }

    /// As it is written.
    pub fn bytes(&self) -> Vec<u8> {
        let mut copy = [MAGIC, format!("{VERSION}\n").as_bytes()].concat();
        let len = self.header.as_ref().map_or(Ok(NO_HEADER), |header| header.len().try_into());
        copy.extend(self.seed.to_le_bytes());
        copy.extend(len.expect("a header is smaller than 4 GiB").to_le_bytes());
        copy.extend_from_slice(self.header.as_deref().unwrap_or_default());
        copy.extend(xxh3_64(&copy).to_le_bytes());
        copy.repeat(2)
    }

    /// Reads what a segment begins with.
    pub fn read(bytes: &[u8]) -> Start {
        let head = match copy(bytes) {
            Start::Head(head) if count(bytes.len()) < 2 * head.len => return Start::NotYet,
            Start::Head(head) => head,
            // Perhaps only the first copy is damaged.
            other => match second_copy(bytes) {
                Some(head) => head,
                None => return other,
            },
        };
        Start::Head(Head { len: 2 * head.len, ..head })
    }

    /// What stands in front of `bytes`, the records of a request, in their frame.
    pub fn frame(&self, records: u32, key: Option<Key>, bytes: &[u8]) -> Vec<u8> {
        let (len, sum) = (count(bytes.len()), self.sum(bytes));
        self.written(&Frame { len, records, key, is_void: false, sum })
    }

    /// What is to be written over the beginning of damage, so that its `len` bytes, which are
    /// [`FRAME_BYTES`] at least, are passed over.
    pub fn void(&self, len: u64) -> Vec<u8> {
        let len = len - count(FRAME_BYTES);
        self.written(&Frame { len, records: 0, key: None, is_void: true, sum: 0 })
    }

    fn written(&self, frame: &Frame) -> Vec<u8> {
        let kind = match (frame.is_void, frame.key) {
            (true, _) => VOID,
            (false, Some(_)) => KEYED,
            (false, None) => PLAIN,
        };
        let Key { key, records } = frame.key.unwrap_or_default();
        let mut bytes = Vec::with_capacity(FRAME_BYTES);
        bytes.extend(FRAME_MAGIC);
        bytes.push(kind);
        bytes.extend(frame.records.to_le_bytes());
        bytes.extend(frame.len.to_le_bytes());
        bytes.extend(key.to_le_bytes());
        bytes.extend(records.to_le_bytes());
        bytes.extend(frame.sum.to_le_bytes());
        bytes.extend(self.sum(&bytes).to_le_bytes());
        // For whoever looks at it: the records stand on lines of their own.
        bytes.push(b'\n');
        bytes
    }

    /// The frame that begins with `bytes`; nothing, if none does.
    pub fn read_frame(&self, bytes: &[u8]) -> Option<Frame> {
        let front = bytes.get(..SUM_AT)?;
        let sum = bytes.get(SUM_AT..FRAME_BYTES)?.strip_suffix(b"\n")?;
        let kind = *front.strip_prefix(FRAME_MAGIC)?.first()?;
        if sum != self.sum(front).to_le_bytes() {
            return None;
        }
        let key = Key { key: u128_at(front, 16)?, records: u128_at(front, 32)? };
        Some(Frame {
            len: u64::from_le_bytes(front.get(8..16)?.try_into().ok()?),
            records: u32::from_le_bytes(front.get(4..8)?.try_into().ok()?),
            key: (kind == KEYED).then_some(key),
            is_void: kind == VOID,
            sum: u64::from_le_bytes(front.get(48..56)?.try_into().ok()?),
        })
    }

    /// Where in `bytes` a frame may begin.
    pub fn frames_in(bytes: &[u8]) -> impl Iterator<Item = usize> {
        memchr::memmem::find_iter(bytes, FRAME_MAGIC)
    }

    /// Whether `bytes` are the records of `frame`.
    pub fn has(&self, frame: &Frame, bytes: &[u8]) -> bool {
        count(bytes.len()) == frame.len && self.sum(bytes) == frame.sum
    }

    fn sum(&self, bytes: &[u8]) -> u64 {
        xxh3_64_with_seed(bytes, self.seed)
    }
}

/// The second copy of a head, which stands as far behind the first as it is long.
fn second_copy(bytes: &[u8]) -> Option<Head> {
    memchr::memmem::find_iter(bytes, MAGIC).find_map(|start| match copy(&bytes[start..]) {
        Start::Head(head) if head.len == count(start) => Some(head),
        _ => None,
    })
}

/// Reads one copy of a head at the front of `bytes`; the length is that of the copy.
fn copy(bytes: &[u8]) -> Start {
    if !bytes.starts_with(MAGIC) {
        return if MAGIC.starts_with(bytes) { Start::NotYet } else { Start::First };
    }
    let rest = &bytes[MAGIC.len()..];
    let Some(digits) = memchr::memchr(b'\n', &rest[..rest.len().min(DIGITS_MAX)]) else {
        return if rest.len() < DIGITS_MAX { Start::NotYet } else { Start::Damaged };
    };
    match std::str::from_utf8(&rest[..digits]).ok().and_then(|digits| digits.parse().ok()) {
        Some(VERSION) => {}
        Some(newer) if newer > VERSION => return Start::Newer(newer),
        _ => return Start::Damaged,
    }
    let seed_at = MAGIC.len() + digits + 1;
    let header_at = seed_at + 12;
    let Some(fixed) = bytes.get(seed_at..header_at) else { return Start::NotYet };
    let seed = u64::from_le_bytes(fixed[..8].try_into().expect("eight bytes"));
    let len = u32::from_le_bytes(fixed[8..].try_into().expect("four bytes"));
    let header_len = if len == NO_HEADER { 0 } else { usize::try_from(len).unwrap_or(usize::MAX) };
    let sum_at = header_at.saturating_add(header_len);
    let Some(sum) = bytes.get(sum_at..sum_at.saturating_add(SUM_BYTES)) else {
        return Start::NotYet;
    };
    if sum != xxh3_64(&bytes[..sum_at]).to_le_bytes() {
        return Start::Damaged;
    }
    let header = (len != NO_HEADER).then(|| bytes[header_at..sum_at].into());
    Start::Head(Head { header, seed, len: count(sum_at + SUM_BYTES) })
}

fn u128_at(bytes: &[u8], at: usize) -> Option<u128> {
    Some(u128::from_le_bytes(bytes.get(at..at + 16)?.try_into().ok()?))
}

fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).expect("a count of bytes in memory fits")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head_of(bytes: &[u8]) -> Option<Head> {
        match Head::read(bytes) {
            Start::Head(head) => Some(head),
            _ => None,
        }
    }

    #[test]
    fn a_head_survives_damage_to_one_of_its_copies() {
        for header in [None, Some(Arc::from(b"a,b".as_slice())), Some(Arc::from(b"".as_slice()))] {
            let head = Head::new(header);
            let bytes = head.bytes();
            assert_eq!(head_of(&[&bytes, b"more".as_slice()].concat()).unwrap(), head);
            for len in 0..bytes.len() {
                assert!(matches!(Head::read(&bytes[..len]), Start::NotYet), "{len}");
            }
            for at in 0..bytes.len() {
                let mut damaged = bytes.clone();
                damaged[at] ^= 0x10;
                assert_eq!(head_of(&damaged).as_ref(), Some(&head), "{at}");
            }
        }
        let newer = [MAGIC, b"3\n..."].concat();
        assert!(matches!(Head::read(&newer), Start::Newer(3)));
        for first in [b"id,v\n1,2\n".as_slice(), b"{\"a\":1}\n"] {
            assert!(matches!(Head::read(first), Start::First));
        }
    }

    #[test]
    fn a_frame_is_known_only_in_its_segment() {
        let (head, other) = (Head::new(None), Head::new(None));
        let (bytes, key) = (b"{}\n{}\n", Key::new(b"k", b"r"));
        for key in [Some(key), None] {
            let written = head.frame(2, key, bytes);
            assert_eq!(written.len(), FRAME_BYTES);
            let frame = head.read_frame(&written).unwrap();
            assert_eq!((frame.len, frame.records, frame.key, frame.is_void), (6, 2, key, false));
            assert!(head.has(&frame, bytes) && !head.has(&frame, b"{}\n[]\n"));
            assert_eq!(other.read_frame(&written), None);
            assert_eq!(head.read_frame(&written[..FRAME_BYTES - 1]), None);
            for at in 0..FRAME_BYTES {
                let mut damaged = written.clone();
                damaged[at] ^= 1;
                assert_eq!(head.read_frame(&damaged), None, "{at}");
            }
        }
        let void = head.read_frame(&head.void(1000)).unwrap();
        assert!(void.is_void && void.len == 935);
    }
}
