//! Dead letters tried again, or given up.

use anyhow::{Context, Result};
use sqlx::PgConnection;

use crate::command::table::{counted, grouped};
use crate::command::{Exit, with_advice};
use crate::config::Settings;
use crate::database::Database;
use crate::ledger::dead_letter::{self, Which};
use crate::sink::{self, Replayed, RetryError};

pub(super) async fn retry(
    database: &Database,
    conn: &mut PgConnection,
    settings: &Settings,
    which: Which<'_>,
) -> Result<(String, Exit)> {
    let mut total = Replayed::default();
    let is_chosen = |name: &str| which.stream.is_none_or(|stream| stream == name);
    for stream in settings.streams.iter().filter(|stream| is_chosen(&stream.name)) {
        let replayed = sink::retry(conn, stream, which).await.map_err(|error| match error {
            RetryError::Table(error) => anyhow::Error::from(error),
            RetryError::Database(error) => error.into(),
        });
        let replayed = with_advice(database, Some(stream), replayed).await;
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
    let names: Vec<&str> = settings.streams.iter().map(|stream| stream.name.as_str()).collect();
    let left = dead_letter::of_other_streams(conn, which, &names).await;
    let left = left.context("read the dead letters")?;
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

pub(super) async fn discard(conn: &mut PgConnection, which: Which<'_>) -> Result<(String, Exit)> {
    let discarded = dead_letter::discard(conn, which).await.context("discard dead letters")?;
    Ok((format!("{} discarded\n", grouped(discarded)), Exit::Done))
}
