//! One stream as it is followed from second to second.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::frame::{At, Counted, LagShown, State, StreamShown};
use super::noted::NotedStream;
use super::series::{Rings, mean};
use crate::config::{Dataset, Stream};
use crate::event::StreamCounters;
use crate::health::{Ailing, Kind};
use crate::latency::Quantiles;

/// A rate that is shown as a number is of so many seconds.
const RATE_SECONDS: usize = 10;

/// The trend of the lag compares it with that of so many seconds ago.
const TREND_SECONDS: usize = 10;

/// A change of the lag by less than this share is none.
const TREND_SHARE: f64 = 0.02;

/// A stream is running if it has committed within this time, or within two of its intervals.
const RUNNING: Duration = Duration::from_secs(15);

/// A stream is catching up if that takes longer.
const CATCHING_UP: Duration = Duration::from_secs(30);

/// A stream, and what it was like before.
#[derive(Debug)]
pub(super) struct Tracked {
    shown: StreamShown,
    is_changed: bool,
    every: Duration,
    rows: u64,
    /// The most records that were found so far, committed or not.
    found: u64,
    lags: VecDeque<u64>,
    /// From the first record on.
    rings: Option<Box<Rings>>,
}

/// What is seen of a stream now.
#[derive(Debug)]
pub(super) struct Seen<'a> {
    pub(super) at: DateTime<Utc>,
    /// Seconds since it was looked at last.
    pub(super) elapsed: f64,
    pub(super) counters: &'a StreamCounters,
    pub(super) accepted: u64,
    /// What waits in its spool, in bytes, and for how long.
    pub(super) spool: Option<(u64, Duration)>,
    pub(super) ailing: &'a [Ailing],
    pub(super) noted: Option<&'a NotedStream>,
    pub(super) since_start: Option<Quantiles>,
}

/// What went through a stream since it was looked at last.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flow {
    pub(super) rows_per_s: f64,
    pub(super) arrived_per_s: f64,
}

