//! What came of a bench.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::batch;
use crate::cli::{BenchArgs, BenchLoad};
use crate::command::table::{grouped, table};
use crate::database::Database;
use crate::event::{Commit, Event};
use crate::latency::{Latency, Quantiles, shown};
use crate::ledger::micro_batch;
use crate::sql::made;

/// What was committed so far.
#[derive(Debug)]
pub(super) struct Tally {
    window_us: i64,
    windows_max: u64,
    began_us: i64,
    records: u64,
    /// When the last rows were visible, in microseconds since 1970.
    ended_us: i64,
    all: Latency,
    /// By number, from 0: of the events that were created in it. The last one takes all that come
    /// later.
    windows: BTreeMap<u64, Latency>,
}

/// What the database says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    rows: u64,
    duplicates: u64,
    dead_letters: u64,
    /// Rows that are in the table.
    in_table: u64,
}

/// The result. Scripts rely on its JSON form: fields are added, not renamed.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    dataset: &'static str,
    producers: usize,
    events: u64,
    accepted: u64,
    refused: u64,
    rows: u64,
    duplicates: u64,
    dead_letters: u64,
    /// Rows that the table holds.
    in_table: u64,
    /// Whether every event was accepted, and what was accepted is a row, a duplicate or a dead
    /// letter.
    pub(super) is_complete: bool,
    /// From the first event to the last row being visible.
    seconds: f64,
    rows_per_second: f64,
    latency: Quantiles,
    windows: Vec<Window>,
    /// What the receiver had against events.
    refusal: Option<String>,
}

#[derive(Debug, Serialize)]
struct Window {
    /// Since the first event.
    start_seconds: f64,
    average_seconds: f64,
    #[serde(flatten)]
    latency: Quantiles,
}

impl Tally {
    pub(super) fn new(window: Duration, windows_max: u64) -> Tally {
        Tally {
            window_us: i64::try_from(window.as_micros()).unwrap_or(i64::MAX).max(1),
            windows_max,
            began_us: 0,
            records: 0,
            ended_us: 0,
            all: Latency::default(),
            windows: BTreeMap::new(),
        }
    }

    /// The first event is due at this time, in microseconds since 1970.
    pub(super) fn begin(&mut self, began_us: i64) {
        (self.began_us, self.ended_us) = (began_us, began_us);
    }

    /// Records committed.
    pub(super) fn records(&self) -> u64 {
        self.records
    }

    /// Takes an event of the engine in.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        let Event::Committed(Commit { parts, visible, .. }) = event else { return };
        self.records += batch::Counts::of(parts).records;
        self.ended_us = self.ended_us.max(visible.at_us());
        for (created_us, micros) in visible.events() {
            self.all.note(micros);
            let number = (created_us - self.began_us).max(0) / self.window_us;
            let number = u64::try_from(number).unwrap_or(0).min(self.windows_max - 1);
            self.windows.entry(number).or_default().note(micros);
        }
    }
}

impl Counts {
    /// Reads them where only the bench has written; `table` is one that is shipped.
    pub(super) async fn read(database: &Database, table: &str) -> Result<Counts> {
        let mut conn = database.connect_now().await?;
        let counts = micro_batch::totals(&mut conn).await.context("count the records")?;
        let query = format!("select count(*) from {table}");
        let in_table: i64 =
            sqlx::query_scalar(made(query)).fetch_one(&mut conn).await.context("count the rows")?;
        let count = |number: i64| u64::try_from(number).unwrap_or_default();
        Ok(Counts {
            rows: count(counts.0),
            duplicates: count(counts.1),
            dead_letters: count(counts.2),
            in_table: count(in_table),
        })
    }
}

impl Report {
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    pub(super) fn new(
        (args, load): (&BenchArgs, &BenchLoad),
        sent: &generator::Report,
        counts: Counts,
        tally: &Tally,
        began_us: i64,
    ) -> Report {
        let Counts { rows, duplicates, dead_letters, in_table } = counts;
        let micros = u64::try_from(tally.ended_us - began_us).unwrap_or_default();
        let seconds = Duration::from_micros(micros).as_secs_f64();
        let window = args.window.as_secs_f64();
        let windows = tally.windows.iter().map(|(number, latency)| Window {
            start_seconds: *number as f64 * window,
            average_seconds: latency.mean().as_secs_f64(),
            latency: latency.quantiles(),
        });
        Report {
            dataset: generator::Dataset::from(args.dataset).name(),
            producers: load.producers,
            events: load.events,
            accepted: sent.accepted,
            refused: sent.refused,
            rows,
            duplicates,
            dead_letters,
            in_table,
            is_complete: sent.accepted == load.events
                && sent.accepted == rows + duplicates + dead_letters
                && rows == in_table,
            seconds,
            rows_per_second: if seconds > 0.0 { rows as f64 / seconds } else { 0.0 },
            latency: tally.all.quantiles(),
            windows: windows.collect(),
            refusal: sent.refusal.clone(),
        }
    }

    /// As JSON, with a line end.
    pub(super) fn json(&self) -> Result<String> {
        Ok(format!("{}\n", serde_json::to_string_pretty(self)?))
    }

    /// As a table and two lines.
    pub(super) fn text(&self) -> String {
        let mut lines = table(&["created after", "events", "average", "P90", "max"], 1);
        for Window { start_seconds, average_seconds, latency } in &self.windows {
            let times = [*average_seconds, latency.p90_seconds, latency.max_seconds].map(shown);
            let names = [format!("{start_seconds} s"), grouped(latency.events)];
            lines.add_row(names.into_iter().chain(times));
        }
        let [accepted, rows, duplicates, dead_letters] =
            [self.accepted, self.rows, self.duplicates, self.dead_letters].map(grouped);
        let mut text = format!(
            "{lines}\naccepted {accepted}: {rows} rows, {duplicates} duplicates, {dead_letters} dead letters \
             in {:.1} s, {:.1} rows/s\nlatency from event to row: {}\n",
            self.seconds, self.rows_per_second, self.latency
        );
        if !self.is_complete {
            text += &format!(
                "not all is accounted for: of {} events {accepted} were accepted and {} refused{}; the table \
                 has {} rows\n",
                grouped(self.events),
                grouped(self.refused),
                self.refusal.as_deref().map(|why| format!(" ({why})")).unwrap_or_default(),
                grouped(self.in_table),
            );
        }
        text
    }
}
