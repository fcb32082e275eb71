//! What a run did, file by file.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use xxhash_rust::xxh3::xxh3_64;

use super::Exit;
use super::table::{counted, grouped, table};
use crate::batch::{Counts, PartOutcome};
use crate::event::Event;
use crate::partition::Partition;

/// How many files are remembered one by one.
const FILES_KEPT: usize = 1000;

/// How many more are told apart, and how many failures are kept: a run without end is to take no
/// more memory the longer it lasts.
const OTHERS_MAX: usize = 100_000;
const FAILURES_MAX: usize = 1000;

/// How many are shown; those with dead letters before the others.
const FILES_SHOWN: usize = 100;

/// Gathers the engine's events.
#[derive(Debug)]
pub(super) struct Summary {
    files_max: usize,
    files: Vec<File>,
    /// Where a stream's file stands in `files`.
    places: HashMap<(String, Partition), usize>,
    /// The files beyond `files_max`: hashes of their names, and what became of all their records.
    others: (HashSet<u64>, Total),
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
    /// `not loaded`, `waiting` or `stopped`.
    what: &'static str,
    stream: String,
    partition: String,
    reason: String,
}

#[derive(Debug)]
struct File {
    partition: Partition,
    total: Total,
}

/// What became of records, and how long that took.
#[derive(Debug, Clone, Copy, Default)]
struct Total {
    counts: Counts,
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
            others: (HashSet::new(), Total::default()),
            failures: Vec::new(),
        }
    }

    /// Takes an event in.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Committed(commit) => {
                self.note_parts(commit.stream, commit.parts, commit.elapsed);
            }
            Event::Failed { stream, partition, reason } => {
                self.fail("not loaded", stream, partition, reason);
            }
            Event::Waiting { stream, partition, reason } => {
                self.fail("waiting", stream, partition, reason);
            }
            Event::Stopped { stream, partition, reason } => {
                self.fail("stopped", stream, partition, reason);
            }
        }
    }

    /// Takes in what became of records of `stream` within `elapsed`.
    pub(super) fn note_parts(&mut self, stream: &str, parts: &[PartOutcome], elapsed: Duration) {
        let records = Counts::of(parts).records;
        for part in parts {
            // What could not be read before is read now.
            self.failures.retain(|failure| {
                failure.stream != stream || failure.partition != part.partition.text()
            });
            let share = ratio(part.counts.records, records).unwrap_or(1.0);
            self.add(stream, part, elapsed.mul_f64(share));
        }
    }

    fn fail(&mut self, what: &'static str, stream: &str, partition: &str, reason: &str) {
        let is_told = |one: &Failure| {
            one.stream == stream && one.partition == partition && one.reason == reason
        };
        self.failures.retain(|failure| !is_told(failure));
        if self.failures.len() == FAILURES_MAX {
            self.failures.remove(0);
        }
        self.failures.push(Failure {
            what,
            stream: stream.to_owned(),
            partition: partition.to_owned(),
            reason: reason.to_owned(),
        });
    }

    fn add(&mut self, stream: &str, part: &PartOutcome, elapsed: Duration) {
        let key = (stream.to_owned(), part.partition.clone());
        let total = match self.places.get(&key) {
            Some(&place) => &mut self.files[place].total,
            None if self.files.len() < self.files_max => {
                let place = self.files.len();
                self.files.push(File { partition: key.1.clone(), total: Total::default() });
                self.places.insert(key, place);
                &mut self.files[place].total
            }
            None => {
                let hash = xxh3_64(format!("{stream}\0{}", part.partition).as_bytes());
                if self.others.0.len() < OTHERS_MAX {
                    self.others.0.insert(hash);
                }
                &mut self.others.1
            }
        };
        total.add(Total { counts: part.counts, elapsed });
    }

    /// What became of each file's records in `stream`.
    pub(super) fn outcomes<'a>(
        &'a self,
        stream: &'a str,
    ) -> impl Iterator<Item = (&'a Partition, &'a Counts)> {
        let of_stream = self.places.iter().filter(move |((name, _), _)| name == stream);
        let mut files: Vec<usize> = of_stream.map(|(_, &place)| place).collect();
        files.sort_unstable();
        let files = files.into_iter().map(|place| &self.files[place]);
        files.map(|file| (&file.partition, &file.total.counts))
    }

    /// The sums over all files.
    pub(super) fn total(&self) -> Counts {
        let mut total = self.others.1;
        self.files.iter().for_each(|file| total.add(file.total));
        total.counts
    }

    /// How the run ended.
    pub(super) fn exit(&self) -> Exit {
        match (self.failures.is_empty(), self.total().dead_letters) {
            (false, _) => Exit::Failed,
            (true, 0) => Exit::Done,
            (true, _) => Exit::DeadLetters,
        }
    }

    /// So many things, or more, where not all were told apart.
    fn counted(&self, number: usize, thing: &str) -> String {
        let over = if self.others.0.len() == OTHERS_MAX { "over " } else { "" };
        format!("{over}{}", counted(number, thing))
    }

    /// Whether nothing was loaded or tried.
    pub(super) fn is_empty(&self) -> bool {
        self.files.is_empty() && self.failures.is_empty()
    }

    /// The summary as a table, and what was not loaded.
    pub(super) fn text(&self, wall: Duration) -> String {
        // A column for what only requests with a key can be.
        let has_repeated = self.total().repeated > 0;
        let repeated = has_repeated.then_some("repeated");
        let headings = ["file", "records", "rows", "duplicates"].into_iter().chain(repeated);
        let headings: Vec<&str> = headings.chain(["dead letters", "rows/s loading"]).collect();
        let mut lines = table(&headings, 1);
        let mut row = |name: &str, Total { counts, elapsed }: Total| {
            let rate = per_second(counts.rows, elapsed).unwrap_or("-".to_owned());
            let Counts { records, rows, duplicates, repeated, dead_letters } = counts;
            let repeated = has_repeated.then_some(repeated);
            let counts = [records, rows, duplicates].into_iter().chain(repeated);
            let counts = counts.chain([dead_letters]).map(grouped);
            lines.add_row([name.to_owned()].into_iter().chain(counts).chain([rate]));
        };
        let mut files: Vec<&File> = self.files.iter().collect();
        if files.len() > FILES_SHOWN {
            files.sort_by_key(|file| file.total.counts.dead_letters == 0);
        }
        let (shown, hidden) = files.split_at(files.len().min(FILES_SHOWN));
        for file in shown {
            row(&file.partition.text(), file.total);
        }
        let (others, rest) = &self.others;
        let mut more = *rest;
        hidden.iter().for_each(|file| more.add(file.total));
        let more_count = hidden.len() + others.len();
        if more_count > 0 {
            row(&self.counted(more_count, "more file"), more);
        }
        // Files are loaded side by side: their times make no sum.
        let total = Total { counts: self.total(), elapsed: Duration::ZERO };
        row(&self.counted(self.files.len() + others.len(), "file"), total);
        let mut text = format!("{lines}\n");
        if let Some(rate) = per_second(total.counts.rows, wall) {
            let (rows, seconds) = (grouped(total.counts.rows), wall.as_secs_f64());
            text += &format!("{rows} rows in {seconds:.1} s: {rate} rows/s overall\n");
        }
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

impl Total {
    fn add(&mut self, other: Total) {
        self.counts.add(other.counts);
        self.elapsed += other.elapsed;
    }
}

/// Rows per second, as far as that means something.
fn per_second(rows: u64, elapsed: Duration) -> Option<String> {
    let millis = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
    (rows * 1000).checked_div(millis).map(grouped)
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
            let partition = Partition::parse(&format!("{number}.csv"));
            let counts = Counts { records: 2, rows: 2, dead_letters, ..Counts::default() };
            let outcome = PartOutcome { partition, batch_id: 0, counts };
            summary.note_parts("a", &[outcome.clone(), outcome], Duration::from_millis(2));
        }
        let text = summary.text(Duration::from_secs(1));
        assert!(text.lines().count() < FILES_SHOWN + 10, "{text}");
        assert!(text.contains("500.csv") && text.contains("920 more files"), "{text}");
        assert!(text.contains("1,020 files") && text.contains("4,080"), "{text}");
        assert_eq!(summary.total().dead_letters, 2);
    }
}
