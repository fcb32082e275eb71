//! What pages see live: a sampler, one for the process, looks once a second at what was counted and
//! makes one frame of it, which all pages get as the same bytes.
//!
//! It asks nothing but this process: the counters that `/metrics` shows, what is noted of health,
//! the spools, and what each commit tells. The past is kept here, in rings of fixed size, and given
//! to each page when it connects; a ring of a stream is made at its first record. A page that does
//! not take what is sent is hung up on.

mod ailments;
mod frame;
mod history;
mod noted;
mod series;
mod started;
mod stream;
mod window;

use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use hyper::body::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

pub(super) use frame::{About, At};
use frame::{AilmentShown, Frame, MicroBatchShown, SpoolShown, Total};
use history::Past;
use noted::Noted;
pub(crate) use started::StartedBy;
use stream::Tracked;

use super::Metrics;
use super::event_stream::EventStream;
use super::rows::Rows;
use crate::config::{Server, Stream};
use crate::event::{Counters, Event, Observer};
use crate::health::Health;
use crate::latency::Quantiles;
use crate::source::untaken::{Look, Untaken};
use crate::spool::{SpoolWriter, Spools};

/// The time between two frames.
const EVERY: Duration = Duration::from_secs(1);

/// The time between two looks for files that no stream takes.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// How many of them the log tells of at most.
const TOLD_MAX: usize = 1000;

/// How many event streams there are at most.
const CLIENTS_MAX: usize = 64;

/// How many frames wait for a client at most: one that lets more come does not read.
const WAITING_MAX: usize = 16;

/// How many micro-batches are kept.
const MICRO_BATCHES_MAX: usize = 60;

/// What pages see live. Clones share it.
#[derive(Debug, Clone)]
pub struct Live(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    started_by: StartedBy,
    data: PathBuf,
    look: Arc<Look>,
    spools: Vec<Option<SpoolWriter>>,
    counters: Counters,
    health: Health,
    metrics: Arc<Metrics>,
    /// What commits have told since the last frame.
    noted: Mutex<Noted>,
    /// Who follows the rows of streams.
    rows: Rows,
    /// One for each event stream that may be open.
    slots: Arc<Semaphore>,
    state: Mutex<State>,
}

/// What it is made of.
#[derive(Debug)]
pub struct LiveParts<'a> {
    /// The settings of the server.
    pub server: &'a Server,
    /// The streams, in order of name.
    pub streams: &'a [Stream],
    /// Their spools.
    pub spools: &'a Spools,
    /// What is counted of them.
    pub counters: Counters,
    /// What ails the streamer.
    pub health: Health,
    /// What the server has counted.
    pub metrics: Arc<Metrics>,
    /// The data folder.
    pub data: &'a Path,
    /// Whether the database is the embedded one.
    pub is_embedded: bool,
}

/// What the sampler knows, and who listens to it.
#[derive(Debug)]
struct State {
    about: About,
    number: u64,
    sampled: Instant,
    at: DateTime<Utc>,
    streams: Vec<Tracked>,
    total: Total,
    spool: SpoolShown,
    past: Past,
    ailments: Vec<AilmentShown>,
    untaken: Option<Vec<Untaken>>,
    /// The latencies of rows since the start, by stream.
    since_start: BTreeMap<String, Quantiles>,
    clients: Vec<Client>,
}

/// A page that listens.
#[derive(Debug)]
struct Client {
    frames: mpsc::Sender<Bytes>,
    /// The streams that it may see; all, if there are none.
    only: Option<Arc<[String]>>,
    /// Ends its connection.
    hang_up: CancellationToken,
}

