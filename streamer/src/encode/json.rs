//! `json` and `jsonb`: checked here, parsed again by PostgreSQL.
//!
//! Both refuse what no operator could read later (`\u0000`, lone surrogates), numbers beyond
//! `double precision` and nesting deeper than the parser's 128 levels. `jsonb` also refuses a key
//! that stands twice in one object, because PostgreSQL would keep the last one silently.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};

use super::{Refusal, numeric};

/// The text itself. Origin: src/backend/utils/adt/json.c, `json_recv`.
pub(super) fn encode_json(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    check(text, Value { unique_keys: false })?;
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// The version of the format.
const JSONB_VERSION: u8 = 1;

/// A version byte, then the text. Origin: src/backend/utils/adt/jsonb.c, `jsonb_recv`.
pub(super) fn encode_jsonb(text: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
    check_jsonb(text)?;
    out.push(JSONB_VERSION);
    out.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Checks that `text` can be a value within a `jsonb` document.
pub(super) fn check_jsonb(text: &str) -> Result<(), Refusal> {
    check(text, Value { unique_keys: true })?;
    check_numbers(text)
}

fn check(text: &str, value: Value) -> Result<(), Refusal> {
    let mut parser = serde_json::Deserializer::from_str(text);
    value
        .deserialize(&mut parser)
        .and_then(|()| parser.end())
        .map_err(|error| Refusal::malformed(format!("not accepted as JSON: {error}")))
}

/// `jsonb` keeps numbers as `numeric`, so each must be one. The text is valid JSON already.
fn check_numbers(text: &str) -> Result<(), Refusal> {
    let mut scratch = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find(|c: char| c == '"' || c == '-' || c.is_ascii_digit()) {
        rest = &rest[at..];
        if let Some(string) = rest.strip_prefix('"') {
            rest = after_string(string);
            continue;
        }
        let in_number = |c: char| matches!(c, '0'..='9' | '+' | '-' | '.' | 'e' | 'E');
        let end = rest.find(|c| !in_number(c)).unwrap_or(rest.len());
        scratch.clear();
        numeric::encode(&rest[..end], None, false, &mut scratch)?;
        rest = &rest[end..];
    }
    Ok(())
}

/// What follows a string's closing quote.
fn after_string(mut string: &str) -> &str {
    while let Some(at) = string.find(['"', '\\']) {
        let escaped = usize::from(string.as_bytes()[at] == b'\\');
        string = &string[at + 1 + escaped..];
        if escaped == 0 {
            return string;
        }
    }
    ""
}

/// Walks over a value and builds nothing.
#[derive(Clone, Copy)]
struct Value {
    unique_keys: bool,
}

/// A key of an object, decoded.
struct Key;

fn check_string<E: Error>(string: &str) -> Result<(), E> {
    if string.contains('\0') { Err(E::custom("\\u0000 in a string")) } else { Ok(()) }
}

impl<'de> DeserializeSeed<'de> for Value {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Value {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, string: &str) -> Result<(), E> {
        check_string(string)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while seq.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = map.next_key_seed(Key)? {
            if self.unique_keys && !seen.insert(key) {
                return Err(A::Error::custom("a key twice in one object"));
            }
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Key {
    type Value = String;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Key {
    type Value = String;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<String, E> {
        check_string(key)?;
        Ok(key.to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_json(text: &str) -> bool {
        encode_json(text, &mut Vec::new()).is_ok()
    }

    fn is_jsonb(text: &str) -> bool {
        encode_jsonb(text, &mut Vec::new()).is_ok()
    }

    #[test]
    fn documents_are_sent_as_written() {
        let text = " {\"a\": [1, 2.50, -1e5, \"\\u00e9\\ud83d\\ude00\"], \"b\": {\"a\": null}} ";
        let mut out = Vec::new();
        encode_json(text, &mut out).unwrap();
        assert_eq!(out, text.as_bytes());
        out.clear();
        encode_jsonb(text, &mut out).unwrap();
        assert_eq!((out[0], &out[1..]), (1, text.as_bytes()));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", " ", "{", "[1,]", "{'a':1}", "NaN", "01", "1 2", "\u{feff}1", "\"\t\"", "nul"]
        {
            assert!(!is_json(text) && !is_jsonb(text), "{text}");
        }
        for text in [r#""\u0000""#, r#"{"\u0000": 1}"#, r#""\ud800""#, r#""\udc00\ud800""#, "1e400"]
        {
            assert!(!is_json(text) && !is_jsonb(text), "{text}");
        }
        let deep = "[".repeat(100_000);
        assert!(!is_json(&deep) && !is_jsonb(&deep));
    }

    #[test]
    fn jsonb_refuses_what_postgresql_would_lose_or_cannot_keep() {
        for text in [r#"{"a":1,"a":2}"#, r#"[{"x":{"a":1,"\u0061":2}}]"#, "1e-20000"] {
            assert!(is_json(text) && !is_jsonb(text), "{text}");
        }
        assert!(is_jsonb(r#"[{"a":1},{"a":"1e-20000 \\\" 1e-20000"}]"#));
    }
}
