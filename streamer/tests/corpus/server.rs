//! The program and the database that the cases go through.

use std::fmt::Write as _;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use streamer::embedded::Embedded;

use crate::case::Case;

/// More than a file may take, and what the program needs to start.
const TIME_MAX: Duration = Duration::from_secs(5);
const START_TIME_MAX: Duration = Duration::from_secs(10);

/// Nothing here is to outlive a crash, and a thousand commits would wait for the disk.
const SETTINGS: &str = "alter system set fsync = off";

/// A server with a table for each case, and a folder with its file.
pub(crate) struct Server {
    home: tempfile::TempDir,
    embedded: Embedded,
    url: String,
    pub(crate) conn: tokio::sync::Mutex<PgConnection>,
}

impl Server {
    /// Starts the server and makes the tables.
    pub(crate) async fn start(cases: &[Case]) -> Server {
        let home = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir();
        let home = home.expect("make a temporary folder");
        let embedded = Embedded::start(home.path()).await.expect("start PostgreSQL");
        let options = embedded.connect_options();
        let socket = options.get_socket().expect("the server listens on a socket").display();
        let database = options.get_database().unwrap_or("postgres");
        let url = format!("postgres://streamer@localhost/{database}?host={socket}");
        let mut conn = PgConnection::connect_with(&options).await.expect("connect");
        conn.execute(SETTINGS).await.expect("set the server up");
        conn.execute("select pg_reload_conf()").await.expect("set the server up");
        streamer::migrate::migrate(&mut conn, &[]).await.expect("migrate");
        for (number, case) in cases.iter().enumerate() {
            let columns = &case.columns;
            let table = format!(
                "create table {} (\"corpus row\" bigint generated always as identity, {columns})",
                name(number)
            );
            let made = conn.execute(AssertSqlSafe(table)).await;
            made.unwrap_or_else(|error| panic!("{}: {error}", case.path.display()));
        }
        Server { home, embedded, url, conn: tokio::sync::Mutex::new(conn) }
    }

    /// Loads the cases in one run of the program; if that fails, in halves, so that a failure is
    /// that of one case. Returns the failures.
    pub(crate) fn load(&self, cases: &[(usize, &Case)]) -> Vec<(usize, String)> {
        // Every stream lists the whole folder, so each run has its own.
        let data = tempfile::tempdir_in(self.home.path()).expect("make a folder");
        for (number, case) in cases {
            let path = data.path().join(name(*number)).join(&case.path);
            fs::create_dir_all(path.parent().expect("it has a folder")).expect("make a folder");
            fs::write(path, &case.bytes).expect("write the case's file");
        }
        self.load_from(data.path(), cases)
    }

    fn load_from(&self, data: &Path, cases: &[(usize, &Case)]) -> Vec<(usize, String)> {
        match (self.run(data, cases), cases) {
            (Ok(()), _) => Vec::new(),
            (Err(failure), [(number, _)]) => vec![(*number, failure)],
            (Err(_), _) => {
                let (left, right) = cases.split_at(cases.len() / 2);
                [self.load_from(data, left), self.load_from(data, right)].concat()
            }
        }
    }

    /// Runs the program until all is read.
    fn run(&self, data: &Path, cases: &[(usize, &Case)]) -> Result<(), String> {
        let mut streams = String::new();
        for (number, case) in cases {
            let (name, settings) = (name(*number), &case.settings);
            let stream =
                format!("[stream.{name}]\nfiles = '{name}/**'\nsettle = '1ms'\n{settings}");
            writeln!(streams, "{stream}").expect("it fits");
        }
        let (config, stderr) =
            (self.home.path().join("streams.toml"), self.home.path().join("log"));
        fs::write(&config, streams).expect("write streams.toml");
        let log = fs::File::create(&stderr).expect("make the log");
        let mut command = Command::new(env!("CARGO_BIN_EXE_streamer"));
        command.args(["run", "--available-now", "--config"]).arg(&config);
        command.env("STREAMER_DATA", data).env("DATABASE_URL", &self.url);
        for name in ["STREAMER_CONFIG", "STREAMER_EVERY", "RUST_LOG"] {
            command.env_remove(name);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("start the program");
        let code = wait(child, START_TIME_MAX + TIME_MAX)?;
        let log = fs::read_to_string(&stderr).expect("read the log");
        match code {
            Some(0 | 1 | 3) if !log.contains("panicked at") => Ok(()),
            _ => Err(format!("ended with {code:?}:\n{log}")),
        }
    }

    /// Stops the database.
    pub(crate) async fn stop(self) {
        self.conn.into_inner().close().await.expect("close the connection");
        self.embedded.stop(TIME_MAX).await;
    }
}

/// What a case's stream, table and folder are called.
pub(crate) fn name(number: usize) -> String {
    format!("case_{number:05}")
}

/// The exit code, or that it took too long.
fn wait(mut child: Child, time_max: Duration) -> Result<Option<i32>, String> {
    let deadline = Instant::now() + time_max;
    loop {
        match child.try_wait().expect("wait for the program") {
            Some(status) => return Ok(status.code()),
            None if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(20)),
            None => {
                child.kill().expect("kill the program");
                child.wait().expect("wait for the program");
                return Err(format!("did not end within {} s", time_max.as_secs()));
            }
        }
    }
}
