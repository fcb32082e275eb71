//! What the tests stand on: one PostgreSQL server a test run, a database a test, the real programs
//! as child processes, and a judge that reads the files on its own.

mod events;
mod http;
pub(crate) mod judge;
mod process;
mod proxy;
mod sandbox;
mod server;
mod shim;

use std::fmt::Write as _;
use std::fs::Permissions;
use std::ops::ControlFlow;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use streamer::config::{Overrides, Settings};
use streamer::embedded::Embedded;
use tokio::sync::OnceCell;

pub(crate) use events::Events;
pub(crate) use http::{Answer, Http};
pub(crate) use judge::{Verdict, judge};
pub(crate) use process::{Ended, Running, streamer};
pub(crate) use proxy::{Cut, Proxy};
pub(crate) use sandbox::Sandbox;
pub(crate) use server::Server;
pub(crate) use shim::shim;

/// How long what is waited for may take on a machine with too much to do, before the test fails.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(240);

/// The database that the others are copied from.
const TEMPLATE: &str = "template_streamer";

/// The variable that names the locale by which the server words its messages, in place of English.
const MESSAGES: &str = "STREAMER_TEST_MESSAGES";

static SERVER: OnceCell<PgConnectOptions> = OnceCell::const_new();
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A database of a test's own, with the migrations applied. It goes with the server.
#[derive(Debug)]
pub(crate) struct TestDb {
    name: String,
    options: PgConnectOptions,
}

impl TestDb {
    /// A copy of the migrated template.
    pub(crate) async fn create() -> TestDb {
        TestDb::create_on(SERVER.get_or_init(start_server).await).await
    }

    /// One with nothing in it.
    pub(crate) async fn empty() -> TestDb {
        TestDb::copy_of(SERVER.get_or_init(start_server).await, "template0").await
    }

    /// One with nothing in it, whose encoding lacks most characters.
    pub(crate) async fn latin1() -> TestDb {
        let server = SERVER.get_or_init(start_server).await;
        TestDb::copy_of(server, "template0 encoding 'LATIN1' locale 'C'").await
    }

    /// A copy of the migrated template on another server.
    async fn create_on(server: &PgConnectOptions) -> TestDb {
        TestDb::copy_of(server, TEMPLATE).await
    }

    async fn copy_of(server: &PgConnectOptions, template: &str) -> TestDb {
        let name = format!("test_{}", COUNT.fetch_add(1, Ordering::Relaxed));
        let mut conn = PgConnection::connect_with(server).await.expect("connect to the server");
        let create = format!("create database {name} template {template}");
        conn.execute(AssertSqlSafe(create)).await.expect("copy the template");
        TestDb { options: server.clone().database(&name), name }
    }

    /// A connection to it.
    pub(crate) async fn connect(&self) -> PgConnection {
        let options = self.options.clone().application_name("test");
        PgConnection::connect_with(&options).await.expect("connect to the test's database")
    }

