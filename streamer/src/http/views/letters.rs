//! Dead letters: grouped by what is wrong with them, and one whole.

use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use crate::http::chosen::Chosen;
use crate::layout::Reason;
use crate::ledger::dead_letter::{self, Alike};
use crate::ledger::export;
use crate::ledger::shown::{self, Letters, Trend};

/// How many groups are shown.
const GROUPS_MAX: i64 = 100;

/// How many files of an export are named.
const EXPORTS_MAX: usize = 20;

/// How much of a record is shown, in bytes.
const TEXT_BYTES_MAX: usize = 16 * 1024;

#[derive(Debug, Serialize)]
pub(super) struct GroupsView {
    as_of: DateTime<Utc>,
    #[serde(flatten)]
    letters: Letters,
    groups: Vec<Trend>,
    more_groups: i64,
}

#[derive(Debug, Serialize)]
pub(super) struct LetterView {
    dead_letter_id: i64,
    stream: String,
    file: String,
    start_offset: i64,
    end_offset: i64,
    line: Option<i64>,
    batch_id: i64,
    created_at: DateTime<Utc>,
    columns: Vec<String>,
    /// The record; bytes that are no text are replaced.
    text: String,
    is_cut: bool,
    reasons: Vec<Placed>,
    resolution: Option<String>,
    commands: Commands,
}

/// A reason, and where in the text its value stands, in UTF-16 units; nothing, where that can't be
/// told.
#[derive(Debug, Serialize)]
struct Placed {
    #[serde(flatten)]
    reason: Reason,
    at: Option<[usize; 2]>,
}

#[derive(Debug, Serialize)]
struct Commands {
    retry: String,
    discard: String,
    export: String,
}

pub(super) async fn groups(
    conn: &mut PgConnection,
    only: Option<&[String]>,
) -> Result<GroupsView, sqlx::Error> {
    let letters = shown::letters(conn, only).await?;
    let (groups, count) = shown::groups(conn, only, GROUPS_MAX).await?;
    let more_groups = count - i64::try_from(groups.len()).unwrap_or(count);
    Ok(GroupsView { as_of: Utc::now(), letters, groups, more_groups })
}

/// The files that open letters can be exported to.
#[derive(Debug, Serialize)]
pub(super) struct ExportsView {
    files: Vec<ExportView>,
    more_files: usize,
}

/// One of them: letters of one header.
#[derive(Debug, Serialize)]
struct ExportView {
    name: String,
    records: i64,
    /// How many are left out, because only their beginning is kept.
    cut: i64,
    /// Where it is: the path and what stands behind the `?`.
    href: String,
}

/// The files for the letters that are meant, each with where it is.
pub(super) async fn exports(
    conn: &mut PgConnection,
    chosen: &Chosen,
    alike: Option<&Alike>,
) -> Result<ExportsView, sqlx::Error> {
    let groups = export::groups(conn, chosen.which(alike)).await?;
    let shown = groups.iter().filter(|group| group.whole > 0).take(EXPORTS_MAX);
    let files = shown.map(|group| ExportView {
        name: group.file_name(1),
        records: group.whole,
        cut: group.cut,
        href: chosen.href(group.first_id),
    });
    Ok(ExportsView { files: files.collect(), more_files: groups.len().saturating_sub(EXPORTS_MAX) })
}

/// The letter of this number, if it is of one of the streams; `command` is what a command of the
/// streamer begins with.
pub(super) async fn one(
    conn: &mut PgConnection,
    id: i64,
    only: Option<&[String]>,
    command: &str,
) -> Result<LetterView, sqlx::Error> {
    let letter = dead_letter::find(conn, id).await?;
    let is_seen = |stream: &String| only.is_none_or(|only| only.contains(stream));
    let letter = letter.filter(|letter| is_seen(&letter.stream)).ok_or(sqlx::Error::RowNotFound)?;
    let shown = &letter.raw[..letter.raw.len().min(TEXT_BYTES_MAX)];
    let text = String::from_utf8_lossy(shown).into_owned();
    let bytes = letter.end_offset - letter.start_offset;
    let place = |reason: Reason| Placed { at: at(&text, reason.value.as_deref()), reason };
    Ok(LetterView {
        dead_letter_id: id,
        is_cut: i64::try_from(shown.len()).is_ok_and(|shown| shown < bytes),
        reasons: letter.reasons.0.into_iter().map(place).collect(),
        text,
        stream: letter.stream,
        file: letter.partition,
        start_offset: letter.start_offset,
        end_offset: letter.end_offset,
        line: letter.line,
        batch_id: letter.batch_id,
        created_at: letter.created_at,
        columns: letter.columns,
        resolution: letter.resolution,
        commands: Commands {
            retry: format!("{command}dead-letters retry {id}"),
            discard: format!("{command}dead-letters discard {id}"),
            export: format!("{command}dead-letters export"),
        },
    })
}

/// Where the value stands in the text, if it does at one place only.
fn at(text: &str, value: Option<&str>) -> Option<[usize; 2]> {
    let value = value.filter(|value| !value.is_empty())?;
    let mut places = text.match_indices(value);
    let (begin, _) = places.next()?;
    if places.next().is_some() {
        return None;
    }
    let begin = text[..begin].encode_utf16().count();
    Some([begin, begin + value.encode_utf16().count()])
}

#[cfg(test)]
mod tests {
    use super::at;

    #[test]
    fn a_value_is_marked_where_it_stands_once() {
        assert_eq!(at("é😂,12,50", Some("12")), Some([4, 6]));
        assert_eq!(at("1,1", Some("1")), None);
        assert_eq!(at("a", Some("")), None);
        assert_eq!(at("a", None), None);
    }
}
