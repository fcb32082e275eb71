//! Receivers: the doors by which records come that are in no file yet. What they accept is written to the spool
//! of its stream, and from there on read like any other file.

pub mod http;
pub mod intake;
pub mod records;
pub mod spool;
pub mod tcp;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use crate::config::Stream;
use spool::Spool;

/// The spools of all streams, by name. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Spools(Arc<HashMap<String, Spool>>);

impl Spools {
    /// A spool for each of `streams`, in the folder `root`; each takes `backlog_bytes_max`.
    pub fn new(root: &Path, streams: &[Stream], backlog_bytes_max: u64) -> Spools {
        let spool = |stream: &Stream| {
            Spool::new(root, &stream.name, stream.record_bytes_max, backlog_bytes_max)
        };
        Spools(Arc::new(
            streams.iter().map(|stream| (stream.name.clone(), spool(stream))).collect(),
        ))
    }

    /// The spool of a stream, if it is one of those.
    pub fn of(&self, stream: &str) -> Option<&Spool> {
        self.0.get(stream)
    }
}
