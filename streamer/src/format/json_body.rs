//! JSON as it is handed over in one piece, not line by line as a file grows: checked, and made into
//! lines.

use std::fmt;

use serde::de::{Deserializer, Error, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::json::{NotAnObject, each_member};
use super::{Format, Next, Reader, without_mark};

/// The first record that is not a JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {index}, at byte {offset}: {reason}")]
pub struct BadRecord {
    /// The how-manyth it is, from 1.
    pub index: usize,
    /// Where it starts in the body, in bytes from 0; where the body breaks off, if it is no JSON at
    /// all.
    pub offset: usize,
    /// What is wrong with it.
    pub reason: NotAnObject,
}

/// Counts the records of `body`, one JSON object on each line; blank lines are none, nor is a byte
/// order mark. A record is as the streamer would read it from a file.
///
/// # Errors
/// The first line that is not one object.
pub fn check_lines(body: &[u8]) -> Result<usize, BadRecord> {
    let mut reader = Reader::new(Format::Ndjson, usize::MAX - body.len());
    let (mut count, mut at) = (0, 0);
    // What is no text is told of the first record.
    let _ = reader.begin(body, &mut at, true);
    loop {
        match reader.next(body, &mut at, true) {
            Next::Record(place) => {
                count += 1;
                let bad = |reason| BadRecord { index: count, offset: place.start, reason };
                check(place.of(body)).map_err(bad)?;
            }
            Next::Incomplete => return Ok(count),
            Next::Malformed(place, fault) | Next::Endless(place, fault) => {
                let reason = NotAnObject::Malformed { what: fault.reason().into(), at: 1 };
                return Err(BadRecord { index: count + 1, offset: place.start, reason });
            }
        }
    }
}

/// Appends the records of `body` to `out`, each on a line of its own: one JSON object, or an array
/// of objects. White space between their tokens is left out; all else, such as the digits of
/// numbers, stays as it is. Returns how many there are.
///
/// # Errors
/// The first that is not an object; `out` is then as it was.
pub fn lines_of(body: &[u8], out: &mut Vec<u8>) -> Result<usize, BadRecord> {
    let unmarked = without_mark(body);
    let mark = body.len() - unmarked.len();
    let text = std::str::from_utf8(unmarked).map_err(|error| {
        let offset = mark + error.valid_up_to();
        let what = "not UTF-8".to_owned();
        BadRecord { index: 1, offset, reason: NotAnObject::Malformed { what, at: offset + 1 } }
    })?;
    let old = out.len();
    let trimmed = text.trim_start_matches([' ', '\t', '\n', '\r']);
    if !trimmed.starts_with('[') {
        let start = text.len() - trimmed.len();
        each_member(text, |_, _| {}).map_err(|reason| BadRecord {
            index: 1,
            offset: mark + start,
            reason,
        })?;
        put_line(text, out);
        return Ok(1);
    }
    let mut read = Elements { text, out, count: 0, bad: None };
    let mut parser = serde_json::Deserializer::from_str(text);
    let parsed = parser.deserialize_seq(&mut read).and_then(|()| parser.end());
    let (count, bad) = (read.count, read.bad.take());
    let bad = bad.or_else(|| {
        let reason = NotAnObject::malformed(&parsed.err()?, text);
        let offset = match &reason {
            NotAnObject::Malformed { at, .. } => at.saturating_sub(1),
            NotAnObject::Other => 0,
        };
        Some(BadRecord { index: count + 1, offset, reason })
    });
    match bad {
        None => Ok(count),
        Some(bad) => {
            out.truncate(old);
            Err(BadRecord { offset: mark + bad.offset, ..bad })
        }
    }
}

fn check(record: &[u8]) -> Result<(), NotAnObject> {
    each_member(NotAnObject::text_of(record)?, |_, _| {})
}

/// Appends `json`, which is valid, without the white space between its tokens.
fn put_line(json: &str, out: &mut Vec<u8>) {
    let (mut in_string, mut escaped) = (false, false);
    out.extend(json.bytes().filter(|&byte| {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => in_string = !in_string,
            _ => {}
        }
        in_string || !matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
    }));
    out.push(b'\n');
}

/// Walks over the elements of an array.
struct Elements<'a, 'o> {
    text: &'a str,
    out: &'o mut Vec<u8>,
    count: usize,
    bad: Option<BadRecord>,
}

