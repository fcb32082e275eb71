//! Streams read in whole and in pieces: the records, their places and lines are the same, and no
//! byte is lost.

use proptest::prelude::*;

use super::*;

/// What was read, with its range and line.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Record(Range<u64>, u64, Vec<(Vec<u8>, bool)>),
    Refused(Range<u64>, u64, Fault),
}

/// A stream as it was read: its beginning, its pieces, and where the reader stood behind each.
type Read = (Beginning, Vec<(Piece, State)>);

/// Reads `bytes` as the source of a growing file does: `step` more bytes when the reader asks for
/// them, and what it has taken is dropped.
fn read(format: Format, bytes: &[u8], step: usize, record_bytes_max: usize) -> Read {
    let mut reader = Reader::new(format, record_bytes_max);
    let (mut from, mut to) = (0, 0);
    let beginning = loop {
        let mut at = 0;
        let beginning = reader.begin(&bytes[from..to], &mut at, to == bytes.len());
        from += at;
        assert_eq!(reader.state().offset, offset(from));
        match beginning {
            Beginning::NotYet => to = bytes.len().min(to + step),
            told => break told,
        }
    };
    if matches!(beginning, Beginning::Empty | Beginning::Unreadable(_)) {
        return (beginning, Vec::new());
    }
    let mut pieces = Vec::new();
    loop {
        let (mut at, complete) = (0, to == bytes.len());
        let buffer = &bytes[from..to];
        let next = reader.next(buffer, &mut at, complete);
        let piece = match next {
            Next::Record(place) => {
                assert_eq!(place.of(buffer), &bytes[usizes(place.range())]);
                let fields = reader.record(place, buffer).fields;
                let field = |at| (fields.bytes(at).to_vec(), fields.is_quoted(at));
                let fields = (0..fields.count()).map(field).collect();
                Some(Piece::Record(place.range(), place.line, fields))
            }
            Next::Malformed(place, fault) => Some(Piece::Refused(place.range(), place.line, fault)),
            Next::Endless(place, fault) => {
                assert!(!complete, "a complete stream ends");
                while !reader.pass_line(&bytes[from..to], &mut at) && to < bytes.len() {
                    to = bytes.len().min(to + step);
                }
                let range = place.offset..reader.state().offset;
                Some(Piece::Refused(range, place.line, fault))
            }
            Next::Incomplete if complete => {
                assert_eq!(from + at, bytes.len(), "the stream ends before its bytes do");
                return (beginning, pieces);
            }
            Next::Incomplete => {
                to = bytes.len().min(to + step);
                None
            }
        };
        from += at;
        assert_eq!(reader.state().offset, offset(from));
        pieces.extend(piece.map(|piece| (piece, reader.state())));
    }
}

fn offset(at: usize) -> u64 {
    u64::try_from(at).unwrap()
}

fn usizes(range: Range<u64>) -> Range<usize> {
    usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap()
}

fn places(read: &Read) -> Vec<(u64, u64, u64)> {
    let place = |(piece, _): &(Piece, State)| match piece {
        Piece::Record(range, line, _) | Piece::Refused(range, line, _) => {
            (range.start, range.end, *line)
        }
    };
    read.1.iter().map(place).collect()
}

#[test]
fn a_mark_and_a_header_are_read_once() {
    let text = b"\xef\xbb\xbf\n\"a\",\"b\nc\"\r\n1,2\n\n3,4";
    for step in [1, 2, 5, 100] {
        let read = read(Format::Csv, text, step, 100);
        let Beginning::Header(header) = &read.0 else { panic!("{read:?}") };
        assert_eq!(header.names, ["a", "b\nc"]);
        assert_eq!(header.raw.as_ref(), b"\"a\",\"b\nc\"");
        assert_eq!(places(&read), [(15, 18, 4), (20, 23, 6)]);
    }
    let read = read(Format::Ndjson, b"\xef\xbb\xbf {}\r\n\n[\xef\xbb\xbf]", 1, 100);
    assert_eq!((&read.0, places(&read)), (&Beginning::Records, vec![(4, 6, 1), (9, 14, 3)]));
}