    /// The same where the server may refuse.
    pub(crate) async fn try_connect(&self) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options).await
    }

    /// Ends all connections to it, and lets nobody in until [`TestDb::let_in`].
    pub(crate) async fn lock_out(&self) {
        self.elsewhere(&format!(
            "alter database {0} allow_connections false;
             select pg_terminate_backend(pid) from pg_stat_activity where datname = '{0}'",
            self.name
        ))
        .await;
    }

    /// Lets everybody in again.
    pub(crate) async fn let_in(&self) {
        self.elsewhere(&format!("alter database {} allow_connections true", self.name)).await;
    }

    async fn elsewhere(&self, sql: &str) {
        let options = self.options.clone().database("postgres");
        let mut conn = PgConnection::connect_with(&options).await.expect("connect to the server");
        conn.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    /// The database of the embedded server whose files are below `data`.
    pub(crate) fn embedded(data: &Path) -> TestDb {
        let socket = data.join(".postgres/socket");
        let options = PgConnectOptions::new_without_pgpass().socket(socket).username("streamer");
        let options = options.database("streamer").ssl_mode(PgSslMode::Disable);
        TestDb { name: "streamer".to_owned(), options }
    }

    /// Where it is, as DATABASE_URL has it.
    pub(crate) fn url(&self) -> String {
        let socket = self.socket();
        format!("postgres://streamer@localhost/{}?host={}", self.name, socket.display())
    }

    /// The same by TCP on `port` of the loopback, for a [`Proxy`].
    pub(crate) fn tcp_url(&self, port: u16) -> String {
        format!("postgres://streamer@127.0.0.1:{port}/{}?sslmode=disable", self.name)
    }

    /// The server's socket file.
    pub(crate) fn socket_file(&self) -> PathBuf {
        self.socket().join(format!(".s.PGSQL.{}", self.options.get_port()))
    }

    /// Runs statements.
    pub(crate) async fn execute(&self, sql: &str) {
        let mut conn = self.connect().await;
        conn.execute(AssertSqlSafe(sql.to_owned())).await.unwrap_or_else(|e| panic!("{sql}: {e}"));
    }

    /// The single number that a query gives.
    pub(crate) async fn number(&self, sql: &str) -> i64 {
        let mut conn = self.connect().await;
        let query = sqlx::query_scalar(AssertSqlSafe(sql.to_owned()));
        query.fetch_one(&mut conn).await.unwrap_or_else(|error| panic!("{sql}: {error}"))
    }

    /// All rows of a query, columns as text joined by `|`, NULL as `∅`.
    pub(crate) async fn rows(&self, sql: &str) -> Vec<String> {
        let mut conn = self.connect().await;
        let rows = sqlx::raw_sql(AssertSqlSafe(sql.to_owned())).fetch_all(&mut conn).await;
        let rows = rows.unwrap_or_else(|error| panic!("{sql}: {error}"));
        rows.iter().map(row_text).collect()
    }

    /// Waits until a query gives `expected`.
    pub(crate) async fn wait_for(&self, sql: &str, expected: i64) {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let number = self.number(sql).await;
            if number == expected {
                return;
            }
            assert!(Instant::now() < deadline, "{sql} gives {number}, not {expected}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Demands that table, counts and dead letters are what the judge found.
    pub(crate) async fn agrees_with(&self, verdict: &Verdict) {
        let (table, expected) = (self.rows(judge::TABLE_QUERY).await, verdict.table());
        let differing = table.iter().zip(&expected).find(|(a, b)| a != b);
        assert_eq!(differing, None, "the first row that differs from the judge's");
        assert_eq!(table.len(), expected.len(), "rows lost or doubled");
        let counts = "select coalesce(sum(duplicates), 0), coalesce(sum(dead_letters), 0)
                        from streamer.micro_batch";
        let counts = self.rows(counts).await;
        assert_eq!(counts, [format!("{}|{}", verdict.duplicates, verdict.bad.len())]);
        let bad = "select partition, line from streamer.dead_letter order by partition, line";
        let expected: Vec<String> =
            verdict.bad.iter().map(|(f, line)| format!("{f}|{line}")).collect();
        assert_eq!(self.rows(bad).await, expected);
    }

    /// Keeps its state of now. Nobody else may be connected.
    pub(crate) async fn save(&self) {
        self.copy(&self.name, &format!("{}_saved", self.name)).await;
    }

    /// Puts the state that was kept in its place; whoever is connected is thrown out.
    pub(crate) async fn restore(&self) {
        self.copy(&format!("{}_saved", self.name), &self.name).await;
    }

    async fn copy(&self, from: &str, to: &str) {
        let server = self.options.clone().database("postgres");
        let mut conn = PgConnection::connect_with(&server).await.expect("connect to the server");
        for sql in [
            format!("drop database if exists {to} with (force)"),
            format!("create database {to} template {from}"),
        ] {
            conn.execute(AssertSqlSafe(sql)).await.expect("copy the database");
        }
    }

    fn socket(&self) -> &Path {
        self.options.get_socket().expect("the server listens on a socket")
    }
}

fn row_text(row: &sqlx::postgres::PgRow) -> String {
    use sqlx::{Row, ValueRef};
    let mut text = String::new();
    for at in 0..row.len() {
        let value = row.try_get_raw(at).expect("the column is there");
        let separator = if at == 0 { "" } else { "|" };
        let value = if value.is_null() { "∅" } else { value.as_str().expect("it is text") };
        write!(text, "{separator}{value}").expect("a string takes everything");
    }
    text
}

/// A folder for a test's files. Root's server runs under another account, which must be able to
/// enter.
pub(crate) fn folder() -> tempfile::TempDir {
    let permissions = Permissions::from_mode(0o755);
    let folder = tempfile::Builder::new().permissions(permissions).tempdir();
    folder.expect("make a temporary folder")
}

/// Has the programs in `folder` work on one stream instead of those that this repository ships.
pub(crate) fn one_stream(folder: &Path) {
    let settings = "[stream.user_events]\nfiles = 'user_events_*.csv'\n";
    std::fs::write(folder.join("streams.toml"), settings).expect("write the settings");
}

/// Waits for what comes soon.
pub(crate) async fn wait_until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < WAIT_MAX, "{what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Makes files of events with duplicates and bad records mixed in, oldest first.
pub(crate) fn generate(folder: &Path, files: u32, rows: u64, seed: u64) -> Vec<PathBuf> {
    let settings = generator::Settings {
        rows,
        files,
        seed: Some(seed),
        duplicates: 0.02,
        bad: 0.02,
        out: folder.to_owned(),
        ..generator::Settings::default()
    };
    let mut generator = generator::Generator::new(settings).expect("the settings are valid");
    let mut next = || generator.write_file(&mut |_| ControlFlow::Continue(()));
    let written = (0..files).map(|_| next().expect("write a file").expect("nothing breaks it off"));
    let mut files: Vec<PathBuf> = written.map(|written| written.path).collect();
    let modified = |path: &PathBuf| {
        let time = path.metadata().and_then(|metadata| metadata.modified());
        (time.expect("the file has a time"), path.clone())
    };
    files.sort_by_key(modified);
    files
}

/// Starts the server in a folder of this test run; it stops when this process ends.
async fn start_server() -> PgConnectOptions {
    let (send, receive) = mpsc::channel();
    let messages = std::env::var(MESSAGES);
    // Each test has a runtime of its own; the server needs one that outlives them all.
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().expect("start a runtime");
        runtime.block_on(async {
            let home = folder();
            remove_at_the_end(home.path());
            let server = Embedded::start(home.path()).await.expect("start PostgreSQL");
            // With many tests side by side, each with a streamer of seven streams.
            let options = server.connect_options();
            let mut conn = PgConnection::connect_with(&options).await.expect("connect to it");
            conn.execute("alter system set max_connections = 400").await.expect("raise the limit");
            if let Ok(locale) = &messages {
                let speak = format!("alter system set lc_messages = '{locale}'");
                let set = conn.execute(AssertSqlSafe(speak)).await;
                set.unwrap_or_else(|error| {
                    panic!("{MESSAGES}={locale}: {error}; see CONTRIBUTING.md")
                });
            }
            conn.close().await.expect("leave the server");
            server.stop(Duration::from_secs(30)).await;
            let server = Embedded::start(home.path()).await.expect("start it again");
            if messages.is_ok() {
                demand_another_language(&server.connect_options()).await;
            }
            send.send(server.connect_options()).expect("the caller is waiting");
            std::future::pending::<()>().await;
        });
    });
    let options = tokio::task::spawn_blocking(move || receive.recv()).await;
    let options = options.expect("wait for the server").expect("the server has started");
    make_template(&options).await;
    options
}

