//! The beginning of a stream of bytes: a byte order mark, bytes that are no UTF-8 text, and the
//! header.

use std::sync::Arc;

use super::{Fault, Fields, Packing};

/// UTF-8's byte order mark.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// So many bytes tell whether they are text.
const TELLING_BYTES: usize = 4;

/// What a stream of bytes begins with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Beginning {
    /// More bytes are needed to tell.
    NotYet,
    /// The stream ends here: it has no record, and no header.
    Empty,
    /// A header; records of its fields follow.
    Header(Header),
    /// Records, in a format that has no header.
    Records,
    /// No text, or no header where the format has one.
    Unreadable(HeaderFault),
}

/// The first record of a stream, which names the fields of the others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The names in it.
    pub names: Vec<String>,
    /// Its bytes, without a byte order mark and the line end.
    pub raw: Arc<[u8]>,
}

/// Why the beginning of a stream can't be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderFault {
    /// The first record is none.
    #[error("line 1 is no CSV header: {}", .0.reason())]
    NoRecord(Fault),
    /// A name is no text.
    #[error("line 1 is no CSV header: it is not valid UTF-8")]
    NotUtf8,
    /// A name holds a NUL, which no column's name does.
    #[error("line 1 is no CSV header: it holds a NUL character")]
    Nul,
    /// The first bytes say UTF-16 or UTF-32.
    #[error("the file is {0}; convert it to UTF-8, for example with iconv")]
    Encoding(&'static str),
    /// The first bytes say that the file is packed, and its name does not.
    #[error(
        "the file is packed with {}; end its name in .gz or .zst, so that it is unpacked",
        .0.name()
    )]
    Packed(Packing),
}

impl Header {
    /// The header that has these fields; `raw` is all of it.
    pub(super) fn new(fields: &Fields<'_>, raw: &[u8]) -> Result<Header, HeaderFault> {
        let names = (0..fields.count()).map(|at| fields.text(at).map(str::to_owned));
        let names: Vec<String> = names.collect::<Option<_>>().ok_or(HeaderFault::NotUtf8)?;
        match names.iter().any(|name| name.contains('\0')) {
            true => Err(HeaderFault::Nul),
            false => Ok(Header { names, raw: raw.into() }),
        }
    }
}

/// The length of the byte order mark that `bytes` begin with, 0 if there is none; `None` while more
/// bytes are needed to tell. `complete` says that no more will come.
///
/// # Errors
/// When the bytes are no UTF-8 text, but wider characters or packed.
pub(super) fn mark_len(bytes: &[u8], complete: bool) -> Result<Option<usize>, HeaderFault> {
    if bytes.starts_with(MARK) {
        return Ok(Some(MARK.len()));
    }
    if !complete && is_open(bytes) {
        return Ok(None);
    }
    if let Some(encoding) = wide_encoding(bytes) {
        return Err(HeaderFault::Encoding(encoding));
    }
    match Packing::of_bytes(bytes) {
        Some(packing) => Err(HeaderFault::Packed(packing)),
        None => Ok(Some(0)),
    }
}

/// What stands behind the byte order mark, if there is one.
pub fn without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(MARK).unwrap_or(bytes)
}

/// Whether the bytes may be the beginning of a byte order mark.
pub(super) fn is_half_mark(bytes: &[u8]) -> bool {
    bytes.len() < MARK.len() && MARK.starts_with(bytes)
}

/// Whether these few bytes may be the beginning of anything else than text without a mark.
fn is_open(bytes: &[u8]) -> bool {
    let is_plain = |byte: &u8| byte.is_ascii() && *byte != 0;
    bytes.len() < 2 || (bytes.len() < TELLING_BYTES && !bytes.iter().all(is_plain))
}

/// Recognises encodings of two or four bytes a character, by their mark or the NULs of plain
/// letters.
fn wide_encoding(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0xff, 0xfe, 0, 0, ..] | [0, 0, 0xfe, 0xff, ..] => Some("UTF-32"),
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => Some("UTF-16"),
        [0, a, 0, b, ..] | [a, 0, b, 0, ..] if *a != 0 && *b != 0 => Some("UTF-16"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_encodings_are_recognised() {
        assert_eq!(wide_encoding(b"\xff\xfea\0,\0"), Some("UTF-16"));
        assert_eq!(wide_encoding(b"a\0,\0b\0"), Some("UTF-16"));
        assert_eq!(wide_encoding(b"a,b\n"), None);
    }

    #[test]
    fn as_few_bytes_as_can_tell_what_the_beginning_is_do() {
        for plain in [b"1\n".as_slice(), b"{}\n", b"a,b\n", b"\xc3\xa9\n1"] {
            assert_eq!(mark_len(plain, false), Ok(Some(0)), "{plain:?}");
        }
        assert_eq!(mark_len(b"\xef\xbb\xbf", false), Ok(Some(3)));
        for open in [b"".as_slice(), b"a", b"a\0", b"\xef\xbb", b"\xff\xfe\0", b"\x28\xb5\x2f"] {
            assert_eq!(mark_len(open, false), Ok(None), "{open:?}");
        }
        assert_eq!(mark_len(b"a\0", true), Ok(Some(0)));
        assert_eq!(mark_len(b"\xff\xfe", true), Err(HeaderFault::Encoding("UTF-16")));
        let packed = HeaderFault::Packed(Packing::Gzip);
        assert_eq!(mark_len(b"\x1f\x8b\x08\0", false), Err(packed));
    }
}
