//! Standard output.

use super::batch::Batch;
use super::json::Encoder;
use super::run::Run;
use super::{Fate, Sender};
use std::io::{self, Write};

/// Writes what is due, and flushes it.
pub(super) struct Stdout {
    encoder: Encoder,
    is_begun: bool,
    text: Vec<u8>,
}

impl Stdout {
    pub(super) fn new(encoder: Encoder) -> Stdout {
        Stdout { encoder, is_begun: false, text: Vec::new() }
    }
}

impl Sender for Stdout {
    fn send(&mut self, batch: &Batch, _: &Run) -> io::Result<Fate> {
        self.text.clear();
        if !self.is_begun {
            self.text.extend_from_slice(self.encoder.header());
            self.is_begun = true;
        }
        self.encoder.encode(&batch.lines, &mut self.text);
        let mut stdout = io::stdout().lock();
        stdout.write_all(&self.text)?;
        stdout.flush()?;
        Ok(Fate::Accepted(batch.records()))
    }
}
