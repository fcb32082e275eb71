//! The migrations of the repository, embedded in the binary and applied by refinery.

use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use refinery_core::{AsyncMigrate, Migration};
use sqlx::{Connection, Executor, PgConnection, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::sql;

mod embedded {
    refinery::embed_migrations!("../migrations");
}

/// Where refinery notes what was applied.
const HISTORY_TABLE: &str = "streamer.schema_history";

/// Two streamers that start together take turns: refinery itself has no lock.
const LOCK: &str = "select pg_advisory_lock(hashtext('streamer.migrate'))";
const UNLOCK: &str = "select pg_advisory_unlock(hashtext('streamer.migrate'))";

/// Why the migrations are not applied.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// The database can't be asked.
    #[error("apply the migrations{}", crate::retry::advice(.0).map(|a| format!(" ({a})")).unwrap_or_default())]
    Database(#[source] sqlx::Error),
    /// refinery found the history at odds with the migrations, or a migration failed.
    #[error("apply the migrations: {0}")]
    Refinery(String),
}

/// Applies what is missing and says what it was. A role that may not create anything can call this too,
/// as long as nothing is missing.
///
/// # Errors
/// [`MigrateError`]; each migration is applied whole or not at all.
pub async fn migrate(conn: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    if pending(conn).await.map_err(MigrateError::Database)?.is_empty() {
        return Ok(Vec::new());
    }
    conn.execute(LOCK).await.map_err(MigrateError::Database)?;
    let applied = apply(conn).await;
    conn.execute(UNLOCK).await.map_err(MigrateError::Database)?;
    applied
}

/// The migrations that are not applied yet.
///
/// # Errors
/// When the database can't be asked.
pub async fn pending(conn: &mut PgConnection) -> Result<Vec<String>, sqlx::Error> {
    let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(HISTORY_TABLE)
        .fetch_one(&mut *conn)
        .await?;
    let last: i32 = if exists {
        let newest = "select coalesce(max(version), 0) from streamer.schema_history";
        sqlx::query_scalar(newest).fetch_one(conn).await?
    } else {
        0
    };
    let all = embedded::migrations::runner();
    let missing = all.get_migrations().iter().filter(|m| i64::from(m.version()) > i64::from(last));
    Ok(missing.map(ToString::to_string).collect())
}

async fn apply(conn: &mut PgConnection) -> Result<Vec<String>, MigrateError> {
    conn.execute("create schema if not exists streamer").await.map_err(MigrateError::Database)?;
    let mut runner = embedded::migrations::runner();
    runner.set_migration_table_name(HISTORY_TABLE);
    let report = runner.run_async(&mut SqlxMigrations(conn)).await;
    // Its Debug form would show the SQL; Display names the migration and the cause.
    let report = report.map_err(|error| MigrateError::Refinery(error.to_string()))?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Lets refinery work on an sqlx connection.
struct SqlxMigrations<'c>(&'c mut PgConnection);

impl AsyncTransaction for SqlxMigrations<'_> {
    type Error = sqlx::Error;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, sqlx::Error> {
        let mut tx = self.0.begin().await?;
        let mut count = 0;
        for query in queries {
            tx.execute(sqlx::raw_sql(sql::made(query.to_owned()))).await?;
            count += 1;
        }
        tx.commit().await?;
        Ok(count)
    }
}

impl AsyncQuery<Vec<Migration>> for SqlxMigrations<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, sqlx::Error> {
        let rows = sqlx::query(sql::made(query.to_owned())).fetch_all(&mut *self.0).await?;
        rows.iter()
            .map(|row| {
                let applied_on =
                    OffsetDateTime::parse(row.try_get(2)?, &Rfc3339).map_err(undecoded)?;
                let checksum = row.try_get::<&str, _>(3)?.parse().map_err(undecoded)?;
                Ok(Migration::applied(row.try_get(0)?, row.try_get(1)?, applied_on, checksum))
            })
            .collect()
    }
}

impl AsyncMigrate for SqlxMigrations<'_> {}

fn undecoded(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}

#[cfg(test)]
mod tests {
    /// refinery leaves out files of any other form without a word.
    #[test]
    fn every_file_in_the_folder_is_a_migration() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(super::embedded::migrations::runner().get_migrations().len(), files);
    }
}
