//! Plans of prepared statements that fit tables which grow.
//!
//! PostgreSQL plans a prepared statement anew five times, and then may keep one plan until a table
//! is analysed (src/backend/utils/cache/plancache.c, `choose_custom_plan`). A plan kept from when
//! few checkpoints were there reads all of them for each file.
//!
//! How many statements a connection keeps is bounded by the client library, which drops the one
//! that was not used for the longest time.

use sqlx::{Connection, PgConnection};

/// With so few checkpoints any plan is good.
const FEW: usize = 100;

/// When the plans of one connection are to be made anew: each time it has doubled its checkpoints.
#[derive(Debug)]
pub(super) struct StatementPlans {
    /// Partitions that this connection has begun.
    begun: usize,
    /// At how many of them the plans are next to be made anew.
    renewed_at: usize,
}

impl StatementPlans {
    /// Of a new connection.
    pub(super) fn new() -> StatementPlans {
        StatementPlans { begun: 0, renewed_at: FEW }
    }

    /// Notes that `conn` has begun so many partitions; lets it plan anew where that is due.
    ///
    /// # Errors
    /// When the connection is lost.
    pub(super) async fn note(
        &mut self,
        conn: &mut PgConnection,
        begun: usize,
    ) -> Result<(), sqlx::Error> {
        self.begun += begun;
        if self.begun < self.renewed_at {
            return Ok(());
        }
        self.renewed_at = self.begun * 2;
        conn.clear_cached_statements().await
    }
}
