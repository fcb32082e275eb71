//! What comes of opening a file: how its records fit the table, or why they don't.

use std::io;
use std::sync::Arc;

use super::Feed;
use crate::format::Beginning;
use crate::layout::Fit;
use crate::source::file::OpenFile;

/// What opening a file came to: how its records fit the table.
pub(super) enum Opening {
    /// The file has nothing to tell by yet.
    NotYet,
    /// The file has no record.
    Empty,
    /// They do, below this header, where the file has one.
    Fits(Fit, Option<Arc<[u8]>>),
    /// They don't: why, and what to do.
    Refused(String),
}

impl Feed {
    /// How the records of a file that was just opened fit the table.
    pub(super) fn fit(&self, file: &mut OpenFile, still: bool) -> io::Result<Opening> {
        let header = match file.begin(still)? {
            Beginning::NotYet => return Ok(Opening::NotYet),
            Beginning::Empty => return Ok(Opening::Empty),
            Beginning::Unreadable(fault) => return Ok(Opening::Refused(fault.to_string())),
            Beginning::Records => return Ok(Opening::Fits(self.fits.of_objects(), None)),
            Beginning::Header(header) => header,
        };
        Ok(match self.fits.of_header(header.names) {
            Ok(fit) => Opening::Fits(fit, Some(header.raw)),
            Err(error) => Opening::Refused(error.to_string()),
        })
    }
}
