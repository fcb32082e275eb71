//! Why there is no embedded server, and what to do about it.

use std::io;
use std::path::PathBuf;

/// Why the embedded server can't be used.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddedError {
    /// A file or folder can't be used.
    #[error("use {path} for the embedded PostgreSQL")]
    File {
        /// The file or folder.
        path: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The folder's name can't be written to the server's own files.
    #[error("the path {path:?} holds a line break; choose another folder")]
    LineBreak {
        /// The folder.
        path: PathBuf,
    },
    /// Running as root, and no account to run the server as.
    #[error(
        "PostgreSQL refuses to run as root, and there is no account postgres or nobody to run it \
         as; create one, or run streamer as another user, or give a database with --database-url"
    )]
    NoAccount,
    /// Running as root, and the server's account reaches neither folder.
    #[error(
        "the account {account}, which runs PostgreSQL because root may not, can reach neither \
         {home} nor {instead}; choose another folder, or run streamer as another user, or give a \
         database with --database-url"
    )]
    Unreachable {
        /// Who should run the server.
        account: String,
        /// The folder that was asked for.
        home: PathBuf,
        /// The folder that was tried instead.
        instead: PathBuf,
    },
    /// The folder of the socket is somebody else's.
    #[error(
        "the folder {path} is not ours alone; remove it, or choose a folder with a shorter path"
    )]
    SocketFolder {
        /// The folder.
        path: PathBuf,
    },
    /// The home is not ours alone.
    #[error(
        "{path} is a link, belongs to another account, or others may write in it, so PostgreSQL is \
         not run from it; remove it, use another --data folder, or run as the account it belongs to"
    )]
    ForeignHome {
        /// The home.
        path: PathBuf,
    },
    /// The programs in `STREAMER_PG_BIN` do not run.
    #[error("STREAMER_PG_BIN is {bin}, where no usable PostgreSQL is ({reason})")]
    NoProgramsThere {
        /// The folder.
        bin: PathBuf,
        /// What went wrong.
        reason: String,
    },
    /// Nothing is installed, and nothing could be fetched.
    #[error(
        "there is no PostgreSQL to run: none is installed, and version {version} could not be \
         fetched and run ({reason}); install one (`apt-get install postgresql`), or set STREAMER_PG_BIN to the folder of its programs, or give a \
         database with --database-url or DATABASE_URL"
    )]
    NoPrograms {
        /// What was to be fetched.
        version: &'static str,
        /// What went wrong.
        reason: String,
    },
    /// The data were made by another major version than is there.
    #[error(
        "the data in {data} were made by PostgreSQL {wanted}, and {found}; install PostgreSQL \
         {wanted}, or set STREAMER_PG_BIN to the folder of its programs, or move the data away to \
         start afresh"
    )]
    OtherVersion {
        /// The data folder.
        data: PathBuf,
        /// The major version that made it.
        wanted: u32,
        /// What there is.
        found: String,
    },
    /// A program can't be run.
    #[error("run {program}")]
    Run {
        /// The program.
        program: PathBuf,
        /// What went wrong.
        source: io::Error,
    },
    /// The data folder could not be made.
    #[error("initdb could not make {data}:\n{output}")]
    Initdb {
        /// The data folder.
        data: PathBuf,
        /// The last lines it wrote.
        output: String,
    },
    /// The server ended before it was ready.
    #[error("PostgreSQL ended while it was starting; its log {log} ends:\n{tail}")]
    Ended {
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// The server runs, but is not ready.
    #[error("PostgreSQL is not ready after {seconds} s; its log {log} ends:\n{tail}")]
    NotReady {
        /// How long it was waited for.
        seconds: u64,
        /// The server's log.
        log: PathBuf,
        /// Its last lines.
        tail: String,
    },
    /// Another streamer owns the server, which does not answer.
    #[error(
        "another streamer runs the PostgreSQL in {home}, which does not answer; try again, or stop \
         that streamer"
    )]
    NotJoined {
        /// Where the server's files are.
        home: PathBuf,
    },
    /// A server that nobody owns does not end.
    #[error(
        "a PostgreSQL server left behind in {home} does not stop; end its processes and try again"
    )]
    LeftBehind {
        /// Where the server's files are.
        home: PathBuf,
    },
    /// The server refuses us.
    #[error("connect to the embedded PostgreSQL")]
    Connect {
        /// What went wrong.
        source: sqlx::Error,
    },
}
