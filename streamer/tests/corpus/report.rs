//! Agreed or not: each outcome against what was expected, and the table at the end.

use std::fmt::Write as _;
use std::time::Duration;

use crate::case::{Case, Expected, Verdict};
use crate::outcome::Outcome;

/// What expected.tsv calls a reason, and the words that tell it.
const REASONS: [(&str, &str); 9] = [
    ("invalid_utf8", "not valid UTF-8"),
    ("nul_byte", "NUL"),
    ("nul in header", "NUL"),
    ("field_count", "fields where the header has"),
    ("record_too_long", "the record is longer than"),
    ("unterminated", "never closed"),
    ("text after closing quote", "text behind a closing quote"),
    ("unsupported_encoding", "the file is UTF-16"),
    ("duplicate header", "twice"),
];

/// What came of all cases so far.
#[derive(Debug, Default)]
pub(crate) struct Report {
    /// In the order accepted, with dead letters, refused, empty, failed.
    verdicts: [usize; 5],
    rows: i64,
    dead_letters: i64,
    agreed: usize,
    without_expectation: usize,
    /// Expectations that are not met for a good reason.
    justified: Vec<String>,
    /// Expectations that are not met.
    differed: Vec<String>,
    /// What must not be, whatever is expected.
    faults: Vec<String>,
}

impl Report {
    /// Takes a case in.
    pub(crate) fn note(&mut self, case: &Case, outcome: &Outcome) {
        let path = case.path.display();
        self.verdicts[match outcome.verdict {
            Some(Verdict::Accept) => 0,
            Some(Verdict::Quarantine) => 1,
            Some(Verdict::RejectFile) => 2,
            Some(Verdict::Empty) => 3,
            None => 4,
        }] += 1;
        self.rows += outcome.rows;
        self.dead_letters += outcome.dead_letters;
        self.faults.extend(outcome.faults.iter().map(|fault| format!("{path}: {fault}")));
        let Some(expected) = &case.expected else {
            self.without_expectation += 1;
            return;
        };
        let found = format!("{} ({})", shown(outcome), outcome.told);
        match (is_met(expected, outcome), &case.differs) {
            (true, None) => self.agreed += 1,
            (true, Some(because)) => {
                self.justified.push(format!("{path}: {}: {because}", shown(outcome)));
            }
            (false, _) => {
                let wanted = format!("{expected:?}");
                self.differed.push(format!("{path}: expected {wanted}, but it was {found}"));
            }
        }
    }

    /// Whether nothing was lost and every expectation met.
    pub(crate) fn is_good(&self) -> bool {
        self.differed.is_empty() && self.faults.is_empty()
    }

    /// The table, and every difference.
    pub(crate) fn text(&self, time: Duration) -> String {
        let mut text = String::new();
        for (title, lines) in [
            ("differs from expected.tsv for a reason", &self.justified),
            ("DIFFERS", &self.differed),
            ("FAILED", &self.faults),
        ] {
            lines.iter().for_each(|line| writeln!(text, "{title}: {line}").expect("it fits"));
        }
        let [accepted, with_dead_letters, refused, empty, failed] = self.verdicts;
        let cases = self.verdicts.iter().sum::<usize>();
        for (title, count) in [
            ("cases", cases),
            ("  agreed with expected.tsv", self.agreed),
            ("  differed from it for a reason", self.justified.len()),
            ("  differed", self.differed.len()),
            ("  without expectation", self.without_expectation),
            ("accepted", accepted),
            ("with dead letters", with_dead_letters),
            ("refused", refused),
            ("empty", empty),
            ("failed", failed),
            ("faults", self.faults.len()),
        ] {
            writeln!(text, "{title:<34}{count:>9}").expect("it fits");
        }
        for (title, count) in [("rows", self.rows), ("dead letters", self.dead_letters)] {
            writeln!(text, "{title:<34}{count:>9}").expect("it fits");
        }
        write!(text, "{:<34}{:>8.0}s", "time", time.as_secs_f64()).expect("it fits");
        text
    }
}

fn is_met(expected: &Expected, outcome: &Outcome) -> bool {
    let words = REASONS.iter().filter(|(name, _)| expected.reason.contains(name));
    outcome.verdict == Some(expected.verdict)
        && expected.rows.is_none_or(|rows| rows == outcome.rows)
        && expected.dead_letters.is_none_or(|letters| letters == outcome.dead_letters)
        && words.map(|(_, words)| words).all(|words| outcome.told.contains(words))
}

fn shown(outcome: &Outcome) -> String {
    let (rows, letters) = (outcome.rows, outcome.dead_letters);
    match outcome.verdict {
        Some(Verdict::Accept) => format!("accepted, {rows} rows"),
        Some(Verdict::Quarantine) => format!("{rows} rows, {letters} dead letters"),
        Some(Verdict::RejectFile) => "refused".to_owned(),
        Some(Verdict::Empty) => "left alone".to_owned(),
        None => "failed".to_owned(),
    }
}
