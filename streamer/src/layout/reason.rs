//! Why records could not become rows, in words that can be shown.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a value is refused: the SQLSTATE, and the reason in words.
pub(super) type ValueRefusal = (&'static str, Cow<'static, str>);

pub(super) const NOT_UTF8: ValueRefusal = ("22021", Cow::Borrowed("not valid UTF-8"));

/// One reason why a record could not become a row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reason {
    /// The column, where one value is at fault.
    pub column: Option<String>,
    /// Its text, cut to 200 characters, with bytes that are no text escaped.
    pub value: Option<String>,
    /// The SQLSTATE that PostgreSQL gives, or would have given.
    pub sqlstate: String,
    /// What is wrong, in words.
    pub reason: String,
    /// What PostgreSQL adds: which values, which row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// How much of a refused value a reason shows; the whole record is kept beside it.
const VALUE_CHARS_MAX: usize = 200;

/// A record that can't be a row for a fault of its own: bad CSV.
pub const BAD_COPY_FILE_FORMAT: &str = "22P04";

/// The table has no such column.
const UNDEFINED_COLUMN: &str = "42703";

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.column, &self.value) {
            (Some(column), Some(value)) => {
                write!(f, "{} \"{value}\": ", escaped(column.as_bytes()))?;
            }
            (Some(column), None) => write!(f, "{}: ", escaped(column.as_bytes()))?,
            _ => {}
        }
        f.write_str(&self.reason)?;
        self.detail.iter().try_for_each(|detail| write!(f, ": {detail}"))
    }
}

impl Reason {
    /// A reason that concerns one column's value.
    pub(super) fn of_value(column: &str, value: &[u8], (sqlstate, reason): ValueRefusal) -> Reason {
        Reason {
            column: Some(column.to_owned()),
            value: Some(shown(value)),
            sqlstate: sqlstate.to_owned(),
            reason: reason.into_owned(),
            detail: None,
        }
    }

    /// A reason that concerns a column that has no value.
    pub(super) fn of_column(column: &str, sqlstate: &str, reason: Cow<'static, str>) -> Reason {
        Reason {
            column: Some(column.to_owned()),
            value: None,
            sqlstate: sqlstate.to_owned(),
            reason: reason.into_owned(),
            detail: None,
        }
    }

    /// Whether it depends on the table's columns.
    pub fn is_of_table(&self) -> bool {
        self.column.is_some() || self.sqlstate == UNDEFINED_COLUMN
    }

    /// A reason that concerns the record as a whole.
    pub fn of_record(sqlstate: &str, reason: impl Into<String>) -> Reason {
        Reason {
            column: None,
            value: None,
            sqlstate: sqlstate.to_owned(),
            reason: reason.into(),
            detail: None,
        }
    }
}

/// Bytes as a terminal may show them: control characters and bad UTF-8 are escaped.
pub fn escaped(bytes: &[u8]) -> String {
    let mut text = String::new();
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
        }
        text.extend(chunk.invalid().iter().map(|byte| format!("\\x{byte:02x}")));
    }
    text
}

/// A value as a message may show it: escaped, and not too long.
pub(super) fn shown(value: &[u8]) -> String {
    // A character has at most 4 bytes.
    let text = escaped(&value[..value.len().min(4 * VALUE_CHARS_MAX)]);
    match text.char_indices().nth(VALUE_CHARS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None if value.len() > 4 * VALUE_CHARS_MAX => format!("{text}…"),
        None => text,
    }
}
