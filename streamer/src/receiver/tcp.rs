//! TCP: lines from whoever connects, or from a server that is connected to.
//!
//! What was read is synced before more is read, so a client that sends more than the disk or the
//! database takes is slowed down by not being read. Nothing is answered: what was on its way when a
//! connection broke is lost, as it is with every plain TCP source.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connections::{Connections, Place};
use super::intake::{Follows, Intake};
use crate::config::TcpListen;
use crate::health::Health;
use crate::memory::{CONNECTION_BYTES, Memory, Share, line_bytes, names_bytes};
use crate::retry::pauses;
use crate::spool::{Append, SpoolError, SpoolWriter};

/// How much is read at a time, in bytes, and how much where memory is short.
const CHUNK_BYTES: usize = 256 * 1024;
const SMALL_CHUNK_BYTES: usize = CONNECTION_BYTES / 4;

/// A line is in memory as it was read, as it waits for its end, and as it is handed on.
const COPIES: usize = 3;

/// What a connection keeps of a line with what was reserved for it, in bytes.
const KEPT_BYTES: usize = CONNECTION_BYTES / 2;

/// Who is silent for so long in the middle of a long line leaves its memory to others that wait.
const LINE_WITHIN: Duration = Duration::from_secs(10);

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
    /// What long lines are read into, and much at a time.
    pub memory: Memory,
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

/// The memory that a connection has, beside what is reserved for it.
struct Shares {
    /// Of the long line that has begun.
    line: Option<Share>,
    /// Of its header, which is kept as long as it lasts.
    header: Option<Share>,
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
    async fn read(&self, peer: TcpStream, place: Option<Place>) -> Ended {
        let mut intake = Intake::new(self.record_bytes_max, None);
        let mut shares = Shares { line: None, header: None };
        loop {
            if !self.wait_for_room().await {
                return Ended::Stopped;
            }
            if let Err(ended) = self.wait_for_line(&intake, &mut shares).await {
                return ended;
            }
            let readable = async {
                match &place {
                    Some(place) => place.hear(peer.readable()).await,
                    None => Some(peer.readable().await),
                }
            };
            let is_there = tokio::select! {
                () = self.stop.cancelled() => return Ended::Stopped,
                readable = readable => readable.is_some_and(|readable| readable.is_ok()),
                () = self.outstayed(), if shares.line.is_some() => false,
            };
            let much = self.memory.try_share(COPIES * CHUNK_BYTES);
            let bytes = if much.is_some() { CHUNK_BYTES } else { SMALL_CHUNK_BYTES };
            let mut chunk = Vec::with_capacity(bytes);
            // A connection that was reset has ended like any other, and so has one that leaves.
            let is_end = match is_there.then(|| peer.try_read_buf(&mut chunk)) {
                Some(Err(error)) if error.kind() == ErrorKind::WouldBlock => continue,
                Some(Ok(read)) => read == 0,
                Some(Err(_)) | None => true,
            };
            let follows = if is_end { Follows::Unknown } else { Follows::More };
            let appends = match intake.take(&chunk, follows) {
                Ok(appends) => appends,
                Err(error) => return Ended::Refused(error.to_string()),
            };
            drop(chunk);
            if let Err(refused) = self.check_header(&mut intake, &mut shares) {
                return refused;
            }
            for append in appends {
                if !self.append(append).await {
                    return Ended::Stopped;
                }
            }
            if is_end {
                return Ended::Closed;
            }
        }
    }

    /// Waits until there is memory for the line that has begun, if that is long. The memory of one
    /// that has ended is given back.
    async fn wait_for_line(&self, intake: &Intake, shares: &mut Shares) -> Result<(), Ended> {
        if intake.held_bytes() <= KEPT_BYTES {
            shares.line = None;
        } else if shares.line.is_none() {
            tokio::select! {
                () = self.stop.cancelled() => return Err(Ended::Stopped),
                share = self.memory.share(line_bytes(self.record_bytes_max)) => {
                    shares.line = Some(share);
                }
            }
        }
        Ok(())
    }

    /// Ends when who is silent in the middle of a long line keeps others waiting.
    async fn outstayed(&self) {
        loop {
            tokio::time::sleep(LINE_WITHIN).await;
            if self.memory.is_wanted() {
                return;
            }
        }
    }

    /// Checks the header once it was read: whether it fits the table, and into memory.
    fn check_header(&self, intake: &mut Intake, shares: &mut Shares) -> Result<(), Ended> {
        let Some(names) = intake.take_header() else { return Ok(()) };
        let bytes = intake.header_bytes();
        let beyond = bytes.saturating_sub(KEPT_BYTES / 2);
        let no_room = || {
            let why = "the setting memory has no room now for its header of";
            Ended::Refused(format!("{why} {bytes} bytes"))
        };
        let for_names = self.memory.try_share(names_bytes(bytes)).ok_or_else(no_room)?;
        shares.header = Some(self.memory.try_keep(beyond).ok_or_else(no_room)?);
        self.spool.check_header(names).map_err(|error| Ended::Refused(error.to_string()))?;
        drop(for_names);
        Ok(())
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
