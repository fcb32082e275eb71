//! A private PostgreSQL server, for when no database is configured.
//!
//! The server's files live in one folder, its home. One streamer owns the server: it holds a lock
//! on the home, starts the server and, by ending in whatever way, stops it. Others join the server
//! that is there. Nothing listens on TCP: the server is reached through a socket in a folder of
//! mode 0700.
//!
//! `account` says who runs the server; `place` where its files are; `programs` and `fetch`
//! which PostgreSQL it is; `server` starts and stops it. Durability is PostgreSQL's default:
//! nothing here turns fsync off.

mod account;
mod error;
mod fetch;
mod place;
mod programs;
mod server;

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, Executor, PgConnection};

pub use error::EmbeddedError;
use place::{Address, Place, io_at};
use server::Server;

/// The name of the server's superuser and of the database in it.
const NAME: &str = "streamer";

/// How long a started server may take to answer. After a crash it replays its log first.
const START_TIMEOUT: Duration = Duration::from_secs(300);

/// How long the server of another streamer may take to answer.
const JOIN_TIMEOUT: Duration = Duration::from_secs(60);

/// A wait longer than this is explained to the user.
const EXPLAIN_AFTER: Duration = Duration::from_secs(3);

/// How long one attempt to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Pause between two looks at a server that is not ready.
const POLL: Duration = Duration::from_millis(50);

/// A running PostgreSQL server, owned or joined. When its owner is dropped, the server stops.
#[derive(Debug)]
pub struct Embedded {
    place: Place,
    hold: Hold,
    address: Address,
    version: u32,
}

/// What an owner has and a joiner has not.
#[derive(Debug, Default)]
struct Hold {
    /// The lock that makes its holder the owner.
    lock: Option<File>,
    server: Option<Box<Server>>,
}

impl Embedded {
    /// Starts the server whose files live in `home`, creating it first if need be; or joins it when
    /// another living streamer runs it; or takes over one that a killed streamer left behind.
    ///
    /// # Errors
    /// When there are no programs to run, the folder can't be used, or the server does not start.
    pub async fn start(home: &Path) -> Result<Embedded, EmbeddedError> {
        let place = Place::find(home)?;
        let mut hold = Hold::default();
        let address = bring_up(&place, &mut hold).await?;
        let version = place.version()?.unwrap_or_default();
        Ok(Embedded { place, hold, address, version })
    }

    /// How to connect: through the socket, as user and to database `streamer`.
    ///
    /// Of the user's `PG*` variables only `PGOPTIONS` still has an effect: sqlx can't be told to
    /// leave it out.
    pub fn connect_options(&self) -> PgConnectOptions {
        options(&self.address, NAME)
    }

    /// The line to type in a shell to look inside.
    pub fn psql_command(&self) -> String {
        let psql = quoted(&programs::psql().to_string_lossy());
        let socket = quoted(&self.address.socket.to_string_lossy());
        format!("{psql} -h {socket} -p {} -U {NAME} -d {NAME}", self.address.port)
    }

    /// Where the server's files are: the folder that was asked for, without symlinks, or another
    /// one when the account that runs the server can't reach it.
    pub fn home(&self) -> &Path {
        self.place.home()
    }

    /// Whether the server belongs to another streamer.
    pub fn is_joined(&self) -> bool {
        self.hold.lock.is_none()
    }

    /// The major version of PostgreSQL.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Waits until the server answers. Starts it again if it is gone, and becomes its owner if the
    /// former owner has ended; then [`Embedded::connect_options`] may have changed.
    ///
    /// # Errors
    /// As [`Embedded::start`].
    pub async fn ensure_running(&mut self) -> Result<(), EmbeddedError> {
        self.address = bring_up(&self.place, &mut self.hold).await?;
        Ok(())
    }

    /// Stops the server if it is ours: open transactions are rolled back, what is committed is
    /// written out. After `grace` the rest happens without us.
    pub async fn stop(self, grace: Duration) {
        if let Some(server) = self.hold.server {
            server.stop(grace).await;
        }
        // Only now: who gets the lock next finds the server stopped.
        drop(self.hold.lock);
    }
}

