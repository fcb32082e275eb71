//! The spools of all streams.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use super::{Inner, SpoolReader, SpoolWriter};
use crate::config::Stream;

/// The spools of all streams, by name. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Spools(Arc<HashMap<String, Arc<Inner>>>);

impl Spools {
    /// A spool for each of `streams`, in the folder `root`; each takes `backlog_bytes_max`.
    pub fn new(root: &Path, streams: &[Stream], backlog_bytes_max: u64) -> Spools {
        let spool = |stream: &Stream| {
            Arc::new(Inner::new(
                root,
                &stream.name,
                stream.reading.record_bytes_max,
                backlog_bytes_max,
            ))
        };
        Spools(Arc::new(
            streams.iter().map(|stream| (stream.name.clone(), spool(stream))).collect(),
        ))
    }

    /// The handle of listeners on the spool of a stream, if it is one of those.
    pub fn writer(&self, stream: &str) -> Option<SpoolWriter> {
        self.0.get(stream).cloned().map(SpoolWriter)
    }

    /// The handle of the engine on the spool of a stream, if it is one of those.
    pub fn reader(&self, stream: &str) -> Option<SpoolReader> {
        self.0.get(stream).cloned().map(SpoolReader)
    }
}
