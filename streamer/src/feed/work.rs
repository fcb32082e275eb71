//! What a feed has for its stream.

use std::io;

use crate::batch::MicroBatch;
use crate::partition::Partition;

/// What the feed has for the stream.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Work {
    /// Records to commit.
    Batch(MicroBatch),
    /// A file that can't be loaded as it is.
    Refused {
        /// The partition.
        partition: Partition,
        /// Why, and what to do.
        reason: String,
    },
    /// A file that can't be read now; it is tried again at each listing.
    Unreadable {
        /// The file's name.
        name: String,
        /// Why.
        error: io::Error,
    },
}
