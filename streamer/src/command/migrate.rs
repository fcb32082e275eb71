//! `streamer migrate`: create or update the tables.

use anyhow::Result;

use super::{Exit, open, print};
use crate::cli::Global;
use crate::config::Stream;
use crate::migrate::{foreign_text, migrate};

pub(super) async fn run(global: &Global) -> Result<Exit> {
    let (settings, database) = open(global).await?;
    let outcome = apply(&database, &settings.streams).await;
    database.close().await;
    print(&outcome?)
}

async fn apply(database: &crate::database::Database, streams: &[Stream]) -> Result<String> {
    let mut conn = database.connect_now().await?;
    let migrated = migrate(&mut conn, streams).await?;
    let mut lines = migrated.done;
    if lines.is_empty() {
        lines.push("nothing to do: all migrations are applied".to_owned());
    }
    lines.extend(migrated.foreign.into_iter().map(foreign_text));
    Ok(lines.iter().map(|line| format!("{line}\n")).collect())
}
