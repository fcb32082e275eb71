//! What a format finds at the front of a buffer, and the line ends that all formats share.

use std::borrow::Cow;

use memchr::{memchr, memchr2};

/// What stands at the front of a buffer. Lengths are bytes from the buffer's start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// A whole record. The splitter knows its fields until the next call.
    Record {
        /// Where it starts: behind any blank lines.
        start: usize,
        /// Where it ends, its line end excluded.
        end: usize,
        /// Where the next record may start.
        next: usize,
        /// How many physical lines end between `start` and `next`.
        lines: u64,
    },
    /// Bytes that can't be a record; reading goes on at `next`.
    Malformed {
        /// Where the refused line or lines start.
        start: usize,
        /// Where they end, their line end excluded.
        end: usize,
        /// Where reading goes on.
        next: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// The record is longer than allowed and its line does not end in the buffer: the bytes up to
    /// the first line end behind `fault_at` are to be skipped.
    Endless {
        /// Where it starts: behind any blank lines.
        start: usize,
        /// Where the line that is refused has its fault: the record's first line need not be the
        /// one.
        fault_at: usize,
        /// What is wrong.
        fault: Fault,
    },
    /// Nothing but line ends, and blanks where the format has none else on a line, up to `next`.
    Blank {
        /// Where they end.
        next: usize,
    },
    /// More bytes are needed to tell.
    Incomplete,
}

/// Why bytes are not a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A quote that is not closed before the file or the longest record ends.
    UnclosedQuote,
    /// Something other than a delimiter or a line end behind a closing quote.
    TextAfterQuote,
    /// More bytes than a record may have.
    TooLong {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl Fault {
    /// The fault in words, for a dead letter.
    pub fn reason(self) -> Cow<'static, str> {
        match self {
            Fault::UnclosedQuote => "the quote that opens here is never closed".into(),
            Fault::TextAfterQuote => {
                "text behind a closing quote; a quote inside a quoted field is written twice".into()
            }
            Fault::TooLong { limit } => format!("the record is longer than {limit} bytes").into(),
        }
    }
}

/// Refuses the bytes from `start` to the end of the physical line on which `fault_at` stands.
pub(super) fn resumed_after(
    buffer: &[u8],
    start: usize,
    fault_at: usize,
    fault: Fault,
    complete: bool,
) -> Cut {
    let line = buffer[fault_at..].iter().position(|&b| b == b'\n' || b == b'\r');
    match line {
        // One more byte tells whether this is one line end or two.
        Some(found)
            if fault_at + found + 1 == buffer.len() && is_half_line_end(buffer, complete) =>
        {
            Cut::Incomplete
        }
        Some(found) => {
            let end = fault_at + found;
            Cut::Malformed { start, end, next: line_end(buffer, end), fault }
        }
        None if complete => Cut::Malformed { start, end: buffer.len(), next: buffer.len(), fault },
        None => Cut::Endless { start, fault_at, fault },
    }
}

/// Whether `buffer` may end between the two bytes of a CRLF.
pub(super) fn is_half_line_end(buffer: &[u8], complete: bool) -> bool {
    !complete && buffer.last() == Some(&b'\r')
}

/// The place behind the line end that stands at `end`, CRLF counting as one.
pub(super) fn line_end(buffer: &[u8], end: usize) -> usize {
    match buffer[end..] {
        [b'\r', b'\n', ..] => end + 2,
        [b'\r' | b'\n', ..] => end + 1,
        _ => end,
    }
}

/// How many physical lines end in `bytes`: LF, CRLF and lone CR each count once.
pub(super) fn line_ends(bytes: &[u8]) -> u64 {
    // Mostly they are one line.
    let line = bytes.strip_suffix(b"\n").unwrap_or(bytes);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if memchr2(b'\n', b'\r', line).is_none() {
        return u64::from(line.len() < bytes.len());
    }
    let mut count = memchr::memchr_iter(b'\n', bytes).count();
    if memchr(b'\r', bytes).is_some() {
        count += bytes.windows(2).filter(|pair| pair[0] == b'\r' && pair[1] != b'\n').count();
        count += usize::from(bytes.last() == Some(&b'\r'));
    }
    u64::try_from(count).expect("a count of bytes in memory fits")
}