impl<'a> Visitor<'a> for &mut Elements<'a, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'a>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(element) = seq.next_element::<&'a RawValue>()? {
            let element = element.get();
            if let Err(reason) = each_member(element, |_, _| {}) {
                // The element is a part of the text, so this is its place there.
                let offset = element.as_ptr() as usize - self.text.as_ptr() as usize;
                self.bad = Some(BadRecord { index: self.count + 1, offset, reason });
                return Err(A::Error::custom("an element that is no object"));
            }
            self.count += 1;
            put_line(element, self.out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    use super::*;

    fn lines(body: &str) -> Result<(usize, String), (usize, usize, String)> {
        let mut out = b"before\n".to_vec();
        let read = lines_of(body.as_bytes(), &mut out);
        let text = String::from_utf8(out).unwrap();
        let text = text.strip_prefix("before\n").unwrap().to_owned();
        match read {
            Ok(count) => Ok((count, text)),
            Err(bad) => {
                assert_eq!(text, "", "nothing is accepted of a bad body");
                Err((bad.index, bad.offset, bad.reason.to_string()))
            }
        }
    }

    #[test]
    fn an_array_becomes_lines_whose_values_stay_as_they_are() {
        let body =
            "\u{feff}[\n  {\n    \"a b\": 1.500e+03,\r\n\t\"c\": \"\\\" \\n \\\\\"\n  },\n {}]\n";
        let expected = "{\"a b\":1.500e+03,\"c\":\"\\\" \\n \\\\\"}\n{}\n";
        assert_eq!(lines(body), Ok((2, expected.to_owned())));
        let exact = "{\"a\":123456789012345678901234567890.10}\n".to_owned();
        assert_eq!(lines(&exact.replace(':', ": \n\t")), Ok((1, exact)));
        assert_eq!(lines("[]"), Ok((0, String::new())));
        let deep = format!("[{{\"a\":{}1{}}}]", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(lines(&deep).unwrap().0, 1);
    }

    #[test]
    fn the_first_record_that_is_no_object_is_named() {
        let not = "not a JSON object".to_owned();
        assert_eq!(lines("[{}, {\"a\":[1]}, 5, []]"), Err((3, 16, not.clone())));
        assert_eq!(lines("  5"), Err((1, 2, not.clone())));
        assert_eq!(lines(""), Err((1, 0, not)));
        let (index, offset, reason) = lines("[{},\n{\"a\": nul}]").unwrap_err();
        assert_eq!((index, offset), (2, 14), "{reason}");
        assert_eq!(lines("[{}").unwrap_err().0, 2);
        assert_eq!(lines("[{}] {}").unwrap_err().0, 2);
        assert_eq!(lines("{} {}").unwrap_err().0, 1);
        let bad = lines_of(b"[{\"a\":\"\xff\"}]", &mut Vec::new()).unwrap_err();
        assert_eq!(bad.to_string(), "record 1, at byte 7: not valid JSON: not UTF-8 at byte 8");
    }

    #[test]
    fn lines_are_counted_and_the_first_bad_one_is_named() {
        assert_eq!(check_lines(b"\xef\xbb\xbf{\"a\":1}\r\n\n  \n {}"), Ok(2));
        assert_eq!(check_lines(b""), Ok(0));
        let bad = check_lines(b"{}\n\n[1]\n{}").unwrap_err();
        assert_eq!((bad.index, bad.offset, bad.reason), (2, 4, NotAnObject::Other));
        let bad = check_lines(b"{}\n{\"a\":1}{}\n").unwrap_err();
        assert_eq!((bad.index, bad.offset), (2, 3));
        assert_eq!(
            bad.to_string(),
            "record 2, at byte 3: not valid JSON: trailing characters at byte 8"
        );
        assert_eq!(check_lines(b"{\"a\":\"\xff\"}").unwrap_err().index, 1);
    }

    proptest! {
        #[test]
        fn the_lines_of_any_objects_are_the_same_objects(objects in prop::collection::vec(
            prop::collection::vec((".{0,4}", prop_oneof![
                ".{0,6}".prop_map(Value::from),
                any::<i64>().prop_map(Value::from),
                Just(Value::Null),
                prop::collection::vec("[\"\\\\ \n\t{}]{0,4}", 0..3).prop_map(Value::from),
            ]), 0..4), 0..4,
        )) {
            let objects: Vec<Value> = objects
                .into_iter()
                .map(|members| Value::Object(members.into_iter().collect::<Map<String, Value>>()))
                .collect();
            for body in [serde_json::to_vec(&objects), serde_json::to_vec_pretty(&objects)] {
                let mut out = Vec::new();
                prop_assert_eq!(lines_of(&body.unwrap(), &mut out), Ok(objects.len()));
                prop_assert_eq!(check_lines(&out), Ok(objects.len()));
                let lines = out.split_inclusive(|byte| *byte == b'\n');
                let read: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
                prop_assert_eq!(&read, &objects);
            }
        }
    }
}
