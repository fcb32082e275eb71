//! refinery at work on an sqlx connection.

use refinery_core::traits::r#async::{AsyncQuery, AsyncTransaction};
use refinery_core::{AsyncMigrate, Migration, Runner, Target};
use sqlx::{Connection, Executor, PgConnection, Row};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{MigrateError, told};
use crate::sql;

/// Applies what is missing of a history, or only notes it there ([`Target::FakeVersion`]). Returns
/// what was applied.
pub(super) async fn apply(
    conn: &mut PgConnection,
    mut runner: Runner,
    history: &str,
    target: Target,
) -> Result<Vec<String>, MigrateError> {
    runner = runner.set_target(target);
    runner.set_migration_table_name(history);
    let mut migrations = SqlxMigrations { conn, failed: None };
    let report = runner.run_async(&mut migrations).await;
    let report = report.map_err(|error| {
        // Its Debug form would show the SQL; Display names the migration and the cause.
        let told = |_: String| MigrateError::Refinery(error.to_string());
        match migrations.failed {
            Some(failed) => MigrateError::unless_retried(failed, told),
            None => told(String::new()),
        }
    })?;
    Ok(report.applied_migrations().iter().map(ToString::to_string).collect())
}

/// Lets refinery work on an sqlx connection.
struct SqlxMigrations<'c> {
    conn: &'c mut PgConnection,
    /// What went wrong, which refinery gives back by reference only.
    failed: Option<sqlx::Error>,
}

/// The words of what went wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Failed(String);

impl SqlxMigrations<'_> {
    fn keep<T>(&mut self, result: Result<T, sqlx::Error>) -> Result<T, Failed> {
        result.map_err(|error| {
            let told = told(&error);
            self.failed = Some(error);
            Failed(told)
        })
    }
}

impl AsyncTransaction for SqlxMigrations<'_> {
    type Error = Failed;

    async fn execute<'a, T: Iterator<Item = &'a str> + Send + 'a>(
        &'a mut self,
        queries: T,
    ) -> Result<usize, Failed> {
        let executed = execute(self.conn, queries).await;
        self.keep(executed)
    }
}

impl AsyncQuery<Vec<Migration>> for SqlxMigrations<'_> {
    async fn query<'a>(&'a mut self, query: &'a str) -> Result<Vec<Migration>, Failed> {
        let read = applied(self.conn, query).await;
        self.keep(read)
    }
}

impl AsyncMigrate for SqlxMigrations<'_> {}

async fn execute<'a>(
    conn: &mut PgConnection,
    queries: impl Iterator<Item = &'a str>,
) -> Result<usize, sqlx::Error> {
    let mut tx = conn.begin().await?;
    let mut count = 0;
    for query in queries {
        tx.execute(sqlx::raw_sql(sql::made(query.to_owned()))).await?;
        count += 1;
    }
    tx.commit().await?;
    Ok(count)
}

async fn applied(conn: &mut PgConnection, query: &str) -> Result<Vec<Migration>, sqlx::Error> {
    let rows = sqlx::query(sql::made(query.to_owned())).fetch_all(conn).await?;
    let migrations = rows.iter().map(|row| {
        let applied_on = OffsetDateTime::parse(row.try_get(2)?, &Rfc3339).map_err(undecoded)?;
        let checksum = row.try_get::<&str, _>(3)?.parse().map_err(undecoded)?;
        Ok(Migration::applied(row.try_get(0)?, row.try_get(1)?, applied_on, checksum))
    });
    migrations.collect()
}

fn undecoded(error: impl std::error::Error + Send + Sync + 'static) -> sqlx::Error {
    sqlx::Error::Decode(Box::new(error))
}
