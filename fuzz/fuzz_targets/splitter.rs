//! Any bytes as a stream of each format: the reader never panics, every byte belongs to exactly one
//! record, refusal or run of blanks, and neither the pieces nor their places and lines depend on
//! how the bytes arrive.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamer::format::{Fault, Format, Next, Reader};

/// What a reader finds, with its place in the stream, line end excluded.
#[derive(Debug, PartialEq)]
enum Piece {
    Record { start: usize, end: usize, line: u64, fields: Vec<(Vec<u8>, bool)> },
    Refused { start: usize, end: usize, line: u64, fault: Fault },
}

// The first byte is the longest record, the second the bytes of the first read, the rest the
// stream.
fuzz_target!(|input: &[u8]| {
    let [record_bytes_max, step, bytes @ ..] = input else { return };
    let (record_bytes_max, step) = (usize::from(*record_bytes_max), usize::from(*step) + 1);
    for format in Format::all() {
        let whole = read(format, bytes, bytes.len(), record_bytes_max);
        covers(format, &whole, bytes);
        let pieces = read(format, bytes, step, record_bytes_max);
        assert_eq!(pieces, whole, "{format:?}: {step} bytes at a time");
    }
});

/// Reads as a source does: more bytes when the reader asks for them, what is consumed is dropped.
fn read(format: Format, bytes: &[u8], step: usize, record_bytes_max: usize) -> Vec<Piece> {
    let mut reader = Reader::new(format, record_bytes_max);
    let (mut pieces, mut from, mut to) = (Vec::new(), 0, step.min(bytes.len()));
    loop {
        let complete = to == bytes.len();
        let mut at = 0;
        match reader.next(&bytes[from..to], &mut at, complete) {
            Next::Record(place) => {
                let (start, end) = (from + place.start, from + place.end);
                assert!(end - start <= record_bytes_max, "a record over the limit");
                let fields = reader.record(place, &bytes[from..to]).fields;
                let fields = (0..fields.count())
                    .map(|at| (fields.bytes(at).to_vec(), fields.is_quoted(at)))
                    .collect();
                pieces.push(Piece::Record { start, end, line: place.line, fields });
            }
            Next::Malformed(place, fault) => {
                let (start, end) = (from + place.start, from + place.end);
                pieces.push(Piece::Refused { start, end, line: place.line, fault });
            }
            Next::Endless(place, fault) => {
                assert!(!complete, "a complete stream ends");
                while !reader.pass_line(&bytes[from..to], &mut at) && to < bytes.len() {
                    to = bytes.len().min(to + step);
                }
                let (start, end) = (from + place.start, from + at);
                pieces.push(Piece::Refused { start, end, line: place.line, fault });
            }
            Next::Incomplete if complete => {
                assert_eq!(from + at, bytes.len(), "the stream ends before its bytes do");
                return pieces;
            }
            Next::Incomplete => {
                // A read may bring more than the longest record, but only once.
                let held = &bytes[from + at..to];
                let held = held.iter().skip_while(|b| b" \t\r\n".contains(b)).count();
                let held_max = record_bytes_max + 1 + step;
                assert!(held <= held_max, "memory is not bounded by the longest record");
                to = bytes.len().min(to + step);
            }
        }
        from += at;
        assert_eq!(reader.state().offset(), u64::try_from(from).unwrap());
    }
}

/// Demands that only blanks lie between the pieces.
fn covers(format: Format, pieces: &[Piece], bytes: &[u8]) {
    let blanks: &[u8] = if format.has_header() { b"\r\n" } else { b" \t\r\n" };
    let is_blank = |b: &u8| blanks.contains(b);
    let mut at = 0;
    for piece in pieces {
        let (Piece::Record { start, end, .. } | Piece::Refused { start, end, .. }) = piece;
        assert!(at <= *start && start < end, "{piece:?} overlaps or is empty");
        assert!(bytes[at..*start].iter().all(is_blank), "bytes lost: {piece:?}");
        at = *end;
    }
    assert!(bytes[at..].iter().all(is_blank), "bytes lost at the end");
}
