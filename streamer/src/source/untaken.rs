//! What is in the data folder and no stream takes: it would wait there for ever without a word.

use std::fmt;
use std::fs::{DirEntry, FileType};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::pattern::Pattern;
use crate::config::Stream;
use crate::partition::{SPOOL, file_text};

/// How many are told, and how many entries are looked at.
const TOLD_MAX: usize = 20;
const ENTRIES_MAX: usize = 20_000;

/// What a file is called that could be loaded: these endings, packed or not.
const ENDINGS: [&str; 6] = [".csv", ".tsv", ".ndjson", ".jsonl", ".json", ".txt"];
const PACKED: [&str; 2] = [".gz", ".zst"];

/// Something that no stream takes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Untaken {
    /// Its path below the data folder, see [`file_text`].
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How large it is.
    pub size_bytes: u64,
}

/// What kind of thing no stream takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A file whose name no pattern matches.
    File,
    /// A link, which is never followed.
    Symlink,
    /// A pipe, socket or device that a pattern matches.
    Special,
}

impl fmt::Display for Untaken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let why = match self.kind {
            Kind::File => "no stream takes it: its name matches no pattern",
            Kind::Symlink => "no stream takes it: links are not followed",
            Kind::Special => "no stream takes it: it is no regular file",
        };
        write!(f, "{}: {why}", self.name)
    }
}

/// Looks through the data folder.
#[derive(Debug)]
pub struct Look {
    root: PathBuf,
    patterns: Vec<Pattern>,
    archives: Vec<PathBuf>,
}

impl Look {
    /// Through `root`, for what none of `streams` takes.
    pub fn new(root: &Path, streams: &[Stream]) -> Look {
        let archives = streams.iter().flat_map(|stream| &stream.reading.archives);
        Look {
            root: root.to_owned(),
            patterns: streams.iter().map(|stream| Pattern::new(&stream.reading.files)).collect(),
            archives: archives.map(|archive| root.join(archive)).collect(),
        }
    }

    /// The first that are found, in order of name. Hidden and unfinished files, the spool, archives,
    /// and files of other endings than those of data are nobody's business here.
    pub fn find(&self) -> Vec<Untaken> {
        let (mut found, mut folders, mut entries) = (Vec::new(), vec![self.root.clone()], 0);
        while let Some(folder) = folders.pop() {
            let Ok(listed) = std::fs::read_dir(&folder) else { continue };
            for entry in listed.flatten() {
                entries += 1;
                if entries > ENTRIES_MAX {
                    break;
                }
                self.see(&entry, &mut found, &mut folders);
            }
        }
        found.sort_by(|a: &Untaken, b| a.name.cmp(&b.name));
        found.truncate(TOLD_MAX);
        found
    }

    fn see(&self, entry: &DirEntry, found: &mut Vec<Untaken>, folders: &mut Vec<PathBuf>) {
        let (path, name) = (entry.path(), entry.file_name());
        let Ok(kind) = entry.file_type() else { return };
        let Ok(below) = path.strip_prefix(&self.root) else { return };
        if name.as_encoded_bytes().starts_with(b".") || below == Path::new(SPOOL) {
            return;
        }
        if kind.is_dir() {
            if !self.archives.contains(&path) {
                folders.push(path);
            }
            return;
        }
        let matches = self.patterns.iter().any(|pattern| pattern.is_match(below));
        if let Some(kind) = kind_of(kind, matches, below) {
            let size_bytes = entry.metadata().map_or(0, |metadata| metadata.len());
            found.push(Untaken { name: file_text(below).into_owned(), kind, size_bytes });
        }
    }
}

/// Whether something is worth telling, and as what.
fn kind_of(kind: FileType, matches: bool, below: &Path) -> Option<Kind> {
    let is_special =
        kind.is_fifo() || kind.is_socket() || kind.is_block_device() || kind.is_char_device();
    match () {
        () if kind.is_symlink() && (matches || is_data(below)) => Some(Kind::Symlink),
        () if is_special && matches => Some(Kind::Special),
        () if kind.is_file() && !matches && is_data(below) => Some(Kind::File),
        () => None,
    }
}

fn is_data(path: &Path) -> bool {
    let name = path.to_string_lossy().to_ascii_lowercase();
    let unpacked = PACKED.iter().find_map(|packed| name.strip_suffix(packed)).unwrap_or(&name);
    ENDINGS.iter().any(|ending| unpacked.ends_with(ending))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_no_pattern_matches_is_found_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("sub")).unwrap();
        fs::create_dir_all(root.join(SPOOL)).unwrap();
        for name in ["user_events_1.csv", "my.csv", "sub/x.CSV.gz", ".hidden.csv", "a.csv.part"] {
            fs::write(root.join(name), "x").unwrap();
        }
        fs::write(root.join("notes.md"), "x").unwrap();
        fs::write(root.join(SPOOL).join("s.csv"), "x").unwrap();
        std::os::unix::fs::symlink("my.csv", root.join("user_events_2.csv")).unwrap();
        let settings = crate::config::Settings::shipped(Default::default()).unwrap();
        let found = Look::new(root, &settings.streams).find();
        let found: Vec<(&str, Kind)> =
            found.iter().map(|one| (one.name.as_str(), one.kind)).collect();
        let expected = [
            ("my.csv", Kind::File),
            ("sub/x.CSV.gz", Kind::File),
            ("user_events_2.csv", Kind::Symlink),
        ];
        assert_eq!(found, expected);
    }
}
