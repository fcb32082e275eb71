//! What commits tell, between two frames.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use super::MICRO_BATCHES_MAX;
use super::frame::{Last, MicroBatchShown};
use super::window::{Quantiles, Window};
use crate::event::Commit;
use crate::partition::Kind;

/// The quantiles of a stream are of this time.
const MINUTE: Duration = Duration::from_secs(60);

/// Those of all streams together, for the charts, are of this: second by second they are noise.
const CHART: Duration = Duration::from_secs(10);

/// What commits have told.
#[derive(Debug)]
pub(super) struct Noted {
    micro_batches: Vec<MicroBatchShown>,
    streams: BTreeMap<String, OfStream>,
    /// Of what came by listeners, all streams together.
    total: Window,
}

#[derive(Debug)]
struct OfStream {
    /// Of what came by listeners: from the creation of an event, or from when its record was
    /// accepted where no column tells of it, to the row being visible.
    latency: Window,
    /// Of rows from files: how old their events were when they became visible.
    event_age: Window,
    last: Last,
}

/// What is known of a stream now.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct NotedStream {
    pub(super) latency: Option<Quantiles>,
    pub(super) event_age: Option<Quantiles>,
    pub(super) last: Last,
}

impl Noted {
    pub(super) fn new() -> Noted {
        let (micro_batches, streams) = (Vec::new(), BTreeMap::new());
        Noted { micro_batches, streams, total: Window::new(CHART, 5) }
    }

    /// Takes in what a commit tells.
    pub(super) fn note(&mut self, commit: &Commit<'_>) {
        let (now, shown) = (Instant::now(), MicroBatchShown::of(commit));
        let last = shown.in_brief();
        let of = self.streams.entry(commit.stream.to_owned()).or_insert_with(|| OfStream {
            latency: Window::new(MINUTE, 4),
            event_age: Window::new(MINUTE, 4),
            last: last.clone(),
        });
        of.last = last;
        let by_listener = commit.parts.iter().all(|part| part.partition.kind() == Kind::Segment);
        let mut of_events = commit.visible.events().map(|(_, micros)| (micros, 1)).peekable();
        let of_records = commit.latencies.iter().map(|(records, waited)| {
            (u64::try_from(waited.as_micros()).unwrap_or(u64::MAX), *records)
        });
        match (by_listener, of_events.peek().is_some()) {
            (true, true) => {
                let events: Vec<(u64, u64)> = of_events.collect();
                of.latency.note(now, events.iter().copied());
                self.total.note(now, events.into_iter());
            }
            (true, false) => {
                of.latency.note(now, of_records.clone());
                self.total.note(now, of_records);
            }
            (false, true) => of.event_age.note(now, of_events),
            (false, false) => {}
        }
        if self.micro_batches.len() == MICRO_BATCHES_MAX {
            self.micro_batches.remove(0);
        }
        self.micro_batches.push(shown);
    }

    /// The micro-batches since this was asked last, what is known of each stream, and the latency
    /// of all together.
    pub(super) fn take(
        &mut self,
        now: Instant,
    ) -> (Vec<MicroBatchShown>, BTreeMap<String, NotedStream>, Option<Quantiles>) {
        let known = self.streams.iter_mut().map(|(name, of)| {
            let (latency, event_age) = (of.latency.quantiles(now), of.event_age.quantiles(now));
            (name.clone(), NotedStream { latency, event_age, last: of.last.clone() })
        });
        let known = known.collect();
        (std::mem::take(&mut self.micro_batches), known, self.total.quantiles(now))
    }
}
