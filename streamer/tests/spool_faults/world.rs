//! What a point happens in: a stream and a table of its own in the one database, a folder, and
//! streamers at work there.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::request::Request;
use crate::support::{self, Ended, Http, Running, TestDb, WAIT_MAX};

/// What waits for something looks so often.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(5);

static STREAMS: AtomicU32 = AtomicU32::new(0);

/// What all points share.
pub(crate) struct Ground {
    pub(crate) runtime: Runtime,
    pub(crate) db: TestDb,
    /// Where the shim is.
    pub(crate) shim: PathBuf,
    /// Goes when the last point is done.
    _folder: TempDir,
}

/// What a point has for itself.
pub(crate) struct World<'g> {
    pub(crate) ground: &'g Ground,
    pub(crate) stream: String,
    folder: TempDir,
}

/// A streamer at work.
pub(crate) struct Streamer {
    pub(crate) running: Running,
    log: Vec<String>,
    port: Option<u16>,
}

/// How often each record is in the table.
pub(crate) type Rows = BTreeMap<(u32, String), u32>;

impl Ground {
    pub(crate) fn new() -> Ground {
        let runtime = Runtime::new().expect("start a runtime");
        let db = runtime.block_on(TestDb::create());
        let folder = support::folder();
        let shim = support::shim("spool_faults/faults.c", folder.path());
        Ground { runtime, db, shim, _folder: folder }
    }
}

impl World<'_> {
    pub(crate) fn new(ground: &Ground) -> World<'_> {
        let stream = format!("stream_{}", STREAMS.fetch_add(1, Ordering::Relaxed));
        // Without a key in the table, a record that is loaded twice is there twice.
        let create = format!("create table {stream} (n bigint, note text)");
        ground.runtime.block_on(ground.db.execute(&create));
        let folder = support::folder();
        let settings = format!(
            "[stream.{stream}]\nfiles = '*.csv'\nscan_every = '100ms'\nevery = '0s'\nwriters = 1\n"
        );
        fs::write(folder.path().join("streams.toml"), settings).expect("write the settings");
        World { ground, stream, folder }
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The folder of all spools, as the system names it.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder().canonicalize().expect("the folder is there").join("spool")
    }

    /// The folder of the segments.
    pub(crate) fn spool(&self) -> PathBuf {
        self.root().join(&self.stream)
    }

    /// The names in the spool.
    pub(crate) fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.spool()) else { return Vec::new() };
        let name = |entry: fs::DirEntry| entry.file_name().into_string().expect("it is text");
        entries.map(|entry| name(entry.expect("list the spool"))).collect()
    }

    /// What is in the files of damaged parts.
    pub(crate) fn damaged(&self) -> Vec<Vec<u8>> {
        let names = self.names().into_iter().filter(|name| name.ends_with(".damaged"));
        names.map(|name| fs::read(self.spool().join(name)).expect("read it")).collect()
    }

    /// The program, to do `args`.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = support::streamer(self.folder(), args);
        command.env("DATABASE_URL", self.ground.db.url());
        command
    }

    /// Starts a streamer, which `prepare` has its part in.
    pub(crate) fn start(&self, prepare: impl FnOnce(&mut Command)) -> Streamer {
        let mut command = self.command(&["run", "--listen", "127.0.0.1:0"]);
        prepare(&mut command);
        Streamer { running: Running::start(&mut command), log: Vec::new(), port: None }
    }

    /// Loads all that is left.
    pub(crate) fn drain(&self) -> Ended {
        Ended::of(&mut self.command(&["run", "--available-now"]))
    }

    /// How often each record is in the table.
    pub(crate) fn rows(&self) -> Rows {
        self.select(&format!("select n, count(*), note from {} group by n, note", self.stream))
    }

    /// The same of one request.
    pub(crate) fn rows_of(&self, request: Request) -> Rows {
        let (start, end) = (request.id * 100, (request.id + 1) * 100);
        self.select(&format!(
            "select n, count(*), note from {} where n >= {start} and n < {end} group by n, note",
            self.stream
        ))
    }

    fn select(&self, sql: &str) -> Rows {
        let Ground { runtime, db, .. } = self.ground;
        let rows = runtime.block_on(db.rows(sql));
        let parsed = rows.iter().map(|row| {
            let columns: Vec<&str> = row.splitn(3, '|').collect();
            let number = |at: usize| columns[at].parse().expect("it is a number");
            ((number(0), columns[2].to_owned()), number(1))
        });
        parsed.collect()
    }

    /// How many dead letters the stream has.
    pub(crate) fn dead_letters(&self) -> i64 {
        let Ground { runtime, db, .. } = self.ground;
        let sql = "select count(*) from streamer.dead_letter where stream = ";
        runtime.block_on(db.number(&format!("{sql}'{}'", self.stream)))
    }
}

impl Streamer {
    /// Where it listens, once it does.
    pub(crate) fn http(&mut self) -> Option<Http> {
        self.log.extend(self.running.log());
        if self.port.is_none() {
            let line = self.log.iter().find(|line| line.contains("listening on http://"));
            self.port = line.and_then(|line| line.rsplit(':').next()?.trim().parse().ok());
        }
        self.port.map(|port| Http { port })
    }

    /// Where it listens, once it takes records.
    pub(crate) fn open(&mut self, stream: &str) -> Option<Http> {
        let http = self.http()?;
        let (path, kind) = (format!("/streams/{stream}/events"), ("Content-Type", "text/csv"));
        // Records of which there are none change nothing.
        let answer = http.ask("POST", &path, &[kind], b"n,note\n").ok()?;
        (answer.status == 202).then_some(http)
    }

    /// Waits until it takes records.
    pub(crate) fn wait_until_open(&mut self, stream: &str) -> Http {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            if let Some(http) = self.open(stream) {
                return http;
            }
            let goes_on = Instant::now() < deadline && !self.has_ended();
            assert!(goes_on, "it does not get ready:\n{}", self.told());
            std::thread::sleep(LOOK_EVERY);
        }
    }

    /// Whether the process is over.
    pub(crate) fn has_ended(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.running.id()));
        // The state stands behind the name, which is in parentheses.
        stat.map_or(true, |stat| stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with('Z')))
    }

    /// What it has written to its log.
    pub(crate) fn told(&mut self) -> String {
        self.log.extend(self.running.log());
        self.log.join("\n")
    }
}
