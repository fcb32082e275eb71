//! Which rows a reader wants: those whose columns have the values that it names.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::http::{StatusCode, Uri};

use crate::http::answer::Refusal;

/// How many columns may be named.
const COLUMNS_MAX: usize = 8;

/// What a parameter begins with that names a column.
const WHERE: &str = "where.";

/// The columns that must have these values, by their text; all rows where none is named.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Wanted(BTreeMap<String, String>);

impl Wanted {
    /// What the part of an address behind the `?` says.
    ///
    /// # Errors
    /// It says something else.
    pub(super) fn parse(query: &str) -> Result<Wanted, Refusal> {
        let wrong = || {
            let message = format!(
                "the only parameters are {WHERE}COLUMN=VALUE, of at most {COLUMNS_MAX} columns, each once"
            );
            Refusal::new(StatusCode::BAD_REQUEST, message)
        };
        let uri: Uri = format!("/?{query}").parse().map_err(|_| wrong())?;
        let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri).map_err(|_| wrong())?;
        let mut wanted = BTreeMap::new();
        for (name, value) in pairs.0 {
            let column = name.strip_prefix(WHERE).ok_or_else(wrong)?;
            if wanted.insert(column.to_owned(), value).is_some() || wanted.len() > COLUMNS_MAX {
                return Err(wrong());
            }
        }
        Ok(Wanted(wanted))
    }

    /// The columns that are named.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Whether a row is wanted of which `value_of` tells the value of a column.
    pub(super) fn takes<'v>(&self, value_of: impl Fn(&str) -> Option<&'v str>) -> bool {
        self.0.iter().all(|(column, value)| value_of(column) == Some(value))
    }
}

#[cfg(test)]
mod tests {
    use super::Wanted;

    #[test]
    fn columns_are_named_by_parameters() {
        let wanted = Wanted::parse("where.category=toys%20%26%20more&where.user_id=7").unwrap();
        assert_eq!(wanted.columns().collect::<Vec<_>>(), ["category", "user_id"]);
        let takes = |category, user| {
            wanted.takes(|column| if column == "user_id" { user } else { category })
        };
        assert!(takes(Some("toys & more"), Some("7")));
        assert!(!takes(Some("toys & more"), None) && !takes(Some("toys"), Some("7")));
        assert!(Wanted::parse("").unwrap().takes(|_| None));
        let many: Vec<String> = (0..9).map(|n| format!("where.c{n}=")).collect();
        for wrong in ["key=1", "where.a=1&where.a=2", &many.join("&")] {
            assert!(Wanted::parse(wrong).is_err(), "{wrong}");
        }
    }
}
