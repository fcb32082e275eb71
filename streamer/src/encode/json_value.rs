//! JSON values -> values of a column.
//!
//! A string stands for its text, a number, `true` or `false` for itself, as if it stood in a CSV
//! field. A `json` or `jsonb` column takes any value as it stands; an array is one for a column of
//! arrays, too.

use std::borrow::Cow;

use super::{Kind, Refusal, Type, array_json, json};

impl Type {
    /// Appends the bytes of a JSON value other than null, without the length in front, as
    /// [`Type::encode`] does. `json` is valid JSON without white space around it.
    ///
    /// # Errors
    /// The value is none of the type.
    pub fn encode_json_value(&self, json: &str, out: &mut Vec<u8>) -> Result<(), Refusal> {
        match (&self.0, json.as_bytes().first()) {
            (Kind::Json | Kind::Jsonb, _) => self.encode(json, out),
            (Kind::Array(array), Some(b'[')) => array_json::encode_json(json, array, out),
            // It may well be a text of the type: `[1,2]` is a vector.
            (Kind::Opaque { .. }, Some(b'[' | b'{')) => self.encode(json, out),
            (_, Some(b'[')) => Err(Refusal::malformed("a JSON array, which the column can't take")),
            (_, Some(b'{')) => {
                Err(Refusal::malformed("a JSON object, which the column can't take"))
            }
            (_, Some(b'"')) => self.encode(&json_string(json)?, out),
            _ => self.encode(json, out),
        }
    }

    /// The text that means the same as a JSON value which [`Type::encode_json_value`] takes.
    ///
    /// # Errors
    /// The value is none of the type.
    pub fn text_of_json<'j>(&self, json: &'j str) -> Result<Cow<'j, str>, Refusal> {
        match (&self.0, json.as_bytes().first()) {
            (Kind::Json | Kind::Jsonb, _) => Ok(Cow::Borrowed(json)),
            (Kind::Array(array), Some(b'[')) => {
                array_json::text_of_json(json, array).map(Cow::Owned)
            }
            (_, Some(b'"')) => json_string(json),
            _ => Ok(Cow::Borrowed(json)),
        }
    }

    /// Whether a value is a JSON document.
    pub(super) fn is_json(&self) -> bool {
        matches!(self.0, Kind::Json | Kind::Jsonb)
    }
}

/// Checks that `text`, which is valid JSON, can be a value within a `jsonb` document.
///
/// # Errors
/// See the table in the module above.
pub fn check_document(text: &str) -> Result<(), Refusal> {
    json::check_jsonb(text)
}

/// The text of a JSON string, which stands in its quotes.
///
/// # Errors
/// When an escape in it is no character.
pub fn json_string(json: &str) -> Result<Cow<'_, str>, Refusal> {
    let inner = json.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    match inner.filter(|inner| !inner.contains('\\')) {
        Some(plain) => Ok(Cow::Borrowed(plain)),
        None => serde_json::from_str(json)
            .map(Cow::Owned)
            .map_err(|error| Refusal::malformed(format!("not accepted as a JSON string: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn encode(kind: Kind, json: &str) -> Result<Vec<u8>, &'static str> {
        let mut out = Vec::new();
        Type(kind).encode_json_value(json, &mut out).map_err(|refusal| refusal.sqlstate)?;
        Ok(out)
    }

    #[test]
    fn scalars_mean_what_their_text_means() {
        let text = || Kind::Text(None);
        assert_eq!(encode(text(), r#""a\u00e9\n""#), Ok("aé\n".into()));
        assert_eq!(encode(text(), "\"\""), Ok(Vec::new()));
        assert_eq!(encode(text(), "1.50"), Ok(b"1.50".to_vec()));
        assert_eq!(encode(text(), "true"), Ok(b"true".to_vec()));
        assert_eq!(encode(Kind::Bool, "false"), Ok(vec![0]));
        assert_eq!(encode(Kind::Int2, "7"), encode(Kind::Int2, "\"7\""));
        assert_eq!(encode(Kind::Int8, "9223372036854775807"), Ok(i64::MAX.to_be_bytes().to_vec()));
        assert_eq!(encode(Kind::Int8, "9223372036854775808"), Err("22003"));
        for (kind, json) in [
            (Kind::Int2, "1.0"),
            (Kind::Int2, "true"),
            (Kind::Int2, "\"\""),
            (Kind::Int2, "[1]"),
            (Kind::Bool, "\"maybe\""),
            (text(), "{}"),
            (text(), "[]"),
            (text(), r#""\ud800""#),
        ] {
            assert_eq!(encode(kind, json), Err("22P02"), "{json}");
        }
        assert_eq!(encode(text(), r#""\u0000""#), Err("22021"));
    }

    #[test]
    fn documents_stand_as_they_are() {
        for json in ["{\"a\": [1.50, null]}", "\"a\\n\"", "1.50", "true", "[]"] {
            assert_eq!(encode(Kind::Json, json), Ok(json.into()));
            assert_eq!(encode(Kind::Jsonb, json), Ok(format!("\u{1}{json}").into()));
        }
        assert_eq!(encode(Kind::Jsonb, "{\"a\":1,\"a\":2}"), Err("22P02"));
        let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(encode(Kind::Jsonb, &deep), Err("22P02"));
    }
}
