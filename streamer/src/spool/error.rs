//! Why a spool does not take records.

use std::io;
use std::sync::Arc;

/// Why records were not taken. Nothing of them is then stored.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Too much waits to be committed.
    #[error("too much waits to be committed")]
    Full,
    /// More requests wait to be written than can be kept in mind.
    #[error("too many requests at once")]
    Busy,
    /// The key was used for other records.
    #[error("this Idempotency-Key was used for other records")]
    KeyReused,
    /// They can't be written.
    #[error("write to the spool")]
    Io(#[source] Arc<io::Error>),
}

impl From<io::Error> for SpoolError {
    fn from(error: io::Error) -> SpoolError {
        SpoolError::Io(Arc::new(error))
    }
}
