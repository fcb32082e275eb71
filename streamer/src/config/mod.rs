//! Settings: flags win over the environment, which wins over streams.toml, which wins over the
//! defaults. Everything is checked before anything is started.

mod budget;
mod database;
mod dataset;
mod groups;
mod pace;
mod server;
mod stream;
mod tcp;
mod together;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytesize::ByteSize;
use serde::Deserialize;

pub use budget::Budget;
use database::DatabaseFile;
pub use database::{CONNECTIONS_DEFAULT, DatabaseUrl};
pub use dataset::Dataset;
pub use groups::{
    Extra, Fitting, Listeners, Nan, OnDone, OnMissingPartition, Provenance, Reading, TcpListen,
    TokenSource, WhenDone,
};
pub use pace::Pace;
use server::ServerFile;
pub use server::{LISTEN_DEFAULT, Listen, Server};
pub use stream::Stream;
use stream::StreamFile;

/// The streams.toml of this repository: what runs where no file is given and none is found.
const DEFAULT_STREAMS: &str = include_str!("../../../streams.toml");

/// The file read when `--config` names none.
pub const DEFAULT_FILE: &str = "streams.toml";

/// Checked settings.
#[derive(Debug)]
pub struct Settings {
    /// The folder that the streams' patterns start from.
    pub data: PathBuf,
    /// The folder that the spools of all streams are in.
    pub spool: PathBuf,
    /// The configured database; the embedded one where there is none.
    pub database_url: Option<DatabaseUrl>,
    /// How many connections micro-batches have at most, all streams together: at least 2. Beside
    /// them there are at most six: one that holds the claims on files, one for signs of life, two
    /// for questions (who holds a lock, which keys are known), two for chores beside the loading.
    pub connections: usize,
    /// The HTTP server and the spools.
    pub server: Server,
    /// How the memory is divided that the program counts.
    pub memory: Budget,
    /// The streams, in order of name.
    pub streams: Vec<Stream>,
    /// Whether they are those that this repository ships, because there is no file.
    pub is_built_in: bool,
}

/// What flags and the environment say; each wins over streams.toml.
#[derive(Debug, Default)]
pub struct Overrides {
    /// `--config`: the file must then exist.
    pub file: Option<PathBuf>,
    /// `--data`.
    pub data: PathBuf,
    /// `--spool`.
    pub spool: Option<PathBuf>,
    /// `--database-url`, `DATABASE_URL`.
    pub database_url: Option<DatabaseUrl>,
    /// `--every`.
    pub every: Option<Duration>,
    /// `--max-rows`.
    pub max_rows: Option<u64>,
    /// `--linger`.
    pub linger: Option<Duration>,
    /// `--catch-up`.
    pub catch_up: bool,
    /// `--writers`.
    pub writers: Option<usize>,
    /// `--connections`.
    pub connections: Option<usize>,
    /// `--listen`.
    pub listen: Option<Listen>,
    /// `--memory`.
    pub memory: Option<ByteSize>,
    /// `STREAMER_OPEN_PAGE`.
    pub open_page: Option<bool>,
    /// `--token-file`, `STREAMER_TOKEN`.
    pub token: Option<TokenSource>,
}

/// Why the settings can't be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        source: std::io::Error,
    },
    /// The file is no TOML, or has an unknown or mistyped setting.
    #[error("{path}:{line}:{column}: {message}")]
    Parse {
        /// The file.
        path: String,
        /// From 1.
        line: usize,
        /// From 1.
        column: usize,
        /// What is wrong; never the line itself, which may hold a password.
        message: String,
    },
    /// A value is out of bounds.
    #[error("{path}: stream.{stream}.{setting} {message}")]
    Value {
        /// The file.
        path: String,
        /// The stream.
        stream: String,
        /// The setting.
        setting: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A value of the server's is out of bounds.
    #[error("{path}: server.{setting} {message}")]
    Server {
        /// The file.
        path: String,
        /// The setting.
        setting: &'static str,
        /// What is wrong.
        message: String,
    },
    /// A value of the database's is out of bounds.
    #[error("{path}: database.{setting} {message}")]
    Database {
        /// The file.
        path: String,
        /// The setting.
        setting: &'static str,
        /// What is wrong.
        message: String,
    },
    /// There is nothing to do.
    #[error("{path} names no stream; add [stream.NAME] with files = \"...\" and table = \"...\"")]
    NoStream {
        /// The file.
        path: String,
    },
}

/// What is wrong with a setting: its name, and why.
type Wrong = (&'static str, String);

/// streams.toml as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    database: DatabaseFile,
    #[serde(default)]
    server: ServerFile,
    #[serde(default)]
    stream: BTreeMap<String, StreamFile>,
}

impl Settings {
    /// Reads streams.toml and lays the flags and the environment over it.
    ///
    /// # Errors
    /// [`ConfigError`], which names the file, and the line where it can.
    pub fn load(overrides: Overrides) -> Result<Settings, ConfigError> {
        match read(overrides.file.as_deref())? {
            Some((path, text)) => Settings::from_text(&path, &text, overrides),
            None => Settings::shipped(overrides),
        }
    }

