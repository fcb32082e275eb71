//! The way to the database: a configured one, or the embedded one when none is.

mod connections;
mod plans;
mod session;
mod tunnel;

use std::borrow::Cow;
use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use sqlx::postgres::PgConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor, PgConnection};
use tokio::sync::Mutex;

use crate::config::DatabaseUrl;
use crate::embedded::{Embedded, EmbeddedError};
pub use connections::{Aside, Connections, Lent, Usage};
pub use session::Session;
use tunnel::Tunnel;

/// Where the embedded server keeps its files, below the data folder.
const EMBEDDED_FOLDER: &str = ".postgres";

/// How long the embedded server may take to stop before it is left to its guard.
const STOP_GRACE: Duration = Duration::from_secs(2);

/// How a new connection is set up. What a trigger tells by RAISE WARNING may hold values and is not
/// asked for. A transaction that a stopped process left open is ended by the server, and a peer
/// that vanished is noticed, also while a statement waits for a lock: else it would hold its own
/// locks for as long. Not every server can look after its client (PostgreSQL 14 and later on
/// Linux). A micro-batch's rows are kept for the triggers of rollups in `work_mem`, and what is
/// more goes to a file: with the default, 10,000 rows of 300 bytes do, and the rollup costs half as
/// much again. Who has set another `work_mem` keeps it. What is told to be committed must survive a
/// crash of the server, whatever the role or the database has for others; to wait for a standby is
/// more than that, and stays.
const SESSION_SETTINGS: &str = "set client_min_messages = error;
    set idle_in_transaction_session_timeout = '60s';
    set statement_timeout = 0;
    set tcp_keepalives_idle = 30; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3;
    do $$ begin
        if current_setting('work_mem') = '4MB' then
            set work_mem = '32MB';
        end if;
        if current_setting('synchronous_commit') in ('off', 'local') then
            set synchronous_commit = on;
        end if;
    end $$;
    do $$ begin
        perform set_config('client_connection_check_interval', '5s', false);
    exception when others then null;
    end $$";

/// What a URL may say behind the `?`.
///
/// Source: sqlx-postgres 0.9.0, src/options/parse.rs.
const PARAMETERS: [&str; 12] = [
    "sslmode",
    "sslrootcert",
    "sslcert",
    "sslkey",
    "host",
    "hostaddr",
    "port",
    "dbname",
    "user",
    "password",
    "application_name",
    "options",
];

/// How long one try to connect may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// A database that can be connected to.
#[derive(Debug)]
pub struct Database {
    server: Server,
    place: String,
    connections: Connections,
}

enum Server {
    Configured(Box<PgConnectOptions>),
    Embedded(Mutex<Embedded>),
}

/// Never the options: they hold the password.
impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Server::Configured(_) => "Configured(…)",
            Server::Embedded(_) => "Embedded(…)",
        })
    }
}

/// Why there is no database.
#[derive(Debug, thiserror::Error)]
pub enum DatabaseError {
    /// The URL can't be understood. The URL itself may hold a password and is not shown.
    #[error(
        "the database URL can't be understood; write postgres://user:password@host:port/database"
    )]
    Url {
        /// What is wrong with it.
        source: sqlx::Error,
    },
    /// The URL has a parameter that would be passed over.
    #[error("the database URL has an unknown parameter {name:?}; it takes {}", PARAMETERS.join(", "))]
    Parameter {
        /// Its name; its value may be secret.
        name: String,
    },
    /// The embedded server can't be used.
    #[error("start the embedded PostgreSQL")]
    Embedded {
        /// Why.
        source: EmbeddedError,
    },
    /// The server refuses or is not there.
    #[error("connect to the database at {place}{}", advice.as_ref().map(|a| format!(" ({a})")).unwrap_or_default())]
    Connect {
        /// Where it should be.
        place: String,
        /// What to do.
        advice: Option<Cow<'static, str>>,
        /// What went wrong.
        source: sqlx::Error,
    },
}

impl Database {
    /// The database at `url`; without one the embedded server below `data`, which is started or
    /// joined.
    ///
    /// # Errors
    /// When the URL can't be understood or the embedded server can't be started.
    pub async fn open(url: Option<&DatabaseUrl>, data: &Path) -> Result<Database, DatabaseError> {
        let Some(DatabaseUrl(url)) = url else { return Database::embedded(data).await };
        if let Some(name) = unknown_parameter(url) {
            return Err(DatabaseError::Parameter { name });
        }
        let options = PgConnectOptions::from_str(url);
        let options = options.map_err(|source| DatabaseError::Url { source })?;
        let place = match options.get_socket() {
            Some(socket) => socket.display().to_string(),
            None => format!("{}:{}", options.get_host(), options.get_port()),
        };
        Ok(Database::of(Server::Configured(Box::new(options)), place))
    }

