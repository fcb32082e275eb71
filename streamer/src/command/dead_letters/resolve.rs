//! Dead letters tried again, or given up.

use std::sync::Arc;

use anyhow::{Context, Result};
use sqlx::PgConnection;

use crate::cli::Selection;
use crate::command::Exit;
use crate::command::table::{counted, grouped};
use crate::config::Settings;
use crate::schema::Table;
use crate::sink::{Replayed, replay};

pub(super) async fn retry(
    conn: &mut PgConnection,
    settings: &Settings,
    which: &Selection,
) -> Result<(String, Exit)> {
    let mut total = Replayed::default();
    let is_chosen = |name: &String| which.stream.as_ref().is_none_or(|stream| stream == name);
    for stream in settings.streams.iter().filter(|stream| is_chosen(&stream.name)) {
        let table = Arc::new(Table::load(conn, stream).await?);
        let replayed = replay(conn, stream, &table, &which.ids, which.file.as_deref()).await;
        let replayed = replayed.with_context(|| format!("retry stream {}", stream.name))?;
        total.rows += replayed.rows;
        total.duplicates += replayed.duplicates;
        total.refused += replayed.refused;
    }
    let mut text = format!(
        "{} rows loaded, {} duplicates, {} still refused\n",
        grouped(total.rows),
        grouped(total.duplicates),
        grouped(total.refused)
    );
    let left = without_stream(conn, settings, which).await?;
    for (stream, count) in &left {
        text += &format!(
            "{} of stream {stream:?} left as they are: streams.toml no longer has it; put it back, or \
             discard --stream {stream:?}\n",
            counted(usize::try_from(*count).unwrap_or(usize::MAX), "dead letter"),
        );
    }
    let exit = match (total.refused, left.is_empty()) {
        (0, true) => Exit::Done,
        // Of what was asked for, nothing could be tried.
        (0, false) if total == Replayed::default() => Exit::Failed,
        _ => Exit::DeadLetters,
    };
    Ok((text, exit))
}

/// Open dead letters of streams that the settings no longer have, with their counts.
async fn without_stream(
    conn: &mut PgConnection,
    settings: &Settings,
    which: &Selection,
) -> Result<Vec<(String, i64)>> {
    let names: Vec<&str> = settings.streams.iter().map(|stream| stream.name.as_str()).collect();
    sqlx::query_as(
        "select stream, count(*) from streamer.dead_letter
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or stream = $2) and ($3::text is null or partition = $3)
            and stream <> all($4)
          group by stream order by stream",
    )
    .bind(&which.ids)
    .bind(&which.stream)
    .bind(&which.file)
    .bind(names)
    .fetch_all(conn)
    .await
    .context("read the dead letters")
}

pub(super) async fn discard(conn: &mut PgConnection, which: &Selection) -> Result<(String, Exit)> {
    let discarded = sqlx::query(
        "update streamer.dead_letter set resolved_at = now(), resolution = 'discarded'
          where resolved_at is null and (cardinality($1::bigint[]) = 0 or dead_letter_id = any($1))
            and ($2::text is null or stream = $2) and ($3::text is null or partition = $3)",
    )
    .bind(&which.ids)
    .bind(&which.stream)
    .bind(&which.file)
    .execute(conn)
    .await
    .context("discard dead letters")?;
    Ok((format!("{} discarded\n", grouped(discarded.rows_affected())), Exit::Done))
}
