//! `streamer run`: load files as they come, or all there are.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use tokio::task::JoinSet;

use super::shown::Shown;
use super::summary::Summary;
use super::{Exit, make_folder, need_folder, print, say, stop_on_signal};
use crate::cli::{Global, RunArgs};
use crate::config::{DEFAULT_FILE, Overrides, Settings, Stream, TokenSource};
use crate::database::{Connections, Database};
use crate::engine::{self, Plan, Presence};
use crate::event::{Counters, Log, Observer, Reporter};
use crate::health::{Ailment, Health, Kind};
use crate::http::{Bound, Live, LiveParts, Metrics, Parts, Place};
use crate::migrate::{MigrateError, foreign_text, migrate};
use crate::patience::Patience;
use crate::private::sockets;
use crate::receiver::tcp::Line;
use crate::spool::Spools;

/// How long `--available-now` looks for a database that is away.
pub(super) const GIVE_UP_AFTER: Duration = Duration::from_secs(300);

/// The variable that may hold a token.
const TOKEN: &str = "STREAMER_TOKEN";

/// The variable that says whether the page can be read without a token.
const OPEN_PAGE: &str = "STREAMER_OPEN_PAGE";

/// When a stop was asked for, the work and what listens end within this time, whatever hangs.
const STOP_WITHIN: Duration = Duration::from_millis(4700);

/// What became of the work.
enum Outcome {
    /// It is done, and took so long.
    Worked(Box<Summary>, Duration),
    /// It was to stop before the database was there.
    Shutdown,
    /// The database was none that can be worked on, until this was to stop.
    Refused,
}

/// What is counted, and who tells it to others.
#[derive(Default)]
pub(super) struct Reporting {
    counters: Counters,
    metrics: Option<Arc<Metrics>>,
    /// What pages see.
    live: Option<Live>,
    /// Where pages find the database.
    place: Place,
    /// Where the HTTP server listens.
    address: Option<SocketAddr>,
}

impl Reporting {
    /// Nothing counted yet.
    fn new(settings: &Settings, plan: &Plan) -> Reporting {
        let names = settings.streams.iter().map(|one| one.name.as_str());
        let counters = Counters::new(names.clone());
        let latencies = plan.health.latencies().clone();
        let connections = plan.health.connections().clone();
        let metrics = Arc::new(Metrics::new(names, counters.clone(), latencies, connections));
        let live = Live::new(LiveParts {
            server: &settings.server,
            streams: &settings.streams,
            spools: &plan.spools,
            counters: counters.clone(),
            health: plan.health.clone(),
            metrics: metrics.clone(),
            data: &settings.data,
            is_embedded: settings.database_url.is_none(),
        });
        let (metrics, live, place) = (Some(metrics), Some(live), Place::default());
        Reporting { counters, metrics, live, place, address: None }
    }
}

pub(super) async fn run(global: &Global, args: &RunArgs, shows_progress: bool) -> Result<Exit> {
    let mut settings = Settings::load(overrides(global, args))?;
    match args.available_now {
        true => need_folder(&settings.data)?,
        false => make_folder(&settings.data)?,
    }
    if settings.is_built_in {
        // At least as loud as what a terminal with a progress bar still shows.
        tracing::warn!("{}", built_in_text(&settings.streams));
    }
    let stop = stop_on_signal()?;
    let memory = settings.memory.shared();
    let health = Health::with(Connections::new(settings.connections), &memory);
    let spool_max = settings.server.max_spool.as_u64();
    let plan = Plan {
        until_drained: args.available_now,
        give_up_after: args.available_now.then_some(GIVE_UP_AFTER),
        stop,
        spools: Spools::new(&settings.spool, &settings.streams, spool_max, &health),
        memory,
        health,
    };
    let starting = plan.health.note("it is starting").of_kind(Kind::Starting);
    if let Err(error) = sockets::clear_leftovers().await {
        tracing::debug!("nothing is cleared up: {error}");
    }
    let _answering = match plan.health.answer(&settings.data).await {
        Ok(answering) => Some(answering),
        Err(error) => {
            tracing::info!("`streamer health` will have no answer from here: {error}");
            None
        }
    };
    if args.available_now {
        settings.streams.iter_mut().for_each(|stream| stream.pace.every = Duration::ZERO);
    }
    let mut reporting = Reporting::new(&settings, &plan);
    let mut listeners = start_listeners(&settings, args, &plan, &mut reporting).await?;
    let stop = plan.stop.clone();
    listeners.spawn(plan.spools.clone().watch_unclaimed(plan.health.clone(), stop.clone()));
    let overdue = async {
        stop.cancelled().await;
        tokio::time::sleep(STOP_WITHIN).await;
    };
    tokio::pin!(overdue);
    // Nothing is lost with what is dropped here: what is not committed, PostgreSQL rolls back.
    let outcome = tokio::select! {
        outcome = work(&settings, plan, starting, shows_progress, &reporting) => outcome,
        error = died(&mut listeners) => Err(error),
        () = &mut overdue => return Ok(Exit::Done),
    };
    stop.cancel();
    tokio::select! {
        () = async { while listeners.join_next().await.is_some() {} } => {}
        () = overdue => {}
    }
    match outcome? {
        Outcome::Refused => Ok(Exit::Failed),
        Outcome::Worked(summary, wall) if args.available_now => finish(&summary, wall),
        Outcome::Worked(summary, wall) => {
            if !summary.is_empty() {
                print(&summary.text(wall))?;
            }
            Ok(Exit::Done)
        }
        Outcome::Shutdown => Ok(Exit::Done),
    }
}

