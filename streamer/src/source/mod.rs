//! Sources: files of a folder, read as logs of records with offsets.
//!
//! [`folder`] finds the files, [`fingerprint`] knows them again, [`content`] unpacks them, [`mod@file`] reads
//! one of them, [`feed`] puts micro-batches together; [`files`] is what several feeds share, and [`share`]
//! leaves files to others. Nothing here changes any state outside this process.

mod again;
mod below;
pub mod content;
pub mod feed;
pub mod file;
pub mod files;
pub mod fingerprint;
pub mod folder;
mod known;
mod layouts;
mod part;
mod pattern;
pub mod share;

use std::sync::Arc;

use crate::source::fingerprint::Fingerprint;

/// How far a partition was read, and what it looked like then: what a checkpoint holds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Position {
    /// The next byte to read: the start of a record, or the end of the file.
    pub offset: u64,
    /// The line that starts there, from 1.
    pub line: u64,
    /// What was consumed of the file, to know it again.
    pub fingerprint: Fingerprint,
    /// Whether the file ends here.
    pub is_end: bool,
}

/// The first record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The names in it.
    pub names: Vec<String>,
    /// Its bytes, without a byte order mark and the line end.
    pub raw: Arc<[u8]>,
}

/// What the checkpoint says of a partition.
#[derive(Debug, Clone, PartialEq)]
pub struct Checkpoint {
    /// The next byte to read.
    pub next_offset: u64,
    /// The line that starts there.
    pub next_line: u64,
    /// What was consumed; `None` where nothing was.
    pub fingerprint: Option<Fingerprint>,
    /// Whether the file was read to its end then.
    pub is_done: bool,
}