    fn from_text(path: &str, text: &str, overrides: Overrides) -> Result<Settings, ConfigError> {
        let file = parse(path, text)?;
        if file.stream.is_empty() {
            return Err(ConfigError::NoStream { path: path.to_owned() });
        }
        let spool = file.server.spool(path, &overrides)?;
        let memory = overrides.memory.or(file.server.memory).unwrap_or(budget::MEMORY);
        let server = file.server.checked(path, &overrides)?;
        let streams = file
            .stream
            .into_iter()
            .map(|(name, stream)| stream.checked(name, path, &overrides))
            .collect::<Result<Vec<Stream>, ConfigError>>()?;
        let streams = together::introduced(streams, path)?;
        let connections = file.database.connections(path, &overrides)?;
        let memory = Budget::new(memory, connections, &server, &streams, path)?;
        let database_url = overrides.database_url.or(file.database.url);
        let (data, is_built_in) = (overrides.data, false);
        Ok(Settings {
            data,
            spool,
            database_url,
            connections,
            server,
            memory,
            streams,
            is_built_in,
        })
    }
}

impl Settings {
    /// The streams of this repository, whatever the user's file says.
    ///
    /// # Errors
    /// As [`Settings::load`], for a flag out of bounds.
    pub fn shipped(overrides: Overrides) -> Result<Settings, ConfigError> {
        let settings = Settings::from_text("built-in streams.toml", DEFAULT_STREAMS, overrides)?;
        Ok(Settings { is_built_in: true, ..settings })
    }
}

/// The file's name for messages, and its text, if there is one.
fn read(named: Option<&Path>) -> Result<Option<(String, String)>, ConfigError> {
    let path = named.unwrap_or(Path::new(DEFAULT_FILE));
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some((path.display().to_string(), text))),
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
    }
}

fn parse(path: &str, text: &str) -> Result<File, ConfigError> {
    toml::from_str(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        let before = text.get(..at).unwrap_or_default();
        ConfigError::Parse {
            path: path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before.rsplit('\n').next().unwrap_or_default().chars().count() + 1,
            message: without_values(error.message()),
        }
    })
}

