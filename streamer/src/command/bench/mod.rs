//! `streamer bench`: events at a rate through all of the streamer, and how late their rows were.
//!
//! Everything is made for it and gone afterwards: a data folder, and a database of its own. No
//! table of the user's is touched.

mod report;
mod scratch;

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use chrono::Utc;
use generator::{Format, Generator, Pace, Target, Traffic};
use indicatif::{ProgressBar, ProgressStyle};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::run::{GIVE_UP_AFTER, migrate_patiently};
use super::{Exit, print, stop_on_signal};
use crate::cli::{BenchArgs, BenchDataset, BenchLoad, Global};
use crate::config::{Listen, Overrides, Settings, Stream};
use crate::engine::{self, Plan};
use crate::event::{Counters, Event, Log, Observer, Reporter};
use crate::health::Health;
use crate::http::{Bound, Metrics, Parts, Place};
use crate::spool::Spools;
use report::{Counts, Report, Tally};
use scratch::Scratch;

/// Where the server listens: on a port that is free.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

/// How often it is looked whether the streamer takes events.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// What was accepted is waited for until nothing was committed for so long.
const STANDSTILL: Duration = Duration::from_secs(60);

/// Requests per second at the most, where it is not said how many events each has.
const REQUESTS_PER_SECOND: f64 = 200.0;

/// Events that a request has at most, where it is not said.
const BATCH_MAX: usize = 1000;

pub(super) async fn run(global: &Global, args: &BenchArgs, shows_progress: bool) -> Result<Exit> {
    let load = args.load()?;
    let url = Settings::load(global.overrides())?.database_url;
    let stop = stop_on_signal()?;
    let bar = bar(&load, shows_progress);
    bar.set_message("starting the database");
    let scratch = Scratch::open(url.as_ref()).await?;
    let outcome = measure((args, &load), &scratch, &bar, &stop).await;
    bar.finish_and_clear();
    let closed = scratch.close().await;
    let report = outcome?;
    print(&if args.json { report.json()? } else { report.text() })?;
    closed?;
    Ok(if report.is_complete { Exit::Done } else { Exit::Failed })
}

/// What is needed while the streamer is at work.
struct Bench<'a> {
    args: &'a BenchArgs,
    load: &'a BenchLoad,
    stream: Stream,
    plan: Plan,
    tally: Arc<Mutex<Tally>>,
    /// Something was committed.
    news: Arc<Notify>,
    bar: &'a ProgressBar,
}

async fn measure(
    (args, load): (&BenchArgs, &BenchLoad),
    scratch: &Scratch,
    bar: &ProgressBar,
    stop: &CancellationToken,
) -> Result<Report> {
    let overrides = Overrides {
        data: scratch.data().to_owned(),
        every: Some(Duration::ZERO),
        linger: Some(args.linger),
        max_rows: args.max_rows,
        listen: Some(Listen::At(LISTEN)),
        ..Overrides::default()
    };
    let settings = Settings::shipped(overrides)?;
    let stream = stream_of(args.dataset, &settings);
    let streams = vec![stream.clone()];
    let spool_max = settings.server.max_spool.as_u64();
    let memory = settings.memory.shared();
    let health = Health::with(scratch.database().connections().clone(), &memory);
    let plan = Plan {
        until_drained: false,
        give_up_after: Some(GIVE_UP_AFTER),
        stop: stop.child_token(),
        spools: Spools::new(&settings.spool, &streams, spool_max, &health),
        memory,
        health,
    };
    // However this ends, so does the streamer.
    let _ending = plan.stop.clone().drop_guard();
    bar.set_message("making the tables");
    migrate_patiently(scratch.database(), &plan, &streams).await?;
    let names = [stream.name.as_str()];
    let counters = Counters::new(names);
    let (spools, health) = (plan.spools.clone(), plan.health.clone());
    let memory = plan.memory.clone();
    let (latencies, connections) = (health.latencies().clone(), health.connections().clone());
    let metrics = Arc::new(Metrics::new(names, counters.clone(), latencies, connections));
    let (stop_server, place) = (plan.stop.clone(), Place::default());
    let parts = Parts { spools, metrics, health, memory, stop: stop_server, live: None, place };
    let server = Bound::bind(&settings.server, &streams, parts).await?;
    let server = server.context("the server has no address")?;
    let address = server.address();
    // It ends with this set.
    let mut serving = JoinSet::new();
    serving.spawn(server.serve());
    let tally = Arc::new(Mutex::new(Tally::new(args.window, args.windows_max())));
    let bench =
        Bench { args, load, stream, plan: plan.clone(), tally, news: Arc::new(Notify::new()), bar };
    let engine = engine::run(
        scratch.database().clone(),
        &settings.data,
        streams,
        plan.clone(),
        Reporter::new(vec![Arc::new(Log), bench.observer()], counters),
    );
    tokio::pin!(engine);
    let produced = tokio::select! {
        produced = bench.produce_and_drain(address) => produced,
        () = stop.cancelled() => Err(anyhow!("stopped before all events were in")),
        ended = &mut engine => {
            ended?;
            bail!("the streamer has stopped before all events were in");
        }
    };
    plan.stop.cancel();
    engine.await?;
    let (sent, began_us) = produced?;
    let counts = Counts::read(scratch.database(), &bench.stream.table).await?;
    let tally = bench.tally.lock().unwrap_or_else(PoisonError::into_inner);
    Ok(Report::new((args, load), &sent, counts, &tally, began_us))
}

