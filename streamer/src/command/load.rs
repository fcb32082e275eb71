//! `streamer load`: records from stdin, by way of the spool, so that none is loaded twice or lost
//! on the way, also if it is killed and run again.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use globset::Glob;
use tokio::sync::mpsc;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

use super::run::{GIVE_UP_AFTER, Reporting, finish, migrate_patiently, stream_all};
use super::summary::Summary;
use super::table::grouped;
use super::{Exit, make_folder, say, stop_on_signal, stream_named};
use crate::cli::{Global, LoadArgs};
use crate::config::{Overrides, Reading, Settings, Stream};
use crate::database::{Connections, Database};
use crate::engine::{Plan, Presence};
use crate::format::Format;
use crate::framing::Key;
use crate::health::Health;
use crate::layout::Fits;
use crate::receiver::intake::{Follows, Intake};
use crate::schema::Table;
use crate::spool::{Append, Receipt, SpoolError, SpoolWriter, Spools};

/// How much is read from stdin at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// How much goes into the spool under one key, in bytes, and how many such pieces are synced
/// together.
const PIECE_BYTES: usize = 64 * 1024;
const PIECES_AT_ONCE: usize = 16;

/// A pattern that no file has.
const NO_FILE: &str = ".";

pub(super) async fn run(global: &Global, args: &LoadArgs, shows_progress: bool) -> Result<Exit> {
    let (every, max_rows) = (Some(Duration::ZERO), args.max_rows);
    let settings = Settings::load(Overrides { every, max_rows, ..global.overrides() })?;
    let stream = stream_named(&settings, &args.stream)?.clone();
    make_folder(&settings.data)?;
    let memory = settings.memory.shared();
    let health = Health::with(Connections::new(settings.connections), &memory);
    let plan = Plan {
        until_drained: true,
        give_up_after: Some(GIVE_UP_AFTER),
        stop: stop_on_signal()?,
        spools: Spools::new(&settings.spool, std::slice::from_ref(&stream), u64::MAX, &health),
        memory,
        health,
    };
    let database = Database::open(settings.database_url.as_ref(), &settings.data).await?;
    let database = Arc::new(database.by(plan.health.connections()));
    let outcome = async {
        migrate_patiently(&database, &plan, std::slice::from_ref(&stream)).await?;
        let presence =
            Presence::begin(&database, std::slice::from_ref(&stream), None, &plan.health);
        let loaded = load(&database, &settings, &stream, args, &plan, shows_progress).await;
        presence.end().await;
        loaded
    };
    let outcome = outcome.await;
    if let Some(database) = Arc::into_inner(database) {
        database.close().await;
    }
    let (summary, wall) = outcome?;
    finish(&summary, wall)
}

/// Takes all of stdin, then loads it.
async fn load(
    database: &Arc<Database>,
    settings: &Settings,
    stream: &Stream,
    args: &LoadArgs,
    plan: &Plan,
    shows_progress: bool,
) -> Result<(Summary, Duration)> {
    let (writer, reader) = (plan.spools.writer(&stream.name), plan.spools.reader(&stream.name));
    let (spool, reader) = writer.zip(reader).expect("they were made for this stream");
    let mut conn = database.connect_now().await?;
    let table = Arc::new(Table::load(&mut conn, &stream.table, &stream.fitting).await?);
    drop(conn);
    let fits = Fits::new(table, &stream.fitting);
    reader.open(fits.clone(), Arc::downgrade(database));
    let taking = async {
        let (stdin, id) = keep_stdin(&spool, args).await?;
        spool_records(&spool, stdin, id, stream, &fits, args.format).await
    };
    tokio::select! {
        spooled = taking => match spooled {
            Ok(0) => {}
            Ok(repeated) => say(format!(
                "{} records were loaded before under the same key, and are not loaded again; --again does so",
                grouped(repeated)
            )),
            Err(error) => {
                spool.discard().await;
                return Err(error);
            }
        },
        () = plan.stop.cancelled() => {
            spool.discard().await;
            bail!("stopped before stdin came to its end: nothing of it is loaded");
        }
    }
    // Files of the folder are not meant.
    let reading = Reading { files: Glob::new(NO_FILE)?, ..stream.reading.clone() };
    let streams = vec![Stream { reading, ..stream.clone() }];
    let reporting = Reporting::default();
    stream_all(database, &settings.data, streams, plan.clone(), shows_progress, &reporting).await
}

/// Writes all of stdin to a file that has no name and so goes with the process. Returns it, and
/// what the same records are to be known by if they come again; nothing, if they may.
async fn keep_stdin(spool: &SpoolWriter, args: &LoadArgs) -> Result<(File, Option<u128>)> {
    // It is read on a thread of its own, which an end before its time leaves behind.
    let (send, mut receive) = mpsc::channel(2);
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        loop {
            let mut chunk = vec![0; CHUNK_BYTES];
            let read = stdin.read(&mut chunk).map(|read| {
                chunk.truncate(read);
                chunk
            });
            let is_last = read.as_ref().map_or(true, Vec::is_empty);
            if send.blocking_send(read).is_err() || is_last {
                return;
            }
        }
    });
    let mut file = spool.scratch().context("make a file for stdin in the spool")?;
    let mut hash = Xxh3::new();
    while let Some(read) = receive.recv().await {
        let chunk = read.context("read stdin")?;
        hash.update(&chunk);
        file.write_all(&chunk).context("write stdin to the spool")?;
    }
    file.rewind().context("read stdin from the spool")?;
    let id = match &args.key {
        Some(key) => xxh3_128(format!("load --key {key}").as_bytes()),
        None => xxh3_128(format!("load {:032x}", hash.digest128()).as_bytes()),
    };
    Ok((file, (!args.again).then_some(id)))
}

/// Writes the records of stdin to the spool, in pieces that are the same whenever the same comes:
/// each has a key, so that whatever was loaded of it before is left out. Returns how many records
/// that are, as far as is known.
async fn spool_records(
    spool: &SpoolWriter,
    mut stdin: File,
    id: Option<u128>,
    stream: &Stream,
    fits: &Fits,
    format: Option<Format>,
) -> Result<u64> {
    let mut intake = Intake::new(stream.reading.record_bytes_max, format);
    let mut is_last = false;
    let (mut pieces, mut repeated) = (0_u64, 0);
    while !is_last {
        let mut group = Vec::new();
        for _ in 0..PIECES_AT_ONCE {
            let mut piece = Vec::with_capacity(PIECE_BYTES);
            let limit = u64::try_from(PIECE_BYTES).expect("a small number");
            (&mut stdin).take(limit).read_to_end(&mut piece).context("read stdin")?;
            is_last = piece.is_empty();
            let follows = if is_last { Follows::Nothing } else { Follows::More };
            for append in intake.take(&piece, follows)? {
                pieces += 1;
                let key = id.map(|id| format!("{id:032x} {pieces}"));
                let key = key.map(|key| Key::new(key.as_bytes(), &append.bytes));
                group.push(Append { key, ..append });
            }
            if is_last {
                break;
            }
        }
        if let Some(header) = intake.take_header() {
            fits.of_header(header)?;
        }
        for receipt in spool.append_all(group).await {
            let Receipt { records, is_repeated, .. } = receipt.map_err(refused)?;
            repeated += if is_repeated { records } else { 0 };
        }
    }
    spool.seal().await;
    Ok(repeated)
}

/// Why records are not loaded.
fn refused(error: SpoolError) -> anyhow::Error {
    match error {
        SpoolError::KeyReused => anyhow::anyhow!(
            "other records were loaded under this --key; choose another one for these"
        ),
        error => error.into(),
    }
}
