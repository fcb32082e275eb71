//! JSON lines (NDJSON): an object on each line, cut off the front of a buffer like any record.
//!
//! Values are handed on as they stand in the line, so that numbers keep their digits; only strings
//! that are keys are unescaped. Line ends are those of CSV: LF, CRLF and lone CR. JSON allows none
//! of them inside a string, so a line never ends within a value by mistake.

use std::borrow::Cow;
use std::fmt;

use memchr::memchr2;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::cut::{Cut, Fault, is_half_line_end, line_end, resumed_after};
use super::{About, Fields, Split};

/// Cuts lines off buffers.
#[derive(Debug)]
pub(super) struct Splitter {
    record_bytes_max: usize,
}

impl Split for Splitter {
    const ABOUT: About =
        About { endings: &[".ndjson", ".jsonl"], delimiter: None, spans_lines: false };

    fn new(record_bytes_max: usize) -> Splitter {
        Splitter { record_bytes_max }
    }

    fn cut(&mut self, buffer: &[u8], complete: bool) -> Cut {
        cut(buffer, complete, self.record_bytes_max)
    }

    fn fields<'a>(&'a self, _raw: &'a [u8]) -> Fields<'a> {
        Fields::none()
    }
}

/// Cuts one line off the front of `buffer`; what it holds is not looked at.
fn cut(buffer: &[u8], complete: bool, record_bytes_max: usize) -> Cut {
    let start = buffer.iter().take_while(|byte| is_space(**byte)).count();
    if start == buffer.len() {
        let next = start - usize::from(is_half_line_end(buffer, complete));
        return if next == 0 { Cut::Incomplete } else { Cut::Blank { next } };
    }
    let window = &buffer[start..buffer.len().min(start + record_bytes_max + 1)];
    let fault = Fault::TooLong { limit: record_bytes_max };
    match memchr2(b'\n', b'\r', window) {
        Some(len) if start + len + 1 == buffer.len() && is_half_line_end(buffer, complete) => {
            Cut::Incomplete
        }
        Some(len) => {
            let end = start + len;
            let next = line_end(buffer, end);
            match len < record_bytes_max {
                true => Cut::Record { start, end, next, lines: 1 },
                false => Cut::Malformed { start, end, next, fault },
            }
        }
        None if window.len() > record_bytes_max => {
            resumed_after(buffer, start, start, fault, complete)
        }
        None if complete => Cut::Record { start, end: buffer.len(), next: buffer.len(), lines: 0 },
        None => Cut::Incomplete,
    }
}

/// What JSON allows between values.
fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r')
}

/// Why a text is not one JSON object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnObject {
    /// It is valid JSON at its beginning at least, but something else than an object.
    #[error("not a JSON object")]
    Other,
    /// It is not JSON.
    #[error("not valid JSON: {what} at byte {at}")]
    Malformed {
        /// What is wrong, without anything of the text.
        what: String,
        /// At which byte of the text, from 1.
        at: usize,
    },
}

/// Shows each member of the object that `text` is to `take`: its key, and its value as it stands.
/// Values are valid JSON, but what their strings' escapes mean is not looked at. Goes only into the
/// object itself, so that no depth of nesting matters.
///
/// # Errors
/// When `text` is not one object; `take` may have seen its first members by then.
pub fn each_member<'a>(
    text: &'a str,
    take: impl FnMut(Cow<'a, str>, &'a str),
) -> Result<(), NotAnObject> {
    if !text.trim_start_matches([' ', '\t', '\n', '\r']).starts_with('{') {
        return Err(NotAnObject::Other);
    }
    let mut parser = serde_json::Deserializer::from_str(text);
    let read = parser.deserialize_map(Members(take)).and_then(|()| parser.end());
    read.map_err(|error| NotAnObject::malformed(&error, text))
}

impl NotAnObject {
    /// The text of a record.
    ///
    /// # Errors
    /// When it is not UTF-8, as JSON has to be.
    pub fn text_of(record: &[u8]) -> Result<&str, NotAnObject> {
        std::str::from_utf8(record).map_err(|error| NotAnObject::Malformed {
            what: "not UTF-8".to_owned(),
            at: error.valid_up_to() + 1,
        })
    }

    pub(super) fn malformed(error: &serde_json::Error, text: &str) -> NotAnObject {
        let place = format!(" at line {} column {}", error.line(), error.column());
        let what = error.to_string();
        let what = what.strip_suffix(&place).unwrap_or(&what).to_owned();
        NotAnObject::Malformed { what, at: offset(text, error) }
    }
}

/// Where an error in `text` is, in bytes from 1.
fn offset(text: &str, error: &serde_json::Error) -> usize {
    let lines = text.split_inclusive('\n').take(error.line().saturating_sub(1));
    lines.map(str::len).sum::<usize>() + error.column()
}

/// Walks over the members of an object.
struct Members<F>(F);

impl<'a, F: FnMut(Cow<'a, str>, &'a str)> Visitor<'a> for Members<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key_seed(Key)? {
            let value: &'a RawValue = map.next_value()?;
            (self.0)(key, value.get());
        }
        Ok(())
    }
}

/// A key, borrowed where it has no escapes.
struct Key;

impl<'a> DeserializeSeed<'a> for Key {
    type Value = Cow<'a, str>;

    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Cow<'a, str>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'a> Visitor<'a> for Key {
    type Value = Cow<'a, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_borrowed_str<E: Error>(self, key: &'a str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Borrowed(key))
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<Cow<'a, str>, E> {
        Ok(Cow::Owned(key.to_owned()))
    }
}

#[cfg(test)]
#[path = "json_tests.rs"]
mod tests;
