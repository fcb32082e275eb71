//! The `streamer` program as a child process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::WAIT_MAX;

/// The program with a clean environment, in `folder`, with its data there too.
pub(crate) fn streamer(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamer"));
    for name in
        ["CONFIG", "DATA", "EVERY", "OPEN_PAGE", "SPOOL", "STARTED_BY", "TOKEN", "TOKEN_FILE"]
    {
        command.env_remove(format!("STREAMER_{name}"));
    }
    for name in ["DATABASE_URL", "RUST_LOG"] {
        command.env_remove(name);
    }
    command.args(args).current_dir(folder).env("STREAMER_DATA", folder);
    // Tests run side by side.
    command.env("STREAMER_LISTEN", "none");
    command
}

/// How a process ended, and what it wrote.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// Runs the command to its end.
    pub(crate) fn of(command: &mut Command) -> Ended {
        let output = command.stdin(Stdio::null()).output().expect("run the program");
        Ended {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).expect("stdout is text"),
            stderr: String::from_utf8(output.stderr).expect("stderr is text"),
        }
    }

    /// Demands an exit code.
    pub(crate) fn expect(self, code: i32) -> Ended {
        assert_eq!(self.code, Some(code), "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }
}

/// A process at work; it is killed when dropped.
pub(crate) struct Running {
    child: Child,
    log: Receiver<String>,
}

impl Running {
    /// Starts the command.
    pub(crate) fn start(command: &mut Command) -> Running {
        let streams = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = streams.spawn().expect("start the program");
        let stderr = child.stderr.take().expect("stderr is piped");
        let (send, log) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                if send.send(line).is_err() {
                    return;
                }
            }
        });
        Running { child, log }
    }

    /// Waits for a log line that holds `text`.
    pub(crate) fn wait_for_log(&self, text: &str) -> String {
        let deadline = Instant::now() + WAIT_MAX;
        let mut seen = String::new();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            match self.log.recv_timeout(left) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen += &format!("{line}\n"),
                Err(error) => panic!("no log line with {text:?} ({error}) after:\n{seen}"),
            }
        }
    }

    /// Its command line, as everybody on the machine can read it.
    pub(crate) fn command_line(&self) -> String {
        let path = format!("/proc/{}/cmdline", self.child.id());
        String::from_utf8_lossy(&std::fs::read(path).expect("it is running")).into_owned()
    }

    /// The log lines that have come and were not asked for yet.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.try_iter().collect()
    }

    /// Sends SIGTERM and waits: the exit code and how long it took.
    pub(crate) fn terminate(mut self) -> (Option<i32>, Duration) {
        let started = Instant::now();
        self.signal(Signal::SIGTERM);
        let status = self.child.wait().expect("wait for the program");
        (status.code(), started.elapsed())
    }

    /// Waits until it ends by itself: the exit code, and the log lines that were not asked for yet.
    pub(crate) fn wait(mut self) -> (Option<i32>, String) {
        let deadline = Instant::now() + WAIT_MAX;
        let mut log = String::new();
        loop {
            match self.log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => log += &format!("{line}\n"),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => panic!("it goes on:\n{log}"),
            }
        }
        (self.child.wait().expect("wait for the program").code(), log)
    }

    /// The most memory that it has had so far, in kB.
    pub(crate) fn peak_kb(&self) -> u64 {
        let status = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(status).expect("Linux tells of the program");
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.expect("it names the peak").parse().expect("it is a number")
    }

    /// Its process number.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.child.id()).expect("a process number fits");
        kill(Pid::from_raw(pid), signal).expect("signal the program");
    }

    /// Kills it as kill -9 does.
    pub(crate) fn kill(mut self) {
        self.child.kill().expect("kill the program");
        self.child.wait().expect("wait for the program");
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        if std::thread::panicking() {
            // What it wrote last comes by a thread of its own, which ends with the process.
            eprintln!("the program's log:\n{}", self.log.iter().collect::<Vec<_>>().join("\n"));
        }
    }
}
