//! The settings of one stream.

use std::collections::{BTreeMap, HashMap};
use std::num::NonZero;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytesize::ByteSize;
use globset::GlobBuilder;
use serde::{Deserialize, Deserializer};

use super::dataset::{table, window};
use super::groups::{
    Extra, Fitting, Listeners, Nan, OnDone, OnMissingPartition, Provenance, Reading, TokenSource,
    WhenDone,
};
use super::pace::Pace;
use super::tcp::{self, tcp_connect, tcp_listen};
use super::{ConfigError, Dataset, Overrides, Wrong};
use crate::encode::Zone;
use crate::format::Format;
use crate::limit::DeadLetterLimit;

/// A longer pause is a mistake, and one that time can't be reckoned with.
const EVERY_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

/// How long what has come by a listener waits for more, unless files wait less.
const LINGER: Duration = Duration::from_millis(100);

/// Who waits for a commit longer than that has gone away.
const LINGER_MAX: Duration = Duration::from_secs(3600);

/// Rows are kept for so long at least, and at most so that PostgreSQL can reckon with it.
const KEEP_MIN: Duration = Duration::from_secs(60);
const KEEP_MAX: Duration = Duration::from_secs(1000 * 365 * 24 * 3600);

/// Each writer has a connection, and PostgreSQL 100 of them by default.
const WRITERS_MAX: usize = 32;

/// For how long a client may repeat a request under its key and be sure that it counts once.
const IDEMPOTENCY_KEEP: Duration = Duration::from_secs(24 * 3600);

/// One stream: files of a pattern into a table.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its name, which the checkpoint knows it by.
    pub name: String,
    /// The table as written in SQL.
    pub table: String,
    /// The dataset that the table is of; `None` for a table of the user's.
    pub dataset: Option<Dataset>,
    /// How long the windows of the dataset's rollup are to be: whole seconds that part a day, only
    /// where [`Dataset::has_window`]. `None` leaves the rollup those that it has.
    pub window: Option<Duration>,
    /// Which files are read, and how.
    pub reading: Reading,
    /// How records become rows.
    pub fitting: Fitting,
    /// How much goes in at a time.
    pub pace: Pace,
    /// Who may send records that are in no file.
    pub listeners: Listeners,
    /// What becomes of what is loaded.
    pub when_done: WhenDone,
}

/// [`OnDone`] as written.
#[derive(Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum OnDoneFile {
    #[default]
    Keep,
    Archive,
    Delete,
}

/// A stream as written in streams.toml.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamFile {
    files: String,
    table: Option<String>,
    dataset: Option<Dataset>,
    #[serde(default, deserialize_with = "duration")]
    window: Option<Duration>,
    format: Option<Format>,
    #[serde(default)]
    paths: BTreeMap<String, String>,
    #[serde(default, deserialize_with = "duration")]
    every: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    linger: Option<Duration>,
    #[serde(default)]
    catch_up: bool,
    #[serde(default)]
    live_first: bool,
    max_rows: Option<u64>,
    writers: Option<usize>,
    max_record_bytes: Option<ByteSize>,
    #[serde(default, deserialize_with = "duration")]
    settle: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    scan_every: Option<Duration>,
    #[serde(default)]
    extra: Extra,
    extra_column: Option<String>,
    max_dead_letters: Option<DeadLetterLimit>,
    #[serde(default)]
    on_missing_partition: OnMissingPartition,
    #[serde(default)]
    null: Vec<String>,
    timezone: Option<String>,
    event_time: Option<String>,
    #[serde(default)]
    provenance: Vec<Provenance>,
    #[serde(default)]
    nan: Nan,
    #[serde(default)]
    on_done: OnDoneFile,
    archive: Option<String>,
    #[serde(default, deserialize_with = "duration")]
    keep: Option<Duration>,
    keep_bookkeeping: Option<String>,
    token_env: Option<String>,
    token_file: Option<PathBuf>,
    tcp_listen: Option<String>,
    tcp_connect: Option<String>,
    #[serde(default)]
    tcp_open_to_all: bool,
    #[serde(default, deserialize_with = "duration")]
    idempotency_keep: Option<Duration>,
    #[serde(default, deserialize_with = "duration")]
    tcp_idle: Option<Duration>,
    tcp_connections: Option<usize>,
}

/// Reads "10s", "500ms", "1m 30s".
fn duration<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
    let text = String::deserialize(deserializer)?;
    humantime::parse_duration(&text).map(Some).map_err(|error| {
        serde::de::Error::custom(format!("{text:?} is no duration ({error}); write \"10s\""))
    })
}

