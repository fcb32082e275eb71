//! Starts the server, with a guard beside it that stops it when we end, and clears away what an
//! earlier one left behind.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};

use super::place::{Place, io_at, open_lock};
use super::programs::Programs;
use super::{EmbeddedError, NAME, START_TIMEOUT};

/// The guard: a shell that runs the server and ends it when our end of a pipe is closed.
const GUARD: &str = include_str!("guard.sh");

/// Settings of every server. The log stays small and holds no values from rows: what a statement of
/// ours did wrong is told to us, not to the log. The role has the name of the streamer's own
/// schema, where a user's `create table` would land without a search path.
const SETTINGS: [(&str, &str); 7] = [
    ("listen_addresses", ""),
    ("search_path", "public"),
    ("shared_buffers", "128MB"),
    ("max_wal_size", "2GB"),
    ("log_min_messages", "log"),
    ("log_min_error_statement", "panic"),
    ("log_checkpoints", "off"),
];

/// A log longer than this is put aside at the next start. Unit: bytes.
const LOG_MAX: u64 = 8 << 20;

/// How much of a log or of a program's output an error shows. Unit: bytes.
const TAIL: u64 = 2048;

/// How long a server that was left behind may take to stop.
const LEFT_BEHIND_TIMEOUT: Duration = Duration::from_secs(60);

/// A server of ours. It is stopped when this is dropped.
#[derive(Debug)]
pub(super) struct Server {
    /// Holds the pipe that keeps the server running.
    guard: Child,
    /// The folder of its socket.
    pub(super) socket: PathBuf,
    log: PathBuf,
    /// Where in the log this server's part begins.
    log_start: u64,
}

/// Starts the server and its guard; does not wait until it answers. Only for the owner.
pub(super) async fn launch(place: &Place) -> Result<Server, EmbeddedError> {
    let lock = lock_server(place).await?;
    let version = place.version()?;
    let programs = Programs::find(place, version).await?;
    if version.is_none() {
        make_data(place, &programs, &lock).await?;
    }
    forget_dead_server(place)?;
    let socket = place.empty_socket_folder()?;
    let (log, log_start) = open_log(&place.log())?;

    let mut command = place.account.command("/bin/sh");
    // A process group of its own: Ctrl-C in the terminal is for us, and we stop the server in
    // order.
    command.process_group(0).args(["-c", GUARD, "guard"]).arg(&socket);
    command.arg(programs.bin.join("postgres")).arg("-D").arg(place.data());
    for (name, value) in SETTINGS {
        command.arg("-c").arg(format!("{name}={value}"));
    }
    let mut folder = OsString::from("unix_socket_directories=");
    folder.push(list_of_one(&socket));
    command.arg("-c").arg(folder);
    command.stdin(Stdio::piped()).stdout(lock).stderr(log);
    let guard = Command::from(command).spawn();
    let program = PathBuf::from("/bin/sh");
    let guard = guard.map_err(|source| EmbeddedError::Run { program, source })?;
    Ok(Server { guard, socket, log: place.log(), log_start })
}

impl Server {
    pub(super) fn is_alive(&mut self) -> bool {
        matches!(self.guard.try_wait(), Ok(None))
    }

    /// The error for a server that ended by itself.
    pub(super) fn ended(&self) -> EmbeddedError {
        EmbeddedError::Ended { log: self.log.clone(), tail: self.log_tail() }
    }

    /// The error for a server that did not become ready.
    pub(super) fn not_ready(&self) -> EmbeddedError {
        let (log, tail) = (self.log.clone(), self.log_tail());
        EmbeddedError::NotReady { seconds: START_TIMEOUT.as_secs(), log, tail }
    }

    /// Stops the server and waits for it, at most `grace`.
    pub(super) async fn stop(mut self, grace: Duration) {
        // Waiting for the guard closes the pipe to it first.
        if tokio::time::timeout(grace, self.guard.wait()).await.is_err() {
            tracing::warn!("PostgreSQL is still stopping; not waiting any longer");
        }
    }

    fn log_tail(&self) -> String {
        let read = || {
            let mut file = File::open(&self.log)?;
            let start = file.metadata()?.len().saturating_sub(TAIL).max(self.log_start);
            file.seek(SeekFrom::Start(start))?;
            let mut bytes = Vec::new();
            file.take(TAIL).read_to_end(&mut bytes)?;
            Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
        };
        read().unwrap_or_else(|error: std::io::Error| format!("(can't be read: {error})"))
    }
}

