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

use crate::engine::Event;
use crate::latency::Latencies;

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
type Times = Family<OfStream, Histogram, fn() -> Histogram>;

/// All that is counted.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    records: Counts,
    rows: Counts,
    duplicates: Counts,
    dead_letters: Counts,
    accepted: Counts,
    failures: Counts,
    lag: Levels,
    spool: Levels,
    micro_batch: Times,
    latency: Times,
    latencies: Latencies,
    unauthorized: Counter,
}

impl Metrics {
    /// Everything at zero, for `streams`; the latencies of their rows are noted in `latencies`.
    pub fn new<'s>(streams: impl IntoIterator<Item = &'s str>, latencies: Latencies) -> Metrics {
        let mut metrics = Metrics {
            registry: Registry::with_prefix("streamer"),
            records: Counts::default(),
            rows: Counts::default(),
            duplicates: Counts::default(),
            dead_letters: Counts::default(),
            accepted: Counts::default(),
            failures: Counts::default(),
            lag: Levels::default(),
            spool: Levels::default(),
            // From 1 ms to 32 s.
            micro_batch: Times::new_with_constructor(histogram),
            latency: Times::new_with_constructor(histogram),
            latencies,
            unauthorized: Counter::default(),
        };
        metrics.register();
        for stream in streams {
            let of = OfStream { stream: stream.to_owned() };
            for counts in [&metrics.records, &metrics.rows, &metrics.duplicates] {
                drop(counts.get_or_create(&of));
            }
            for counts in [&metrics.dead_letters, &metrics.accepted, &metrics.failures] {
                drop(counts.get_or_create(&of));
            }
            drop((metrics.lag.get_or_create(&of), metrics.spool.get_or_create(&of)));
        }
        metrics
    }

    fn register(&mut self) {
        let registry = &mut self.registry;
        for (name, help, counts) in [
            ("records", "Records that were read and committed", &self.records),
            ("rows", "Records that became rows", &self.rows),
            ("duplicates", "Records whose key was in the table before", &self.duplicates),
            ("dead_letters", "Records that were refused", &self.dead_letters),
            ("accepted_records", "Records that were accepted by HTTP", &self.accepted),
            (
                "failed_files",
                "Files that could not be loaded, or have stopped their stream",
                &self.failures,
            ),
        ] {
            registry.register(name, help, counts.clone());
        }
        let help = "Bytes that were found and not committed, as of the last micro-batch";
        registry.register_with_unit("lag", help, Unit::Bytes, self.lag.clone());
        let help = "Bytes that came by a door and are not committed";
        registry.register_with_unit("spool", help, Unit::Bytes, self.spool.clone());
        let help = "From the first byte of a micro-batch read to its commit";
        registry.register_with_unit("micro_batch", help, Unit::Seconds, self.micro_batch.clone());
        let help = "From a record accepted by a door to its commit";
        registry.register_with_unit("latency", help, Unit::Seconds, self.latency.clone());
        registry.register_collector(Box::new(self.latencies.clone()));
        let help = "Requests without a token that is good";
        registry.register("unauthorized_requests", help, self.unauthorized.clone());
    }

    /// Counts what the engine tells.
    pub fn note(&self, event: &Event<'_>) {
        match event {
            Event::Committed { stream, parts, elapsed, lag_bytes, latencies, visible, .. } => {
                let of = of(stream);
                let sum =
                    |count: fn(&crate::sink::PartOutcome) -> u64| parts.iter().map(count).sum();
                self.records.get_or_create(&of).inc_by(sum(|part| part.records));
                self.rows.get_or_create(&of).inc_by(sum(|part| part.rows));
                self.duplicates.get_or_create(&of).inc_by(sum(|part| part.duplicates));
                self.dead_letters.get_or_create(&of).inc_by(sum(|part| part.dead_letters));
                self.lag.get_or_create(&of).set(*lag_bytes);
                self.micro_batch.get_or_create(&of).observe(elapsed.as_secs_f64());
                self.latencies.note(stream, visible);
                let latency = self.latency.get_or_create(&of);
                // Requests of many records count as one observation: each costs some nanoseconds.
                latencies.iter().for_each(|(_, waited)| latency.observe(waited.as_secs_f64()));
            }
            Event::Failed { stream, .. } | Event::Stopped { stream, .. } => {
                self.failures.get_or_create(&of(stream)).inc();
            }
        }
    }

    /// Records were accepted.
    pub(super) fn note_accepted(&self, stream: &str, records: u64) {
        self.accepted.get_or_create(&of(stream)).inc_by(records);
    }

    /// A request had no token that is good.
    pub(super) fn note_unauthorized(&self) {
        self.unauthorized.inc();
    }

    /// What waits in a spool now.
    pub(super) fn note_backlog(&self, stream: &str, bytes: u64) {
        self.spool.get_or_create(&of(stream)).set(bytes);
    }

    /// All of it as text.
    pub(super) fn text(&self) -> String {
        let mut text = String::new();
        encode(&mut text, &self.registry).expect("a string takes everything");
        text
    }
}

/// Told as a histogram, from which a server reckons the quantiles of any time, and as the quantiles since the
/// start, which are more exact.
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
