//! Dead letters grouped by what is wrong with them.

use anyhow::{Context, Result};
use sqlx::PgConnection;

use crate::cli::Selection;
use crate::command::Exit;
use crate::command::table::{grouped, placed, table};
use crate::layout::escaped;
use crate::ledger::dead_letter;

pub(super) async fn list(
    conn: &mut PgConnection,
    which: &Selection,
    json: bool,
) -> Result<(String, Exit)> {
    let groups = dead_letter::groups(conn, which.stream.as_deref()).await;
    let groups = groups.context("read the dead letters")?;
    if json {
        return Ok((format!("{}\n", serde_json::to_string_pretty(&groups)?), Exit::Done));
    }
    if groups.is_empty() {
        return Ok(("no dead letters\n".to_owned(), Exit::Done));
    }
    let mut lines =
        table(&["count", "stream", "column", "reason", "sqlstate", "for example", "its number"], 7);
    for group in groups {
        let line = group.example_line.and_then(|line| u64::try_from(line).ok());
        let value = group.example_value.map(|value| format!(" \"{value}\"")).unwrap_or_default();
        lines.add_row([
            grouped(group.count),
            escaped(group.stream.as_bytes()),
            escaped(group.column.as_deref().unwrap_or("-").as_bytes()),
            group.reason,
            group.sqlstate,
            placed(&group.example_file, line) + &value,
            group.example_id.to_string(),
        ]);
    }
    let next = "streamer dead-letters show NUMBER shows one whole; export, retry or discard NUMBER, \
                --file FILE, --stream NAME or --all of them\n";
    Ok((format!("{lines}\n{next}"), Exit::Done))
}
