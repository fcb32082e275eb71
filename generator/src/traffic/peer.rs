//! A connection that lines are written to.

use super::run::Run;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

/// How soon a connection that takes nothing is tried again.
const TRY_AGAIN: Duration = Duration::from_millis(1);

/// How long the other side may take to read what was written last.
const CLOSING_MAX: Duration = Duration::from_secs(2);

/// The other end of a connection. What it says is read and forgotten.
#[derive(Debug)]
pub(super) struct Peer {
    stream: TcpStream,
}

impl Peer {
    pub(super) fn new(stream: TcpStream) -> io::Result<Peer> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Peer { stream })
    }

    /// Whether the other side has hung up.
    pub(super) fn is_gone(&mut self) -> bool {
        let mut said = [0; 4096];
        loop {
            match self.stream.read(&mut said) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return error.kind() != ErrorKind::WouldBlock,
            }
        }
    }

    /// Writes all of `bytes`, unless the run is over before.
    ///
    /// # Errors
    /// When the connection is lost, or takes nothing for longer than `patience`.
    pub(super) fn write(&mut self, bytes: &[u8], run: &Run, patience: Duration) -> io::Result<()> {
        let mut left = bytes;
        let mut taken = Instant::now();
        while !left.is_empty() {
            match self.stream.write(left) {
                Ok(0) => return Err(ErrorKind::WriteZero.into()),
                Ok(bytes) => {
                    left = &left[bytes..];
                    taken = Instant::now();
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if run.is_over() || taken.elapsed() > patience {
                        return Err(ErrorKind::TimedOut.into());
                    }
                    thread::sleep(TRY_AGAIN);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Says that nothing more comes, and waits a little for the other side to have read all: a
    /// connection that is closed with something unread in it may take away what was written.
    pub(super) fn close(mut self) {
        let begun = Instant::now();
        if self.stream.shutdown(Shutdown::Write).is_ok() {
            while !self.is_gone() && begun.elapsed() < CLOSING_MAX {
                thread::sleep(TRY_AGAIN);
            }
        }
    }
}