/// Counts what is committed, shows it, and wakes whoever waits for it.
struct Watch {
    tally: Arc<Mutex<Tally>>,
    news: Arc<Notify>,
    bar: ProgressBar,
}

impl Observer for Watch {
    fn note(&self, event: &Event<'_>) {
        let mut tally = self.tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.note(event);
        self.bar.set_position(tally.records());
        self.news.notify_one();
    }
}

impl Bench<'_> {
    /// Who hears what is committed.
    fn observer(&self) -> Arc<dyn Observer> {
        let (tally, news, bar) = (self.tally.clone(), self.news.clone(), self.bar.clone());
        Arc::new(Watch { tally, news, bar })
    }

    /// Sends the events once the streamer takes them, and waits until they are committed. Returns
    /// what became of them on the way, and when the first was due, in microseconds since 1970.
    async fn produce_and_drain(&self, address: SocketAddr) -> Result<(generator::Report, i64)> {
        let spool =
            self.plan.spools.writer(&self.stream.name).context("the stream has no spool")?;
        while !spool.is_open() {
            tokio::time::sleep(LOOK_EVERY).await;
        }
        let settings = generator::Settings {
            dataset: self.args.dataset.into(),
            ..generator::Settings::default()
        };
        let traffic = self.traffic(address);
        let stop = self.plan.stop.clone();
        self.bar.set_message("sending");
        let began_us = Utc::now().timestamp_micros();
        self.tally.lock().unwrap_or_else(PoisonError::into_inner).begin(began_us);
        let sending = tokio::task::spawn_blocking(move || {
            Generator::new(settings)?.send(&traffic, &mut |_| match stop.is_cancelled() {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        });
        let sent = sending.await?.context("send the events")?;
        self.bar.set_message("waiting for the last commits");
        self.drain(sent.accepted).await?;
        Ok((sent, began_us))
    }

    /// Waits until so many records are committed.
    async fn drain(&self, accepted: u64) -> Result<()> {
        loop {
            let committed = self.tally.lock().unwrap_or_else(PoisonError::into_inner).records();
            if committed >= accepted {
                return Ok(());
            }
            let next = tokio::time::timeout(STANDSTILL, self.news.notified()).await;
            next.with_context(|| {
                format!("only {committed} of {accepted} accepted events were committed")
            })?;
        }
    }

    fn traffic(&self, address: SocketAddr) -> Traffic {
        let load = self.load;
        Traffic {
            target: Target::Http { url: format!("http://{address}") },
            pace: Pace {
                pattern: load.pattern,
                rate: load.rate(),
                rate_ratio: load.rate_ratio,
                duration: None,
                count: Some(load.events),
            },
            format: Format::Csv,
            producers: load.producers,
            batch: load.batch.unwrap_or_else(|| batch(load.rate())),
            stream: self.stream.name.clone(),
            token: None,
        }
    }
}

/// The stream that is shipped for the dataset.
fn stream_of(dataset: BenchDataset, settings: &Settings) -> Stream {
    let name = generator::Dataset::from(dataset).name();
    let stream = settings.streams.iter().find(|stream| stream.name == name);
    let mut stream = stream.expect("each dataset has a stream that is shipped").clone();
    if dataset == BenchDataset::AdEvents {
        // The generator tells of a produce_time some milliseconds ahead; this is when it makes the
        // event.
        stream.fitting.event_time = Some("event_time_ns".to_owned());
    }
    stream
}

/// What comes in the time between two requests.
fn batch(rate: Option<f64>) -> usize {
    let per_request = rate.map_or(f64::INFINITY, |rate| rate / REQUESTS_PER_SECOND);
    (1..BATCH_MAX).find(|&events| per_request <= f64_of(events)).unwrap_or(BATCH_MAX)
}

#[allow(clippy::cast_precision_loss, reason = "at most a thousand")]
fn f64_of(number: usize) -> f64 {
    number as f64
}

/// A bar on stderr, which counts what is committed.
fn bar(load: &BenchLoad, shows_progress: bool) -> ProgressBar {
    if !shows_progress {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30.green} {human_pos} of {human_len}  {msg}");
    let bar = ProgressBar::new(load.events).with_style(style.expect("the template is valid"));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::batch;

    #[test]
    fn a_request_has_what_is_due_within_five_milliseconds() {
        let rates = [Some(1.0), Some(200.0), Some(333.3), Some(10_000.0), Some(1e9), None];
        assert_eq!(rates.map(batch), [1, 1, 2, 50, 1000, 1000]);
    }
}
