//! The files of a corpus, what is expected of them, and the tables and settings that they need.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::judge;

/// Tables, settings and justified differences, by path.
const CASES: &str = include_str!("cases.toml");

/// Names that PostgreSQL would cut are no names of columns.
const NAME_BYTES_MAX: usize = 63;

/// More would not fit into a table, with the column that orders the rows.
const COLUMNS_MAX: usize = 1500;

/// One file.
#[derive(Debug)]
pub(crate) struct Case {
    /// Its path below the corpus.
    pub(crate) path: PathBuf,
    /// Its bytes, behind the header that it is given where it has none.
    pub(crate) bytes: Vec<u8>,
    /// What the table has, as SQL.
    pub(crate) columns: String,
    /// Lines of streams.toml.
    pub(crate) settings: String,
    /// The names of the columns where all are text, named by the header.
    pub(crate) text_columns: Option<Vec<String>>,
    /// The file's records as JSON, where the corpus has them.
    pub(crate) twin: Option<Vec<u8>>,
    pub(crate) expected: Option<Expected>,
    /// Why that is not what expected.tsv says.
    pub(crate) differs: Option<String>,
}

/// What is to become of a file.
#[derive(Debug, Clone, Default)]
pub(crate) struct Expected {
    pub(crate) verdict: Verdict,
    pub(crate) rows: Option<i64>,
    pub(crate) dead_letters: Option<i64>,
    pub(crate) reason: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// All records are rows.
    #[default]
    Accept,
    /// Some records are dead letters.
    Quarantine,
    /// The file is refused as a whole.
    RejectFile,
    /// There is no record and no header: the file is left alone.
    Empty,
}

/// What a file needs or is excused from.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Special {
    /// The table's columns as SQL, instead of the header's names with type text.
    columns: Option<String>,
    /// Lines of streams.toml.
    #[serde(default)]
    settings: String,
    /// A header for a file that has none.
    header: Option<String>,
    /// Why the JSON file beside it does not count.
    without_twin: Option<String>,
    /// The right outcome where expected.tsv has another, with its reason.
    differs: Option<Difference>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Difference {
    outcome: Verdict,
    rows: Option<i64>,
    dead_letters: Option<i64>,
    because: String,
}

/// All cases below `folder`, which must have an expected.tsv, each of whose files must be there.
pub(crate) fn load(folder: &Path) -> io::Result<Vec<Case>> {
    let mut expected = expectations(&std::fs::read_to_string(folder.join("expected.tsv"))?)?;
    let mut special: HashMap<String, Special> = toml::from_str(CASES).map_err(io::Error::other)?;
    let mut cases = Vec::new();
    for entry in walkdir::WalkDir::new(folder).sort_by_file_name() {
        let entry = entry.map_err(io::Error::other)?;
        let path = entry.path().strip_prefix(folder).map_err(io::Error::other)?;
        if !entry.file_type().is_file() || !is_case(path) {
            continue;
        }
        let name = path.to_string_lossy();
        let special = special.remove(&*name).unwrap_or_default();
        cases.push(Case::new(folder, path, special, expected.remove(&*name))?);
    }
    let missing: Vec<&str> = expected.keys().chain(special.keys()).map(String::as_str).collect();
    if missing.is_empty() {
        return Ok(cases);
    }
    Err(io::Error::other(format!("these files are missing: {}", missing.join(", "))))
}

/// Documents and what belongs to the corpus itself are no cases.
fn is_case(path: &Path) -> bool {
    let extension = path.extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| !["json", "md"].contains(&extension))
        && path != Path::new("expected.tsv")
}

/// Reads expected.tsv: folder, path, outcome, rows, dead letters, reason.
fn expectations(text: &str) -> io::Result<BTreeMap<String, Expected>> {
    let mut all = BTreeMap::new();
    for line in text.lines().skip(1).filter(|line| !line.is_empty()) {
        let malformed = || io::Error::other(format!("expected.tsv: {line}"));
        let [folder, path, outcome, rows, dead_letters, reason] =
            line.split('\t').collect::<Vec<_>>().try_into().map_err(|_| malformed())?;
        let verdict = match outcome {
            "accept" => Verdict::Accept,
            "quarantine" => Verdict::Quarantine,
            "reject_file" => Verdict::RejectFile,
            _ => return Err(malformed()),
        };
        let count = |text: &str| match text {
            "" => Ok(None),
            digits => digits.parse().map(Some).map_err(|_| malformed()),
        };
        let (rows, dead_letters) = (count(rows)?, count(dead_letters)?);
        let expected = Expected { verdict, rows, dead_letters, reason: reason.to_owned() };
        all.insert(format!("{folder}/{path}"), expected);
    }
    Ok(all)
}

impl Case {
    fn new(
        folder: &Path,
        path: &Path,
        special: Special,
        expected: Option<Expected>,
    ) -> io::Result<Case> {
        let mut bytes = std::fs::read(folder.join(path))?;
        if path.file_name().is_some_and(|name| name == "blns.txt") {
            bytes = one_field_a_line(&bytes);
        }
        if let Some(header) = special.header {
            bytes.splice(0..0, format!("{header}\n").bytes());
        }
        let text_columns = special.columns.is_none().then(|| names(&bytes));
        let columns = match (special.columns, &text_columns) {
            (Some(columns), _) => columns,
            (None, names) => names
                .iter()
                .flatten()
                .map(|name| format!("\"{}\" text", name.replace('"', "\"\"")))
                .collect::<Vec<_>>()
                .join(", "),
        };
        let (expected, differs) = match special.differs {
            Some(difference) => {
                let Difference { outcome: verdict, rows, dead_letters, because } = difference;
                let reason = String::new();
                (Some(Expected { verdict, rows, dead_letters, reason }), Some(because))
            }
            None => (expected, None),
        };
        Ok(Case {
            path: path.to_owned(),
            bytes,
            columns,
            settings: special.settings,
            text_columns,
            twin: if special.without_twin.is_some() { None } else { twin(&folder.join(path)) },
            expected,
            differs,
        })
    }
}

/// The names in a file's header that a column can have, or one name of our own.
fn names(bytes: &[u8]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for field in judge::header(bytes).unwrap_or_default() {
        let Ok(name) = String::from_utf8(field) else { continue };
        let name = name.trim();
        let is_name = !name.is_empty() && name.len() <= NAME_BYTES_MAX && !name.contains('\0');
        if is_name && !names.iter().any(|known| known == name) && names.len() < COLUMNS_MAX {
            names.push(name.to_owned());
        }
    }
    if names.is_empty() {
        names.push("word".to_owned());
    }
    names
}

/// A list of lines as a CSV file.
fn one_field_a_line(bytes: &[u8]) -> Vec<u8> {
    let mut text = b"word\n".to_vec();
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let quoted = String::from_utf8_lossy(line).replace('"', "\"\"");
        text.extend_from_slice(format!("\"{quoted}\"\n").as_bytes());
    }
    text
}

/// `json/x.json` beside `csvs/x.csv`.
fn twin(path: &Path) -> Option<Vec<u8>> {
    let (stem, folder) = (path.file_stem()?, path.parent()?);
    let is_one = folder.ends_with("csvs");
    is_one.then(|| {
        std::fs::read(folder.with_file_name("json").join(stem).with_extension("json")).ok()
    })?
}