/// A locale without its translations would leave the server's words as they are.
async fn demand_another_language(options: &PgConnectOptions) {
    let mut conn = PgConnection::connect_with(options).await.expect("connect to it");
    let error = conn.execute("select 1 / 0").await.expect_err("there is no such number");
    assert!(!error.to_string().contains("division by zero"), "{MESSAGES} is set: {error}");
}

/// Has the server's folder, which takes gigabytes after all tests, removed once this process has
/// ended, however it does, and the server has stopped.
fn remove_at_the_end(home: &Path) {
    let remove = "trap '' INT; cat; while [ -e \"$1/data/postmaster.pid\" ]; do sleep 0.1; done; rm -rf \"$1\"";
    let mut command = Command::new("sh");
    command.args(["-c", remove, "sh"]).arg(home).stdin(Stdio::piped()).stdout(Stdio::null());
    // It waits until its input is closed.
    std::mem::forget(command.stderr(Stdio::null()).spawn().expect("run a shell"));
}

/// Makes the database that the others are copied from. It has the tables of all datasets.
async fn make_template(options: &PgConnectOptions) {
    let mut conn = PgConnection::connect_with(options).await.expect("connect to the server");
    let create = format!("create database {TEMPLATE}");
    conn.execute(AssertSqlSafe(create)).await.expect("make the template");
    let template = options.clone().database(TEMPLATE);
    let mut conn = PgConnection::connect_with(&template).await.expect("connect to the template");
    let shipped = Settings::shipped(Overrides::default()).expect("what is shipped is valid");
    let migrated = streamer::migrate::migrate(&mut conn, &shipped.streams).await;
    migrated.expect("migrate the template");
    conn.close().await.expect("leave the template, so that it can be copied");
}
