//! `streamer status`: which streamers are at work, and how far each stream and file is.

mod text;

use std::collections::HashMap;
use std::path::Path;

use anyhow::{Context, Result};
use chrono::{DateTime, Utc};
use serde::Serialize;
use sqlx::PgConnection;

use super::{Exit, at_work, connect, open, print};
use crate::cli::{Global, StatusArgs};
use crate::config::{Settings, Stream};
use crate::database::Usage;
use crate::feed::places::Places;
use crate::format::Packing;
use crate::health::ask_of_streams;
use crate::latency::Quantiles;
use crate::ledger::dead_letter;
use crate::ledger::instance::{self, Seen};
use crate::ledger::status::{self, MicroBatchStatus, PartitionStatus};
use crate::memory::SharedMemory;
use crate::partition::fingerprint::Stat;
use crate::partition::{Density, Kind, Lag, Name, Partition};
use crate::partitioning::missing_tomorrow;
use crate::source::folder::Folder;
use crate::source::untaken::{Look, Untaken};
use crate::spool::{free_bytes, segments};

/// How many files and micro-batches of a stream are shown unless all are asked for.
const SHOWN_MAX: usize = 10;

/// Everything that is shown. The JSON form is relied on by scripts: fields are added, not renamed.
#[derive(Debug, Serialize)]
struct Status {
    /// Those that are at work, on whichever streams of this database.
    instances: Vec<Seen>,
    /// Those that the streams of the running streamer share.
    connections: Option<Usage>,
    memory: Option<SharedMemory>,
    streams: Vec<StreamStatus>,
    /// What lies in the data folder and no stream takes.
    untaken: Vec<Untaken>,
}

#[derive(Debug, Serialize)]
struct StreamStatus {
    stream: String,
    table: String,
    /// Whether it rests because of a file with too many dead letters.
    stopped: bool,
    /// What keeps it from going on, as the running streamer tells.
    ailments: Vec<String>,
    /// How long ago its last micro-batch was committed.
    committed_seconds_ago: Option<f64>,
    /// Whether records of it wait for a partition of the table.
    waiting: bool,
    /// What makes the partition for tomorrow, where the table has neither it nor a default.
    missing_partition: Option<String>,
    records: i64,
    rows: i64,
    duplicates: i64,
    /// Of requests whose Idempotency-Key was there before.
    repeated: i64,
    /// Those that are neither retried nor discarded.
    dead_letters: i64,
    lag_bytes: u64,
    /// About how many records that is, where enough was read to reckon from.
    lag_records: Option<u64>,
    /// How long ago the oldest file of the lag was written last; 0 without lag.
    lag_age_seconds: u64,
    /// About how long it takes to load the lag: by the pace of files, else by how fast the last
    /// micro-batches were committed.
    seconds_left: Option<u64>,
    /// That the pace of files is too slow for the lag, and what to do.
    slow: Option<String>,
    spool: SpoolStatus,
    /// Of the rows that the running streamer has loaded since its start.
    latency: Option<Quantiles>,
    files: Vec<FileStatus>,
    last_micro_batches: Vec<MicroBatchStatus>,
}

/// What came by a listener and waits.
#[derive(Debug, Serialize)]
struct SpoolStatus {
    /// Segments with something that is not committed.
    segments: usize,
    /// A part of the stream's lag.
    lag_bytes: u64,
    /// What is left in its file system.
    free_bytes: Option<u64>,
}

#[derive(Debug, Serialize)]
struct FileStatus {
    file: String,
    #[serde(skip)]
    kind: Kind,
    #[serde(skip)]
    is_packed: bool,
    /// When it was written last, in seconds since 1970.
    #[serde(skip)]
    written: Option<i64>,
    /// pending, reading, waiting, done, refused, stopped, or gone (not in the folder, and not
    /// read to its end).
    state: &'static str,
    size_bytes: Option<u64>,
    next_offset: u64,
    lag_bytes: u64,
    records: i64,
    rows: i64,
    duplicates: i64,
    repeated: i64,
    dead_letters: i64,
    refusal: Option<String>,
    /// The partition of the table that its next records wait for.
    waits_for: Option<String>,
    updated_at: Option<DateTime<Utc>>,
}

