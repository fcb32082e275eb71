//! Cases of good and bad CSV on small literals, and two properties that hold for any bytes.

use proptest::prelude::*;

use super::{Cut, Fault, Fields, Split, Splitter, line_ends};

/// A record as its fields, or refused bytes with the reason.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Record(Vec<String>),
    Refused(Vec<u8>, Fault),
}

/// Reads `bytes` to the end, `step` more bytes at a time, as a reader of a growing file would.
fn read(bytes: &[u8], step: usize, record_bytes_max: usize) -> Vec<Piece> {
    let mut splitter = Splitter::new(b',', record_bytes_max);
    let (mut pieces, mut from, mut to) = (Vec::new(), 0, 0);
    loop {
        let complete = to == bytes.len();
        match splitter.cut(&bytes[from..to], complete) {
            Cut::Record { start, end, next, .. } => {
                pieces.push(Piece::Record(fields(&splitter, &bytes[from + start..from + end])));
                from += next;
            }
            Cut::Malformed { start, end, next, fault } => {
                pieces.push(Piece::Refused(bytes[from + start..from + end].to_vec(), fault));
                from += next;
            }
            Cut::Blank { next } => from += next,
            Cut::Endless { start, fault_at, fault } => {
                assert!(!complete, "nothing is endless in a complete buffer");
                let behind = from + fault_at;
                let line = bytes[behind..].iter().position(|b| b"\r\n".contains(b));
                let end = line.map_or(bytes.len(), |line| behind + line);
                pieces.push(Piece::Refused(bytes[from + start..end].to_vec(), fault));
                (from, to) = (end, to.max(end));
            }
            Cut::Incomplete if complete => return pieces,
            Cut::Incomplete => to = bytes.len().min(to + step),
        }
    }
}

fn fields(splitter: &Splitter, raw: &[u8]) -> Vec<String> {
    let record = splitter.fields(raw);
    (0..record.count()).map(|i| String::from_utf8_lossy(record.bytes(i)).into_owned()).collect()
}

fn record(fields: &[&str]) -> Piece {
    Piece::Record(fields.iter().map(|&f| f.to_owned()).collect())
}

fn refused(raw: &str, fault: Fault) -> Piece {
    Piece::Refused(raw.as_bytes().to_vec(), fault)
}

/// What `text` is read as, the same whatever the steps it arrives in.
fn pieces(text: &str) -> Vec<Piece> {
    let whole = read(text.as_bytes(), usize::MAX / 2, 100);
    for step in [1, 2, 3, 7] {
        assert_eq!(read(text.as_bytes(), step, 100), whole, "in steps of {step}");
    }
    whole
}

#[test]
fn every_line_end_ends_a_record_and_blank_lines_are_none() {
    let expected = [record(&["a", "b"]), record(&["c", "d"])];
    for text in
        ["a,b\nc,d\n", "a,b\r\nc,d\r\n", "a,b\rc,d\r", "\n\na,b\r\r\nc,d", "a,b\n\r\n\nc,d\n\n"]
    {
        assert_eq!(pieces(text), expected, "{text:?}");
    }
}

#[test]
fn a_quoted_field_may_hold_anything() {
    let text = "\"a,\"\"b\"\"\",\"x\r\ny\"\n5\" pipe,\"\"\n";
    assert_eq!(pieces(text), [record(&["a,\"b\"", "x\r\ny"]), record(&["5\" pipe", ""])]);
}

#[test]
fn a_quoted_empty_field_is_told_from_nothing() {
    let mut splitter = Splitter::new(b',', 100);
    assert!(matches!(splitter.cut(b"\"\",,x\n", true), Cut::Record { .. }));
    assert_eq!(fields(&splitter, b"\"\",,x"), ["", "", "x"]);
    let quoted = splitter.fields(b"\"\",,x");
    assert_eq!([0, 1, 2].map(|i| quoted.is_quoted(i)), [true, false, false]);
    assert!(matches!(splitter.cut(b"a,b\n", true), Cut::Record { .. }));
    assert!(!splitter.fields(b"a,b").is_quoted(0), "the next record starts afresh");
}

#[test]
fn an_unclosed_quote_costs_its_own_line_only() {
    assert_eq!(
        pieces("1,a\n2,\"b\n3,c\n4,d\n"),
        [
            record(&["1", "a"]),
            refused("2,\"b", Fault::UnclosedQuote),
            record(&["3", "c"]),
            record(&["4", "d"]),
        ]
    );
    assert_eq!(pieces("1,\"a"), [refused("1,\"a", Fault::UnclosedQuote)]);
}

#[test]
fn a_quote_closed_by_a_later_record_costs_its_own_line_only() {
    assert_eq!(
        pieces("2,\"b\n3,\"c\"\n4,d\n"),
        [refused("2,\"b", Fault::TextAfterQuote), record(&["3", "c"]), record(&["4", "d"])]
    );
}

