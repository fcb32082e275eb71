//! How a running streamer is: what ails it now and how late its rows are, told to `streamer health`
//! and `streamer status` through a Unix socket.
//!
//! The reply has a line for each ailment; none means that all is well. Behind an empty line stands
//! what is to be told of its streams, as JSON. It needs nothing but the process itself, so it is
//! true also when the database is away and when nothing can be written.

mod ailing;

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

pub use ailing::{Ailing, Kind};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use xxhash_rust::xxh3::xxh3_64;

use crate::database::{Connections, Usage};
use crate::latency::{Latencies, Quantiles};
use crate::memory::{Memory, SharedMemory};
use crate::private::sockets;

/// How long a streamer may take to say how it is.
const ANSWER_WITHIN: Duration = Duration::from_secs(3);

/// The longest pause after a failure to take a call, such as for want of file descriptors.
const PAUSE: Duration = Duration::from_millis(200);

/// What ails a streamer, and how late its rows are. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    ailments: Arc<Mutex<Ailments>>,
    latencies: Latencies,
    connections: Connections,
    memory: Option<Memory>,
}

#[derive(Debug, Default)]
struct Ailments {
    noted: u64,
    present: BTreeMap<u64, Ailing>,
}

/// What a streamer tells of its streams.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct StreamsTold {
    /// How late the rows of each are.
    pub latencies: BTreeMap<String, Quantiles>,
    /// What keeps some of them from going on.
    pub ailments: BTreeMap<String, Vec<String>>,
    /// The connections that they share.
    pub connections: Option<Usage>,
    /// The memory that they share.
    pub memory: Option<SharedMemory>,
}

/// Something that ails the streamer until this is dropped.
#[derive(Debug)]
pub struct Ailment {
    health: Health,
    id: u64,
}

/// The answering of questions; ends when this is dropped.
#[derive(Debug)]
pub struct Answering {
    socket: PathBuf,
    task: JoinHandle<()>,
}

/// Why a streamer is not well.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// None answers.
    #[error("no `streamer run` is at work on the data folder {data}")]
    NotRunning {
        /// The data folder.
        data: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// It is there but says nothing.
    #[error("the streamer does not answer within {} s", ANSWER_WITHIN.as_secs())]
    Silent,
    /// It says so itself.
    #[error("the streamer is not well: {0}")]
    Ailing(String),
}

impl Health {
    /// That of a streamer whose streams share these connections and this memory.
    pub fn with(connections: Connections, memory: &Memory) -> Health {
        Health { connections, memory: Some(memory.clone()), ..Health::default() }
    }

    /// The connections that the streams share.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Notes what ails the streamer, in one line, and keeps it from taking records or from loading
    /// them.
    pub fn note(&self, ailment: impl Into<String>) -> Ailment {
        let words = ailment.into();
        self.note_present(words, true, None, None)
    }

    /// Notes what somebody has to see to, in one line, while the streamer goes on.
    pub fn note_aside(&self, ailment: impl Into<String>) -> Ailment {
        let words = ailment.into();
        self.note_present(words, false, None, None)
    }

    /// Notes that records of a stream wait for a partition of its table, in one line. Other records
    /// are taken and loaded.
    pub fn note_waiting(&self, stream: &str, ailment: impl Into<String>) -> Ailment {
        let (words, waits) = (ailment.into(), Some(stream.to_owned()));
        self.note_present(words, false, None, waits)
    }

    /// Notes what keeps one stream from going on, in one line. Records of other streams are taken
    /// and loaded.
    pub fn note_of(&self, stream: &str, ailment: impl Into<String>) -> Ailment {
        let (words, stream) = (ailment.into(), Some(stream.to_owned()));
        self.note_present(words, false, stream, None)
    }

    /// What ails the streamer.
    pub fn ailments(&self) -> Vec<String> {
        self.lock().present.values().map(|present| present.words.clone()).collect()
    }

    /// All that ails the streamer, in the order that it was noted in.
    pub fn ailing(&self) -> Vec<Ailing> {
        self.lock().present.values().cloned().collect()
    }