/// Becomes the owner if there is none, starts the server if it is ours and not alive, and waits
/// until it answers.
async fn bring_up(place: &Place, hold: &mut Hold) -> Result<Address, EmbeddedError> {
    let (mut since, mut launched, mut explained) = (Instant::now(), false, false);
    loop {
        if hold.lock.is_none() {
            hold.lock = try_lock(place)?;
        }
        if hold.lock.is_some() && !hold.server.as_mut().is_some_and(|server| server.is_alive()) {
            if let Some(server) = hold.server.take().filter(|_| launched) {
                return Err(server.ended());
            }
            hold.server = Some(Box::new(server::launch(place).await?));
            (since, launched) = (Instant::now(), true);
        }
        if let Some(address) = answering(place, hold.server.as_deref()).await? {
            return Ok(address);
        }
        let home = || place.home().to_path_buf();
        match &hold.server {
            Some(server) if since.elapsed() > START_TIMEOUT => return Err(server.not_ready()),
            None if since.elapsed() > JOIN_TIMEOUT => {
                return Err(EmbeddedError::NotJoined { home: home() });
            }
            _ => {}
        }
        if since.elapsed() > EXPLAIN_AFTER && !explained {
            explained = true;
            tracing::info!("waiting for the PostgreSQL server in {} to answer", home().display());
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The lock that makes its holder the owner of the server, unless another process has it.
///
/// The file is closed in child processes (std sets close-on-exec), so it never outlives the owner.
fn try_lock(place: &Place) -> Result<Option<File>, EmbeddedError> {
    let path = place.owner_lock();
    let file = place::open_lock(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(io_at(&path)(source)),
    }
}

/// Where the server answers, if it does: our `own`, or another streamer's. The owner creates the
/// database if it is missing.
async fn answering(place: &Place, own: Option<&Server>) -> Result<Option<Address>, EmbeddedError> {
    // Ours could have ended because somebody runs a server by hand in its data folder.
    let own_or_any = |address: &Address| own.is_none_or(|own| own.socket == address.socket);
    let Some(address) = place.address().filter(own_or_any) else { return Ok(None) };
    let Err(error) = connect(&address, NAME).await else { return Ok(Some(address)) };
    let state = error.as_database_error().and_then(|e| e.code()).unwrap_or_default();
    match &*state {
        // No server, or none yet: not a word from it, or "the database system is starting up" and
        // its kin, which are 57P01 to 57P03.
        "" => Ok(None),
        state if state.starts_with("57P") => Ok(None),
        // Too many connections: it is there.
        state if state.starts_with("53") => Ok(Some(address)),
        // No such database, and who creates it is the owner. Then look again.
        "3D000" if own.is_some() => create_database(&address).await.map(|()| None),
        "3D000" => Ok(None),
        _ => Err(EmbeddedError::Connect { source: error }),
    }
}

async fn create_database(address: &Address) -> Result<(), EmbeddedError> {
    let created = async {
        let mut conn = PgConnection::connect_with(&options(address, "postgres")).await?;
        conn.execute("create database streamer").await?;
        conn.close().await
    };
    created.await.map_err(|source| EmbeddedError::Connect { source })
}

async fn connect(address: &Address, database: &str) -> Result<(), sqlx::Error> {
    let connected = async {
        let conn = PgConnection::connect_with(&options(address, database)).await?;
        conn.close().await
    };
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connected).await;
    connected.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into())))
}

/// Everything is set, so that no variable like PGPASSWORD or PGSSLMODE decides it.
fn options(address: &Address, database: &str) -> PgConnectOptions {
    PgConnectOptions::new_without_pgpass()
        .socket(&address.socket)
        .port(address.port)
        .username(NAME)
        .password("")
        .database(database)
        .ssl_mode(PgSslMode::Disable)
        .application_name(NAME)
}

/// `text` as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn words_are_quoted_for_the_shell_only_when_they_need_it() {
        assert_eq!(quoted("/var/lib/pg-15"), "/var/lib/pg-15");
        assert_eq!(quoted("/my data"), "'/my data'");
        assert_eq!(quoted("it's $HOME"), r"'it'\''s $HOME'");
        assert_eq!(quoted(""), "''");
    }
}
