//! Why the work on a stream ends before there is nothing left to do.

use crate::patience::Impatience;
use crate::schema::SchemaError;
use crate::sink::SinkError;

/// Why a stream's work ends.
pub(super) enum Ended {
    /// The streamer is to end.
    Shutdown,
    Table(SchemaError),
    Sink(SinkError),
    Folder(std::io::Error),
    Task(tokio::task::JoinError),
}

impl From<SinkError> for Ended {
    fn from(error: SinkError) -> Ended {
        match error {
            SinkError::Database(Impatience::Shutdown) => Ended::Shutdown,
            SinkError::Table(error) => Ended::Table(error),
            error => Ended::Sink(error),
        }
    }
}

impl From<tokio::task::JoinError> for Ended {
    fn from(error: tokio::task::JoinError) -> Ended {
        Ended::Task(error)
    }
}
