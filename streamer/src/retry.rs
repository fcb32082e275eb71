//! What to do about an error of the database: the one table of SQLSTATE classes, and the pauses
//! between tries.
//!
//! Nothing decides by the text of a message.

use std::borrow::Cow;
use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBackoff, ExponentialBuilder};
use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;

/// What an error calls for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// The server or the way to it is unwell: the same work may succeed later.
    Retry,
    /// A record is at fault: it becomes a duplicate or a dead letter, the others go on.
    Data,
    /// A setting, a right or a table is at fault: stop and tell the user. Also for all that is
    /// unknown, because going on could lose data.
    Stop,
}

/// A column is not what rows were encoded for. It comes as a [`sqlx::Error::Configuration`].
#[derive(Debug, thiserror::Error)]
#[error("column {column} of table {table} is {} now, not {before}", now.as_deref().unwrap_or("away"))]
pub struct TableChanged {
    /// The table's full name, quoted.
    pub table: String,
    /// The column's name.
    pub column: String,
    /// Its type when the streamer read the table's description.
    pub before: String,
    /// Its type now, if it is there.
    pub now: Option<String>,
}

/// The remedy for `error`.
pub fn remedy(error: &sqlx::Error) -> Remedy {
    match error {
        sqlx::Error::Database(error) => remedy_of(error.as_ref()),
        // Protocol: the server went away in the middle of a message, or answered out of turn after
        // a cut connection; a new connection starts afresh.
        sqlx::Error::Io(_) | sqlx::Error::Protocol(_) | sqlx::Error::WorkerCrashed => Remedy::Retry,
        _ => Remedy::Stop,
    }
}

/// The remedy for an error that PostgreSQL reports. What a trigger or a function of the table
/// raises by RAISE is about its row, whatever SQLSTATE it chooses, unless that asks for another
/// try. And so is a state that it lacks, such as a sequence without a current value: that of the
/// server is told without a context. What class 42 says of a value that COPY reads as text, such as
/// that there is no table of the name which a regclass has, is about its row, too.
///
/// Source: src/pl/plpgsql/src/pl_exec.c, exec_stmt_raise; the protocol's field R names the routine.
pub fn remedy_of(error: &dyn DatabaseError) -> Remedy {
    let is_of_row = match (error.code().as_deref(), context(error)) {
        (Some("55000"), Some(_)) => true,
        (Some(code), Some(context)) => code.starts_with("42") && !is_of_function(context),
        _ => false,
    };
    if is_of_row {
        return Remedy::Data;
    }
    let remedy = error.code().map_or(Remedy::Stop, |code| remedy_of_sqlstate(&code));
    if remedy == Remedy::Stop && is_raised(error) { Remedy::Data } else { remedy }
}

/// Whether the table has no partition for a row. A row that breaks a CHECK has the same SQLSTATE;
/// the routine tells them apart.
///
/// Source: src/backend/executor/execPartition.c, ExecFindPartition.
pub fn is_no_partition(error: &dyn DatabaseError) -> bool {
    let postgres = error.try_downcast_ref::<PgDatabaseError>();
    error.code().as_deref() == Some("23514")
        && postgres.and_then(PgDatabaseError::routine) == Some("ExecFindPartition")
}

fn is_raised(error: &dyn DatabaseError) -> bool {
    let postgres = error.try_downcast_ref::<PgDatabaseError>();
    postgres.and_then(PgDatabaseError::routine) == Some("exec_stmt_raise")
}

/// An error as the log may show it. What a trigger raises may quote its row.
pub fn shown(error: &sqlx::Error) -> String {
    match error.as_database_error().filter(|error| is_raised(*error)) {
        Some(raised) => {
            let code = raised.code().unwrap_or_default();
            format!("a trigger or a function raises SQLSTATE {code}")
        }
        None => error.to_string(),
    }
}

/// The remedy for an error with this SQLSTATE.
///
/// Source: PostgreSQL, "Appendix A. PostgreSQL Error Codes".
pub fn remedy_of_sqlstate(code: &str) -> Remedy {
    match (code.get(..2).unwrap_or_default(), code) {
        // Idle-in-transaction timeout: the streamer itself was stopped for too long.
        (_, "25P03") => Remedy::Retry,
        // Connection, rollback (serialization, deadlock), resources, not in the right state
        // (locks), operator intervention, errors of the system below.
        ("08" | "40" | "53" | "55" | "57" | "58", _) => Remedy::Retry,
        // A sequence has come to its end: no record is at fault.
        (_, "2200H") => Remedy::Stop,
        // Data exception, integrity constraint, a value too large for an index or a row; what a
        // trigger of the table comes to with a row: a CASE without a match, a subquery with too
        // many rows, an exception, in PL/pgSQL or another language.
        ("22" | "23" | "54" | "20" | "21" | "38" | "P0", _) => Remedy::Data,
        _ => Remedy::Stop,
    }
}

/// Whether an error that calls for [`Remedy::Stop`] is one of the database as a whole, or of the
/// way to it, and not of a table or of the rights on it.
pub fn is_of_all(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Database(error) => {
            let code = error.code().unwrap_or_default();
            // No such user or database, or one that takes nothing.
            matches!(code.get(..2), Some("28" | "3D")) || code == "25006"
        }
        sqlx::Error::Configuration(error) => !error.is::<TableChanged>(),
        _ => true,
    }
}

/// What is to be done where a function fails that a table calls for a row.
pub const MEND: &str =
    "mend the trigger, default or constraint of the table that fails in its function";

const CHANGED: &str =
    "the table has changed under the streamer: it is read anew when the stream starts again";