#[test]
fn text_behind_a_closing_quote_is_refused() {
    assert_eq!(
        pieces("1,\"a\"b\n2,c\n"),
        [refused("1,\"a\"b", Fault::TextAfterQuote), record(&["2", "c"])]
    );
}

#[test]
fn a_record_over_the_limit_is_refused_and_the_next_line_is_read() {
    let long = "x".repeat(101);
    assert_eq!(
        pieces(&format!("1,a\n{long}\n2,b\n")),
        [record(&["1", "a"]), refused(&long, Fault::TooLong { limit: 100 }), record(&["2", "b"])]
    );
    let quoted = format!("1,\"{}\n2,b\n", "y\n".repeat(60));
    let pieces = pieces(&quoted);
    assert_eq!(pieces[0], refused("1,\"y", Fault::UnclosedQuote));
    assert_eq!(pieces.last(), Some(&record(&["2", "b"])));
}

#[test]
fn a_record_over_the_limit_is_refused_the_same_in_however_many_reads_it_comes() {
    let long = "x".repeat(200);
    assert_eq!(
        pieces(&format!("\"y\nz\",\"{long}\n2,b\n")),
        [refused(&format!("\"y\nz\",\"{long}"), Fault::UnclosedQuote), record(&["2", "b"])]
    );
}

#[test]
fn a_byte_order_mark_in_mid_file_is_text() {
    let text = "1,\"a\"b\n\u{feff}2,c\n";
    assert_eq!(pieces(text)[1], record(&["\u{feff}2", "c"]));
}

#[test]
fn a_backslash_and_a_dot_are_plain_data() {
    assert_eq!(pieces("\\.\na\n"), [record(&["\\."]), record(&["a"])]);
}

#[test]
fn all_line_ends_are_counted() {
    assert_eq!(line_ends(b"a\nb\r\nc\rd"), 3);
    assert_eq!(line_ends(b"a\r"), 1);
    assert_eq!(line_ends(b""), 0);
}

proptest! {
    #[test]
    fn what_a_writer_wrote_is_read_back(rows in prop::collection::vec(
        prop::collection::vec("[a\"\r\n, é]{0,5}", 2..4), 1..6,
    )) {
        let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
        for row in &rows {
            writer.write_record(row).unwrap();
        }
        let bytes = writer.into_inner().unwrap();
        let expected: Vec<Piece> = rows.into_iter().map(Piece::Record).collect();
        for step in [1, 3, 1000] {
            prop_assert_eq!(&read(&bytes, step, 100), &expected);
        }
    }

    #[test]
    fn no_byte_is_lost_whatever_it_is(bytes in prop::collection::vec(
        prop::sample::select(b"ab,\"\"\n\r\0\xff".to_vec()), 0..60,
    )) {
        let mut splitter = Splitter::new(b',', 20);
        let mut from = 0;
        while from < bytes.len() {
            let (start, end, next) = match splitter.cut(&bytes[from..], true) {
                Cut::Record { start, end, next, .. } | Cut::Malformed { start, end, next, .. } => (start, end, next),
                Cut::Blank { next } => (next, next, next),
                other => panic!("{other:?} of a complete buffer"),
            };
            let gaps = [&bytes[from..from + start], &bytes[from + end..from + next]].concat();
            prop_assert!(gaps.iter().all(|b| b"\r\n".contains(b)), "only line ends lie between records");
            prop_assert!(next > 0 && start <= end && end <= next);
            from += next;
        }
    }

    #[test]
    fn plain_records_are_what_the_parser_makes_of_them(
        bytes in prop::collection::vec(prop::sample::select(b"abc,,\"\"\"\n\r\0\xff".to_vec()), 0..80),
        record_bytes_max in 1_usize..12,
        step in 1_usize..40,
    ) {
        let splitters = || Splitter::new(b',', record_bytes_max);
        let (mut quick, mut slow) = (splitters(), splitters());
        let (mut from, mut to) = (0, step.min(bytes.len()));
        while from < bytes.len() {
            let (buffer, complete) = (&bytes[from..to], to == bytes.len());
            let cut = quick.cut(buffer, complete);
            prop_assert_eq!(cut, slow.cut_by(buffer, complete, false));
            match cut {
                Cut::Record { start, end, next, .. } => {
                    let raw = &buffer[start..end];
                    let (quick, slow) = (quick.fields(raw), slow.fields(raw));
                    let fields = |record: Fields<'_>| {
                        let field = |at| (record.bytes(at).to_vec(), record.is_quoted(at));
                        (0..record.count()).map(field).collect::<Vec<_>>()
                    };
                    prop_assert_eq!(fields(quick), fields(slow));
                    from += next;
                }
                Cut::Malformed { next, .. } | Cut::Blank { next } => from += next,
                Cut::Endless { fault_at, .. } => from += fault_at + 1,
                Cut::Incomplete => to = bytes.len().min(to + step),
            }
            to = to.max(from);
        }
    }
}
