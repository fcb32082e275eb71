//! What a run did, file by file.

use std::collections::HashMap;
use std::time::Duration;

use super::Exit;
use super::table::{counted, grouped, table};
use crate::engine::Event;
use crate::sink::PartOutcome;

/// Gathers the engine's events.
#[derive(Debug, Default)]
pub(super) struct Summary {
    files: Vec<File>,
    /// Where a stream's file stands in `files`.
    places: HashMap<(String, String), usize>,
    failures: Vec<Failure>,
}

/// A file that was not loaded, or not to its end.
#[derive(Debug)]
struct Failure {
    /// `not loaded` or `stopped`.
    what: &'static str,
    stream: String,
    partition: String,
    reason: String,
}

#[derive(Debug, Default)]
struct File {
    outcome: PartOutcome,
    elapsed: Duration,
}

impl Summary {
    /// Takes an event in.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Committed { stream, parts, elapsed, .. } => {
                let records: u64 = parts.iter().map(|part| part.records).sum();
                for part in *parts {
                    // What could not be read before is read now.
                    self.failures.retain(|failure| {
                        (failure.stream.as_str(), &failure.partition) != (*stream, &part.partition)
                    });
                    let share = ratio(part.records, records).unwrap_or(1.0);
                    self.add(stream, part, elapsed.mul_f64(share));
                }
            }
            Event::Failed { stream, partition, reason } => {
                self.fail("not loaded", stream, partition, reason);
            }
            Event::Stopped { stream, partition, reason } => {
                self.fail("stopped", stream, partition, reason);
            }
        }
    }

    fn fail(&mut self, what: &'static str, stream: &str, partition: &str, reason: &str) {
        self.failures.push(Failure {
            what,
            stream: stream.to_owned(),
            partition: partition.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn add(&mut self, stream: &str, part: &PartOutcome, elapsed: Duration) {
        let key = (stream.to_owned(), part.partition.clone());
        let place = *self.places.entry(key).or_insert_with(|| {
            self.files.push(File::default());
            self.files.len() - 1
        });
        let File { outcome, elapsed: total } = &mut self.files[place];
        outcome.partition.clone_from(&part.partition);
        outcome.add(part);
        *total += elapsed;
    }

    /// What became of each file's records in `stream`.
    pub(super) fn outcomes<'a>(&'a self, stream: &'a str) -> impl Iterator<Item = &'a PartOutcome> {
        let of_stream = self.places.iter().filter(move |((name, _), _)| name == stream);
        let mut files: Vec<usize> = of_stream.map(|(_, &place)| place).collect();
        files.sort_unstable();
        files.into_iter().map(|place| &self.files[place].outcome)
    }

    /// The sums over all files.
    pub(super) fn total(&self) -> PartOutcome {
        let mut total = PartOutcome::default();
        self.files.iter().for_each(|file| total.add(&file.outcome));
        total
    }

    /// How the run ended.
    pub(super) fn exit(&self) -> Exit {
        match (self.failures.is_empty(), self.total().dead_letters) {
            (false, _) => Exit::Failed,
            (true, 0) => Exit::Done,
            (true, _) => Exit::DeadLetters,
        }
    }

    /// The summary as a table, and what was not loaded.
    pub(super) fn text(&self, wall: Duration) -> String {
        let headings = ["file", "records", "rows", "duplicates", "dead letters", "rows/s"];
        let mut lines = table(&headings, 1);
        let mut row = |name: &str, outcome: &PartOutcome, elapsed: Duration| {
            let counts = [outcome.records, outcome.rows, outcome.duplicates, outcome.dead_letters];
            let rate = per_second(outcome.rows, elapsed);
            lines.add_row([name.to_owned()].into_iter().chain(counts.map(grouped)).chain([rate]));
        };
        for file in &self.files {
            row(&file.outcome.partition, &file.outcome, file.elapsed);
        }
        let total = self.total();
        row(&counted(self.files.len(), "file"), &total, wall);
        let mut text = format!("{lines}\n");
        if self.files.is_empty() {
            let nothing = if self.failures.is_empty() { "nothing new to load\n" } else { "" };
            nothing.clone_into(&mut text);
        }
        for Failure { what, partition, reason, .. } in &self.failures {
            text += &format!("{what}: {partition}: {reason}\n");
        }
        text
    }
}

/// Rows per second, as far as that means something.
fn per_second(rows: u64, elapsed: Duration) -> String {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    match (rows * 1000).checked_div(millis) {
        Some(rate) => grouped(rate),
        None => "-".to_owned(),
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of a duration needs no more digits")]
fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}