impl Live {
    /// Nothing sampled yet.
    pub fn new(parts: LiveParts<'_>) -> Live {
        let LiveParts { server, streams, spools, counters, health, metrics, data, is_embedded } =
            parts;
        let started_by = StartedBy::found(is_embedded);
        let host = nix::unistd::gethostname().unwrap_or_default();
        let (pid, at) = (std::process::id(), Utc::now());
        let about = About {
            version: env!("CARGO_PKG_VERSION"),
            instance: format!("{}:{pid}", host.to_string_lossy()),
            pid,
            started_at: At(at),
            started_by: started_by.name(),
            address: None,
            data: data.display().to_string(),
            simulator: server.simulator,
            restart_command: started_by.restart_command(),
        };
        let state = State {
            about,
            number: 0,
            sampled: Instant::now(),
            at,
            streams: streams.iter().map(Tracked::new).collect(),
            total: Total::default(),
            spool: SpoolShown::default(),
            past: Past::new(),
            ailments: Vec::new(),
            untaken: None,
            since_start: BTreeMap::new(),
            clients: Vec::new(),
        };
        let spools = streams.iter().map(|stream| spools.writer(&stream.name)).collect();
        let (noted, state) = (Mutex::new(Noted::new()), Mutex::new(state));
        let (look, data) = (Arc::new(Look::new(data, streams)), data.to_owned());
        Live(Arc::new(Inner {
            started_by,
            data,
            look,
            spools,
            counters,
            health,
            metrics,
            noted,
            rows: Rows::default(),
            slots: Arc::new(Semaphore::new(CLIENTS_MAX)),
            state,
        }))
    }

    /// Where the server listens.
    pub(super) fn note_address(&self, address: std::net::SocketAddr) {
        self.0.state().about.address = Some(address.to_string());
    }

    /// Looks now and then until `stop` for files that no stream takes.
    pub async fn look_for_untaken(self, stop: CancellationToken) {
        let mut told: HashSet<String> = HashSet::new();
        loop {
            let look = self.0.look.clone();
            let found = tokio::task::spawn_blocking(move || look.find()).await.unwrap_or_default();
            for one in &found {
                if told.len() < TOLD_MAX && told.insert(one.name.clone()) {
                    tracing::warn!("{one}");
                }
            }
            self.0.state().untaken = Some(found);
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Samples until `stop`, which also ends all event streams.
    pub async fn sample(self, stop: CancellationToken) {
        let mut seconds = tokio::time::interval(EVERY);
        seconds.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = seconds.tick() => self.0.tick(),
            }
        }
        self.0.state().clients.clear();
    }

    /// The events from now on, of these streams or of all: first the past, then each frame. `None`,
    /// where there are as many listeners as can be. `hang_up` is cancelled when they are not taken.
    pub(super) fn listen(
        &self,
        only: Option<Arc<[String]>>,
        hang_up: CancellationToken,
    ) -> Option<EventStream> {
        let slot = self.slot()?;
        let mut state = self.0.state();
        let (frames, events) = mpsc::channel(WAITING_MAX);
        let first = event("history", &state.history(only.as_deref()));
        state.clients.push(Client { frames, only, hang_up });
        Some(EventStream::new(first, events, slot))
    }

    /// What is known now, of these streams or of all.
    pub(super) fn now(&self, only: Option<&[String]>) -> serde_json::Value {
        let state = self.0.state();
        let mut now = serde_json::to_value(state.frame(only, &[], true)).unwrap_or_default();
        now["streamer"] = serde_json::to_value(&state.about).unwrap_or_default();
        now
    }

    /// The data folder.
    pub(super) fn data(&self) -> &Path {
        &self.0.data
    }

    /// What a command of the streamer begins with, by how it was started.
    pub(super) fn streamer_command(&self) -> &'static str {
        self.0.started_by.streamer_command()
    }

    /// Where pgAdmin is, if the stack has one.
    pub(super) fn pgadmin(&self) -> Option<&'static str> {
        self.0.started_by.pgadmin()
    }

    /// How many event streams are open.
    pub(super) fn clients(&self) -> usize {
        CLIENTS_MAX - self.0.slots.available_permits()
    }

    /// The right to an event stream; `None`, where as many are open as can be.
    pub(super) fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0.slots).try_acquire_owned().ok()
    }

    /// Who follows the rows of streams.
    pub(super) fn rows(&self) -> &Rows {
        &self.0.rows
    }
}

impl Observer for Live {
    fn note(&self, event: &Event<'_>) {
        if let Event::Committed(commit) = event {
            self.0.noted().note(commit);
            self.0.rows.note(commit);
        }
    }
}

