//! A header's names and a table's columns.

use std::collections::HashMap;

use crate::schema::Table;

/// Why a file's header does not fit the table.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    /// No name in the header is a column.
    #[error(
        "line 1 names none of the table's columns ({expected}); is it a header, and the delimiter a \
         comma?"
    )]
    MatchesNothing {
        /// The table's columns.
        expected: String,
    },
    /// The same name twice.
    #[error("line 1 names column {0} twice; rename one of them")]
    Twice(String),
    /// The column that keeps those which the table lacks is in the file itself.
    #[error(
        "line 1 names {0}, the column that keeps what the table lacks; rename it, or name another \
         extra_column for this stream in streams.toml"
    )]
    KeepsOthers(String),
    /// Names that are not columns.
    #[error(
        "line 1 names {0}, which the table does not have; add the column, or set extra = \"ignore\" or \
         \"keep\" for this stream in streams.toml"
    )]
    Extra(String),
    /// A column that must have a value is not in the file.
    #[error("line 1 lacks {0}, which the table requires (NOT NULL without a default)")]
    Lacks(String),
    /// A column's type has no encoder.
    #[error("column {column} has type {type_name}, which can't be loaded from text yet")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type as SQL spells it.
        type_name: String,
    },
}

/// How many columns that the table lacks an error names.
const EXTRAS_SHOWN: usize = 5;

/// How a header's names fit a table's columns.
pub(super) struct Matched<'t> {
    /// The field of each column that is in the file.
    pub(super) fields: HashMap<&'t str, usize>,
    /// Fields that are no column, with their names.
    pub(super) extras: Vec<(usize, String)>,
}

pub(super) fn match_names<'t>(
    header: &[String],
    table: &'t Table,
) -> Result<Matched<'t>, HeaderError> {
    let mut matched = Matched { fields: HashMap::new(), extras: Vec::new() };
    for (field, name) in header.iter().enumerate() {
        let name = name.trim();
        let folded = || table.columns.iter().find(|c| c.name.eq_ignore_ascii_case(name));
        match table.column(name).or_else(folded) {
            None => matched.extras.push((field, name.to_owned())),
            // An export of the table itself has these; the row's new origin is what counts.
            Some(column) if Table::fills(column) => {}
            Some(column) => {
                if matched.fields.insert(column.name.as_str(), field).is_some() {
                    return Err(HeaderError::Twice(column.name.clone()));
                }
            }
        }
    }
    if matched.extras.len() == header.len() {
        let expected: Vec<&str> = table.columns.iter().map(|c| c.name.as_str()).collect();
        return Err(HeaderError::MatchesNothing { expected: expected.join(", ") });
    }
    Ok(matched)
}

impl HeaderError {
    /// The table lacks these fields.
    pub(super) fn extra(extras: &[(usize, String)]) -> HeaderError {
        let shown = extras.iter().take(EXTRAS_SHOWN);
        let mut names: Vec<String> = shown.map(|(field, name)| shown_name(*field, name)).collect();
        let more = extras.len().saturating_sub(EXTRAS_SHOWN);
        names.extend((more > 0).then(|| format!("{more} more")));
        HeaderError::Extra(names.join(", "))
    }
}

/// A header's name as a message may show it. What looks like no name may be a record in the
/// header's place, and is not shown.
pub(super) fn shown_name(field: usize, name: &str) -> String {
    let is_name = name.len() <= 63
        && name.starts_with(|c: char| c.is_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_alphanumeric() || "_ -".contains(c));
    if is_name { name.to_owned() } else { format!("column {}", field + 1) }
}
