//! TCP: lines from whoever connects, or from a server that is connected to.
//!
//! What was read is synced before more is read, so a client that sends more than the disk or the
//! database takes is slowed down by not being read. Nothing is answered: what was on its way when a
//! connection broke is lost, as it is with every plain TCP source.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Connections, Place};
use super::intake::{Follows, Intake};
use crate::config::TcpListen;
use crate::health::Health;
use crate::retry::pauses;
use crate::spool::{Append, SpoolError, SpoolWriter};

/// How much is read at a time, in bytes.
const CHUNK_BYTES: usize = 256 * 1024;

/// How often it is asked whether there is room again.
const PAUSE: Duration = Duration::from_millis(50);

/// The line into one stream.
#[derive(Clone)]
pub struct Line {
    /// The stream's name.
    pub stream: Arc<str>,
    /// How many bytes a record of its may have.
    pub record_bytes_max: usize,
    /// Where its records go.
    pub spool: SpoolWriter,
    /// Where it is noted that a server is away.
    pub health: Health,
    /// Ends it.
    pub stop: CancellationToken,
}

/// Why a connection ends.
enum Ended {
    /// The other side has closed it, or it broke.
    Closed,
    /// The streamer stops.
    Stopped,
    /// Its header does not fit.
    Refused(String),
}

/// The next connection, and a place for it once there is one.
async fn accept(
    listener: &TcpListener,
    connections: &Arc<Connections>,
) -> std::io::Result<(TcpStream, Place)> {
    let accepted = listener.accept().await;
    if accepted.as_ref().is_err_and(wants_descriptors) {
        connections.ask_silent();
    }
    Ok((accepted?.0, connections.place().await))
}

/// Whether there are too many open files for one connection more.
fn wants_descriptors(error: &std::io::Error) -> bool {
    let code = error.raw_os_error().map(Errno::from_raw);
    matches!(code, Some(Errno::EMFILE | Errno::ENFILE))
}

impl Line {
    /// Takes the address.
    ///
    /// # Errors
    /// When somebody else listens there, or nobody may.
    pub async fn bind(address: SocketAddr) -> std::io::Result<TcpListener> {
        TcpListener::bind(address).await
    }

    /// Reads from everybody who connects, until it is to stop.
    pub async fn listen(self, listener: TcpListener, limits: TcpListen) {
        let connections = Connections::new(limits);
        let telling = connections.tell(&self.stream);
        tokio::pin!(telling);
        let reading = TaskTracker::new();
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => break,
                never = &mut telling => match never {},
                accepted = accept(&listener, &connections) => accepted,
            };
            match accepted {
                Ok((peer, place)) => {
                    let line = self.clone();
                    reading.spawn(async move {
                        if let Ended::Refused(why) = line.read(peer, Some(place)).await {
                            tracing::warn!(stream = %line.stream, "closed a TCP connection: {why}");
                        }
                    });
                }
                Err(error) => {
                    tracing::debug!("cannot take a connection: {error}");
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
        reading.close();
        reading.wait().await;
    }

    /// Reads from the server at `place`, and connects again whenever it has gone, until it is to
    /// stop.
    pub async fn connect(self, place: String) {
        let name = &self.stream;
        let mut waits = pauses();
        let mut ailment = None;
        loop {
            let connected = tokio::select! {
                () = self.stop.cancelled() => return,
                connected = TcpStream::connect(&place) => connected,
            };
            let why = match connected {
                Ok(peer) => {
                    tracing::info!(stream = %name, "reading from {place}");
                    (waits, ailment) = (pauses(), None);
                    match self.read(peer, None).await {
                        Ended::Stopped => return,
                        Ended::Closed => "it has closed the connection".to_owned(),
                        Ended::Refused(why) => why,
                    }
                }
                Err(error) => error.to_string(),
            };
            if ailment.is_none() {
                let told = format!("stream {name} cannot read from {place}: {why}");
                tracing::warn!("{told}; trying again");
                ailment = Some(self.health.note(told));
            }
            tokio::select! {
                () = self.stop.cancelled() => return,
                () = tokio::time::sleep(waits.next().expect("pauses never end")) => {}
            }
        }
    }

    /// Reads one connection to its end. One that has a place among others may have to leave it.
    async fn read(&self, mut peer: TcpStream, place: Option<Place>) -> Ended {
        let mut intake = Intake::new(self.record_bytes_max, None);
        let mut chunk = vec![0; CHUNK_BYTES];
        let mut is_header_checked = false;
        loop {
            if !self.wait_for_room().await {
                return Ended::Stopped;
            }
            // A connection that was reset has ended like any other, and so has one that leaves.
            let hearing = async {
                match &place {
                    Some(place) => place.hear(peer.read(&mut chunk)).await.unwrap_or(Ok(0)),
                    None => peer.read(&mut chunk).await,
                }
            };
            let read = tokio::select! {
                () = self.stop.cancelled() => return Ended::Stopped,
                read = hearing => read.unwrap_or(0),
            };
            let follows = if read == 0 { Follows::Unknown } else { Follows::More };
            let appends = match intake.take(&chunk[..read], follows) {
                Ok(appends) => appends,
                Err(error) => return Ended::Refused(error.to_string()),
            };
            if !is_header_checked && let Some(header) = intake.header() {
                is_header_checked = true;
                if let Err(error) = self.spool.check_header(header) {
                    return Ended::Refused(error.to_string());
                }
            }
            for append in appends {
                if !self.append(append).await {
                    return Ended::Stopped;
                }
            }
            if read == 0 {
                return Ended::Closed;
            }
        }
    }

    /// Waits until the table is known and not too much waits to be committed; false if it is to
    /// stop.
    async fn wait_for_room(&self) -> bool {
        while !self.spool.is_open() || self.spool.check_room().is_err() {
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
        true
    }

    /// Appends records, however often it must be tried; false if it is to stop.
    async fn append(&self, append: Append) -> bool {
        let mut waits = pauses();
        loop {
            match self.spool.append(append.clone()).await {
                Ok(_) => return true,
                Err(error) => {
                    if let SpoolError::Io(error) = &error {
                        tracing::debug!(stream = %self.stream, "trying again: {error}");
                    }
                }
            }
            tokio::select! {
                () = self.stop.cancelled() => return false,
                () = tokio::time::sleep(waits.next().expect("pauses never end")) => {}
            }
        }
    }
}
