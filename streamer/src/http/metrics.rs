//! What is counted, for Prometheus: by the conventions of OpenMetrics, a label for each stream.

use std::sync::atomic::AtomicU64;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::text::encode;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::{Registry, Unit};

use crate::database::{Connections, Usage};
use crate::event::{Counters, Event, Observer, StreamCounters};
use crate::health::Health;
use crate::latency::Latencies;
use crate::memory::{Memory, SharedMemory};
use crate::spool::SpoolWriter;

/// The type of the text.
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfStream {
    stream: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OfQuantile {
    stream: String,
    quantile: &'static str,
}

type Counts = Family<OfStream, Counter>;
type Levels = Family<OfStream, Gauge<u64, AtomicU64>>;
type Ages = Family<OfStream, Gauge<f64, AtomicU64>>;
type Times = Family<OfStream, Histogram, fn() -> Histogram>;

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    accepted: Counts,
    spool: Levels,
    spool_free: Levels,
    spool_age: Ages,
    ailments: Levels,
    waits: Levels,
    micro_batch: Times,
    latency: Times,
    latencies: Latencies,
    unauthorized: Counter,
    memory: Gauge<u64, AtomicU64>,
    memory_used: Gauge<u64, AtomicU64>,
    event_streams: Gauge<u64, AtomicU64>,
}

impl Metrics {
    /// Everything at zero, for `streams`, beside what `counters` have; the latencies of their rows
    /// are noted in `latencies`, and they share `connections`.
    pub fn new<'s>(
        streams: impl IntoIterator<Item = &'s str>,
        counters: Counters,
        latencies: Latencies,
        connections: Connections,
    ) -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("streamer"),
            accepted: Counts::default(),
            spool: Levels::default(),
            spool_free: Levels::default(),
            spool_age: Ages::default(),
            ailments: Levels::default(),
            waits: Levels::default(),
            // From 1 ms to 32 s.
            micro_batch: Times::new_with_constructor(histogram),
            latency: Times::new_with_constructor(histogram),
            latencies,
            unauthorized: Counter::default(),
            memory: Gauge::default(),
            memory_used: Gauge::default(),
            event_streams: Gauge::default(),
        };
        metrics.register(counters, connections);
        for stream in streams {
            let of = of(stream);
            drop((metrics.accepted.get_or_create(&of), metrics.spool.get_or_create(&of)));
        }
        metrics
    }

    fn register(&mut self, counters: Counters, connections: Connections) {
        let registry = &mut self.registry;
        registry.register_collector(Box::new(connections));
        registry.register_collector(Box::new(Sampler(counters)));
        let help = "Records that were accepted by HTTP";
        registry.register("accepted_records", help, self.accepted.clone());
        let help = "Bytes that came by a listener and are not committed";
        registry.register_with_unit("spool", help, Unit::Bytes, self.spool.clone());
        let help = "Bytes that are left in the file system of the spool";
        registry.register_with_unit("spool_free", help, Unit::Bytes, self.spool_free.clone());
        let help = "How long the oldest record that came by a listener has waited to be committed";
        registry.register_with_unit("spool_age", help, Unit::Seconds, self.spool_age.clone());
        let help = "How many things keep the stream from going on; `streamer health` names them";
        registry.register("ailments", help, self.ailments.clone());
        let help =
            "How many partitions of its table the stream waits for; `streamer health` names them";
        registry.register("missing_partitions", help, self.waits.clone());
        let help = "From the first byte of a micro-batch read to its commit";
        registry.register_with_unit("micro_batch", help, Unit::Seconds, self.micro_batch.clone());
        let help = "From a record accepted by a listener to its commit";
        registry.register_with_unit("latency", help, Unit::Seconds, self.latency.clone());
        registry.register_collector(Box::new(self.latencies.clone()));
        let help = "Requests without a token that is good";
        registry.register("unauthorized_requests", help, self.unauthorized.clone());
        let help =
            "Bytes of the setting memory that are shared: what is not reserved for each connection";
        registry.register_with_unit("memory_shared", help, Unit::Bytes, self.memory.clone());
        let help = "Bytes of the shared memory that are in use";
        registry.register_with_unit("memory_used", help, Unit::Bytes, self.memory_used.clone());
        let help = "Event streams that are open, one for each page";
        registry.register("event_streams", help, self.event_streams.clone());
    }

    /// Records were accepted.
    pub(super) fn note_accepted(&self, stream: &str, records: u64) {
        self.accepted.get_or_create(&of(stream)).inc_by(records);
    }

    /// How many records of a stream were accepted.
    pub(super) fn accepted(&self, stream: &str) -> u64 {
        self.accepted.get_or_create(&of(stream)).get()
    }

    /// How many event streams are open.
    pub(super) fn note_event_streams(&self, count: usize) {
        self.event_streams.set(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// A request had no token that is good.
    pub(super) fn note_unauthorized(&self) {
        self.unauthorized.inc();
    }

    /// How much memory is shared, and how much of it is in use now.
    pub(super) fn note_memory(&self, memory: &Memory) {
        let level = |bytes| u64::try_from(bytes).unwrap_or(u64::MAX);
        let SharedMemory { shared_bytes, used_bytes, .. } = memory.usage();
        self.memory.set(level(shared_bytes));
        self.memory_used.set(level(used_bytes));
    }

    /// What a spool is like now.
    pub(super) fn note_spool(&self, stream: &str, spool: &SpoolWriter) {
        let of = of(stream);
        self.spool.get_or_create(&of).set(spool.backlog_bytes());
        self.spool_age.get_or_create(&of).set(spool.oldest_age().as_secs_f64());
        if let Some(bytes) = spool.free_bytes() {
            self.spool_free.get_or_create(&of).set(bytes);
        }
    }

    /// How many things keep the stream from going on now, and how many partitions it waits for.
    pub(super) fn note_health(&self, stream: &str, health: &Health) {
        let (of, level) = (of(stream), |count| u64::try_from(count).unwrap_or(u64::MAX));
        self.ailments.get_or_create(&of).set(level(health.ailments_of(stream).len()));
        self.waits.get_or_create(&of).set(level(health.waits_of(stream)));
    }

    /// All of it as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

impl Observer for Metrics {
    fn note(&self, event: &Event<'_>) {
        let Event::Committed(commit) = event else { return };
        let of = of(commit.stream);
        self.micro_batch.get_or_create(&of).observe(commit.elapsed.as_secs_f64());
        self.latencies.note(commit.stream, commit.visible);
        let latency = self.latency.get_or_create(&of);
        // Requests of many records count as one observation: each costs some nanoseconds.
        commit.latencies.iter().for_each(|(_, waited)| latency.observe(waited.as_secs_f64()));
    }
}

/// Shows what the engine's counters have at the moment of a request.
#[derive(Debug)]
struct Sampler(Counters);

/// A counter of [`Sampler`]: its name, what it counts, and which it is.
type Counted = (&'static str, &'static str, fn(&StreamCounters) -> u64);

const COUNTED: [Counted; 6] = [
    ("records", "Records that were read and committed.", |of| of.counts.records),
    ("rows", "Records that became rows.", |of| of.counts.rows),
    ("duplicates", "Records whose key was in the table before.", |of| of.counts.duplicates),
    ("repeated", "Records of requests whose Idempotency-Key was there before.", |of| {
        of.counts.repeated
    }),
    ("dead_letters", "Records that were refused.", |of| of.counts.dead_letters),
    ("failed_files", "Files that were not loaded, have stopped their stream, or wait.", |of| {
        of.failures
    }),
];

impl Collector for Sampler {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let sample = self.0.sample();
        for (name, help, count) in COUNTED {
            let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Counter)?;
            for (stream, counters) in &sample {
                let of = of(stream);
                let mut metric = metric.encode_family(&of)?;
                metric.encode_counter::<NoLabelSet, _, u64>(&count(counters), None)?;
            }
        }
        let help =
            "Bytes that were found and not committed, as of the last micro-batch or listing.";
        let unit = Some(&Unit::Bytes);
        let mut metric = encoder.encode_descriptor("lag", help, unit, MetricType::Gauge)?;
        for (stream, counters) in &sample {
            if let Some(bytes) = counters.lag.left_bytes() {
                metric.encode_family(&of(stream))?.encode_gauge(&bytes)?;
            }
        }
        let help = "About how many records these are, as of then.";
        let mut metric = encoder.encode_descriptor("lag_records", help, None, MetricType::Gauge)?;
        for (stream, counters) in &sample {
            if let Some(records) = counters.lag.records {
                metric.encode_family(&of(stream))?.encode_gauge(&records)?;
            }
        }
        let help = "About how long it takes to commit these, as of then.";
        let unit = Some(&Unit::Seconds);
        let mut metric = encoder.encode_descriptor("time_left", help, unit, MetricType::Gauge)?;
        for (stream, counters) in &sample {
            if let Some(time) = counters.time_left {
                metric.encode_family(&of(stream))?.encode_gauge(&time.as_secs_f64())?;
            }
        }
        let help = "How long ago the oldest file with some of them was written, as of then.";
        let mut metric = encoder.encode_descriptor("lag_age", help, unit, MetricType::Gauge)?;
        for (stream, counters) in &sample {
            metric.encode_family(&of(stream))?.encode_gauge(&counters.lag.age.as_secs_f64())?;
        }
        Ok(())
    }
}