#[test]
fn what_has_no_header_is_told_from_what_has_a_bad_one() {
    let begin = |text: &[u8]| read(Format::Csv, text, 1, 10).0;
    for empty in [b"".as_slice(), b"\n\r\n", b"\xef\xbb\xbf"] {
        assert_eq!(begin(empty), Beginning::Empty, "{empty:?}");
    }
    for (text, fault) in [
        (b"a\xff\n1\n".as_slice(), HeaderFault::NotUtf8),
        (b"a,b\0\n1\n", HeaderFault::Nul),
        (b"\"a\"b\n1\n", HeaderFault::NoRecord(Fault::TextAfterQuote)),
        (b"aaaaaaaaaaaaaaa\n", HeaderFault::NoRecord(Fault::TooLong { limit: 10 })),
        (b"\xff\xfea\0\n\0", HeaderFault::Encoding("UTF-16")),
        (b"\0\0\xfe\xff\0\0\0a", HeaderFault::Encoding("UTF-32")),
        (b"\x28\xb5\x2f\xfd\n", HeaderFault::Packed(crate::format::Packing::Zstd)),
    ] {
        assert_eq!(begin(text), Beginning::Unreadable(fault), "{text:?}");
    }
    let json = read(Format::Ndjson, b"\xfe\xff\0{\0}", 1, 10).0;
    assert_eq!(json, Beginning::Unreadable(HeaderFault::Encoding("UTF-16")));
}

#[test]
fn a_reader_goes_on_where_another_stood() {
    let text = b"a,b\n1,\"x\ny\"\r\n\n2,z\n";
    let whole = read(Format::Csv, text, 100, 100);
    let (_, state) = whole.1[0];
    assert_eq!(state, State { offset: 13, line: 4 });
    let mut reader = Reader::new(Format::Csv, 100);
    reader.resume(state);
    let mut at = 0;
    let Next::Record(place) = reader.next(&text[13..], &mut at, true) else { panic!() };
    assert_eq!((place.range(), place.line, place.start), (14..17, 5, 1));
    assert_eq!((at, reader.state()), (5, State { offset: 18, line: 6 }));
}

/// The bytes on which readers of these formats do anything else than to go on.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    let telling = b"ab,,{}\"\"\"\n\n\r \0\xff\xfe\xef\xbb\xbf\x1f\x8b".to_vec();
    let mark = prop::sample::select(vec![b"".as_slice(), b"\xef\xbb\xbf", b"ab,a\n"]);
    (mark, prop::collection::vec(prop::sample::select(telling), 0..60))
        .prop_map(|(mark, bytes)| [mark, &bytes].concat())
}

proptest! {
    #[test]
    fn any_bytes_are_the_same_records_in_whatever_pieces_they_come(
        bytes in any_bytes(), record_bytes_max in 1_usize..20, step in 1_usize..40,
    ) {
        for format in Format::all() {
            let read = |step| {
                let (beginning, pieces) = read(format, &bytes, step, record_bytes_max);
                // Behind a record that is too long the reader may have the line end before it or
                // behind it.
                (beginning, pieces.into_iter().map(|(piece, _)| piece).collect::<Vec<_>>())
            };
            let whole = read(usize::MAX / 2);
            prop_assert_eq!(&read(step), &whole);
            prop_assert_eq!(&read(1), &whole);
        }
    }

    #[test]
    fn no_byte_is_lost_and_every_line_is_counted(
        bytes in any_bytes(), record_bytes_max in 1_usize..20, step in 1_usize..40,
    ) {
        for format in Format::all() {
            let read = read(format, &bytes, step, record_bytes_max);
            let (beginning, pieces) = &read;
            let blanks: &[u8] = if format.has_header() { b"\r\n" } else { b" \t\r\n" };
            if pieces.is_empty() {
                continue;
            }
            let places = places(&read);
            let header = match beginning {
                Beginning::Header(header) => header.raw.len(),
                _ => 0,
            };
            let mut at = match beginning {
                Beginning::Header(header) => {
                    let mut places = bytes.windows(header.raw.len());
                    places.position(|raw| raw == header.raw.as_ref()).unwrap()
                }
                _ => bytes.len() - crate::format::without_mark(&bytes).len(),
            } + header;
            for ((start, end, line), (_, state)) in places.into_iter().zip(pieces) {
                let Range { start, end } = usizes(start..end);
                prop_assert!(bytes[at..start].iter().all(|b| blanks.contains(b)), "bytes lost");
                prop_assert!(start < end, "an empty record");
                prop_assert_eq!(line, 1 + line_ends(&bytes[..start]));
                let read = &bytes[..usize::try_from(state.offset).unwrap()];
                prop_assert_eq!(state.line, 1 + line_ends(read));
                at = end;
            }
            prop_assert!(bytes[at..].iter().all(|b| blanks.contains(b)), "bytes lost at the end");
        }
    }
}
