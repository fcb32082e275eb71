//! `streamer migrate`: create or update the tables.

use anyhow::Result;

use super::{Exit, open, print};
use crate::cli::Global;

pub(super) async fn run(global: &Global) -> Result<Exit> {
    let (_, database) = open(global).await?;
    let outcome = apply(&database).await;
    database.close().await;
    print(&outcome?)
}

async fn apply(database: &crate::database::Database) -> Result<String> {
    let mut conn = database.connect_now().await?;
    let applied = crate::migrate::migrate(&mut conn).await?;
    if applied.is_empty() {
        return Ok("nothing to do: all migrations are applied\n".to_owned());
    }
    Ok(applied.iter().map(|name| format!("applied {name}\n")).collect())
}