impl Tracked {
    pub(super) fn new(stream: &Stream) -> Tracked {
        let lag = LagShown {
            bytes: None,
            records: None,
            s: None,
            trend: 0,
            time_left_s: None,
            as_of: None,
        };
        let shown = StreamShown {
            stream: stream.name.clone(),
            table: stream.table.clone(),
            files: stream.reading.files.glob().to_owned(),
            dataset: stream.dataset.map(Dataset::name),
            state: State::Idle,
            since: None,
            why: None,
            rows_per_s: 0.0,
            rows_per_s_10s: None,
            counted: Counted::default(),
            accepted_records: 0,
            lag,
            spool_lag_bytes: None,
            latency: None,
            event_age: None,
            event_latency: None,
            last_micro_batch: None,
        };
        Tracked {
            shown,
            is_changed: true,
            every: stream.pace.every,
            rows: 0,
            found: 0,
            lags: VecDeque::with_capacity(TREND_SECONDS),
            rings: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.shown.stream
    }

    pub(super) fn shown(&self) -> &StreamShown {
        &self.shown
    }

    /// Whether it is not as it was a second before.
    pub(super) fn is_changed(&self) -> bool {
        self.is_changed
    }

    pub(super) fn rings(&self) -> Option<&Rings> {
        self.rings.as_deref()
    }

    pub(super) fn rings_mut(&mut self) -> Option<&mut Rings> {
        self.rings.as_deref_mut()
    }

    /// Takes in how it is now.
    pub(super) fn see(&mut self, seen: &Seen<'_>) -> Flow {
        let counted = Counted::of(seen.counters);
        if counted.records > 0 && self.rings.is_none() {
            self.rings = Some(Box::new(Rings::new()));
        }
        let rows_per_s = per_second(counted.rows.saturating_sub(self.rows), seen.elapsed);
        self.rows = counted.rows;
        let arrived_per_s = per_second(self.arrived(seen.counters), seen.elapsed);
        let before = self.rings.as_deref().into_iter();
        let before = before.flat_map(|rings| rings.seconds.last(RATE_SECONDS - 1));
        let rate = mean(before.chain([rows_per_s]));
        let (state, since, why) = self.state(seen);
        let noted = seen.noted;
        let shown = StreamShown {
            state,
            since: since.map(At),
            why,
            rows_per_s,
            rows_per_s_10s: rate,
            counted,
            accepted_records: seen.accepted,
            lag: self.lag(seen),
            spool_lag_bytes: seen.spool.map(|(bytes, _)| bytes),
            latency: noted.and_then(|noted| noted.latency),
            event_age: noted.and_then(|noted| noted.event_age),
            event_latency: seen.since_start,
            last_micro_batch: noted.map(|noted| noted.last.clone()),
            ..self.shown.clone()
        };
        self.is_changed = shown != self.shown;
        self.shown = shown;
        Flow { rows_per_s, arrived_per_s }
    }

    /// How many records were found since the last look. What waits is an estimate that moves: only
    /// what goes beyond all that was found before is new.
    fn arrived(&mut self, counters: &StreamCounters) -> u64 {
        let committed = counters.counts.records;
        let found = committed.saturating_add(counters.lag.records.unwrap_or(0));
        let arrived = found.saturating_sub(self.found);
        self.found = if counters.lag.left == 0 { committed } else { self.found.max(found) };
        arrived
    }

    fn lag(&mut self, seen: &Seen<'_>) -> LagShown {
        let counters = seen.counters;
        let spooled = seen.spool.filter(|(bytes, _)| *bytes > 0).map(|(_, age)| age);
        let known = counters.lag_at;
        let ago = known.map_or(0.0, |at| seconds(seen.at - at));
        let waited = match counters.lag.left {
            0 => known.map(|_| 0.0),
            _ => Some(counters.lag.age.as_secs_f64() + ago),
        };
        let of_spool = spooled.map(|age| age.as_secs_f64());
        let bytes = counters.lag.left_bytes().filter(|_| known.is_some());
        if self.lags.len() == TREND_SECONDS {
            self.lags.pop_front();
        }
        let before = self.lags.front().copied();
        self.lags.push_back(counters.lag.left);
        // What waits while nothing is committed gets older, and nobody knows for how long.
        let is_left = counters.lag.left > 0;
        let stands = is_left && self.shown.rows_per_s_10s == Some(0.0);
        let time_left = counters.time_left.filter(|_| is_left && !stands);
        LagShown {
            bytes,
            records: counters.lag.records.filter(|_| known.is_some()),
            s: waited.into_iter().chain(of_spool).reduce(f64::max),
            trend: match stands {
                true => 1,
                false => before.map_or(0, |before| trend(before, counters.lag.left)),
            },
            time_left_s: time_left.map(|left| left.as_secs_f64()),
            as_of: known.map(At),
        }
    }

    /// How it is, and if it ails, since when and why.
    fn state(&self, seen: &Seen<'_>) -> (State, Option<DateTime<Utc>>, Option<String>) {
        let own = |ailing: &&Ailing| ailing.about() == Some(self.name());
        let away = |ailing: &&Ailing| matches!(ailing.kind, Kind::Database { .. });
        let ailments = seen.ailing.iter();
        if let Some(ailing) = ailments.clone().find(own).or_else(|| ailments.clone().find(away)) {
            let (state, why) = match &ailing.kind {
                Kind::Stopped { files } => (State::Stopped, files.first().cloned()),
                Kind::Lock { holders, .. } if holders.is_empty() => {
                    (State::Stuck, Some("waits for the server".to_owned()))
                }
                Kind::Lock { .. } => (State::Stuck, Some("waits for a lock".to_owned())),
                Kind::Rest => (State::Stopped, Some("table or right to be mended".to_owned())),
                Kind::Partition => (State::Waits, Some("no partition".to_owned())),
                Kind::Database { .. } => (State::Away, Some("database away".to_owned())),
                Kind::Starting | Kind::Other => (State::Stuck, None),
            };
            return (state, Some(ailing.since), why);
        }
        let committed = seen.noted.map(|noted| seen.at - noted.last.at.0);
        let within = RUNNING.max(self.every * 2).as_secs_f64();
        let is_running = committed.is_some_and(|ago| seconds(ago) < within);
        let is_behind = seen.counters.time_left.is_some_and(|left| left > CATCHING_UP);
        match (is_running, is_behind && seen.counters.lag.left > 0) {
            (true, true) => (State::CatchingUp, None, None),
            (true, false) => (State::Running, None, None),
            (false, _) => (State::Idle, None, None),
        }
    }
}

/// Seconds of a time; none, where a clock was set back.
fn seconds(delta: chrono::TimeDelta) -> f64 {
    delta.to_std().unwrap_or_default().as_secs_f64()
}

fn per_second(count: u64, elapsed: f64) -> f64 {
    // What is counted within a second has fewer digits than a float.
    let rate = count as f64 / elapsed;
    (rate * 100.0).round() / 100.0
}

fn trend(before: u64, now: u64) -> i8 {
    let (before, now) = (before as f64, now as f64);
    let least = before.max(now) * TREND_SHARE;
    match now - before {
        change if change > least => 1,
        change if change < -least => -1,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Counts;
    use crate::partition::{Lag, Unit};

    fn tracked() -> Tracked {
        let settings = crate::config::Settings::shipped(Default::default()).unwrap();
        Tracked::new(&settings.streams[0])
    }

    fn see(tracked: &mut Tracked, records: u64, left: u64, lag_records: u64) -> Flow {
        let counts = Counts { records, rows: records, ..Counts::default() };
        let (unit, age) = (Unit::Bytes, Duration::from_secs(5));
        let lag = Lag { left, unit, records: Some(lag_records), age };
        let at = Utc::now();
        let counters =
            StreamCounters { counts, lag, lag_at: Some(at), ..StreamCounters::default() };
        tracked.see(&Seen {
            at: at + chrono::TimeDelta::seconds(2),
            elapsed: 1.0,
            counters: &counters,
            accepted: 0,
            spool: None,
            ailing: &[],
            noted: None,
            since_start: None,
        })
    }

    #[test]
    fn what_was_found_counts_once_however_the_estimate_moves() {
        let mut stream = tracked();
        assert_eq!(see(&mut stream, 0, 900, 100).arrived_per_s, 100.0);
        assert!(stream.rings().is_none(), "there was no record yet");
        let flow = see(&mut stream, 60, 300, 30);
        assert_eq!((flow.rows_per_s, flow.arrived_per_s), (60.0, 0.0));
        assert!(stream.rings().is_some());
        assert_eq!(stream.shown().lag.s, Some(7.0));
        assert_eq!(see(&mut stream, 105, 0, 0).arrived_per_s, 5.0);
        assert_eq!(see(&mut stream, 105, 0, 0).arrived_per_s, 0.0);
        assert_eq!(see(&mut stream, 115, 0, 0).arrived_per_s, 10.0);
        assert_eq!(stream.shown().lag.s, Some(0.0));
    }

    #[test]
    fn a_lag_that_hardly_changes_is_steady() {
        assert_eq!([trend(0, 0), trend(1000, 1010), trend(1000, 900), trend(0, 1)], [0, 0, -1, 1]);
    }
}