/// The lock that all processes of a server hold as their standard input, taken for the next one.
///
/// It tells reliably whether a server of this home lives; process ids are used again after a crash
/// or reboot, and mean something else in another container. If one was left behind without a guard,
/// it is asked to stop.
async fn lock_server(place: &Place) -> Result<File, EmbeddedError> {
    let path = place.server_lock();
    let file = open_lock(&path)?;
    let since = Instant::now();
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(io_at(&path)(source)),
        }
        if since.elapsed() > LEFT_BEHIND_TIMEOUT {
            return Err(EmbeddedError::LeftBehind { home: place.home().to_path_buf() });
        }
        if let Some(pid) = running(place) {
            tracing::debug!("stopping the PostgreSQL left behind as process {pid}");
            // The fast shutdown. If the process has just ended, that is as good.
            let _ = kill(Pid::from_raw(pid), Signal::SIGINT);
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// The process that the last server to run here was, if that lives and is a PostgreSQL.
fn running(place: &Place) -> Option<i32> {
    let text = fs::read_to_string(place.pid_file()).ok()?;
    let pid = text.lines().next()?.trim().parse().ok()?;
    is_postgres(pid).then_some(pid)
}

/// Whether the process `pid` lives and is a PostgreSQL.
fn is_postgres(pid: i32) -> bool {
    // The command line: a process that ended, but that its parent has not looked after, has none.
    let command = fs::read(format!("/proc/{pid}/cmdline")).or_else(|_| {
        // Not Linux, or no such process.
        let pid = pid.to_string();
        let output = std::process::Command::new("ps").args(["-o", "comm=", "-p", &pid]).output();
        output.map(|output| output.stdout)
    });
    let command = command.unwrap_or_default();
    let program = command.split(|byte| *byte == 0).next().unwrap_or_default();
    let program = Path::new(OsStr::from_bytes(program)).file_name().unwrap_or_default();
    program.as_bytes().starts_with(b"postgres")
}

/// Removes the `postmaster.pid` of a server that died. If its process id belongs to something else
/// by now, or the file is not complete, PostgreSQL would refuse to start.
///
/// A `postmaster.pid` whose process is a PostgreSQL is left for PostgreSQL to judge: the data
/// folder may be in use by a server that somebody started by hand.
fn forget_dead_server(place: &Place) -> Result<(), EmbeddedError> {
    if running(place).is_some() {
        return Ok(());
    }
    let path = place.pid_file();
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_at(&path)(error)),
        _ => Ok(()),
    }
}

/// Makes the data folder: under another name first, so that it is complete if it exists.
async fn make_data(place: &Place, programs: &Programs, lock: &File) -> Result<(), EmbeddedError> {
    let partial = place.home().join("data.partial");
    match fs::remove_dir_all(&partial) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(io_at(&partial)(error));
        }
        _ => {}
    }
    fs::create_dir(&partial).map_err(io_at(&partial))?;
    place.account.give(&partial).map_err(io_at(&partial))?;
    let program = programs.bin.join("initdb");
    let mut command = place.account.command(&program);
    command.args(["-U", NAME, "-E", "UTF8", "--locale=C", "--data-checksums", "-A", "trust", "-D"]);
    // It holds the lock as a server does: should we be killed, the next start waits for it.
    command.arg(&partial).stdin(lock.try_clone().map_err(io_at(&place.server_lock()))?);
    let output = Command::from(command).kill_on_drop(true).output().await;
    let output = output.map_err(|source| EmbeddedError::Run { program, source })?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let lines: Vec<&str> = text.trim_end().lines().rev().take(10).collect();
        let output = lines.into_iter().rev().collect::<Vec<_>>().join("\n");
        return Err(EmbeddedError::Initdb { data: place.data(), output });
    }
    fs::rename(&partial, place.data()).map_err(io_at(&partial))?;
    let home = File::open(place.home()).and_then(|folder| folder.sync_all());
    home.map_err(io_at(place.home()))
}

/// The log to append to, and its length now.
fn open_log(path: &Path) -> Result<(File, u64), EmbeddedError> {
    if path.metadata().is_ok_and(|found| found.len() > LOG_MAX) {
        fs::rename(path, path.with_extension("log.old")).map_err(io_at(path))?;
    }
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(path);
    let log = log.map_err(io_at(path))?;
    let length = log.metadata().map_err(io_at(path))?.len();
    Ok((log, length))
}

/// `path` as the only item of a list in PostgreSQL's settings, where commas separate and double
/// quotes enclose.
fn list_of_one(path: &Path) -> OsString {
    let mut item = vec![b'"'];
    for byte in path.as_os_str().as_bytes() {
        item.extend(std::iter::repeat_n(*byte, if *byte == b'"' { 2 } else { 1 }));
    }
    item.push(b'"');
    OsString::from_vec(item)
}

#[cfg(test)]
mod tests {
    use super::list_of_one;
    use std::path::Path;

    #[test]
    fn a_folder_with_quotes_and_commas_is_one_item() {
        assert_eq!(list_of_one(Path::new(r#"/a, b "c""#)).to_str(), Some(r#""/a, b ""c""""#));
    }
}