impl StreamFile {
    /// The stream, if every setting is within its bounds.
    pub(super) fn checked(
        self,
        name: String,
        path: &str,
        overrides: &Overrides,
    ) -> Result<Stream, ConfigError> {
        let stream = name.clone();
        self.stream(name, overrides).map_err(|(setting, message)| ConfigError::Value {
            path: path.to_owned(),
            stream,
            setting,
            message,
        })
    }

    fn tcp(&self) -> tcp::Written<'_> {
        tcp::Written {
            address: self.tcp_listen.as_deref(),
            is_open_to_all: self.tcp_open_to_all,
            idle: self.tcp_idle,
            connections: self.tcp_connections,
        }
    }

    fn pace(&self, overrides: &Overrides) -> Result<Pace, Wrong> {
        let wrong = |setting, message: &str| (setting, message.to_owned());
        let max_rows = overrides.max_rows.or(self.max_rows);
        if max_rows == Some(0) {
            return Err(wrong("max_rows", "must be at least 1"));
        }
        let every = overrides.every.or(self.every).unwrap_or(Duration::from_secs(10));
        if every > EVERY_MAX {
            return Err(wrong("every", "must be at most 365 days"));
        }
        let linger = overrides.linger.or(self.linger).unwrap_or(LINGER.min(every));
        if linger > LINGER_MAX {
            return Err(wrong("linger", "must be at most 1 hour"));
        }
        Ok(Pace {
            every,
            linger,
            catch_up: overrides.catch_up || self.catch_up,
            max_rows,
            writers: writers(overrides.writers.or(self.writers))?,
            dead_letters_max: self.max_dead_letters,
            on_missing_partition: self.on_missing_partition,
        })
    }

    fn stream(self, name: String, overrides: &Overrides) -> Result<Stream, Wrong> {
        let wrong = |setting, message: &str| (setting, message.to_owned());
        let tcp_listen = tcp_listen(&self.tcp())?;
        // A `*` stays within one folder, as in a shell.
        let files = GlobBuilder::new(below("files", &self.files)?).literal_separator(true).build();
        let files = files.map_err(|error| ("files", error.to_string()))?;
        let pace = self.pace(overrides)?;
        let record_bytes_max = record_bytes_max(self.max_record_bytes)?;
        let scan_every = self.scan_every.unwrap_or(Duration::from_secs(5));
        if scan_every.is_zero() {
            return Err(wrong("scan_every", "must be more than 0s"));
        }
        if self.extra != Extra::Keep && self.extra_column.is_some() {
            return Err(wrong("extra_column", "has a meaning only with extra = \"keep\""));
        }
        let token = match (self.token_env, self.token_file) {
            (Some(_), Some(_)) => {
                return Err(wrong("token_env", "and token_file exclude each other"));
            }
            (env, file) => env.map(TokenSource::Env).or(file.map(TokenSource::File)),
        };
        let extra_column = self.extra_column.as_deref().unwrap_or("extra");
        let paths = paths(&self.paths)?;
        if self.extra == Extra::Keep && paths.contains_key(extra_column) {
            return Err(wrong("paths", "must not name the extra_column"));
        }
        let reading = Reading {
            files,
            format: self.format,
            record_bytes_max,
            settle: self.settle.unwrap_or(Duration::from_secs(5)),
            scan_every,
            live_first: self.live_first,
            archives: Vec::new(),
        };
        let fitting = Fitting {
            paths,
            extra: self.extra,
            extra_column: extra_column.to_owned(),
            null: self.null,
            zone: zone(self.timezone.as_deref())?,
            event_time: self.event_time,
            provenance: self.provenance,
            nan: self.nan,
        };
        let listeners = Listeners {
            token,
            tcp_listen,
            tcp_connect: tcp_connect(self.tcp_connect)?,
            idempotency_keep: idempotency_keep(self.idempotency_keep)?,
        };
        let on_done = on_done(self.on_done, self.archive.as_deref())?;
        let keep_bookkeeping = keep_bookkeeping(self.keep_bookkeeping.as_deref())?;
        let keep = keep(self.keep)?;
        let when_done = WhenDone { on_done, of_all: Arc::default(), keep, keep_bookkeeping };
        let dataset = self.dataset;
        let (table, window) = (table(self.table, dataset, &name)?, window(self.window, dataset)?);
        Ok(Stream { name, table, dataset, window, reading, fitting, pace, listeners, when_done })
    }
}