    /// What keeps the stream from going on.
    pub fn ailments_of(&self, stream: &str) -> Vec<String> {
        self.ailments_by_stream().remove(stream).unwrap_or_default()
    }

    /// How many partitions the stream waits for.
    pub fn waits_of(&self, stream: &str) -> usize {
        self.lock().present.values().filter(|one| one.waits.as_deref() == Some(stream)).count()
    }

    fn ailments_by_stream(&self) -> BTreeMap<String, Vec<String>> {
        let mut by_stream = BTreeMap::<String, Vec<String>>::new();
        for Ailing { words, stream, .. } in self.lock().present.values() {
            if let Some(stream) = stream {
                by_stream.entry(stream.clone()).or_default().push(words.clone());
            }
        }
        by_stream
    }

    fn note_present(
        &self,
        words: String,
        hinders: bool,
        stream: Option<String>,
        waits: Option<String>,
    ) -> Ailment {
        let mut ailments = self.lock();
        ailments.noted += 1;
        let (id, kind, since) = (ailments.noted, Kind::default(), Utc::now());
        ailments.present.insert(id, Ailing { id, words, kind, since, hinders, stream, waits });
        Ailment { health: self.clone(), id }
    }

    /// Whether nothing keeps the streamer from taking records and loading them.
    pub fn is_ready(&self) -> bool {
        self.lock().present.values().all(|present| !present.hinders)
    }

    /// Whether nothing ails the streamer.
    #[cfg(test)]
    pub(crate) fn is_well(&self) -> bool {
        self.lock().present.is_empty()
    }

    /// The latencies of its streams' rows.
    pub fn latencies(&self) -> &Latencies {
        &self.latencies
    }

    /// Answers whoever asks about the streamer on `data`. Two streamers on one folder have one
    /// answer, that of the first.
    ///
    /// # Errors
    /// When there is no place for the socket, or another streamer answers there.
    pub async fn answer(&self, data: &Path) -> io::Result<Answering> {
        let socket = socket(data)?;
        // Else it could be taken for a leftover before it is listened to.
        let _held = sockets::hold(&sockets::make_account_folder()?).await;
        if UnixStream::connect(&socket).await.is_ok() {
            return Err(io::Error::new(ErrorKind::AddrInUse, "another streamer answers there"));
        }
        match std::fs::remove_file(&socket) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            // What is left of a streamer that was killed.
            _ => {}
        }
        let listener = UnixListener::bind(&socket)?;
        let health = self.clone();
        let task = tokio::spawn(async move {
            loop {
                match listener.accept().await {
                    // Whoever has gone away meanwhile needs no answer.
                    Ok((mut caller, _)) => drop(caller.write_all(&health.report()).await),
                    Err(_) => tokio::time::sleep(PAUSE).await,
                }
            }
        });
        Ok(Answering { socket, task })
    }

    fn report(&self) -> Vec<u8> {
        let words: String =
            self.ailments().into_iter().map(|ailment| format!("{ailment}\n")).collect();
        let (latencies, ailments) = (self.latencies.quantiles(), self.ailments_by_stream());
        let connections = Some(self.connections.usage());
        let memory = self.memory.as_ref().map(Memory::usage);
        let told = StreamsTold { latencies, ailments, connections, memory };
        let told = serde_json::to_string(&told).unwrap_or_default();
        format!("{words}\n{told}\n").into()
    }

    fn lock(&self) -> MutexGuard<'_, Ailments> {
        self.ailments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Ailment {
    /// The same, of this kind.
    #[must_use]
    pub fn of_kind(self, kind: Kind) -> Ailment {
        self.change(|ailing| ailing.kind = kind);
        self
    }

    /// The same, which began before it was noted.
    #[must_use]
    pub fn since(self, since: DateTime<Utc>) -> Ailment {
        self.change(|ailing| ailing.since = since);
        self
    }

    /// The same, in other words; since when it lasts stays.
    pub fn reword(&self, words: impl Into<String>) {
        self.change(|ailing| ailing.words = words.into());
    }

    fn change(&self, change: impl FnOnce(&mut Ailing)) {
        if let Some(ailing) = self.health.lock().present.get_mut(&self.id) {
            change(ailing);
        }
    }
}

