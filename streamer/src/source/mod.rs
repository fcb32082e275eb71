//! Sources: opening and reading one file.
//!
//! [`folder`] finds the files, [`content`] unpacks them, [`mod@file`] reads one of them; [`walk`]
//! goes through a segment without reading its records. Nothing here changes any state outside this
//! process.

pub mod below;
pub mod content;
pub mod file;
pub mod folder;
mod packed;
mod pattern;
pub mod untaken;
pub mod walk;
