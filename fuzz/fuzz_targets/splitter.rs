//! Any bytes as a CSV file: the splitter never panics, every byte belongs to exactly one record,
//! refusal or run of line ends, and neither the pieces nor their places and lines depend on how the
//! bytes arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamer::format::csv::{Cut, Fault, Splitter, line_ends};

/// What a reader finds, with its place in the file, line end excluded.
#[derive(Debug, PartialEq)]
enum Piece {
    Record { start: usize, end: usize, line: u64, fields: Vec<(Vec<u8>, bool)> },
    Refused { start: usize, end: usize, line: u64, fault: Fault },
}

// The first byte is the longest record, the second the bytes of the first read, the rest the file.
fuzz_target!(|input: &[u8]| {
    let [record_bytes_max, step, bytes @ ..] = input else { return };
    let (record_bytes_max, step) = (usize::from(*record_bytes_max), usize::from(*step) + 1);
    let whole = read(bytes, bytes.len(), record_bytes_max);
    covers(&whole, bytes);
    assert_eq!(read(bytes, step, record_bytes_max), whole, "{step} bytes at a time");
});

/// Reads as a source does: more bytes when the splitter asks for them, what is consumed is dropped.
fn read(bytes: &[u8], step: usize, record_bytes_max: usize) -> Vec<Piece> {
    let mut splitter = Splitter::new(b',', record_bytes_max);
    let (mut pieces, mut from, mut to) = (Vec::new(), 0, step.min(bytes.len()));
    let mut line = 1;
    loop {
        let complete = to == bytes.len();
        // As a source counts: separately for each call and for the blank lines in front.
        let mut lines = |start: usize, next: usize| {
            let first = line + line_ends(&bytes[from..from + start]);
            line = first + line_ends(&bytes[from + start..from + next]);
            first
        };
        match splitter.cut(&bytes[from..to], complete) {
            Cut::Record { start, end, next } => {
                assert!(end - start <= record_bytes_max, "a record over the limit");
                let record = splitter.record();
                let fields = (0..record.count())
                    .map(|at| (record.bytes(at).to_vec(), record.is_quoted(at)))
                    .collect();
                let line = lines(start, next);
                pieces.push(Piece::Record { start: from + start, end: from + end, line, fields });
                from += next;
            }
            Cut::Malformed { start, end, next, fault } => {
                let line = lines(start, next);
                pieces.push(Piece::Refused { start: from + start, end: from + end, line, fault });
                from += next;
            }
            Cut::Blank { next } => {
                lines(next, next);
                from += next;
            }
            Cut::Endless { start, fault_at, fault } => {
                assert!(!complete, "a complete file ends");
                let found = bytes[from + fault_at..].iter().position(|b| b"\r\n".contains(b));
                let end = found.map_or(bytes.len(), |found| from + fault_at + found);
                let line = lines(start, end - from);
                pieces.push(Piece::Refused { start: from + start, end, line, fault });
                (from, to) = (end, to.max(end));
            }
            Cut::Incomplete if complete => {
                assert_eq!(from, bytes.len(), "the file ends before its bytes do");
                return pieces;
            }
            Cut::Incomplete => {
                // A read may bring more than the longest record, but only once.
                let held = bytes[from..to].iter().skip_while(|b| b"\r\n".contains(b)).count();
                let held_max = record_bytes_max + 1 + step;
                assert!(held <= held_max, "memory is not bounded by the longest record");
                to = bytes.len().min(to + step);
            }
        }
        assert!(from <= to);
    }
}

/// Demands that only line ends lie between the pieces.
fn covers(pieces: &[Piece], bytes: &[u8]) {
    let mut at = 0;
    for piece in pieces {
        let (Piece::Record { start, end, .. } | Piece::Refused { start, end, .. }) = piece;
        assert!(at <= *start && start < end, "{piece:?} overlaps or is empty");
        assert!(bytes[at..*start].iter().all(|b| b"\r\n".contains(b)), "bytes lost: {piece:?}");
        at = *end;
    }
    assert!(bytes[at..].iter().all(|b| b"\r\n".contains(b)), "bytes lost at the end");
}
