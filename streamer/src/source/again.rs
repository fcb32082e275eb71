//! Knowing a file again by what its checkpoint says.

use std::io;

use super::Checkpoint;
use super::content::Content;
use super::fingerprint::Consumed;

/// What a file is to its checkpoint.
pub(super) enum Again {
    /// Another file, or one that nothing was read of.
    New {
        /// Which file under its path it is, from 1.
        number: u32,
    },
    /// It was read to its end, and that is where it still ends.
    Done,
    /// Reading it goes on.
    Resumed {
        /// Which file under its path it is, from 1.
        number: u32,
        checkpoint: Box<Checkpoint>,
        /// What was found to be the same.
        consumed: Consumed,
    },
}

impl Again {
    /// Compares `content`, the file `name`, with the newest partition under its path.
    ///
    /// # Errors
    /// When the file can't be read.
    pub(super) fn of(
        content: &mut Content,
        name: &str,
        known: Option<&(u32, Checkpoint)>,
    ) -> io::Result<Again> {
        let Some((number, checkpoint)) = known else { return Ok(Again::New { number: 1 }) };
        let (number, offset) = (*number, checkpoint.next_offset);
        if offset == 0 {
            return Ok(Again::New { number });
        }
        let fingerprint = checkpoint.fingerprint.as_ref();
        let verify = |print| Consumed::verify(content, print, offset);
        Ok(match fingerprint.map(verify).transpose()?.flatten() {
            Some(_) if checkpoint.is_done && content.ends_at(offset)? => Again::Done,
            Some(consumed) => {
                Again::Resumed { number, checkpoint: Box::new(checkpoint.clone()), consumed }
            }
            None => {
                tracing::warn!("{name} is no longer the file it was: reading it from its start");
                Again::New { number: number + 1 }
            }
        })
    }
}
