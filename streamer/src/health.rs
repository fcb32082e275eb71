//! How a running streamer is: what ails it now and how late its rows are, told to `streamer health`
//! and `streamer status` through a Unix socket.
//!
//! The reply has a line for each ailment; none means that all is well. Behind an empty line stand
//! the latencies of its streams, as JSON. It needs nothing but the process itself, so it is true
//! also when the database is away and when nothing can be written.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinHandle;
use xxhash_rust::xxh3::xxh3_64;

use crate::latency::{Latencies, Quantiles};
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
}

#[derive(Debug, Default)]
struct Ailments {
    noted: u64,
    present: BTreeMap<u64, Present>,
}

#[derive(Debug)]
struct Present {
    words: String,
    /// Whether it keeps the streamer from taking records, or from loading them.
    hinders: bool,
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
    /// Notes what ails the streamer, in one line, and keeps it from taking records or from loading
    /// them.
    pub fn note(&self, ailment: impl Into<String>) -> Ailment {
        self.note_present(Present { words: ailment.into(), hinders: true })
    }

    /// Notes what somebody has to see to, in one line, while the streamer goes on.
    pub fn note_aside(&self, ailment: impl Into<String>) -> Ailment {
        self.note_present(Present { words: ailment.into(), hinders: false })
    }

    fn note_present(&self, present: Present) -> Ailment {
        let mut ailments = self.lock();
        ailments.noted += 1;
        let id = ailments.noted;
        ailments.present.insert(id, present);
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
        let ailments: String =
            self.lock().present.values().map(|present| format!("{}\n", present.words)).collect();
        let latencies = serde_json::to_string(&self.latencies.quantiles());
        format!("{ailments}\n{}\n", latencies.unwrap_or_default()).into()
    }

    fn lock(&self) -> MutexGuard<'_, Ailments> {
        self.ailments.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Asks the streamer on `data` how late the rows of its streams are, since it was started.
///
/// # Errors
/// When none answers.
pub async fn ask_latencies(data: &Path) -> Result<BTreeMap<String, Quantiles>, HealthError> {
    // A streamer of another version may say it otherwise or not at all.
    Ok(serde_json::from_str(&report(data).await?.1).unwrap_or_default())
}

/// What the streamer on `data` says: its ailments, and its latencies.
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
        assert!(ask_latencies(data).await.unwrap().is_empty());
        drop(first);
        assert!(health.is_ready() && !health.is_well());
        drop(second);
        ask(data).await.unwrap();
        let mut visible = Visible::soon([0].into_iter());
        visible.note_commit();
        health.latencies().note("a", &visible);
        assert_eq!(ask_latencies(data).await.unwrap(), health.latencies().quantiles());
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
