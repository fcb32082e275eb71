//! Dead letters grouped by what is wrong with them.

use anyhow::{Context, Result};
use serde::Serialize;
use sqlx::PgConnection;

use crate::cli::Selection;
use crate::command::Exit;
use crate::command::table::{grouped, table};
use crate::layout::escaped;

/// Unresolved dead letters with the same column and reason.
#[derive(Debug, Serialize, sqlx::FromRow)]
struct Group {
    stream: String,
    column: Option<String>,
    sqlstate: String,
    reason: String,
    count: i64,
    /// The number of one of them, for `show`.
    example_id: i64,
    example_file: String,
    example_line: i64,
    example_value: Option<String>,
}

pub(super) async fn list(
    conn: &mut PgConnection,
    which: &Selection,
    json: bool,
) -> Result<(String, Exit)> {
    let groups: Vec<Group> = sqlx::query_as(
        "select stream, r.column, r.sqlstate, r.reason, count(*) as count,
                min(dead_letter_id) as example_id,
                (array_agg(partition order by dead_letter_id))[1] as example_file,
                (array_agg(line order by dead_letter_id))[1] as example_line,
                (array_agg(r.value order by dead_letter_id))[1] as example_value
           from streamer.dead_letter,
                jsonb_to_recordset(reasons) r (\"column\" text, value text, sqlstate text, reason text)
          where resolved_at is null and ($1::text is null or stream = $1)
          group by stream, r.column, r.sqlstate, r.reason
          order by count desc, example_id",
    )
    .bind(&which.stream)
    .fetch_all(conn)
    .await
    .context("read the dead letters")?;
    if json {
        return Ok((format!("{}\n", serde_json::to_string_pretty(&groups)?), Exit::Done));
    }
    if groups.is_empty() {
        return Ok(("no dead letters\n".to_owned(), Exit::Done));
    }
    let mut lines =
        table(&["count", "stream", "column", "reason", "sqlstate", "for example", "its number"], 7);
    for group in groups {
        let value = group.example_value.map(|value| format!(" \"{value}\"")).unwrap_or_default();
        lines.add_row([
            grouped(group.count),
            escaped(group.stream.as_bytes()),
            escaped(group.column.as_deref().unwrap_or("-").as_bytes()),
            group.reason,
            group.sqlstate,
            format!("{}:{}{value}", group.example_file, group.example_line),
            group.example_id.to_string(),
        ]);
    }
    let next = "streamer dead-letters show NUMBER shows one whole; export, retry or discard NUMBER, \
                --file FILE, --stream NAME or --all of them\n";
    Ok((format!("{lines}\n{next}"), Exit::Done))
}
