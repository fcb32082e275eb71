//! `streamer dead-letters`: what was refused, and what to do about it.

mod export;
mod list;
mod resolve;
mod show;

use anyhow::{Context, Result};
use sqlx::PgConnection;

use super::{Exit, connect, open, print};
use crate::cli::{DeadLettersCommand, Global, Selection};
use crate::config::Settings;
use crate::ledger::dead_letter::{self, Which};

pub(super) async fn run(global: &Global, command: DeadLettersCommand) -> Result<Exit> {
    let (settings, database) = open(global).await?;
    let outcome = async {
        let mut conn = connect(&database, &settings.streams).await?;
        match command {
            DeadLettersCommand::List { stream, json } => {
                let which = Selection { stream, ..Selection::default() };
                check_known(&mut conn, &settings, &which).await?;
                list::list(&mut conn, &which, json).await
            }
            DeadLettersCommand::Show { id } => show::show(&mut conn, id).await,
            DeadLettersCommand::Export(args) => {
                check_known(&mut conn, &settings, &args.which).await?;
                export::export(&mut conn, &args).await
            }
            DeadLettersCommand::Retry(chosen) => {
                check_known(&mut conn, &settings, &chosen.which).await?;
                resolve::retry(&database, &mut conn, &settings, meant(&chosen.which)).await
            }
            DeadLettersCommand::Discard(chosen) => {
                check_known(&mut conn, &settings, &chosen.which).await?;
                resolve::discard(&mut conn, meant(&chosen.which)).await
            }
        }
    }
    .await;
    database.close().await;
    let (text, exit) = outcome?;
    print(&text)?;
    Ok(exit)
}

/// The dead letters that were chosen.
fn meant(which: &Selection) -> Which<'_> {
    let (stream, file) = (which.stream.as_deref(), which.file.as_deref());
    Which { ids: &which.ids, stream, file, ..Which::default() }
}

/// Complains of a stream, a file or numbers that nothing is known of. Letters that were retried or
/// discarded are known: to choose them again is no mistake.
async fn check_known(
    conn: &mut PgConnection,
    settings: &Settings,
    which: &Selection,
) -> Result<()> {
    let unknown = dead_letter::unknown(conn, &which.ids).await.context("read the dead letters")?;
    let unknown: Vec<String> = unknown.iter().map(ToString::to_string).collect();
    anyhow::ensure!(
        unknown.is_empty(),
        "there is no dead letter {}; streamer dead-letters list shows them",
        unknown.join(", ")
    );
    let present = dead_letter::streams(conn, which.file.as_deref()).await;
    let present = present.context("read the dead letters")?;
    let mut streams: Vec<&str> = settings.streams.iter().map(|s| s.name.as_str()).collect();
    if let Some(file) = &which.file {
        let is_there = match &which.stream {
            Some(stream) => present.contains(stream),
            None => !present.is_empty(),
        };
        anyhow::ensure!(
            is_there,
            "there are no dead letters of file {file:?}; name it as `streamer status` does"
        );
    } else if let Some(stream) = &which.stream {
        // A stream that was taken out of the settings may have left some.
        streams.extend(present.iter().map(String::as_str));
        streams.sort_unstable();
        streams.dedup();
        anyhow::ensure!(
            streams.contains(&stream.as_str()),
            "there is no stream {stream:?}; there is {}",
            streams.join(", ")
        );
    }
    Ok(())
}