impl Inner {
    /// Looks at everything, and sends a frame to whoever listens.
    fn tick(&self) {
        let (now, at, sample) = (Instant::now(), Utc::now(), self.counters.sample());
        let ailing = self.health.ailing();
        let (fresh, of_streams, quantiles) = self.noted().take(now);
        // To reckon these takes a while, which commits wait for.
        let since_start = (!fresh.is_empty()).then(|| self.health.latencies().quantiles());
        let mut guard = self.state();
        let state = &mut *guard;
        state.since_start = since_start.unwrap_or_else(|| std::mem::take(&mut state.since_start));
        let elapsed = now.duration_since(state.sampled).as_secs_f64().max(0.001);
        // Where the machine was away, nobody knows what was when.
        let missed = (elapsed - 1.0).round().clamp(0.0, 86_400.0);
        state.past.skip(&mut state.streams, missed);
        let (mut rows, mut arrived) = (0.0, 0.0);
        for (tracked, spool) in state.streams.iter_mut().zip(&self.spools) {
            let name = tracked.name();
            let counters = sample.get(name).copied().unwrap_or_default();
            let accepted = self.metrics.accepted(name);
            let seen = stream::Seen {
                at,
                elapsed,
                counters: &counters,
                accepted,
                spool: spool.as_ref().map(|spool| (spool.backlog_bytes(), spool.oldest_age())),
                ailing: &ailing,
                noted: of_streams.get(name),
                since_start: state.since_start.get(name).copied(),
            };
            let flow = tracked.see(&seen);
            (rows, arrived) = (rows + flow.rows_per_s, arrived + flow.arrived_per_s);
        }
        state.total = Total {
            rows_per_s: Some(rows),
            arrived_per_s: Some(arrived),
            latency_p50_s: quantiles.map(|of| of.p50_s),
            latency_p99_s: quantiles.map(|of| of.p99_s),
        };
        state.past.note(&mut state.streams, &state.total, &fresh);
        state.ailments = ailments::shown(&ailing, self.started_by);
        state.spool.lag_bytes = self.spools.iter().flatten().map(SpoolWriter::backlog_bytes).sum();
        state.spool.free_bytes =
            self.spools.iter().flatten().next().and_then(|one| one.free_bytes());
        (state.number, state.sampled, state.at) = (state.number + 1, now, at);
        state.send(&fresh);
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Sends what is new to whoever listens, the same bytes to all who may see the same.
    fn send(&mut self, fresh: &[MicroBatchShown]) {
        let mut clients = std::mem::take(&mut self.clients);
        let mut made: Vec<(Option<Arc<[String]>>, Bytes)> = Vec::new();
        clients.retain(|client| {
            let known = made.iter().find(|(only, _)| *only == client.only);
            let bytes = known.map(|(_, bytes)| bytes.clone()).unwrap_or_else(|| {
                let frame = event("frame", &self.frame(client.only.as_deref(), fresh, false));
                made.push((client.only.clone(), frame.clone()));
                frame
            });
            match client.frames.try_send(bytes) {
                Ok(()) => true,
                Err(mpsc::error::TrySendError::Full(_)) => {
                    tracing::debug!("a page does not read what is sent; its connection is closed");
                    client.hang_up.cancel();
                    false
                }
                Err(mpsc::error::TrySendError::Closed(_)) => false,
            }
        });
        self.clients = clients;
    }

    /// A frame: of all streams, or of those that changed; only of these, if some are named.
    fn frame<'a>(
        &'a self,
        only: Option<&[String]>,
        fresh: &'a [MicroBatchShown],
        all: bool,
    ) -> Frame<'a> {
        let sees = |name: &str| only.is_none_or(|only| only.iter().any(|one| one == name));
        let streams = self.streams.iter().filter(|tracked| all || tracked.is_changed());
        let streams = streams.map(Tracked::shown).filter(|shown| sees(&shown.stream));
        let is_seen = |ailment: &&AilmentShown| ailment.stream.as_deref().is_none_or(sees);
        Frame {
            at: At(self.at),
            number: self.number,
            total: if only.is_none() { self.total } else { Total::default() },
            spool: self.spool,
            streams: streams.collect(),
            micro_batches: fresh.iter().filter(|one| sees(&one.stream)).collect(),
            ailments: self.ailments.iter().filter(is_seen).collect(),
            untaken: self.untaken.as_deref().filter(|_| only.is_none()),
        }
    }
}

/// A server-sent event.
fn event(name: &str, data: &impl serde::Serialize) -> Bytes {
    // JSON has no line end outside of a string, and none inside.
    let data = serde_json::to_string(data).unwrap_or_default();
    format!("event: {name}\ndata: {data}\n\n").into()
}
