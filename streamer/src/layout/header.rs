//! A header's names and a table's columns.

use std::collections::HashMap;

use super::names::{Named, Names, is_cut};
use super::reason::shown;
use crate::schema::Table;
use crate::sql::quote;

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
    /// A name that may be any of several columns.
    #[error("line 1 names {name}: {}; write it as the column is called", ambiguous(columns))]
    Ambiguous {
        /// The name in the header.
        name: String,
        /// The columns.
        columns: Vec<String>,
    },
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
}

/// How many columns that the table lacks an error names.
const EXTRAS_SHOWN: usize = 5;

/// How a header's names fit a table's columns.
pub(super) struct Matched<'t> {
    /// The field of each column that is in the file.
    pub(super) fields: HashMap<&'t str, usize>,
    /// Fields that are no column, with their names.
    pub(super) extras: Vec<(usize, &'t str)>,
    /// What a person should know of how the names were understood.
    pub(super) notices: Vec<String>,
}

pub(super) fn match_names<'t>(
    header: &'t [String],
    table: &'t Table,
) -> Result<Matched<'t>, HeaderError> {
    let names = Names::new(table);
    let (fields, extras, notices) = (HashMap::new(), Vec::new(), Vec::new());
    let mut matched = Matched { fields, extras, notices };
    for (field, name) in header.iter().enumerate() {
        let name = name.trim();
        let column = match names.find(name) {
            Named::Column(at) => &table.columns[at],
            Named::Generated => {
                matched.notices.push(left_out(name, table));
                continue;
            }
            Named::Unknown => {
                matched.extras.push((field, name));
                continue;
            }
            Named::Ambiguous(columns) => {
                return Err(HeaderError::Ambiguous { name: shown_name(field, name), columns });
            }
        };
        if is_cut(name) {
            let (name, kept) = (shown_name(field, name), &column.name);
            let notice = format!("{name} is column {kept}, whose name PostgreSQL has cut");
            matched.notices.push(notice);
        }
        // An export of a table that the streamer has made has these; what counts is where the row
        // comes from now.
        if table.fills(column) {
            continue;
        }
        if matched.fields.insert(column.name.as_str(), field).is_some() {
            return Err(HeaderError::Twice(column.name.clone()));
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
    pub(super) fn extra(extras: &[(usize, &str)]) -> HeaderError {
        let shown = extras.iter().take(EXTRAS_SHOWN);
        let mut names: Vec<String> = shown.map(|(field, name)| shown_name(*field, name)).collect();
        let more = extras.len().saturating_sub(EXTRAS_SHOWN);
        names.extend((more > 0).then(|| format!("{more} more")));
        HeaderError::Extra(names.join(", "))
    }
}

/// A header's name as a message may show it: escaped, cut, in quotes where a comma would mislead.
pub(super) fn shown_name(field: usize, name: &str) -> String {
    if name.is_empty() {
        return format!("column {} (which has no name)", field + 1);
    }
    let shown = shown(name.as_bytes());
    if shown.contains([',', '"', ';', '\'']) { format!("'{shown}'") } else { shown }
}

/// Why a name does not tell which column is meant.
pub(super) fn ambiguous(columns: &[String]) -> String {
    let columns: Vec<String> = columns.iter().map(|column| quote(column)).collect();
    format!("it may be {}", columns.join(" or "))
}

/// That values of a generated column are not used.
pub(super) fn left_out(name: &str, table: &Table) -> String {
    let table = &table.quoted_name;
    format!("{} is a generated column of {table}: its values are left out", shown(name.as_bytes()))
}
