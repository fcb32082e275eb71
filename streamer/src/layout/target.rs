//! A column that is read from records, and how its values are put into rows.

use std::borrow::Cow;

use super::reason::ValueRefusal;
use crate::encode::{Refusal, Type};
use crate::schema::Column;

/// A column that is read from records.
#[derive(Debug)]
pub(super) struct Target {
    /// Which field of the record.
    pub(super) field: usize,
    pub(super) name: String,
    pub(super) not_null: bool,
    pub(super) encoding: Type,
}

/// A value as it stands in a record.
#[derive(Debug, Clone, Copy)]
pub(super) enum Given<'a> {
    Text(&'a str),
    Json(&'a str),
}

impl Target {
    pub(super) fn new(field: usize, column: &Column) -> Target {
        let (name, encoding) = (column.name.clone(), column.encoding.clone());
        Target { field, name, not_null: column.not_null, encoding }
    }

    /// Appends a value with its length, in its binary form.
    pub(super) fn put(
        &self,
        given: Option<Given<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueRefusal> {
        let Some(given) = given else {
            put_null(out);
            return Ok(());
        };
        put_value(out, |out| match given {
            Given::Text(text) => self.encoding.encode(text, out),
            Given::Json(json) => self.encoding.encode_json_value(json, out),
        })
    }

    /// Appends the text of a value with its length. What has a binary form is judged by that, so
    /// that the same texts are taken.
    pub(super) fn put_text(
        &self,
        given: Option<Given<'_>>,
        out: &mut Vec<u8>,
    ) -> Result<(), ValueRefusal> {
        let at = out.len();
        self.put(given, out)?;
        if let Some(given) = given {
            out.truncate(at);
            put_value(out, |out| {
                let text = match given {
                    Given::Text(text) => Cow::Borrowed(text),
                    Given::Json(json) => self.encoding.text_of_json(json)?,
                };
                out.extend_from_slice(text.as_bytes());
                Ok(())
            })?;
        }
        Ok(())
    }
}

/// Appends NULL.
pub(super) fn put_null(out: &mut Vec<u8>) {
    out.extend((-1_i32).to_be_bytes());
}

/// Appends what `encode` appends, with its length in front.
fn put_value(
    out: &mut Vec<u8>,
    encode: impl FnOnce(&mut Vec<u8>) -> Result<(), Refusal>,
) -> Result<(), ValueRefusal> {
    let at = out.len();
    out.extend([0; 4]);
    encode(out).map_err(|refusal| (refusal.sqlstate, refusal.reason))?;
    set_length(out, at)
}

/// Notes the length of the value that was appended behind the four bytes at `at`.
pub(super) fn set_length(out: &mut [u8], at: usize) -> Result<(), ValueRefusal> {
    let len = i32::try_from(out.len() - at - 4)
        .map_err(|_| ("54000", "the value is longer than 2 GiB".into()))?;
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
    Ok(())
}