/// Ends if something that listens has panicked: else it listens until the work is to stop.
async fn died(listeners: &mut JoinSet<()>) -> anyhow::Error {
    while let Some(ended) = listeners.join_next().await {
        if let Err(error) = ended {
            return anyhow::Error::new(error).context("what was listening has ended");
        }
    }
    std::future::pending().await
}

/// What the flags say.
fn overrides(global: &Global, args: &RunArgs) -> Overrides {
    Overrides {
        every: args.every,
        linger: args.linger,
        catch_up: args.catch_up,
        max_rows: args.max_rows,
        writers: args.writers,
        connections: args.connections,
        listen: args.listen,
        memory: args.memory,
        token: token(args),
        open_page: open_page(),
        ..global.overrides()
    }
}

/// Where the token is that all streams ask for. The variable is the one that the generator has its
/// token in.
fn token(args: &RunArgs) -> Option<TokenSource> {
    let has_one = std::env::var_os(TOKEN).is_some_and(|token| !token.is_empty());
    let file = args.token_file.clone().map(TokenSource::File);
    file.or_else(|| has_one.then(|| TokenSource::Env(TOKEN.to_owned())))
}

/// What the environment says of the page.
fn open_page() -> Option<bool> {
    match std::env::var(OPEN_PAGE).as_deref() {
        Ok("1" | "true") => Some(true),
        Ok("0" | "false") => Some(false),
        _ => None,
    }
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

/// Starts what is to listen, until the work is to stop. Nothing does, where all is to be loaded
/// that is there now and none is asked for. Where the HTTP server listens, is noted
/// in `reporting`.
async fn start_listeners(
    settings: &Settings,
    args: &RunArgs,
    plan: &Plan,
    reporting: &mut Reporting,
) -> Result<JoinSet<()>> {
    let mut listeners = JoinSet::new();
    let is_wanted = !args.available_now || settings.server.listen.is_some();
    if let Some((metrics, live)) = reporting.metrics.clone().zip(reporting.live.take())
        && is_wanted
    {
        let (spools, health, stop) = (plan.spools.clone(), plan.health.clone(), plan.stop.clone());
        let (sampling, place) = (stop.clone(), reporting.place.clone());
        let parts = Parts {
            spools,
            metrics,
            health,
            memory: plan.memory.clone(),
            stop,
            live: Some(live.clone()),
            place,
        };
        if let Some(server) = Bound::bind(&settings.server, &settings.streams, parts).await? {
            reporting.address = Some(server.address());
            listeners.spawn(server.serve());
            listeners.spawn(live.clone().look_for_untaken(sampling.clone()));
            listeners.spawn(live.clone().sample(sampling));
            // Without a server nobody sees it.
            reporting.live = Some(live);
        }
    }
    for stream in settings.streams.iter().filter(|_| !args.available_now) {
        let Some(spool) = plan.spools.writer(&stream.name) else { continue };
        let (health, stop) = (plan.health.clone(), plan.stop.clone());
        let record_bytes_max = stream.reading.record_bytes_max;
        let (name, memory) = (stream.name.as_str().into(), plan.memory.clone());
        let line = Line { stream: name, record_bytes_max, spool, health, memory, stop };
        if let Some(tcp) = stream.listeners.tcp_listen {
            let place = tcp.address;
            let listener = Line::bind(place).await.with_context(|| {
                format!("listen on {place}, which tcp_listen of stream {} names", stream.name)
            })?;
            let place = listener.local_addr().unwrap_or(place);
            tracing::info!(stream = %stream.name, "taking lines by TCP on {place}");
            listeners.spawn(line.clone().listen(listener, tcp));
        }
        if let Some(place) = &stream.listeners.tcp_connect {
            listeners.spawn(line.connect(place.clone()));
        }
    }
    Ok(listeners)
}

/// Which streams there are where no file names any.
fn built_in_text(streams: &[Stream]) -> String {
    let names =
        streams.iter().map(|one| format!("{} into {}", one.reading.files.glob(), one.table));
    format!(
        "there is no {DEFAULT_FILE} in this folder: loading what is built in, {}",
        names.collect::<Vec<_>>().join(", ")
    )
}

/// Opens the database, applies the migrations, works on the streams, and stops the embedded server.
async fn work(
    settings: &Settings,
    plan: Plan,
    starting: Ailment,
    shows_progress: bool,
    reporting: &Reporting,
) -> Result<Outcome> {
    let database = Database::open(settings.database_url.as_ref(), &settings.data).await?;
    let database = Arc::new(database.by(plan.health.connections()));
    reporting.place.note(&database);
    let outcome = match migrate_patiently(&database, &plan, &settings.streams).await {
        Ok(()) => {
            drop(starting);
            let streams = settings.streams.clone();
            let presence = Presence::begin(&database, &streams, reporting.address, &plan.health);
            let streaming =
                stream_all(&database, &settings.data, streams, plan, shows_progress, reporting);
            let streamed = streaming.await;
            presence.end().await;
            streamed.map(|(summary, wall)| Outcome::Worked(Box::new(summary), wall))
        }
        Err(error) if plan.stop.is_cancelled() => {
            tracing::debug!("stopped before the database was there: {error:#}");
            Ok(Outcome::Shutdown)
        }
        // Whoever starts it again gets the same: it stays, so that it is told once.
        Err(error) if !plan.until_drained && is_refused(&error) => {
            let told = format!("{error:#}").replace('\n', " ");
            tracing::error!("nothing is loaded: {told}");
            let _ailing = plan.health.note(told);
            drop(starting);
            plan.stop.cancelled().await;
            Ok(Outcome::Refused)
        }
        Err(error) => Err(error),
    };
    if let Some(database) = Arc::into_inner(database) {
        database.close().await;
    }
    outcome
}

/// Whether the database has a history that is not the streamer's.
fn is_refused(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(MigrateError::Refused(_)))
}

