//! Columns that the table lacks, kept as one JSON object in a column of its own.

use std::collections::{HashMap, HashSet};

use super::header::shown_name;
use super::reason::NOT_UTF8;
use super::{HeaderError, Reason};
use crate::format::Fields;

/// The version of PostgreSQL's binary form of jsonb. Origin: src/backend/utils/adt/jsonb.c,
/// `jsonb_recv`.
pub(super) const JSONB_VERSION: u8 = 1;

/// Which fields of a record go into the object.
#[derive(Debug)]
pub(super) struct Kept {
    /// The column that takes the object.
    pub(super) column: String,
    fields: Vec<KeptField>,
}

#[derive(Debug)]
struct KeptField {
    /// Which field of the record.
    field: usize,
    /// Its name in the header.
    name: String,
    /// What comes before its value, from `{` or `,` to `:`.
    before: Vec<u8>,
}

impl Kept {
    /// Keeps `extras`, fields with their names, in `column`. `matched` are the columns in the file.
    ///
    /// # Errors
    /// When a name comes twice, or is the column's own.
    pub(super) fn new(
        column: &str,
        matched: &HashMap<&str, usize>,
        extras: &[(usize, &str)],
    ) -> Result<Kept, HeaderError> {
        if matched.contains_key(column) {
            return Err(HeaderError::KeepsOthers(column.to_owned()));
        }
        let (mut names, mut fields) = (HashSet::new(), Vec::new());
        for (field, name) in extras {
            if !names.insert(*name) {
                return Err(HeaderError::Twice(shown_name(*field, name)));
            }
            let mut before = if fields.is_empty() { b"{".to_vec() } else { b",".to_vec() };
            put_string(name, &mut before);
            before.push(b':');
            fields.push(KeptField { field: *field, name: (*name).to_owned(), before });
        }
        Ok(Kept { column: column.to_owned(), fields })
    }

    /// Appends the object with its length: texts by the names of their columns, null where an
    /// unquoted text `is_null`. What can't be in it adds a reason.
    pub(super) fn put(
        &self,
        record: &Fields<'_>,
        is_null: impl Fn(&str) -> bool,
        out: &mut Vec<u8>,
        reasons: &mut Vec<Reason>,
    ) {
        let at = out.len();
        out.extend([0; 4]);
        out.push(JSONB_VERSION);
        for KeptField { field, name, before } in &self.fields {
            out.extend_from_slice(before);
            let refusal = match record.text(*field) {
                None => Some(NOT_UTF8),
                Some(text) if text.contains('\0') => {
                    Some(("22021", "holds a NUL character".into()))
                }
                Some(text) if is_null(text) && !record.is_quoted(*field) => {
                    out.extend_from_slice(b"null");
                    None
                }
                Some(text) => {
                    put_string(text, out);
                    None
                }
            };
            reasons.extend(refusal.map(|r| Reason::of_value(name, record.bytes(*field), r)));
        }
        out.extend_from_slice(if self.fields.is_empty() { b"{}" } else { b"}" });
        match i32::try_from(out.len() - at - 4) {
            Ok(len) => out[at..at + 4].copy_from_slice(&len.to_be_bytes()),
            Err(_) => reasons.push(Reason::of_record("54000", "the record is longer than 2 GiB")),
        }
    }
}

/// Appends `text` as a JSON string.
pub(super) fn put_string(text: &str, out: &mut Vec<u8>) {
    serde_json::to_writer(out, text).expect("a string becomes JSON, and a Vec takes it");
}
