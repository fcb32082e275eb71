//! `streamer dead-letters`: what was refused, and what to do about it.

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::table::{grouped, table};
use super::{Exit, connect, open, print};
use crate::cli::{DeadLettersCommand, Global, Selection};
use crate::config::Settings;
use crate::layout::escaped;
use crate::schema::Table;
use crate::sink::{Replayed, replay};

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
    reasons: Json<Vec<crate::layout::Reason>>,
    batch_id: i64,
    created_at: DateTime<Utc>,
    resolved_at: Option<DateTime<Utc>>,
    resolution: Option<String>,
}

pub(super) async fn run(global: &Global, command: DeadLettersCommand) -> Result<Exit> {
    let (settings, database) = open(global).await?;
    let outcome = async {
        let mut conn = connect(&database).await?;
        match command {
            DeadLettersCommand::List { stream, json } => list(&mut conn, stream, json).await,
            DeadLettersCommand::Show { id } => show(&mut conn, id).await,
            DeadLettersCommand::Retry(which) => retry(&mut conn, &settings, &which).await,
            DeadLettersCommand::Discard(which) => discard(&mut conn, &settings, &which).await,
        }
    }
    .await;
    database.close().await;
    let (text, exit) = outcome?;
    print(&text)?;
    Ok(exit)
}

async fn list(
    conn: &mut PgConnection,
    stream: Option<String>,
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
    .bind(stream)
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
            group.stream,
            group.column.unwrap_or_else(|| "-".to_owned()),
            group.reason,
            group.sqlstate,
            format!("{}:{}{value}", group.example_file, group.example_line),
            group.example_id.to_string(),
        ]);
    }
    let next = "streamer dead-letters show NUMBER shows one whole; retry or discard NUMBER, \
                --stream NAME or --all of them\n";
    Ok((format!("{lines}\n{next}"), Exit::Done))
}

async fn show(conn: &mut PgConnection, id: i64) -> Result<(String, Exit)> {
    let letter: Option<Letter> = sqlx::query_as(
        "select stream, partition, start_offset, end_offset, line, raw, columns, reasons, batch_id,
                created_at, resolved_at, resolution
           from streamer.dead_letter where dead_letter_id = $1",
    )
    .bind(id)
    .fetch_optional(conn)
    .await
    .context("read the dead letter")?;
    let letter = letter.with_context(|| format!("there is no dead letter {id}"))?;
    let mut text = format!(
        "dead letter {id} of stream {}\n{}:{}, bytes {} to {}, micro-batch {}, {}\n",
        letter.stream,
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
    let raw: Vec<String> = letter.raw.split(|&b| b == b'\n').map(escaped).collect();
    text += &format!(
        "header: {}\nrecord: {}\n",
        escaped(letter.columns.join(",").as_bytes()),
        raw.join("\n")
    );
    Ok((text, Exit::Done))
}

async fn retry(
    conn: &mut PgConnection,
    settings: &Settings,
    which: &Selection,
) -> Result<(String, Exit)> {
    check_stream(settings, which)?;
    let mut total = Replayed::default();
    let is_chosen = |name: &String| which.stream.as_ref().is_none_or(|stream| stream == name);
    for stream in settings.streams.iter().filter(|stream| is_chosen(&stream.name)) {
        let table = Table::load(conn, &stream.table).await?;
        let replayed = replay(conn, stream, &table, &which.ids).await;
        let replayed = replayed.with_context(|| format!("retry stream {}", stream.name))?;
        total.rows += replayed.rows;
        total.duplicates += replayed.duplicates;
        total.refused += replayed.refused;
    }
    anyhow::ensure!(
        which.ids.is_empty() || total != Replayed::default(),
        "no dead letter with such a number is open; streamer dead-letters list shows them"
    );
    let text = format!(
        "{} rows loaded, {} duplicates, {} still refused\n",
        grouped(total.rows),
        grouped(total.duplicates),
        grouped(total.refused)
    );
    Ok((text, if total.refused > 0 { Exit::DeadLetters } else { Exit::Done }))
}

async fn discard(
    conn: &mut PgConnection,
    settings: &Settings,
    which: &Selection,
) -> Result<(String, Exit)> {
    check_stream(settings, which)?;
    let discarded = sqlx::query(
        "update streamer.dead_letter set resolved_at = now(), resolution = 'discarded'
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or stream = $2)",
    )
    .bind(&which.ids)
    .bind(&which.stream)
    .execute(conn)
    .await
    .context("discard dead letters")?;
    Ok((format!("{} discarded\n", grouped(discarded.rows_affected())), Exit::Done))
}

fn check_stream(settings: &Settings, which: &Selection) -> Result<()> {
    let Some(name) = &which.stream else { return Ok(()) };
    let known: Vec<&str> = settings.streams.iter().map(|stream| stream.name.as_str()).collect();
    anyhow::ensure!(
        known.contains(&name.as_str()),
        "there is no stream {name}; there is {}",
        known.join(", ")
    );
    Ok(())
}
