//! The search for the rows that PostgreSQL refuses. None is called bad that was not refused alone.

use sqlx::error::DatabaseError;
use sqlx::postgres::PgDatabaseError;
use sqlx::{PgConnection, raw_sql};

use super::lookup::without_existing;
use super::rows::{self, Written, copy};
use crate::batch::{DeadLetter, LetterKind, MicroBatch, RowPlace};
use crate::config::OnMissingPartition;
use crate::layout::{Reason, escaped};
use crate::ledger::checkpoint::Advanced;
use crate::ledger::unchanged;
use crate::partitioning::NoPartition;
use crate::retry::{Remedy, context, is_no_partition, remedy};

/// How few rows are tried together behind one that was refused: of what is sent behind a refused
/// row, all is in vain.
const WINDOW_MIN: usize = 64;

/// Rows that are to be tried together.
struct Try<'b> {
    rows: &'b [RowPlace],
    /// Whether it is the one row that PostgreSQL said it refuses.
    is_accused: bool,
}

/// Copies rows in, in key order, those of one layout after those of another. Where PostgreSQL
/// refuses one and tells which, those before it, it alone and those behind it are tried apart;
/// where it does not, or was wrong once, the two halves. A row that repeats the key of a refused
/// one takes its turn after it.
///
/// Whether the table is still the same at the end, the caller has to ask.
///
/// # Errors
/// Any that is not the fault of a row. Rows that have no partition are not at fault either where
/// there are so many that `on_missing` waits: then it is a [`NoPartition`], as a
/// [`sqlx::Error::Configuration`].
pub(super) async fn careful(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    advanced: &Advanced,
    on_missing: OnMissingPartition,
) -> Result<Written<'static>, sqlx::Error> {
    // No row is to blame for what a change of the table does to it.
    unchanged::demand(tx, batch).await?;
    let (mut inserted, mut dead, mut unplaced) = (Vec::new(), Vec::new(), 0);
    let mut stack: Vec<Try<'_>> = rows::by_layout(rows).map(Try::of).collect();
    stack.reverse();
    let (mut window, mut tells_lines) = (rows.len(), true);
    raw_sql("savepoint careful").execute(&mut *tx).await?;
    while let Some(Try { rows, is_accused }) = stack.pop() {
        let (rows, later) = rows.split_at(window.min(rows.len()));
        stack.extend((!later.is_empty()).then(|| Try::of(later)));
        let Some(error) = refusal(tx, batch, rows, advanced).await? else {
            inserted.extend_from_slice(rows);
            tells_lines &= !is_accused;
            window = window.saturating_mul(2);
            continue;
        };
        if let [row] = rows {
            let is_duplicate = error.code().as_deref() == Some("23505")
                && without_existing(tx, batch, &[*row]).await?.is_empty();
            if !is_duplicate {
                let letter = letter(batch, row, error.as_ref());
                unplaced += u64::from(letter.kind == LetterKind::NoPartition);
                if on_missing.waits(unplaced, batch.records()) {
                    let missing = NoPartition::of(error.as_ref(), batch.table());
                    return Err(sqlx::Error::Configuration(Box::new(missing)));
                }
                dead.push((*row, letter));
                let repeat = batch.next_repeat(row).map(std::slice::from_ref);
                stack.extend(repeat.map(Try::of));
            }
            continue;
        }
        match refused_line(error.as_ref(), batch.table())
            .filter(|line| tells_lines && *line <= rows.len())
        {
            Some(line) => {
                let (before, behind) = (&rows[..line - 1], &rows[line..]);
                let accused = Try { rows: &rows[line - 1..line], is_accused: true };
                window = before.len().max(WINDOW_MIN);
                let tries = [Try::of(behind), accused, Try::of(before)];
                stack.extend(tries.into_iter().filter(|next| !next.rows.is_empty()));
            }
            None => {
                let (left, right) = rows.split_at(rows.len() / 2);
                stack.extend([Try::of(right), Try::of(left)]);
            }
        }
    }
    raw_sql("release savepoint careful").execute(tx).await?;
    Ok(Written { inserted: inserted.into(), dead })
}