fn record_bytes_max(bytes: Option<ByteSize>) -> Result<usize, Wrong> {
    let bytes = usize::try_from(bytes.unwrap_or(ByteSize::mib(1)).as_u64()).ok();
    let bytes = bytes.filter(|bytes| (1..=1 << 30).contains(bytes));
    bytes.ok_or_else(|| ("max_record_bytes", "must be from 1 B to 1 GiB".to_owned()))
}

/// By default as many as there are cores, up to four.
fn writers(written: Option<usize>) -> Result<usize, Wrong> {
    let cores = || std::thread::available_parallelism().map_or(1, NonZero::get);
    let writers = written.unwrap_or_else(|| cores().min(4));
    match (1..=WRITERS_MAX).contains(&writers) {
        true => Ok(writers),
        false => Err(("writers", format!("must be from 1 to {WRITERS_MAX}"))),
    }
}

/// A path or pattern below the data folder.
fn below<'p>(setting: &'static str, path: &'p str) -> Result<&'p str, Wrong> {
    let path = path.trim_start_matches("./");
    if path.starts_with('/') || path.split('/').any(|part| [".", ".."].contains(&part)) {
        let message = "must be a path below the data folder, which --data names";
        return Err((setting, message.to_owned()));
    }
    Ok(path)
}

/// How long keys are remembered: as long as PostgreSQL can reckon with.
fn idempotency_keep(keep: Option<Duration>) -> Result<Duration, Wrong> {
    let keep = keep.unwrap_or(IDEMPOTENCY_KEEP);
    match keep <= KEEP_MAX {
        true => Ok(keep),
        false => Err(("idempotency_keep", "must be at most 1000 years".to_owned())),
    }
}

/// The keys of each column's path, which are written with dots between them.
fn paths(paths: &BTreeMap<String, String>) -> Result<BTreeMap<String, Vec<String>>, Wrong> {
    let mut columns: HashMap<&str, &str> = HashMap::new();
    for (column, path) in paths {
        if path.split('.').any(str::is_empty) {
            let message = format!("{column} = {path:?} is no path; write \"key\" or \"key.key\"");
            return Err(("paths", message));
        }
        if let Some(other) = columns.insert(path, column) {
            return Err(("paths", format!("name {path:?} for {other} and for {column}")));
        }
    }
    let keys = |path: &String| path.split('.').map(str::to_owned).collect();
    Ok(paths.iter().map(|(column, path)| (column.clone(), keys(path))).collect())
}

fn zone(name: Option<&str>) -> Result<Zone, Wrong> {
    let Some(name) = name else { return Ok(Zone::Utc) };
    Zone::named(name).ok_or_else(|| {
        let message = format!("{name:?} is no time zone; write a name like \"Europe/Berlin\"");
        ("timezone", message)
    })
}

/// How long resolved dead letters are kept: 30 days where nothing is said.
fn keep_bookkeeping(written: Option<&str>) -> Result<Option<Duration>, Wrong> {
    if written == Some("forever") {
        return Ok(None);
    }
    let keep = humantime::parse_duration(written.unwrap_or("30d")).ok();
    match keep.filter(|keep| (KEEP_MIN..=KEEP_MAX).contains(keep)) {
        Some(keep) => Ok(Some(keep)),
        None => Err((
            "keep_bookkeeping",
            "must be from 1 minute to 1000 years, such as \"30d\", or \"forever\"".to_owned(),
        )),
    }
}

/// A mistyped unit must not cost everything.
fn keep(keep: Option<Duration>) -> Result<Option<Duration>, Wrong> {
    match keep {
        Some(keep) if !(KEEP_MIN..=KEEP_MAX).contains(&keep) => {
            Err(("keep", "must be from 1 minute to 1000 years".to_owned()))
        }
        keep => Ok(keep),
    }
}

fn on_done(on_done: OnDoneFile, archive: Option<&str>) -> Result<OnDone, Wrong> {
    if on_done != OnDoneFile::Archive && archive.is_some() {
        let message = "has a meaning only with on_done = \"archive\"";
        return Err(("archive", message.to_owned()));
    }
    Ok(match on_done {
        OnDoneFile::Keep => OnDone::Keep,
        OnDoneFile::Delete => OnDone::Delete,
        OnDoneFile::Archive => {
            let folder = below("archive", archive.unwrap_or("archive"))?.trim_end_matches('/');
            if folder.is_empty() {
                return Err(("archive", "must name a folder".to_owned()));
            }
            OnDone::Archive(PathBuf::from(folder))
        }
    })
}
