//! The table's description, and the news that it is not true any more.

use super::attempt::begin;
use super::{Sink, SinkError, in_time};
use crate::config::Fitting;
use crate::retry::TableChanged;
use crate::schema::{SchemaError, Table};

impl Sink {
    /// The table's description.
    ///
    /// # Errors
    /// [`SinkError::Table`] when there is no such table, or it does not fit the stream's settings;
    /// else as [`Sink::commit`].
    pub async fn describe(&mut self, name: &str, fitting: &Fitting) -> Result<Table, SinkError> {
        loop {
            let (mut conn, wait) = (self.connection().await?, self.lock_wait());
            let load = async {
                let mut tx = begin(&mut conn, Some(wait)).await?;
                let loaded = Table::load(&mut tx, name, fitting).await;
                tx.rollback().await?;
                Ok(loaded)
            };
            let table = self.vigil.over(in_time(load)).await;
            match table {
                Ok(Ok(table)) => {
                    self.keep(conn);
                    return Ok(table);
                }
                Ok(Err(SchemaError::Catalog { source, .. })) | Err(source) => {
                    drop(conn);
                    self.pause(source, true).await?;
                }
                Ok(Err(error)) => {
                    self.keep(conn);
                    return Err(error.into());
                }
            }
        }
    }
}

/// The change of the table that an error tells of, if it tells of one.
pub(super) fn changed(error: sqlx::Error) -> Result<TableChanged, sqlx::Error> {
    match error {
        sqlx::Error::Configuration(error) => match error.downcast::<TableChanged>() {
            Ok(changed) => Ok(*changed),
            Err(error) => Err(sqlx::Error::Configuration(error)),
        },
        error => Err(error),
    }
}
