//! One connection, and what is known of it.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;

use sqlx::PgConnection;

use super::plans::StatementPlans;

/// A connection to the database.
#[derive(Debug)]
pub struct Session {
    conn: PgConnection,
    pid: i32,
    plans: StatementPlans,
    /// As long as it is there, its lender knows that a connection is out.
    pub(super) counted: Option<Arc<()>>,
}

/// What is behind a connection: another server, or another database, has another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// When the server was started.
    pub(super) started: String,
    /// The number of the database.
    pub(super) database: i64,
}

impl Session {
    /// Asks what is behind a new connection.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn of(mut conn: PgConnection) -> Result<(Session, Identity), sqlx::Error> {
        let (pid, started, database) = sqlx::query_as(
            "select pg_backend_pid(), pg_postmaster_start_time()::text, oid::bigint
               from pg_database where datname = current_database()",
        )
        .fetch_one(&mut conn)
        .await?;
        let session = Session { conn, pid, plans: StatementPlans::new(), counted: None };
        Ok((session, Identity { started, database }))
    }

    /// The number of the server's process that works for it.
    pub fn pid(&self) -> i32 {
        self.pid
    }

    /// Notes that so many partitions were begun by it; lets it plan anew where that is due.
    ///
    /// # Errors
    /// When the connection is lost.
    pub async fn note_begun(&mut self, partitions: usize) -> Result<(), sqlx::Error> {
        self.plans.note(&mut self.conn, partitions).await
    }
}

impl Deref for Session {
    type Target = PgConnection;

    fn deref(&self) -> &PgConnection {
        &self.conn
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut PgConnection {
        &mut self.conn
    }
}
