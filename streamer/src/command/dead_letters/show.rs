//! One dead letter, whole.

use anyhow::{Context, Result};
use sqlx::PgConnection;

use crate::command::Exit;
use crate::command::table::placed;
use crate::layout::escaped;
use crate::ledger::dead_letter;

pub(super) async fn show(conn: &mut PgConnection, id: i64) -> Result<(String, Exit)> {
    let letter = dead_letter::find(conn, id).await.context("read the dead letter")?;
    let letter = letter.with_context(|| {
        format!("there is no dead letter {id}; streamer dead-letters list shows them")
    })?;
    let mut text = format!(
        "dead letter {id} of stream {}\n{}, bytes {} to {}, micro-batch {}, {}\n",
        escaped(letter.stream.as_bytes()),
        placed(&letter.partition, letter.line.and_then(|line| u64::try_from(line).ok())),
        letter.start_offset,
        letter.end_offset,
        letter.batch_id,
        letter.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
    );
    if let (Some(at), Some(resolution)) = (letter.resolved_at, &letter.resolution) {
        text += &format!("{resolution} {}\n", at.format("%Y-%m-%d %H:%M:%S UTC"));
    }
    if letter.is_unplaced && letter.resolved_at.is_none() {
        text += "it has no partition; the streamer tries it again once its table has others\n";
    }
    for reason in &letter.reasons.0 {
        text += &format!("  {reason} ({})\n", reason.sqlstate);
    }
    if !letter.columns.is_empty() {
        let header = letter.header.unwrap_or_else(|| letter.columns.join(",").into_bytes());
        text += &format!("header: {}\n", lines(&header));
    }
    text += &format!("record: {}\n", lines(&letter.raw));
    let kept = i64::try_from(letter.raw.len()).unwrap_or(i64::MAX);
    if kept < letter.end_offset - letter.start_offset {
        text += "only the record's first 64 KiB are kept; the whole stands in its file\n";
    }
    Ok((text, Exit::Done))
}

/// Bytes as a terminal may show them, line by line.
fn lines(raw: &[u8]) -> String {
    raw.split(|&b| b == b'\n').map(escaped).collect::<Vec<_>>().join("\n")
}
