//! `streamer run`: load files as they come, or all there are.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::progress::Progress;
use super::summary::Summary;
use super::{Exit, make_folder, print, stop_on_signal};
use crate::cli::{Global, RunArgs};
use crate::config::{Overrides, Settings, Stream, TokenSource};
use crate::database::Database;
use crate::engine::{self, Event, Plan};
use crate::health::{Ailment, Health};
use crate::migrate::{MigrateError, migrate};
use crate::patience::Patience;
use crate::receiver::Spools;
use crate::receiver::http::{Bound, Metrics, Parts};
use crate::receiver::tcp::Line;

/// How long `--available-now` looks for a database that is away.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// The variable that may hold a token.
const TOKEN: &str = "STREAMER_TOKEN";

/// When a stop was asked for, the process ends within this time, whatever hangs.
const STOP_WITHIN: Duration = Duration::from_millis(4700);

pub(super) async fn run(global: &Global, args: &RunArgs, shows_progress: bool) -> Result<Exit> {
    let (every, max_rows, writers) = (args.every, args.max_rows, args.writers);
    let listen = args.listen;
    let token = token(args);
    let overrides = Overrides { every, max_rows, writers, listen, token, ..global.overrides() };
    let mut settings = Settings::load(overrides)?;
    make_folder(&settings.data)?;
    let stop = stop_on_signal()?;
    let plan = Plan {
        until_drained: args.available_now,
        give_up_after: args.available_now.then_some(GIVE_UP_AFTER),
        stop,
        health: Health::default(),
        spools: Spools::new(&settings.spool, &settings.streams, settings.server.max_spool.as_u64()),
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
    let names = settings.streams.iter().map(|one| one.name.as_str());
    let metrics = Arc::new(Metrics::new(names, plan.health.latencies().clone()));
    open_doors(&settings, args, &plan, &metrics).await?;
    let overdue = plan.stop.clone();
    let overdue = async {
        overdue.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    // Nothing is lost with what is dropped here: what is not committed, PostgreSQL rolls back.
    let outcome = tokio::select! {
        outcome = work(&settings, plan, starting, shows_progress, Some(metrics)) => outcome,
        () = overdue => return Ok(Exit::Done),
    };
    let (summary, wall) = outcome?;
    if !args.available_now {
        return Ok(Exit::Done);
    }
    finish(&summary, wall)
}

/// Where the token is that all streams ask for. The variable is the one that the generator has its token in.
fn token(args: &RunArgs) -> Option<TokenSource> {
    let has_one = std::env::var_os(TOKEN).is_some_and(|token| !token.is_empty());
    let file = args.token_file.clone().map(TokenSource::File);
    file.or_else(|| has_one.then(|| TokenSource::Env(TOKEN.to_owned())))
}

/// Prints what became of everything.
pub(super) fn finish(summary: &Summary, wall: Duration) -> Result<Exit> {
    let mut text = summary.text(wall);
    if summary.total().dead_letters > 0 {
        text += "some records were refused: `streamer dead-letters list` shows which and why\n";
    }
    print(&text)?;
    Ok(summary.exit())
}

/// Starts the doors that are to be open. None, where all is to be loaded that is there now and no door is asked
/// for.
async fn open_doors(
    settings: &Settings,
    args: &RunArgs,
    plan: &Plan,
    metrics: &Arc<Metrics>,
) -> Result<()> {
    let (spools, health, stop) = (plan.spools.clone(), plan.health.clone(), plan.stop.clone());
    if !args.available_now || settings.server.listen.is_some() {
        let parts = Parts { spools, metrics: metrics.clone(), health, stop };
        if let Some(server) = Bound::bind(&settings.server, &settings.streams, parts).await? {
            tokio::spawn(server.serve());
        }
    }
    for stream in settings.streams.iter().filter(|_| !args.available_now) {
        let Some(spool) = plan.spools.of(&stream.name).cloned() else { continue };
        let (health, stop) = (plan.health.clone(), plan.stop.clone());
        let line = Line { stream: Arc::new(stream.clone()), spool, health, stop };
        if let Some(address) = stream.tcp_listen {
            let listener = Line::bind(address).await.with_context(|| {
                format!("listen on {address}, which tcp_listen of stream {} names", stream.name)
            })?;
            let address = listener.local_addr().unwrap_or(address);
            tracing::info!(stream = %stream.name, "taking lines by TCP on {address}");
            tokio::spawn(line.clone().listen(listener));
        }
        if let Some(place) = &stream.tcp_connect {
            tokio::spawn(line.connect(place.clone()));
        }
    }
    Ok(())
}

/// Opens the database, applies the migrations, works on the streams, and stops the embedded server.
async fn work(
    settings: &Settings,
    plan: Plan,
    starting: Ailment,
    shows_progress: bool,
    metrics: Option<Arc<Metrics>>,
) -> Result<(Summary, Duration)> {
    let database = Database::open(settings.database_url.as_ref(), &settings.data).await?;
    let database = Arc::new(database);
    let outcome = match migrate_patiently(&database, &plan).await {
        Ok(()) => {
            drop(starting);
            let streams = settings.streams.clone();
            stream_all(&database, &settings.data, streams, plan, shows_progress, metrics).await
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
    metrics: Option<Arc<Metrics>>,
) -> Result<(Summary, Duration)> {
    let started = Instant::now();
    let told = Arc::new(Mutex::new((Summary::default(), shows_progress.then(Progress::new))));
    // Without an end there is no summary to gather for.
    let gathers = plan.until_drained;
    let observer = {
        let told = told.clone();
        Arc::new(move |event: Event<'_>| {
            if let Some(metrics) = &metrics {
                metrics.note(&event);
            }
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