pub(super) async fn run(global: &Global, args: &StatusArgs) -> Result<Exit> {
    let (settings, database) = open(global).await?;
    let outcome = async {
        let mut conn = connect(&database, &settings.streams).await?;
        gather(&mut conn, &settings).await
    }
    .await;
    database.close().await;
    let mut status = outcome?;
    // Without a streamer at work there is nobody to tell.
    let mut told = ask_of_streams(&settings.data).await.unwrap_or_default();
    (status.connections, status.memory) = (told.connections, told.memory);
    for stream in &mut status.streams {
        stream.latency = told.latencies.remove(&stream.stream);
        stream.ailments = told.ailments.remove(&stream.stream).unwrap_or_default();
    }
    if !args.all {
        status.streams.iter_mut().for_each(|stream| stream.last_micro_batches.truncate(SHOWN_MAX));
    }
    if args.json {
        return print(&format!("{}\n", serde_json::to_string_pretty(&status)?));
    }
    let streams = status.streams.iter().map(|stream| stream.text(args.all));
    let shared = text::connections(status.connections) + &text::memory(status.memory);
    let above = at_work::text(&status.instances) + &shared;
    let untaken = status.untaken.iter().map(|untaken| format!("{untaken}\n"));
    let texts: Vec<String> = std::iter::once(above).chain(streams).chain(untaken).collect();
    print(&texts.join("\n"))
}

async fn gather(conn: &mut PgConnection, settings: &Settings) -> Result<Status> {
    let instances = instance::at_work(conn).await.context("read which streamers are at work")?;
    let mut streams = Vec::new();
    for stream in &settings.streams {
        let context = || format!("read the state of stream {}", stream.name);
        streams.push(gather_stream(conn, settings, stream).await.with_context(context)?);
    }
    let untaken = Look::new(&settings.data, &settings.streams).find();
    Ok(Status { instances, connections: None, memory: None, streams, untaken })
}

async fn gather_stream(
    conn: &mut PgConnection,
    settings: &Settings,
    stream: &Stream,
) -> Result<StreamStatus> {
    let partitions = status::partitions(conn, &stream.name).await?;
    let last_micro_batches = status::last_micro_batches(conn, &stream.name).await?;
    let committed_seconds_ago = status::committed_seconds_ago(conn, &stream.name).await?;
    let dead_letters = dead_letter::count_open(conn, &stream.name).await?;
    let missing_partition = missing_tomorrow(conn, &stream.table).await?;
    let sum = |count: fn(&PartitionStatus) -> i64| partitions.iter().map(count).sum();
    let (records, rows) = (sum(|p| p.records), sum(|p| p.rows));
    let (duplicates, repeated) = (sum(|p| p.duplicates), sum(|p| p.repeated));
    let places = Places::new(settings.data.clone(), &stream.reading, None);
    let places = places.named_for(conn).await?;
    let files = files(settings, stream, places.folder(), partitions)?;
    let lag = lag_of(files.iter());
    // The pace is that of files.
    let paced = lag_of(files.iter().filter(|file| file.kind == Kind::File)).records;
    let paced = paced.filter(|records| *records > 0);
    let time_left = paced.and_then(|records| stream.pace.time_for(records));
    let seconds_left = match time_left {
        Some(time) => Some(time.as_secs()),
        None => lag.records.and_then(|records| seconds_for(records, &last_micro_batches)),
    };
    Ok(StreamStatus {
        stream: stream.name.clone(),
        table: stream.table.clone(),
        stopped: files.iter().any(|file| file.state == "stopped"),
        ailments: Vec::new(),
        committed_seconds_ago,
        waiting: files.iter().any(|file| file.state == "waiting"),
        missing_partition,
        records,
        rows,
        duplicates,
        repeated,
        dead_letters,
        lag_bytes: lag.left,
        lag_records: lag.records,
        lag_age_seconds: lag.age.as_secs(),
        seconds_left,
        slow: paced.and_then(|records| stream.pace.slow_text(records)),
        spool: SpoolStatus::of(&files, &settings.spool),
        latency: None,
        files,
        last_micro_batches,
    })
}

/// What is left to read of these.
fn lag_of<'f>(files: impl Iterator<Item = &'f FileStatus> + Clone) -> Lag {
    let (mut plain, mut packed) = (Density::default(), Density::default());
    let (mut plain_bytes, mut packed_bytes) = (0, 0);
    for file in files.clone() {
        let records = u64::try_from(file.records).unwrap_or_default();
        match (file.is_packed, file.size_bytes) {
            (true, size) => {
                packed_bytes += file.lag_bytes;
                size.filter(|_| file.state == "done").into_iter().for_each(|size| {
                    packed.note(size, records);
                });
            }
            (false, _) => {
                plain_bytes += file.lag_bytes;
                plain.note(file.next_offset, records);
            }
        }
    }
    let records = plain.records_in(plain_bytes).zip(packed.records_in(packed_bytes));
    let unread = files.filter(|file| file.lag_bytes > 0);
    let written = unread.filter_map(|file| file.written).min();
    Lag::bytes(plain_bytes + packed_bytes, records.map(|(a, b)| a.saturating_add(b)), written)
}

/// How long so many records take if they are committed as fast as the last micro-batches were.
fn seconds_for(records: u64, last: &[MicroBatchStatus]) -> Option<u64> {
    let (newest, oldest) = (last.first()?, last.last()?);
    let time = (newest.written_at - oldest.written_at).num_milliseconds();
    // The oldest was there when that time began.
    let committed: i64 = last.iter().take(last.len() - 1).map(|batch| batch.records).sum();
    let millis = i128::from(records) * i128::from(time) / i128::from(committed.max(1));
    (time > 0 && committed > 0).then(|| u64::try_from(millis / 1000).unwrap_or(u64::MAX))
}