impl Drop for Ailment {
    fn drop(&mut self) {
        self.health.lock().present.remove(&self.id);
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        self.task.abort();
        // One that stays is cleared up by the next streamer.
        let _ = std::fs::remove_file(&self.socket);
    }
}

/// Asks the streamer on `data` how it is.
///
/// # Errors
/// Whatever ails it.
pub async fn ask(data: &Path) -> Result<(), HealthError> {
    match report(data).await?.0.trim_end() {
        "" => Ok(()),
        ailments => Err(HealthError::Ailing(ailments.replace('\n', "; "))),
    }
}

/// Asks the streamer on `data` how its streams are, and how late their rows, since it was started.
///
/// # Errors
/// When none answers.
pub async fn ask_of_streams(data: &Path) -> Result<StreamsTold, HealthError> {
    // A streamer of another version may say it otherwise or not at all.
    Ok(serde_json::from_str(&report(data).await?.1).unwrap_or_default())
}

/// What the streamer on `data` says: its ailments, and what it tells of its streams.
async fn report(data: &Path) -> Result<(String, String), HealthError> {
    let not_running = |source| HealthError::NotRunning { data: data.to_owned(), source };
    let asking = async {
        let mut streamer = UnixStream::connect(socket(data)?).await?;
        let mut report = String::new();
        streamer.read_to_string(&mut report).await?;
        Ok(report)
    };
    let answered = tokio::time::timeout(ANSWER_WITHIN, asking).await;
    let report = answered.map_err(|_late| HealthError::Silent)?.map_err(not_running)?;
    let parts = report.strip_prefix('\n').map(|latencies| ("", latencies));
    let (ailments, latencies) =
        parts.or_else(|| report.split_once("\n\n")).unwrap_or((report.as_str(), ""));
    Ok((ailments.to_owned(), latencies.to_owned()))
}

/// Where the streamer on `data` answers, one place for each folder and account.
fn socket(data: &Path) -> io::Result<PathBuf> {
    let id = xxh3_64(data.canonicalize()?.as_os_str().as_bytes());
    Ok(sockets::account_folder().join(format!("{}{id:016x}.sock", sockets::HEALTH)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::latency::Visible;

    #[tokio::test]
    async fn a_streamer_tells_what_ails_it_for_as_long_as_it_does() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        assert!(matches!(ask(data).await, Err(HealthError::NotRunning { .. })));
        let health = Health::default();
        let answering = health.answer(data).await.unwrap();
        ask(data).await.unwrap();
        let first = health.note("no database");
        let second = health.note_aside("no folder");
        assert!(!health.is_ready());
        let told = ask(data).await.unwrap_err().to_string();
        assert!(told.ends_with("not well: no database; no folder"), "{told}");
        assert!(ask_of_streams(data).await.unwrap().latencies.is_empty());
        drop(first);
        assert!(health.is_ready() && !health.is_well());
        drop(second);
        ask(data).await.unwrap();
        let mut visible = Visible::soon([0].into_iter());
        visible.note_commit();
        health.latencies().note("a", &visible);
        let ailing = health.note_of("a", "stream a rests");
        assert!(health.is_ready());
        let told = ask_of_streams(data).await.unwrap();
        assert_eq!(told.latencies, health.latencies().quantiles());
        assert_eq!(told.ailments["a"], ["stream a rests"]);
        assert!(ask(data).await.unwrap_err().to_string().ends_with("not well: stream a rests"));
        drop(ailing);
        ask(data).await.unwrap();
        drop(answering);
        assert!(matches!(ask(data).await, Err(HealthError::NotRunning { .. })));
    }

    #[tokio::test]
    async fn the_first_of_two_answers_and_what_a_killed_one_left_is_no_hindrance() {
        let data = tempfile::tempdir().unwrap();
        let data = data.path();
        drop(std::os::unix::net::UnixListener::bind(socket(data).unwrap()));
        assert!(socket(data).unwrap().exists());
        let _first = Health::default().answer(data).await.unwrap();
        let second = Health::default().answer(data).await.unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AddrInUse);
        ask(data).await.unwrap();
    }
}
