//! `streamer run`: load files as they come, or all there are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Result;

use super::progress::Progress;
use super::summary::Summary;
use super::{Exit, make_folder, print, stop_on_signal};
use crate::cli::{Global, RunArgs};
use crate::config::{Overrides, Settings, Stream};
use crate::database::Database;
use crate::engine::{self, Event, Plan};
use crate::health::{Ailment, Health};
use crate::migrate::{MigrateError, migrate};
use crate::patience::Patience;

/// How long `--available-now` looks for a database that is away.
const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// When a stop was asked for, the process ends within this time, whatever hangs.
const STOP_WITHIN: Duration = Duration::from_millis(4700);

pub(super) async fn run(global: &Global, args: &RunArgs, shows_progress: bool) -> Result<Exit> {
    let (every, max_rows, writers) = (args.every, args.max_rows, args.writers);
    let overrides = Overrides { every, max_rows, writers, ..global.overrides() };
    let mut settings = Settings::load(overrides)?;
    make_folder(&settings.data)?;
    let stop = stop_on_signal()?;
    let plan = Plan {
        until_drained: args.available_now,
        give_up_after: args.available_now.then_some(GIVE_UP_AFTER),
        stop,
        health: Health::default(),
    };
    let starting = plan.health.note("it is starting");
    let _answering = match plan.health.answer(&settings.data).await {
        Ok(answering) => Some(answering),
        Err(error) => {
            tracing::info!("`streamer health` will have no answer from here: {error}");
            None
        }
    };
    if args.available_now {
        settings.streams.iter_mut().for_each(|stream| stream.every = Duration::ZERO);
    }
    let overdue = plan.stop.clone();
    let overdue = async {
        overdue.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    // Nothing is lost with what is dropped here: what is not committed, PostgreSQL rolls back.
    let outcome = tokio::select! {
        outcome = work(&settings, plan, starting, shows_progress) => outcome,
        () = overdue => return Ok(Exit::Done),
    };
    let (summary, wall) = outcome?;
    if !args.available_now {
        return Ok(Exit::Done);
    }
    let mut text = summary.text(wall);
    if summary.total().dead_letters > 0 {
        text += "some records were refused: `streamer dead-letters list` shows which and why\n";
    }
    print(&text)?;
    Ok(summary.exit())
}

/// Opens the database, applies the migrations, works on the streams, and stops the embedded server.
async fn work(
    settings: &Settings,
    plan: Plan,
    starting: Ailment,
    shows_progress: bool,
) -> Result<(Summary, Duration)> {
    let database = Database::open(settings.database_url.as_ref(), &settings.data).await?;
    let database = Arc::new(database);
    let outcome = match migrate_patiently(&database, &plan).await {
        Ok(()) => {
            drop(starting);
            let streams = settings.streams.clone();
            stream_all(&database, &settings.data, streams, plan, shows_progress).await
        }
        Err(error) if plan.stop.is_cancelled() => {
            tracing::debug!("stopped before the database was there: {error:#}");
            Ok((Summary::default(), Duration::ZERO))
        }
        Err(error) => Err(error),
    };
    if let Some(database) = Arc::into_inner(database) {
        database.close().await;
    }
    outcome
}

/// Works on `streams`, with a progress bar or without.
pub(super) async fn stream_all(
    database: &Arc<Database>,
    data: &std::path::Path,
    streams: Vec<Stream>,
    plan: Plan,
    shows_progress: bool,
) -> Result<(Summary, Duration)> {
    let started = Instant::now();
    let told = Arc::new(Mutex::new((Summary::default(), shows_progress.then(Progress::new))));
    // Without an end there is no summary to gather for.
    let gathers = plan.until_drained;
    let observer = {
        let told = told.clone();
        Arc::new(move |event: Event<'_>| {
            let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
            if gathers {
                told.0.note(&event);
            }
            if let Some(progress) = &mut told.1 {
                progress.note(&event);
            }
        })
    };
    let outcome = engine::run(database.clone(), data, streams, plan, observer).await;
    let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(progress) = &told.1 {
        progress.finish();
    }
    outcome?;
    Ok((std::mem::take(&mut told.0), started.elapsed()))
}

/// Applies the migrations as soon as the database is there.
pub(super) async fn migrate_patiently(database: &Database, plan: &Plan) -> Result<()> {
    let mut patience = Patience::new(plan.give_up_after, plan.stop.clone(), plan.health.clone());
    loop {
        let mut conn = patience.connect(database).await?;
        match migrate(&mut conn).await {
            Ok(applied) => {
                patience.note_success();
                applied.iter().for_each(|name| tracing::info!("applied migration {name}"));
                return Ok(());
            }
            Err(MigrateError::Database(error)) => patience.pause(database, error).await?,
            Err(error) => return Err(error.into()),
        }
    }
}
