//! A data folder and a database that are there for one bench alone.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result};
use sqlx::Executor;
use tempfile::TempDir;

use crate::config::DatabaseUrl;
use crate::database::Database;
use crate::sql::{made, quote};

/// The folder and the database.
pub(super) struct Scratch {
    folder: TempDir,
    database: Arc<Database>,
    /// On a server of the user's: its own database, and what the one beside it is called.
    beside: Option<(Database, String)>,
}

impl Scratch {
    /// A database beside the configured one, which it leaves alone; without one an embedded server.
    pub(super) async fn open(url: Option<&DatabaseUrl>) -> Result<Scratch> {
        // Root's embedded server runs under another account, which must be able to enter.
        let permissions = Permissions::from_mode(0o755);
        let folder = tempfile::Builder::new()
            .prefix("streamer-bench-")
            .permissions(permissions)
            .tempdir()
            .context("make a temporary folder")?;
        let Some(url) = url else {
            let database = Arc::new(Database::embedded(folder.path()).await?);
            return Ok(Scratch { folder, database, beside: None });
        };
        let own = Database::open(Some(url), folder.path()).await?;
        let name = format!("streamer_bench_{}", uuid::Uuid::new_v4().simple());
        let create = format!("create database {}", quote(&name));
        let mut conn = own.connect_now().await?;
        conn.execute(made(create)).await.context(
            "make a database for the bench beside yours, which it leaves alone; without a database URL it \
             uses an embedded PostgreSQL",
        )?;
        let database = own.beside(&name).context("the server is the embedded one")?;
        Ok(Scratch { folder, database: Arc::new(database), beside: Some((own, name)) })
    }

    /// The data folder.
    pub(super) fn data(&self) -> &Path {
        self.folder.path()
    }

    /// The database.
    pub(super) fn database(&self) -> &Arc<Database> {
        &self.database
    }

    /// Removes both.
    pub(super) async fn close(self) -> Result<()> {
        if let Some(database) = Arc::into_inner(self.database) {
            database.close().await;
        }
        if let Some((own, name)) = self.beside {
            let drop = format!("drop database {} with (force)", quote(&name));
            let dropped = async { own.connect().await?.execute(made(drop)).await };
            dropped.await.with_context(|| format!("drop the database {name} of the bench"))?;
        }
        self.folder.close().context("remove the bench's folder")
    }
}
