//! `streamer load`: records from stdin, by way of the spool, so that none is loaded twice or lost
//! on the way.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use globset::Glob;
use tokio::sync::mpsc;

use super::run::{GIVE_UP_AFTER, Reporting, finish, migrate_patiently, stream_all};
use super::summary::Summary;
use super::{Exit, make_folder, stop_on_signal, stream_named};
use crate::cli::{Global, LoadArgs};
use crate::config::{Overrides, Reading, Settings, Stream};
use crate::database::Database;
use crate::engine::{Plan, Presence};
use crate::format::Format;
use crate::health::Health;
use crate::layout::Fits;
use crate::receiver::intake::{Follows, Intake};
use crate::schema::Table;
use crate::spool::{SpoolWriter, Spools};

/// How much is read from stdin at a time, in bytes.
const CHUNK_BYTES: usize = 1 << 20;

/// A pattern that no file has.
const NO_FILE: &str = ".";

pub(super) async fn run(global: &Global, args: &LoadArgs, shows_progress: bool) -> Result<Exit> {
    let (every, max_rows) = (Some(Duration::ZERO), args.max_rows);
    let settings = Settings::load(Overrides { every, max_rows, ..global.overrides() })?;
    let stream = stream_named(&settings, &args.stream)?.clone();
    make_folder(&settings.data)?;
    let plan = Plan {
        until_drained: true,
        give_up_after: Some(GIVE_UP_AFTER),
        stop: stop_on_signal()?,
        health: Health::default(),
        spools: Spools::new(&settings.spool, std::slice::from_ref(&stream), u64::MAX),
    };
    let database = Database::open(settings.database_url.as_ref(), &settings.data).await?;
    let database = Arc::new(database);
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
    let spool = plan.spools.writer(&stream.name).expect("it was made for this stream");
    let mut conn = database.connect_now().await?;
    let table = Arc::new(Table::load(&mut conn, &stream.table, &stream.fitting).await?);
    drop(conn);
    let fits = Fits::new(table, &stream.fitting);
    tokio::select! {
        spooled = spool_stdin(&spool, stream, &fits, args.format) => match spooled {
            Ok(()) => {}
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

/// Writes all of stdin to the spool.
async fn spool_stdin(
    spool: &SpoolWriter,
    stream: &Stream,
    fits: &Fits,
    format: Option<Format>,
) -> Result<()> {
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
    let mut intake = Intake::new(stream.reading.record_bytes_max, format);
    let mut is_header_checked = false;
    while let Some(read) = receive.recv().await {
        let chunk = read.context("read stdin")?;
        let follows = if chunk.is_empty() { Follows::Nothing } else { Follows::More };
        let appends = intake.take(&chunk, follows)?;
        if !is_header_checked && let Some(header) = intake.header() {
            is_header_checked = true;
            fits.of_header(header.to_vec())?;
        }
        for append in appends {
            spool.append(append).await?;
        }
    }
    spool.seal().await;
    Ok(())
}
