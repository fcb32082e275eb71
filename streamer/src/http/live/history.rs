//! The past, in rings of fixed size: 15 minutes by seconds, a day by minutes.

use std::collections::VecDeque;

use serde::Serialize;

use super::frame::{About, At, Frame, MicroBatchShown, StreamShown, Total};
use super::series::{MINUTES, Rings, SECONDS, Series, mean};
use super::stream::Tracked;
use super::{MICRO_BATCHES_MAX, State};

/// A minute has so many seconds.
const MINUTE: usize = 60;

/// The past of all streams together, and the last micro-batches.
#[derive(Debug)]
pub(super) struct Past {
    /// How many seconds of the present minute are over.
    second: usize,
    rows: Rings,
    arrived: Rings,
    p50: Rings,
    p99: Rings,
    micro_batches: VecDeque<MicroBatchShown>,
}

#[derive(Serialize)]
pub(super) struct History<'a> {
    streamer: &'a About,
    seconds: Axis,
    minutes: Axis,
    total: Both<TotalSeries<'a>>,
    streams: Vec<StreamPast<'a>>,
    micro_batches: Vec<&'a MicroBatchShown>,
    frame: Frame<'a>,
}

/// The instants of a series: its last value is of `end`.
#[derive(Serialize)]
struct Axis {
    end: At,
    step_s: usize,
    length: usize,
}

#[derive(Serialize)]
struct Both<T> {
    seconds: T,
    minutes: T,
}

#[derive(Serialize)]
struct TotalSeries<'a> {
    rows_per_s: &'a Series,
    arrived_per_s: &'a Series,
    latency_p50_s: &'a Series,
    latency_p99_s: &'a Series,
}

#[derive(Serialize)]
struct StreamPast<'a> {
    #[serde(flatten)]
    shown: &'a StreamShown,
    seconds: Option<StreamSeries<'a>>,
    minutes: Option<StreamSeries<'a>>,
}

#[derive(Serialize)]
struct StreamSeries<'a> {
    rows_per_s: &'a Series,
}

fn mean_of_minute(seconds: &Series) -> Option<f64> {
    mean(seconds.last(MINUTE))
}

fn greatest_of_minute(seconds: &Series) -> Option<f64> {
    seconds.last(MINUTE).reduce(f64::max)
}

impl Past {
    pub(super) fn new() -> Past {
        let rings = Rings::new;
        let micro_batches = VecDeque::with_capacity(MICRO_BATCHES_MAX);
        Past {
            second: 0,
            rows: rings(),
            arrived: rings(),
            p50: rings(),
            p99: rings(),
            micro_batches,
        }
    }

    /// So many seconds went by without a look.
    pub(super) fn skip(&mut self, streams: &mut [Tracked], mut seconds: f64) {
        while seconds >= 1.0 {
            self.push(streams, &Total::default(), |_| None);
            seconds -= 1.0;
        }
    }

    /// A second is over.
    pub(super) fn note(
        &mut self,
        streams: &mut [Tracked],
        total: &Total,
        fresh: &[MicroBatchShown],
    ) {
        self.push(streams, total, |tracked| Some(tracked.shown().rows_per_s));
        for one in fresh {
            if self.micro_batches.len() == MICRO_BATCHES_MAX {
                self.micro_batches.pop_front();
            }
            self.micro_batches.push_back(one.clone());
        }
    }

    fn push(
        &mut self,
        streams: &mut [Tracked],
        total: &Total,
        rows: impl Fn(&Tracked) -> Option<f64>,
    ) {
        self.second = (self.second + 1) % MINUTE;
        let ends = self.second == 0;
        self.rows.note(total.rows_per_s, ends, mean_of_minute);
        self.arrived.note(total.arrived_per_s, ends, mean_of_minute);
        self.p50.note(total.latency_p50_s, ends, mean_of_minute);
        self.p99.note(total.latency_p99_s, ends, greatest_of_minute);
        for tracked in streams {
            let value = rows(tracked);
            if let Some(rings) = tracked.rings_mut() {
                rings.note(value, ends, mean_of_minute);
            }
        }
    }
}

impl State {
    /// What a page is told first, of these streams or of all.
    pub(super) fn history(&self, only: Option<&[String]>) -> History<'_> {
        let sees = |name: &str| only.is_none_or(|only| only.iter().any(|one| one == name));
        let past = &self.past;
        let series = |of: fn(&Rings) -> &Series| TotalSeries {
            rows_per_s: of(&past.rows),
            arrived_per_s: of(&past.arrived),
            latency_p50_s: of(&past.p50),
            latency_p99_s: of(&past.p99),
        };
        let streams = self.streams.iter().filter(|tracked| sees(&tracked.shown().stream));
        let streams = streams.map(|tracked| StreamPast {
            shown: tracked.shown(),
            seconds: tracked.rings().map(|rings| StreamSeries { rows_per_s: &rings.seconds }),
            minutes: tracked.rings().map(|rings| StreamSeries { rows_per_s: &rings.minutes }),
        });
        let minutes_end = self.at - chrono::TimeDelta::seconds(past.second.try_into().unwrap_or(0));
        History {
            streamer: &self.about,
            seconds: Axis { end: At(self.at), step_s: 1, length: SECONDS },
            minutes: Axis { end: At(minutes_end), step_s: MINUTE, length: MINUTES },
            total: Both {
                seconds: series(|rings| &rings.seconds),
                minutes: series(|rings| &rings.minutes),
            },
            streams: streams.collect(),
            micro_batches: past.micro_batches.iter().filter(|one| sees(&one.stream)).collect(),
            frame: self.frame(only, &[], true),
        }
    }
}