/// What the folder holds beside what the checkpoints say: unread files, then the newest first.
fn files(
    settings: &Settings,
    stream: &Stream,
    folder: &Folder,
    partitions: Vec<PartitionStatus>,
) -> Result<Vec<FileStatus>> {
    let mut stats: HashMap<Name, Stat> = HashMap::new();
    let visited = folder.visit(|name, stat| {
        stats.insert(Name::new(Kind::File, name), stat);
    });
    visited.with_context(|| format!("list {}", settings.data.display()))?;
    let segments = segments(&settings.spool, &stream.name);
    stats.extend(segments.into_iter().map(|found| (found.name, found.stat)));
    // Only the newest partition of a path can be the file that is there now.
    let partitions: Vec<(Partition, PartitionStatus)> = partitions
        .into_iter()
        .map(|status| (Partition::parse(&status.partition), status))
        .collect();
    let mut newest: HashMap<&Name, u32> = HashMap::new();
    for (Partition { name, generation }, _) in &partitions {
        let newest = newest.entry(name).or_default();
        *newest = (*generation).max(*newest);
    }
    let mut files: Vec<FileStatus> = partitions
        .iter()
        .map(|(partition, known)| {
            let Partition { name, generation } = partition;
            let stat = stats.get(name).filter(|_| newest[name] == *generation);
            FileStatus::of(partition, known, stat)
        })
        .collect();
    let new = stats.iter().filter(|(name, _)| !newest.contains_key(name));
    files.extend(new.map(|(name, stat)| FileStatus::pending(name, stat)));
    let order = |file: &FileStatus| (file.updated_at.is_none(), file.updated_at);
    files.sort_by(|a, b| order(b).cmp(&order(a)).then_with(|| b.file.cmp(&a.file)));
    Ok(files)
}

impl SpoolStatus {
    fn of(files: &[FileStatus], root: &Path) -> SpoolStatus {
        let segments = files.iter().filter(|file| file.kind == Kind::Segment);
        let lags = segments.map(|file| file.lag_bytes);
        let lags: Vec<u64> = lags.filter(|lag| *lag > 0).collect();
        let (segments, lag_bytes) = (lags.len(), lags.iter().sum());
        SpoolStatus { segments, lag_bytes, free_bytes: free_bytes(root) }
    }
}

impl FileStatus {
    /// What is known of a partition, whose log is `stat`, if it is the one that is there now.
    fn of(partition: &Partition, known: &PartitionStatus, stat: Option<&Stat>) -> FileStatus {
        let size_bytes = stat.map(|stat| stat.size);
        let next_offset = u64::try_from(known.next_offset).unwrap_or_default();
        let is_packed = Packing::of(partition.name.as_str()).is_some();
        let lag_bytes = match known.state.as_str() {
            "refused" => 0,
            // Its offset counts unpacked bytes: it is done, or all of it is left.
            state if is_packed => size_bytes.filter(|_| state != "done").unwrap_or(0),
            // A smaller file is another one, to be read from its start.
            _ => size_bytes.map_or(0, |size| size.checked_sub(next_offset).unwrap_or(size)),
        };
        let state = match (known.state.as_str(), size_bytes) {
            ("refused", _) => "refused",
            ("stopped", _) => "stopped",
            (_, Some(size)) if size < next_offset && !is_packed => "pending",
            ("done", _) if lag_bytes == 0 => "done",
            (_, None) => "gone",
            _ if known.waits_for.is_some() => "waiting",
            _ => "reading",
        };
        FileStatus {
            file: known.partition.clone(),
            kind: partition.kind(),
            is_packed,
            written: stat.map(|stat| stat.modified().0),
            state,
            size_bytes,
            next_offset,
            lag_bytes,
            records: known.records,
            rows: known.rows,
            duplicates: known.duplicates,
            repeated: known.repeated,
            dead_letters: known.dead_letters,
            refusal: known.refusal.clone(),
            waits_for: known.waits_for.clone(),
            updated_at: Some(known.updated_at),
        }
    }

    fn pending(name: &Name, stat: &Stat) -> FileStatus {
        FileStatus {
            file: name.to_string(),
            kind: name.kind(),
            is_packed: Packing::of(name.as_str()).is_some(),
            written: Some(stat.modified().0),
            state: "pending",
            size_bytes: Some(stat.size),
            next_offset: 0,
            lag_bytes: stat.size,
            records: 0,
            rows: 0,
            duplicates: 0,
            repeated: 0,
            dead_letters: 0,
            refusal: None,
            waits_for: None,
            updated_at: None,
        }
    }
}
