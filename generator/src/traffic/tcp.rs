//! A server that takes lines.

use super::batch::Batch;
use super::json::Encoder;
use super::peer::Peer;
use super::run::{Run, pauses};
use super::{Fate, Sender};
use std::io;
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

/// How long a server may take to let one in.
const CONNECTING_MAX: Duration = Duration::from_secs(5);

/// A server that does not read makes the sender wait, which is its right.
const PATIENCE: Duration = Duration::MAX;

/// Writes to one connection; makes another when it is lost. Nobody tells what of the last lines
/// arrived: they are written again, so some may arrive twice.
pub(super) struct Tcp {
    address: String,
    encoder: Encoder,
    peer: Option<Peer>,
    text: Vec<u8>,
}

impl Tcp {
    pub(super) fn new(address: String, encoder: Encoder) -> Tcp {
        Tcp { address, encoder, peer: None, text: Vec::new() }
    }

    /// Writes `text`, first of all the header on a new connection.
    fn write(&mut self, run: &Run) -> io::Result<()> {
        let mut peer = match self.peer.take() {
            Some(peer) => peer,
            None => {
                let mut peer = Peer::new(connect(&self.address)?)?;
                peer.write(self.encoder.header(), run, PATIENCE)?;
                peer
            }
        };
        if peer.is_gone() {
            return Err(io::Error::new(io::ErrorKind::ConnectionReset, "it has hung up"));
        }
        peer.write(&self.text, run, PATIENCE)?;
        self.peer = Some(peer);
        Ok(())
    }
}

impl Sender for Tcp {
    fn send(&mut self, batch: &Batch, run: &Run) -> io::Result<Fate> {
        self.text.clear();
        self.encoder.encode(&batch.lines, &mut self.text);
        let mut pauses = pauses();
        loop {
            let Err(error) = self.write(run) else { return Ok(Fate::Accepted(batch.records())) };
            let pause = pauses.next().expect("pauses never end");
            if run.is_over() || !run.pause(pause, format!("tcp://{}: {error}", self.address)) {
                return Ok(Fate::Unanswered);
            }
        }
    }

    fn finish(&mut self) {
        self.peer.take().into_iter().for_each(Peer::close);
    }
}

/// Connects to the first of the host's addresses that answers.
fn connect(address: &str) -> io::Result<TcpStream> {
    let mut refused = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, CONNECTING_MAX) {
            Ok(stream) => return Ok(stream),
            Err(error) => refused = error,
        }
    }
    Err(refused)
}
