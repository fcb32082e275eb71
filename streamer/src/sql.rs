//! SQL text: the one place where names become part of a statement.
//!
//! Values are never pasted into SQL: they are bound, or sent by COPY. Names of tables and columns
//! can't be bound, so they go through [`quote`].

#![expect(clippy::disallowed_types, reason = "this is the place")]

use sqlx::AssertSqlSafe;

/// Quotes one identifier, so that any name is only ever a name.
///
/// Source: PostgreSQL, "Lexical Structure", quoted identifiers: a `"` inside is doubled.
pub fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Declares a statement made at run time to be safe: all names in it went through [`quote`].
pub(crate) fn made(statement: String) -> AssertSqlSafe<String> {
    AssertSqlSafe(statement)
}

#[cfg(test)]
mod tests {
    use super::quote;

    #[test]
    fn a_name_stays_a_name_whatever_is_in_it() {
        assert_eq!(quote("price"), r#""price""#);
        assert_eq!(quote(r#"a"; drop table t;--"#), r#""a""; drop table t;--""#);
    }
}
