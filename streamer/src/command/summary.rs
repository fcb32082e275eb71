//! What a run did, file by file.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::Exit;
use super::table::{counted, grouped, table};
use crate::engine::Event;
use crate::sink::PartOutcome;

/// How many files are remembered one by one.
const FILES_KEPT: usize = 1000;

/// How many are shown; those with dead letters before the others.
const FILES_SHOWN: usize = 100;

/// Gathers the engine's events.
#[derive(Debug)]
pub(super) struct Summary {
    files_max: usize,
    files: Vec<File>,
    /// Where a stream's file stands in `files`.
    places: HashMap<(String, String), usize>,
    /// The files beyond `files_max`: hashes of their names, and what became of all their records.
    others: (HashSet<u64>, File),
    failures: Vec<Failure>,
}

impl Default for Summary {
    fn default() -> Summary {
        Summary::of(FILES_KEPT)
    }
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
    /// A summary that remembers every file.
    pub(super) fn of_all() -> Summary {
        Summary::of(usize::MAX)
    }

    fn of(files_max: usize) -> Summary {
        Summary {
            files_max,
            files: Vec::new(),
            places: HashMap::new(),
            others: (HashSet::new(), File::default()),
            failures: Vec::new(),
        }
    }

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
        let file = match self.places.get(&key) {
            Some(&place) => &mut self.files[place],
            None if self.files.len() < self.files_max => {
                let partition = part.partition.clone();
                let outcome = PartOutcome { partition, ..PartOutcome::default() };
                self.places.insert(key, self.files.len());
                self.files.push(File { outcome, elapsed: Duration::ZERO });
                let last = self.files.len() - 1;
                &mut self.files[last]
            }
            None => {
                self.others.0.insert(xxh3_64(format!("{stream}\0{}", part.partition).as_bytes()));
                &mut self.others.1
            }
        };
        file.outcome.add(part);
        file.elapsed += elapsed;
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
        let mut total = self.others.1.outcome.clone();
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
        let mut files: Vec<&File> = self.files.iter().collect();
        if files.len() > FILES_SHOWN {
            files.sort_by_key(|file| file.outcome.dead_letters == 0);
        }
        let (shown, hidden) = files.split_at(files.len().min(FILES_SHOWN));
        for file in shown {
            row(&file.outcome.partition, &file.outcome, file.elapsed);
        }
        let (others, rest) = &self.others;
        let mut more = rest.outcome.clone();
        hidden.iter().for_each(|file| more.add(&file.outcome));
        let more_elapsed = hidden.iter().map(|file| file.elapsed).sum::<Duration>() + rest.elapsed;
        let more_count = hidden.len() + others.len();
        if more_count > 0 {
            row(&counted(more_count, "more file"), &more, more_elapsed);
        }
        let count = self.files.len() + others.len();
        row(&counted(count, "file"), &self.total(), wall);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_many_files_the_first_are_shown_and_all_are_counted() {
        let mut summary = Summary::default();
        let files = FILES_KEPT as u64 + 20;
        for number in 0..files {
            let dead_letters = u64::from(number == 500);
            let partition = format!("{number}.csv");
            let outcome = PartOutcome {
                partition,
                records: 2,
                rows: 2,
                dead_letters,
                batch_id: 0,
                duplicates: 0,
            };
            let parts = [outcome.clone(), outcome];
            let elapsed = Duration::from_millis(2);
            summary.note(&Event::Committed {
                stream: "a",
                parts: &parts,
                elapsed,
                bytes: 0,
                lag_bytes: 0,
                latencies: &[],
                visible: &crate::latency::Visible::default(),
            });
        }
        let text = summary.text(Duration::from_secs(1));
        assert!(text.lines().count() < FILES_SHOWN + 10, "{text}");
        assert!(text.contains("500.csv") && text.contains("920 more files"), "{text}");
        assert!(text.contains("1,020 files") && text.contains("4,080"), "{text}");
        assert_eq!(summary.total().dead_letters, 2);
    }
}