/// A message of the parser without the text it found, which may be a password.
fn without_values(message: &str) -> String {
    match message
        .split_once("string \"")
        .and_then(|(before, rest)| Some((before, rest.rsplit_once('"')?.1)))
    {
        Some((before, behind)) => format!("{before}string{behind}"),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, overrides: Overrides) -> Result<Settings, ConfigError> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("streams.toml");
        std::fs::write(&path, text).unwrap();
        Settings::load(Overrides { file: Some(path), ..overrides })
    }

    fn error(text: &str) -> String {
        load(text, Overrides::default()).unwrap_err().to_string()
    }

    #[test]
    fn the_shipped_streams_are_valid_and_have_the_documented_defaults() {
        let settings = load(DEFAULT_STREAMS, Overrides::default()).unwrap();
        let names: Vec<&str> = settings.streams.iter().map(|stream| stream.name.as_str()).collect();
        let datasets = [
            "ad_events",
            "emoji_reactions",
            "gps_positions",
            "pos_sales",
            "simulator_events",
            "transfers",
            "user_events",
        ];
        assert_eq!(names, datasets);
        for stream in &settings.streams {
            let pace = &stream.pace;
            assert_eq!((pace.every, pace.records_max()), (Duration::from_secs(10), Some(1000)));
            assert_eq!((pace.linger, pace.catch_up), (Duration::from_millis(100), false));
            assert_eq!(stream.table, stream.name);
            assert_eq!(stream.dataset.map(Dataset::name), Some(stream.name.as_str()));
        }
    }

    #[test]
    fn the_example_in_the_readme_is_valid_and_shows_the_defaults() {
        let readme = include_str!("../../../README.md");
        let example = readme.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next());
        let stream = &load(example.unwrap(), Overrides::default()).unwrap().streams[0];
        let text = "[stream.orders]\nfiles = 'orders/*.{csv,csv.gz}'\ntable = 'shop.orders'\n\
                    max_dead_letters = '1%'\n";
        let expected = &load(text, Overrides::default()).unwrap().streams[0];
        assert_eq!(format!("{stream:?}"), format!("{expected:?}"));
        assert!(stream.reading.files.compile_matcher().is_match("orders/1.csv.gz"));
    }

    #[test]
    fn flags_win_over_the_file_which_wins_over_the_defaults() {
        let text = "[stream.a]\nfiles = 'a.csv'\nmax_rows = 6\nevery = '1s'\n\
                    [stream.b]\nfiles = 'b.csv'\n";
        let settings = load(text, Overrides::default()).unwrap();
        let rows = |settings: &Settings| [0, 1].map(|i| settings.streams[i].pace.max_rows);
        assert_eq!(rows(&settings), [Some(6), None]);
        assert_eq!(settings.streams[0].pace.every, Duration::from_secs(1));
        let flag = Overrides { max_rows: Some(7), ..Overrides::default() };
        assert_eq!(rows(&load(text, flag).unwrap()), [Some(7), Some(7)]);
    }

    #[test]
    fn the_spool_is_in_the_data_folder_or_elsewhere() {
        let stream = "[stream.a]\nfiles = 'a.csv'\n";
        let server = "[server]\nspool = '/var/spool/streamer'\n";
        let spool = |text: &str, flag: Option<&str>| {
            let (data, spool) = (PathBuf::from("data"), flag.map(PathBuf::from));
            load(text, Overrides { data, spool, ..Overrides::default() }).unwrap().spool
        };
        assert_eq!(spool(stream, None), Path::new("data/spool"));
        assert_eq!(spool(stream, Some("data/spool")), Path::new("data/spool"));
        assert_eq!(spool(&format!("{server}{stream}"), None), Path::new("/var/spool/streamer"));
        assert_eq!(spool(&format!("{server}{stream}"), Some("other")), Path::new("other"));
    }

    #[test]
    fn errors_name_file_line_column_and_what_to_write() {
        let message = error("[stream.a]\nfiles = 'a.csv'\ntabel = 'b'\n");
        assert!(message.contains("streams.toml:3:1: unknown field `tabel`"), "{message}");
        let message = error("[stream.a]\nfiles = 'a.csv'\nevery = 'soon'\n");
        assert!(message.contains(":3:9: \"soon\" is no duration"), "{message}");
        let message = error("[stream.a]\nfiles = '../a.csv'\n");
        assert!(
            message.contains("stream.a.files must be a path below the data folder"),
            "{message}"
        );
        let message = error("[stream.a]\nfiles = 'a.csv'\nevery = '500 years'\n");
        assert!(message.contains("stream.a.every must be at most 365 days"), "{message}");
        let message = error("[stream.a]\nfiles = 'a.csv'\nkeep = '30s'\n");
        assert!(message.contains("stream.a.keep must be from 1 minute"), "{message}");
        let message = error("[stream.a]\nfiles = 'a.csv'\nmax_rows = 0\n");
        assert!(message.contains("stream.a.max_rows must be at least 1"), "{message}");
        let message = error("[stream.a]\nfiles = 'a.csv'\ntimezone = 'CEST'\n");
        assert!(message.contains("stream.a.timezone \"CEST\" is no time zone"), "{message}");
        let message = error("[stream.a]\nfiles = 'a.csv'\nextra_column = 'more'\n");
        assert!(message.contains("extra_column has a meaning only with extra ="), "{message}");
        let message = error("[stream.a]\nfiles = 'a.csv'\n[stream.a.paths]\nb = 'c..d'\n");
        assert!(message.contains("stream.a.paths b = \"c..d\" is no path"), "{message}");
        let message = error("[stream.a]\nfiles = 'a.csv'\npaths = { b = 'd', c = 'd' }\n");
        assert!(message.contains("stream.a.paths name \"d\" for b and for c"), "{message}");
        let archive = "[stream.a]\nfiles = 'a.csv'\non_done = 'archive'\narchive = '../b'\n";
        let message = error(archive);
        assert!(message.contains("stream.a.archive must be a path below"), "{message}");
        let message = error(&archive.replace("on_done = 'archive'", "on_done = 'delete'"));
        assert!(message.contains("archive has a meaning only with on_done ="), "{message}");
        let message = error(
            "[stream.a]\nfiles = 'in/old/a.csv'\n[stream.b]\nfiles = 'b.csv'\n\
                             on_done = 'archive'\narchive = 'in/'\n",
        );
        assert!(message.contains("stream.a.files must not be in in, which"), "{message}");
        let message = error("[database]\nconnections = 1\n[stream.a]\nfiles = 'a.csv'\n");
        assert!(message.contains("database.connections must be from 2 to 1000"), "{message}");
        let message = error("[server]\nspool = 'in/spool'\n[stream.a]\nfiles = 'a.csv'\n");
        assert!(message.contains("server.spool must not be in the data folder"), "{message}");
        assert!(error("").contains("names no stream"));
    }

    #[test]
    fn a_password_in_the_file_is_never_shown() {
        let text = "[database]\nurl = 'postgres://me:secret@h/d' x\n[stream.a]\nfiles = 'a.csv'\n";
        let shown = error(text);
        assert!(!shown.contains("secret"), "{shown}");
        let shown = error("database = 'postgres://me:secret@h/d'\n[stream.a]\nfiles = 'a.csv'\n");
        assert!(!shown.contains("secret") && shown.contains("expected"), "{shown}");
        for (url, has_password) in [
            ("postgres://me:x@h/d", true),
            ("postgres://h/d?user=me&password=x", true),
            ("postgres://me@h:5432/d", false),
            ("postgres:///d?host=/run", false),
        ] {
            assert_eq!(DatabaseUrl(url.to_owned()).has_password(), has_password, "{url}");
        }
        let text = "[database]\nurl = 'postgres://me:secret@h/d'\n[stream.a]\nfiles = 'a.csv'\n";
        let shown = format!("{:?}", load(text, Overrides::default()).unwrap());
        assert!(!shown.contains("secret"), "{shown}");
    }
}
