//! What a load test has counted.

use std::time::Duration;

use serde::Serialize;

use crate::batch::Counts;
use crate::latency::Latency;

/// What was counted of a load test so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    phase: Phase,
    batches: Batches,
    events: Events,
    /// Events by second since it began.
    seconds: Vec<Second>,
    /// Of batches: from when they were accepted to when it was known that they are committed.
    latency: Latency,
    /// How long it sent, and how long it ran.
    sent_for: Option<Duration>,
    ended: Option<Duration>,
}

/// How far a load test is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Phase {
    /// It sends.
    #[default]
    Sending,
    /// It waits for the last commits.
    Committing,
    /// It has sent all that was asked for.
    Done,
    /// It was stopped.
    Stopped,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Batches {
    sent: u64,
    accepted: u64,
    /// By a 503: too much waits, or there is no memory.
    refused: u64,
    /// Due while too many had no answer.
    unsent: u64,
    committed: u64,
    /// Accepted, but not seen to be committed within a minute, or before the end.
    unknown: u64,
}

#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Events {
    sent: u64,
    accepted: u64,
    rows: u64,
    duplicates: u64,
    dead_letters: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct Second {
    sent: u64,
    accepted: u64,
}

/// Seconds of latency.
#[derive(Debug, Serialize)]
struct Quantiles {
    batches: u64,
    p50_s: f64,
    p90_s: f64,
    p99_s: f64,
    max_s: f64,
}

/// What is told of it.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    running: bool,
    phase: Phase,
    batches: Batches,
    events: Events,
    /// Over all the time that it has sent.
    sent_per_s: Option<f64>,
    accepted_per_s: Option<f64>,
    #[serde(rename = "seconds")]
    series: Series<'a>,
    latency: Option<Quantiles>,
}

/// Events of each second that has passed, oldest first.
#[derive(Debug)]
struct Series<'a>(&'a [Second]);

impl Serialize for Series<'_> {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let of = |pick: fn(&Second) -> u64| self.0.iter().map(pick).collect::<Vec<u64>>();
        let series = [
            ("sent_per_s", of(|second| second.sent)),
            ("accepted_per_s", of(|second| second.accepted)),
        ];
        serializer.collect_map(series)
    }
}

impl Tally {
    /// A batch of so many events is sent.
    pub(super) fn note_sent(&mut self, at: Duration, events: u64) {
        self.batches.sent += 1;
        self.events.sent += events;
        self.second(at).sent += events;
    }

    /// It was accepted.
    pub(super) fn note_accepted(&mut self, at: Duration, events: u64) {
        self.batches.accepted += 1;
        self.events.accepted += events;
        self.second(at).accepted += events;
    }

    /// It was refused.
    pub(super) fn note_refused(&mut self) {
        self.batches.refused += 1;
    }

    /// A batch was due that was not sent.
    pub(super) fn note_unsent(&mut self) {
        self.batches.unsent += 1;
    }

    /// What became of one, so long after it was accepted; nothing, if that is not known.
    pub(super) fn note_outcome(&mut self, took: Duration, counts: Option<Counts>) {
        let Some(Counts { rows, duplicates, dead_letters, .. }) = counts else {
            self.batches.unknown += 1;
            return;
        };
        self.batches.committed += 1;
        self.events.rows += rows;
        self.events.duplicates += duplicates;
        self.events.dead_letters += dead_letters;
        self.latency.note(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    /// All is sent that will be.
    pub(super) fn note_sending_ended(&mut self, at: Duration) {
        (self.phase, self.sent_for) = (Phase::Committing, Some(at));
    }

    /// It has ended.
    pub(super) fn note_end(&mut self, at: Duration, is_stopped: bool) {
        self.phase = if is_stopped { Phase::Stopped } else { Phase::Done };
        self.ended = Some(at);
    }

    /// How long it ran, once it has ended.
    pub(super) fn ended(&self) -> Option<Duration> {
        self.ended
    }

    /// Whether it sends, or waits for commits.
    pub(super) fn is_running(&self) -> bool {
        self.ended.is_none()
    }

    /// What is told so long after it began.
    pub(super) fn told(&self, elapsed: Duration) -> Told<'_> {
        let seconds = self.sent_for.unwrap_or(elapsed).as_secs_f64();
        let per_s = |events: u64| (seconds > 0.0).then(|| f64_of(events) / seconds);
        // The second that goes on is not told.
        let passed = usize::try_from(elapsed.as_secs()).unwrap_or(usize::MAX);
        let is_done = self.sent_for.is_some();
        let told = if is_done { self.seconds.len() } else { passed.min(self.seconds.len()) };
        let quantiles = self.latency.quantiles();
        Told {
            running: self.is_running(),
            phase: self.phase,
            batches: self.batches,
            events: self.events,
            sent_per_s: per_s(self.events.sent),
            accepted_per_s: per_s(self.events.accepted),
            series: Series(&self.seconds[..told]),
            latency: (quantiles.events > 0).then_some(Quantiles {
                batches: quantiles.events,
                p50_s: quantiles.p50_seconds,
                p90_s: quantiles.p90_seconds,
                p99_s: quantiles.p99_seconds,
                max_s: quantiles.max_seconds,
            }),
        }
    }

    /// The counts of the second in which this is.
    fn second(&mut self, at: Duration) -> &mut Second {
        let place = usize::try_from(at.as_secs()).unwrap_or(usize::MAX);
        if self.seconds.len() <= place {
            self.seconds.resize(place + 1, Second::default());
        }
        &mut self.seconds[place]
    }
}

#[allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
fn f64_of(number: u64) -> f64 {
    number as f64
}