    /// The embedded server below `data`, started or joined.
    ///
    /// # Errors
    /// When it can't be started.
    pub async fn embedded(data: &Path) -> Result<Database, DatabaseError> {
        let embedded = Embedded::start(&data.join(EMBEDDED_FOLDER)).await;
        let embedded = embedded.map_err(|source| DatabaseError::Embedded { source })?;
        if !embedded.is_joined() {
            tracing::info!(
                "embedded PostgreSQL {} is running; look inside with: {}",
                embedded.version(),
                embedded.psql_command()
            );
        }
        let place = embedded.home().display().to_string();
        Ok(Database::of(Server::Embedded(Mutex::new(embedded)), place))
    }

    /// Another database of the configured server; none where the server is the embedded one.
    pub fn beside(&self, name: &str) -> Option<Database> {
        let Server::Configured(options) = &self.server else { return None };
        let options = (**options).clone().database(name);
        Some(Database::of(Server::Configured(Box::new(options)), self.place()))
    }

    fn of(server: Server, place: String) -> Database {
        Database { server, place, connections: Connections::default() }
    }

    /// The same by these connections.
    pub fn by(self, connections: &Connections) -> Database {
        Database { connections: connections.clone(), ..self }
    }

    /// The connections that are lent.
    pub fn connections(&self) -> &Connections {
        &self.connections
    }

    /// Where the database is, for messages; never a password.
    pub fn place(&self) -> String {
        self.place.clone()
    }

    /// The line to type to look inside the embedded server.
    pub async fn psql_command(&self) -> Option<String> {
        match &self.server {
            Server::Configured(_) => None,
            Server::Embedded(embedded) => Some(embedded.lock().await.psql_command()),
        }
    }

    /// A new connection.
    ///
    /// # Errors
    /// When the server is not there or refuses.
    pub async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        let mut conn = match &self.server {
            Server::Configured(options) => connect_with((**options).clone()).await?,
            Server::Embedded(embedded) => {
                let mut embedded = embedded.lock().await;
                match connect_with(embedded.connect_options()).await {
                    Ok(conn) => conn,
                    Err(_) => {
                        // Its owner may have ended; then it is ours to start.
                        let started = embedded.ensure_running().await;
                        started.map_err(|e| sqlx::Error::Io(std::io::Error::other(e)))?;
                        connect_with(embedded.connect_options()).await?
                    }
                }
            }
        };
        conn.execute(SESSION_SETTINGS).await?;
        Ok(conn)
    }

    /// A new connection, of which it is known what is behind it.
    ///
    /// # Errors
    /// As [`Database::connect`].
    pub async fn session(&self) -> Result<Session, sqlx::Error> {
        let (session, identity) = Session::of(self.connect().await?).await?;
        self.connections.note(identity);
        Ok(session)
    }

    /// A new connection for a command that does not wait for a database.
    ///
    /// # Errors
    /// As [`Database::connect`], with the place and what to do.
    pub async fn connect_now(&self) -> Result<PgConnection, DatabaseError> {
        self.connect().await.map_err(|source| DatabaseError::Connect {
            place: self.place(),
            advice: crate::retry::advice(&source),
            source,
        })
    }

    /// Stops the embedded server if it is ours.
    pub async fn close(self) {
        self.connections.close_unlent();
        if let Server::Embedded(embedded) = self.server {
            embedded.into_inner().stop(STOP_GRACE).await;
        }
    }
}

/// A parameter of the URL that is none of [`PARAMETERS`].
fn unknown_parameter(url: &str) -> Option<String> {
    let (_, parameters) = url.split_once('?')?;
    let names = parameters.split('&').map(|pair| pair.split('=').next().unwrap_or_default());
    // What looks like no name may be a part of a password with a `?` in it.
    let is_name =
        |name: &&str| name.bytes().all(|b| b.is_ascii_lowercase() || b"_-[]".contains(&b));
    let is_known = |name: &&str| PARAMETERS.contains(name) || name.starts_with("options[");
    names
        .filter(|name| !name.is_empty())
        .find(|name| !is_known(name))
        .map(|name| if is_name(&name) { name.to_owned() } else { "…".to_owned() })
}

async fn connect_with(options: PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let connected = tokio::time::timeout(CONNECT_TIMEOUT, connect_directly_or_not(options)).await;
    connected.unwrap_or_else(|late| Err(sqlx::Error::Io(late.into())))
}

/// Connects by the server's socket, or by TCP through a [`Tunnel`].
async fn connect_directly_or_not(options: PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let options = match options.get_application_name() {
        Some(_) => options,
        None => options.application_name("streamer"),
    };
    // sqlx's own log would show statements; ours tells what matters.
    let options = options.disable_statement_logging();
    if options.get_socket().is_some() || options.get_host().starts_with('/') {
        return PgConnection::connect_with(&options).await;
    }
    let tunnel = Tunnel::open(&options).await.map_err(sqlx::Error::Io)?;
    PgConnection::connect_with(&options.socket(tunnel.socket())).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_database_never_shows_its_password() {
        let url = DatabaseUrl("postgres://me:s3cret@localhost/db".to_owned());
        let database = Database::open(Some(&url), Path::new("none")).await.unwrap();
        let shown = format!("{database:?} {}", database.place());
        assert!(!shown.contains("s3cret") && shown.contains("localhost"), "{shown}");
    }
}
