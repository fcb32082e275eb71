//! Sources: opening and reading one file.
//!
//! [`folder`] finds the files, [`content`] unpacks them, [`mod@file`] reads one of them. Nothing here
//! changes any state outside this process.

pub mod below;
pub mod content;
pub mod file;
pub mod folder;
mod pattern;

use std::sync::Arc;

/// The first record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// The names in it.
    pub names: Vec<String>,
    /// Its bytes, without a byte order mark and the line end.
    pub raw: Arc<[u8]>,
}