/// What is to be done where a right is missing.
pub const GRANT: &str = "grant the user what README.md lists under \"Your database\"";

/// The context of an error, if it has one: in which function it was raised, of which function, and
/// at which row of a COPY. The streamer's statements by themselves have none: so what fails with a
/// context is what a table does with a row.
pub fn context(error: &dyn DatabaseError) -> Option<&str> {
    let postgres = error.try_downcast_ref::<PgDatabaseError>();
    postgres.and_then(PgDatabaseError::r#where).filter(|context| !context.is_empty())
}

/// Whether an error's context names a function: it is more than the line of the COPY, which has its
/// name in most languages.
pub fn is_of_function(context: &str) -> bool {
    context.lines().count() > 1 || !context.contains("COPY ")
}

/// What a user can do about an error that calls for [`Remedy::Stop`], where that is known.
pub fn advice(error: &sqlx::Error) -> Option<Cow<'static, str>> {
    let error = match error {
        sqlx::Error::Database(error) => error,
        sqlx::Error::Configuration(error) if error.is::<TableChanged>() => {
            return Some(CHANGED.into());
        }
        _ => return None,
    };
    let code = error.code()?;
    if let Some(context) = context(error.as_ref()).filter(|context| is_of_function(context)) {
        let rollup = rollup_in(context).filter(|_| code.starts_with("42"));
        return Some(rollup.map_or(MEND.into(), |rollup| rollup_advice(rollup).into()));
    }
    let advice = match (code.get(..2)?, code.as_ref()) {
        ("28", _) => "check the user and password in DATABASE_URL, and pg_hba.conf on the server",
        ("3D", _) => "create the database, or name another in DATABASE_URL",
        ("3F", _) | (_, "42P01") => {
            "run `streamer migrate`, or check the table's name in streams.toml"
        }
        (_, "42501") => GRANT,
        (_, "42602") => {
            "write the table's name in streams.toml as in SQL, with double quotes if need be"
        }
        ("42", _) => CHANGED,
        (_, "25006") => "this server is read-only; name the primary in DATABASE_URL",
        _ => return None,
    };
    Some(advice.into())
}

/// The rollup whose trigger an error comes from, as its context has the name of the function,
/// whatever the language.
fn rollup_in(context: &str) -> Option<&str> {
    let name = &context[..context.find("_rollup()")?];
    let mut is_quoted = false;
    let start = name.rfind(|c: char| {
        is_quoted ^= c == '"';
        c.is_whitespace() && !is_quoted
    });
    Some(name[start? + 1..].trim_start())
}

fn rollup_advice(rollup: &str) -> String {
    let literal = rollup.replace('\'', "''");
    format!(
        "rollup {rollup} does not fit its table any more: a column that it uses was renamed, dropped or altered; \
         name those of today, as the rollup's owner, by streamer.change_rollup('{literal}', null, '{{keys}}', \
         'name = sum(column)', ...), or remove it by streamer.drop_rollup('{literal}')"
    )
}

/// Pauses between tries: from 0.1 s doubling to 5 s, each with jitter, without end.
pub fn pauses() -> ExponentialBackoff {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(100))
        .with_max_delay(Duration::from_secs(5))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .build()
}

#[cfg(test)]
mod tests {
    use super::{Remedy, remedy_of_sqlstate, rollup_in};

    #[test]
    fn the_rollup_is_found_in_the_context_of_its_trigger() {
        for (context, rollup) in [
            ("PL/pgSQL function public.a_rollup() line 3 at SQL statement", Some("public.a")),
            ("PL/pgSQL-Funktion \"my shop\".\"a \"\"b\"\"_rollup() Zeile 3", None),
            ("PL/pgSQL-Funktion \"my shop\".a_rollup() Zeile 3", Some("\"my shop\".a")),
            ("PL/pgSQL function judge() line 3\nCOPY bookings, line 6", None),
        ] {
            let found = rollup_in(context);
            assert!(rollup.is_none_or(|rollup| found == Some(rollup)), "{context}: {found:?}");
        }
    }

    #[test]
    fn a_function_is_told_from_a_row_in_any_language() {
        for (context, is_of_function) in [
            ("COPY bookings, line 6", false),
            ("COPY bookings, Zeile 6, Spalte guests", false),
            ("PL/pgSQL-Funktion judge() Zeile 5 bei RAISE\nCOPY bookings, Zeile 61", true),
            ("fonction PL/pgSQL judge(), ligne 5 à RAISE", true),
        ] {
            assert_eq!(super::is_of_function(context), is_of_function, "{context}");
        }
    }

    #[test]
    fn each_class_has_its_remedy() {
        for (code, remedy) in [
            ("08006", Remedy::Retry),
            ("40001", Remedy::Retry),
            ("40P01", Remedy::Retry),
            ("53100", Remedy::Retry), // disk full is never a dead letter
            ("55P03", Remedy::Retry),
            ("57P01", Remedy::Retry),
            ("25P03", Remedy::Retry),
            ("22003", Remedy::Data),
            ("23505", Remedy::Data),
            ("54000", Remedy::Data),
            ("P0001", Remedy::Data),
            ("P0004", Remedy::Data),
            ("20000", Remedy::Data),
            ("38000", Remedy::Data),
            ("2200H", Remedy::Stop),
            ("28P01", Remedy::Stop),
            ("3D000", Remedy::Stop),
            ("42P01", Remedy::Stop),
            ("25006", Remedy::Stop),
            ("XX000", Remedy::Stop),
            ("", Remedy::Stop),
        ] {
            assert_eq!(remedy_of_sqlstate(code), remedy, "{code}");
        }
    }
}
