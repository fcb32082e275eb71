//! One dead letter, whole.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::types::Json;

use crate::command::Exit;
use crate::layout::{Reason, escaped};

/// One dead letter.
#[derive(Debug, sqlx::FromRow)]
struct Letter {
    stream: String,
    partition: String,
    start_offset: i64,
    end_offset: i64,
    line: i64,
    raw: Vec<u8>,
    columns: Vec<String>,
    header: Option<Vec<u8>>,
    reasons: Json<Vec<Reason>>,
    batch_id: i64,
    created_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    resolution: Option<String>,
}

pub(super) async fn show(conn: &mut PgConnection, id: i64) -> Result<(String, Exit)> {
    let letter: Option<Letter> = sqlx::query_as(
        "select stream, partition, start_offset, end_offset, line, raw, columns, header, reasons,
                batch_id, created_at, resolved_at, resolution
           from streamer.dead_letter where dead_letter_id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
    .context("read the dead letter")?;
    let letter = letter.with_context(|| {
        format!("there is no dead letter {id}; streamer dead-letters list shows them")
    })?;
    let mut text = format!(
        "dead letter {id} of stream {}\n{}:{}, bytes {} to {}, micro-batch {}, {}\n",
        escaped(letter.stream.as_bytes()),
        letter.partition,
        letter.line,
        letter.start_offset,
        letter.end_offset,
        letter.batch_id,
        letter.created_at.format("%Y-%m-%d %H:%M:%S UTC"),
    );
    if let (Some(at), Some(resolution)) = (letter.resolved_at, letter.resolution) {
        text += &format!("{resolution} {}\n", at.format("%Y-%m-%d %H:%M:%S UTC"));
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
