//! Knowing a log again by what its checkpoint says.

use std::io;

use crate::partition::fingerprint::Consumed;
use crate::partition::{Checkpoint, Kind, Name, Partition};
use crate::source::content::Content;

/// What a log is to the newest partition of its name.
pub(super) enum Again {
    /// A log that nothing was read of.
    New {
        generation: u32,
        /// Whether there is no checkpoint yet.
        is_new: bool,
    },
    /// It was read to its end, and that is where it still ends.
    Done,
    /// Reading it goes on.
    Resumed {
        generation: u32,
        checkpoint: Box<Checkpoint>,
        /// What was found to be the same.
        consumed: Consumed,
    },
}

impl Again {
    /// Compares `content`, the log `name`, with the newest partition of its name.
    ///
    /// # Errors
    /// When the log can't be read.
    pub(super) fn of(
        content: &mut Content,
        name: &Name,
        known: Option<&(Partition, Checkpoint)>,
    ) -> io::Result<Again> {
        let Some((partition, checkpoint)) = known else {
            return Ok(Again::New { generation: 1, is_new: true });
        };
        let (generation, offset) = (partition.generation, checkpoint.next_offset);
        if offset == 0 {
            return Ok(Again::New { generation, is_new: false });
        }
        if name.kind() == Kind::Segment {
            // It has its name for itself, and is only appended to.
            return Ok(match checkpoint.is_done && content.ends_at(offset)? {
                true => Again::Done,
                false => Again::resumed(generation, checkpoint, Consumed::default()),
            });
        }
        let fingerprint = checkpoint.fingerprint.as_ref();
        let verify = |print| Consumed::verify(content, print, offset);
        Ok(match fingerprint.map(verify).transpose()?.flatten() {
            Some(_) if checkpoint.is_done && content.ends_at(offset)? => Again::Done,
            Some(consumed) => Again::resumed(generation, checkpoint, consumed),
            None => {
                tracing::warn!("{name} is no longer the file it was: reading it from its start");
                Again::New { generation: generation + 1, is_new: true }
            }
        })
    }

    fn resumed(generation: u32, checkpoint: &Checkpoint, consumed: Consumed) -> Again {
        Again::Resumed { generation, checkpoint: Box::new(checkpoint.clone()), consumed }
    }
}