impl<'b> Try<'b> {
    fn of(rows: &'b [RowPlace]) -> Try<'b> {
        Try { rows, is_accused: false }
    }
}

/// Copies rows in behind the savepoint, and moves it behind them: what PostgreSQL has against one
/// of them, if anything; then none of them is in.
async fn refusal(
    tx: &mut PgConnection,
    batch: &MicroBatch,
    rows: &[RowPlace],
    advanced: &Advanced,
) -> Result<Option<Box<dyn DatabaseError>>, sqlx::Error> {
    match copy(tx, batch, rows, advanced, &mut || {}).await {
        Ok(()) => {
            raw_sql("release savepoint careful; savepoint careful").execute(tx).await?;
            Ok(None)
        }
        Err(error) if remedy(&error) == Remedy::Data => {
            raw_sql("rollback to savepoint careful").execute(tx).await?;
            Ok(error.into_database_error())
        }
        Err(error) => Err(error),
    }
}

/// Which row of a COPY into `table` was refused, from 1, where PostgreSQL tells: not when it looks
/// at a row only behind the last one, as for a foreign key.
fn refused_line(error: &dyn DatabaseError, table: &str) -> Option<usize> {
    line_in(context(error)?, table)
}

/// The line in an error's context, whose last line is that of the statement: `COPY bookings, line
/// 6`, perhaps with a column behind it. In another language the words are others, and stand
/// otherwise: it is the first number beside the table's name. Should it be something else, the row
/// is accused in vain.
fn line_in(context: &str, table: &str) -> Option<usize> {
    let (_, name) = table.trim_end_matches('"').rsplit_once("\".\"")?;
    let (before, behind) = context.lines().last()?.split_once(&name.replace("\"\"", "\""))?;
    let mut runs =
        [before, behind].into_iter().flat_map(|text| text.split(|c: char| !c.is_ascii_digit()));
    runs.find(|run| !run.is_empty())?.parse().ok().filter(|line| *line > 0)
}

/// What becomes of a row that was refused alone.
fn letter(batch: &MicroBatch, row: &RowPlace, error: &dyn DatabaseError) -> DeadLetter {
    let kind = match is_no_partition(error) {
        true => LetterKind::NoPartition,
        false => LetterKind::Refused,
    };
    DeadLetter { kind, ..batch.dead_letter(row, reason(error)) }
}

/// PostgreSQL's own words.
fn reason(error: &dyn DatabaseError) -> Reason {
    let postgres = error.try_downcast_ref::<PgDatabaseError>();
    // PostgreSQL's words show values as they are.
    let safe = |text: &str| escaped(text.as_bytes());
    Reason {
        column: postgres.and_then(|error| error.column()).map(str::to_owned),
        value: None,
        sqlstate: error.code().unwrap_or_default().into_owned(),
        reason: safe(error.message()),
        detail: postgres.and_then(|error| error.detail()).map(safe),
    }
}

#[cfg(test)]
mod tests {
    use super::line_in;

    #[test]
    fn the_line_is_found_in_the_context_of_the_statement() {
        for (context, line) in [
            ("COPY bookings, line 6", Some(6)),
            ("COPY bookings, line 6, column guests", Some(6)),
            ("COPY bookings, line 6, column 7th", Some(6)),
            ("PL/pgSQL function judge() line 5 at RAISE\nCOPY bookings, line 61", Some(61)),
            ("COPY bookings, line 0", None),
            ("COPY bookings, line 99999999999999999999", None),
            ("COPY bookings, Zeile 6, Spalte guests", Some(6)),
            ("PL/pgSQL-Funktion judge() Zeile 5 bei RAISE\nCOPY bookings, Zeile 61", Some(61)),
            ("fonction PL/pgSQL judge(), ligne 5 à RAISE\nCOPY bookings, ligne 61", Some(61)),
            ("bookingsのCOPY、行 6、列 guests", Some(6)),
            ("bookings 복사, 6번째 줄, guests 열", Some(6)),
            ("COPY bookings, 第6行", Some(6)),
            ("SQL statement \"select 1\"", None),
            ("", None),
        ] {
            assert_eq!(line_in(context, "\"public\".\"bookings\""), line, "{context}");
        }
        let odd = "\"public\".\"7 o'\"\"clock\"";
        assert_eq!(line_in("COPY 7 o'\"clock, line 8", odd), Some(8));
        assert_eq!(line_in("7 o'\"clockのCOPY、行 8", odd), Some(8));
    }
}
