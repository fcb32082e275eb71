//! A JSON object as a row.

use std::borrow::Cow;

use super::kept::{JSONB_VERSION, put_string};
use super::node::Node;
use super::reason::shown;
use super::target::{Given, Target};
use super::{Layout, Reason, RowEnds, ValueRefusal};
use crate::encode::{Refusal, check_document, json_string};
use crate::format::json::{NotAnObject, each_member};

/// The members of a record, sorted by what they mean. Values are as they stand in the line.
pub(super) struct Object<'a> {
    /// By column of the table.
    pub(super) values: Vec<Option<&'a str>>,
    /// Those that are no column, with their keys; with dots between them where paths lead into an
    /// object.
    pub(super) extras: Vec<(Cow<'a, str>, &'a str)>,
    /// Those that are to be objects by a path, and are not.
    pub(super) misfits: Vec<(Cow<'a, str>, &'a str)>,
    /// The names of columns and of objects on the way that came once more.
    again: Vec<String>,
    /// The names of objects on the way to columns.
    passed: Vec<Cow<'a, str>>,
}

impl<'a> Object<'a> {
    /// Reads a record, for a table of so many columns; `find` tells what a key of the record itself
    /// means.
    ///
    /// # Errors
    /// It is not one JSON object.
    pub(super) fn read<'n>(
        text: &'a str,
        columns: usize,
        find: impl Fn(&str) -> Option<&'n Node>,
    ) -> Result<Object<'a>, NotAnObject> {
        let mut object = Object {
            values: vec![None; columns],
            extras: Vec::new(),
            misfits: Vec::new(),
            again: Vec::new(),
            passed: Vec::new(),
        };
        each_member(text, |key, value| object.take(find(&key), key, value, false))?;
        Ok(object)
    }

    /// Takes a member whose key means `node`. `is_stored` says that a column has the whole object
    /// that it is a member of.
    fn take(&mut self, node: Option<&Node>, name: Cow<'a, str>, value: &'a str, is_stored: bool) {
        let Some(node) = node else {
            if !is_stored {
                self.extras.push((name, value));
            }
            return;
        };
        if let Some(column) = node.column
            && self.values[column].replace(value).is_some()
        {
            self.again.push(name.to_string());
        }
        if node.children.is_empty() {
            return;
        }
        // On the way to a column, null is as good as nothing.
        if value != "null" {
            let is_stored = is_stored || node.column.is_some();
            let inner = |key: Cow<'a, str>, value| {
                let child = node.children.get(&*key);
                self.take(child, format!("{name}.{key}").into(), value, is_stored);
            };
            if each_member(value, inner).is_err() {
                self.misfits.push((name.clone(), value));
            }
        }
        self.passed.push(name);
    }

    /// The keys that come more than once.
    pub(super) fn twice(&self) -> Vec<String> {
        let mut twice = self.again.clone();
        let extras = self.extras.iter().map(|(name, _)| name);
        let mut names: Vec<&str> = extras.chain(&self.passed).map(|name| &**name).collect();
        names.sort_unstable();
        twice.extend(names.windows(2).filter(|w| w[0] == w[1]).map(|w| w[0].to_owned()));
        twice.sort_unstable();
        twice.dedup();
        twice
    }
}

/// A reason that concerns the value under a key.
pub(super) fn reason_of(name: &str, json: &str, refusal: Refusal) -> Reason {
    let text = json.starts_with('"').then(|| json_string(json).ok()).flatten();
    let text = text.unwrap_or(Cow::Borrowed(json));
    let refusal = (refusal.sqlstate, refusal.reason);
    Reason::of_value(&shown(name.as_bytes()), text.as_bytes(), refusal)
}

impl Layout {
    /// Appends an object's row to `out`, as [`Layout::encode`] does.
    pub(super) fn encode_object(
        &self,
        object: &Object<'_>,
        out: &mut Vec<u8>,
        reasons: &mut Vec<Reason>,
    ) -> RowEnds {
        let given = |target: &Target| given(target, object.values[target.field]);
        let key = self.put_targets(out, given, |target, (sqlstate, reason)| {
            reasons.push(match object.values[target.field] {
                Some(json) => reason_of(&target.name, json, Refusal { sqlstate, reason }),
                None => Reason::of_column(&target.name, sqlstate, reason),
            });
        });
        if self.kept.is_some() {
            let at = out.len();
            put_extras(object, out, reasons);
            self.keep_as_sent(out, at);
        }
        self.end_row(key, out, given, reasons)
    }
}

/// What an object has for a column; `None` for NULL.
fn given<'a>(target: &Target, value: Option<&'a str>) -> Result<Option<Given<'a>>, ValueRefusal> {
    match value {
        Some(json) if json != "null" => Ok(Some(Given::Json(json))),
        _ if target.not_null => {
            let what = if value.is_some() { "null" } else { "missing" };
            Err(("23502", format!("{what}, but the column must have a value").into()))
        }
        _ => Ok(None),
    }
}

/// Appends the members that are no column as one jsonb object, with its length.
fn put_extras(object: &Object<'_>, out: &mut Vec<u8>, reasons: &mut Vec<Reason>) {
    let at = out.len();
    out.extend([0; 4]);
    out.push(JSONB_VERSION);
    out.push(b'{');
    for (index, (name, value)) in object.extras.iter().enumerate() {
        if index > 0 {
            out.push(b',');
        }
        put_string(name, out);
        out.push(b':');
        out.extend_from_slice(value.as_bytes());
        let name_refusal = name.contains('\0').then(Refusal::nul);
        let refusal = name_refusal.or_else(|| check_document(value).err());
        reasons.extend(refusal.map(|refusal| reason_of(name, value, refusal)));
    }
    out.push(b'}');
    match i32::try_from(out.len() - at - 4) {
        Ok(len) => out[at..at + 4].copy_from_slice(&len.to_be_bytes()),
        Err(_) => reasons.push(Reason::of_record("54000", "the record is longer than 2 GiB")),
    }
}
