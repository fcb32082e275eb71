//! Why the work on a stream ends before there is nothing left to do.

use super::EngineError;
use crate::patience::Impatience;
use crate::retry::is_of_all;
use crate::schema::SchemaError;
use crate::sink::SinkError;

/// The SQLSTATE of a column that is not there.
const UNDEFINED_COLUMN: &str = "42703";

/// Why a stream's work ends.
pub(super) enum Ended {
    /// The streamer is to end.
    Shutdown,
    Table(SchemaError),
    Sink(SinkError),
    Folder(std::io::Error),
    Task(tokio::task::JoinError),
}

impl Ended {
    /// Whether only the stream's table or the rights on it are in the way: who mends that can be
    /// waited for, while other streams go on.
    pub(super) fn may_be_mended(&self) -> bool {
        match self {
            Ended::Table(_) | Ended::Sink(SinkError::Changed(_)) => true,
            Ended::Sink(SinkError::Database(Impatience::Refused { source, .. })) => {
                !is_of_all(source)
            }
            Ended::Sink(_) | Ended::Shutdown | Ended::Folder(_) | Ended::Task(_) => false,
        }
    }

    /// Whether the table is there, but has other columns than before.
    pub(super) fn is_table_changed(&self) -> bool {
        match self {
            Ended::Sink(SinkError::Changed(_)) => true,
            Ended::Sink(SinkError::Database(Impatience::Refused { source, .. })) => {
                let code = source.as_database_error().and_then(|error| error.code());
                code.as_deref() == Some(UNDEFINED_COLUMN)
            }
            _ => false,
        }
    }

    /// The failure of this stream.
    pub(super) fn of_stream(self, stream: &str) -> EngineError {
        let stream = stream.to_owned();
        match self {
            Ended::Table(source) => EngineError::Table { stream, source },
            Ended::Sink(source) => EngineError::Sink { stream, source },
            Ended::Folder(source) => EngineError::Folder(source),
            Ended::Task(source) => EngineError::Task(source),
            Ended::Shutdown => EngineError::Sink { stream, source: Impatience::Shutdown.into() },
        }
    }
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