/// Works on `streams`, with a progress bar or without.
pub(super) async fn stream_all(
    database: &Arc<Database>,
    data: &std::path::Path,
    streams: Vec<Stream>,
    plan: Plan,
    shows_progress: bool,
    reporting: &Reporting,
) -> Result<(Summary, Duration)> {
    let (started, drains) = (Instant::now(), plan.until_drained);
    let shown = Arc::new(Shown::new(shows_progress));
    let mut observers: Vec<Arc<dyn Observer>> = vec![Arc::new(Log), shown.clone()];
    if let Some(metrics) = &reporting.metrics {
        observers.push(metrics.clone());
    }
    if let Some(live) = &reporting.live {
        observers.push(Arc::new(live.clone()));
    }
    let reporter = Reporter::new(observers, reporting.counters.clone());
    let outcome = engine::run(database.clone(), data, streams, plan, reporter).await;
    let (summary, wall) = (shown.finish(), started.elapsed());
    if outcome.is_err() && drains && summary.total().records > 0 {
        // What other streams have loaded is loaded.
        say(summary.text(wall).trim_end());
    }
    outcome?;
    Ok((summary, wall))
}

/// Applies the migrations as soon as the database is there.
pub(super) async fn migrate_patiently(
    database: &Database,
    plan: &Plan,
    streams: &[Stream],
) -> Result<()> {
    let mut patience = Patience::new(plan.give_up_after, plan.stop.clone(), plan.health.clone());
    loop {
        let mut conn = patience.connect(database).await?;
        match migrate(&mut conn, streams).await {
            Ok(migrated) => {
                patience.note_success();
                migrated.done.iter().for_each(|line| tracing::info!("{line}"));
                for dataset in migrated.foreign {
                    tracing::info!("{}", foreign_text(dataset));
                }
                return Ok(());
            }
            Err(MigrateError::Database(error)) => patience.pause(database, error).await?,
            Err(error) => return Err(error.into()),
        }
    }
}