/// Shows how many there are at the moment of a request.
impl Collector for Connections {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let Usage { in_use, limit, waiting } = self.usage();
        for (name, help, level) in [
            ("connections", "Database connections that micro-batches have now.", in_use),
            ("connections_limit", "How many they have at most.", limit),
            ("connections_waiting", "Writers that wait for one.", waiting),
        ] {
            let level = u64::try_from(level).unwrap_or(u64::MAX);
            encoder.encode_descriptor(name, help, None, MetricType::Gauge)?.encode_gauge(&level)?;
        }
        Ok(())
    }
}

/// Told as a histogram, from which a server reckons the quantiles of any time, and as the quantiles
/// since the start, which are more exact.
impl Collector for Latencies {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let unit = Some(&Unit::Seconds);
        let help = "From the creation of an event to its row being visible.";
        let mut metric =
            encoder.encode_descriptor("event_latency", help, unit, MetricType::Histogram)?;
        self.each(|stream, latency| {
            let (sum, count) = (latency.sum().as_secs_f64(), latency.count());
            let buckets: Vec<(f64, u64)> = latency.buckets().collect();
            let of = of(stream);
            let mut metric = metric.encode_family(&of)?;
            metric.encode_histogram::<NoLabelSet>(sum, count, &buckets, None)
        })?;
        let (name, help) = ("event_latency_quantile", "Quantiles of the same since the start.");
        let mut metric = encoder.encode_descriptor(name, help, unit, MetricType::Gauge)?;
        self.each(|stream, latency| {
            latency.quantiles().named().into_iter().try_for_each(|(quantile, seconds)| {
                let of = OfQuantile { stream: stream.to_owned(), quantile };
                metric.encode_family(&of)?.encode_gauge(&seconds)
            })
        })
    }
}

fn of(stream: &str) -> OfStream {
    OfStream { stream: stream.to_owned() }
}

fn histogram() -> Histogram {
    Histogram::new(exponential_buckets(0.001, 2.0, 16))
}
