//! Lines cut off buffers, and what each object shows of itself.

use proptest::prelude::*;

use super::*;

/// A line, or refused bytes.
#[derive(Debug, Clone, PartialEq)]
enum Piece {
    Line(Vec<u8>),
    TooLong(Vec<u8>),
}

/// Reads `bytes` to the end, `step` more bytes at a time, as a reader of a growing file would.
fn read(bytes: &[u8], step: usize, record_bytes_max: usize) -> Vec<Piece> {
    let (mut pieces, mut from, mut to) = (Vec::new(), 0, 0);
    loop {
        let complete = to == bytes.len();
        match cut(&bytes[from..to], complete, record_bytes_max) {
            Cut::Record { start, end, next, .. } => {
                pieces.push(Piece::Line(bytes[from + start..from + end].to_vec()));
                from += next;
            }
            Cut::Malformed { start, end, next, .. } => {
                pieces.push(Piece::TooLong(bytes[from + start..from + end].to_vec()));
                from += next;
            }
            Cut::Blank { next } => from += next,
            Cut::Endless { start, .. } => {
                assert!(!complete, "nothing is endless in a complete buffer");
                let behind = from + start;
                let line = bytes[behind..].iter().position(|b| b"\r\n".contains(b));
                let end = line.map_or(bytes.len(), |line| behind + line);
                pieces.push(Piece::TooLong(bytes[behind..end].to_vec()));
                (from, to) = (end, to.max(end));
            }
            Cut::Incomplete if complete => return pieces,
            Cut::Incomplete => to = bytes.len().min(to + step),
        }
    }
}

fn lines(text: &str) -> Vec<Piece> {
    let whole = read(text.as_bytes(), usize::MAX / 2, 20);
    for step in [1, 2, 3, 7] {
        assert_eq!(read(text.as_bytes(), step, 20), whole, "in steps of {step}");
    }
    whole
}

fn line(text: &str) -> Piece {
    Piece::Line(text.as_bytes().to_vec())
}

#[test]
fn every_line_end_ends_a_line_and_blank_ones_are_none() {
    let expected = [line("{\"a\":1}"), line("{ }")];
    for text in [
        "{\"a\":1}\n{ }\n",
        "{\"a\":1}\r\n{ }\r\n",
        "\n \t\n{\"a\":1}\r\r\n  { }",
        "{\"a\":1}\n\r\n{ }\n \n",
    ] {
        assert_eq!(lines(text), expected, "{text:?}");
    }
    assert_eq!(lines(" \n\r\n \t"), []);
}

#[test]
fn a_line_over_the_limit_is_refused_and_the_next_one_is_read() {
    let long = "x".repeat(20);
    let refused = |text: &str| Piece::TooLong(text.as_bytes().to_vec());
    assert_eq!(lines(&format!("{{}}\n{long}\n{{}}")), [line("{}"), refused(&long), line("{}")]);
    // The line end is counted, as it is in CSV.
    assert_eq!(lines(&format!("{}\n", &long[1..])), [line(&long[1..])]);
    assert_eq!(lines(&long), [line(&long)]);
    let longer = long.repeat(3);
    assert_eq!(lines(&format!("{longer}\r\n{{}}")), [refused(&longer), line("{}")]);
}

fn members(text: &str) -> Result<Vec<(String, String)>, String> {
    let mut members = Vec::new();
    each_member(text, |key, value| members.push((key.into_owned(), value.to_owned())))
        .map_err(|error| error.to_string())?;
    Ok(members)
}

#[test]
fn values_stand_as_they_are_and_keys_are_unescaped() {
    let text = r#" { "a" : 1.50e+2 , "\u0062\"" : "\ud800" , "c":[ 1, {"d":2} ],"c":null } "#;
    let expected =
        [("a", "1.50e+2"), ("b\"", r#""\ud800""#), ("c", r#"[ 1, {"d":2} ]"#), ("c", "null")];
    let expected = expected.map(|(key, value)| (key.to_owned(), value.to_owned()));
    assert_eq!(members(text), Ok(expected.to_vec()));
    let deep = format!("{{\"a\":{}1{}}}", "[".repeat(200_000), "]".repeat(200_000));
    assert_eq!(members(&deep).unwrap().len(), 1);
}

#[test]
fn what_is_no_object_is_told_from_what_is_no_json() {
    for text in ["1", "[{}]", "null", "\"{}\"", "x", "", "\u{feff}{}"] {
        assert_eq!(members(text), Err("not a JSON object".to_owned()), "{text}");
    }
    for (text, reason) in [
        ("{\"a\":1", "EOF while parsing an object at byte 6"),
        ("{\"a\":1}}", "trailing characters at byte 8"),
        ("{\"secret\":nul}", "expected ident at byte 14"),
        ("{'a':1}", "key must be a string at byte 2"),
        ("{\"a\":01}", "invalid number at byte 7"),
        ("{\"a\":NaN}", "expected value at byte 6"),
        ("{\"a\":\"\t\"}", "control character"),
    ] {
        let error = members(text).unwrap_err();
        assert!(error.starts_with("not valid JSON: ") && error.contains(reason), "{text}: {error}");
    }
    assert!(NotAnObject::text_of(b"{\"\xff\"}").is_err());
}

proptest! {
    #[test]
    fn no_byte_is_lost_whatever_it_is(bytes in prop::collection::vec(
        prop::sample::select(b"{}\"a: \t\n\r\0\xff".to_vec()), 0..60,
    )) {
        let mut from = 0;
        while from < bytes.len() {
            let (start, end, next) = match cut(&bytes[from..], true, 10) {
                Cut::Record { start, end, next, .. } | Cut::Malformed { start, end, next, .. } => (start, end, next),
                Cut::Blank { next } => (next, next, next),
                other => panic!("{other:?} of a complete buffer"),
            };
            let gaps = [&bytes[from..from + start], &bytes[from + end..from + next]].concat();
            prop_assert!(gaps.iter().all(|b| b" \t\r\n".contains(b)), "only white space is between lines");
            prop_assert!(next > 0 && start <= end && end <= next);
            from += next;
        }
        let whole = read(&bytes, usize::MAX / 2, 10);
        for step in [1, 3] {
            prop_assert_eq!(&read(&bytes, step, 10), &whole);
        }
    }
}
