//! Finding the files of a stream: the listing of the folder is the truth of what files there are.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use globset::GlobMatcher;
use walkdir::{DirEntry, WalkDir};

use super::fingerprint::Stat;

/// The files below a folder that match a pattern.
#[derive(Debug)]
pub struct Folder {
    root: PathBuf,
    pattern: GlobMatcher,
    depth_max: usize,
}

/// A file that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// What it is called in the checkpoint: its path below the folder, see [`partition_name`].
    pub name: String,
    /// What it looked like.
    pub stat: Stat,
}

impl Folder {
    /// The files below `root` whose path below it matches `pattern`.
    pub fn new(root: PathBuf, pattern: &globset::Glob) -> Folder {
        let separators = pattern.glob().matches('/').count();
        let depth_max = if pattern.glob().contains("**") { usize::MAX } else { separators + 1 };
        Folder { root, pattern: pattern.compile_matcher(), depth_max }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether files of deeper folders match too.
    pub fn is_deep(&self) -> bool {
        self.depth_max > 1
    }

    /// Lists all regular files that match. Hidden ones, unfinished ones (`*.part`, `*.tmp`) and links
    /// are left out, so that nothing outside the folder is ever read.
    ///
    /// # Errors
    /// When the folder itself can't be listed. A file or folder that vanishes meanwhile is no error.
    pub fn list(&self) -> io::Result<Vec<Found>> {
        let mut found = Vec::new();
        let walk = WalkDir::new(&self.root).max_depth(self.depth_max).follow_root_links(true);
        let visible = |entry: &DirEntry| entry.depth() == 0 || !is_hidden(entry.file_name());
        for entry in walk.into_iter().filter_entry(visible) {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) if error.depth() == 0 => return Err(error.into()),
                Err(error) => {
                    tracing::debug!("list {}: {error}", self.root.display());
                    continue;
                }
            };
            if let Some(file) = self.matched(&entry) {
                found.push(file);
            }
        }
        Ok(found)
    }

    fn matched(&self, entry: &DirEntry) -> Option<Found> {
        if !entry.file_type().is_file() || is_unfinished(entry.file_name()) {
            return None;
        }
        let below = entry.path().strip_prefix(&self.root).ok()?;
        if !self.pattern.is_match(below) {
            return None;
        }
        let metadata = entry.metadata().ok()?;
        Some(Found {
            path: entry.path().to_owned(),
            name: partition_name(below),
            stat: Stat::of(&metadata),
        })
    }
}

fn is_hidden(name: &OsStr) -> bool {
    name.as_bytes().starts_with(b".")
}

fn is_unfinished(name: &OsStr) -> bool {
    name.as_bytes().ends_with(b".part") || name.as_bytes().ends_with(b".tmp")
}

/// A file's name in the checkpoint: its path as text that a table and a log can hold. Bytes that are no
/// UTF-8, control characters, `\` and `#` are written as `\xNN`, so that different paths have different
/// names and `#2` can mark a second file under the same path.
pub fn partition_name(below: &Path) -> String {
    let mut name = String::new();
    for chunk in below.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if c.is_control() || c == '\\' || c == '#' {
                let mut utf8 = [0; 4];
                escape(&mut name, c.encode_utf8(&mut utf8).as_bytes());
            } else {
                name.push(c);
            }
        }
        escape(&mut name, chunk.invalid());
    }
    name
}

fn escape(name: &mut String, bytes: &[u8]) {
    name.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
}

/// The path that a partition's name begins with, and which file under that path it is, from 1.
pub fn partition_path(partition: &str) -> (&str, u32) {
    partition
        .rsplit_once('#')
        .and_then(|(name, number)| Some((name, number.parse().ok()?)))
        .unwrap_or((partition, 1))
}

/// The partition's name of file number `generation` under a path, from 1.
pub fn partition(name: &str, generation: u32) -> String {
    if generation == 1 { name.to_owned() } else { format!("{name}#{generation}") }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use globset::GlobBuilder;

    use super::*;

    fn listed(root: &Path, pattern: &str) -> Vec<String> {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build().unwrap();
        let found = Folder::new(root.to_owned(), &glob).list().unwrap();
        let mut names: Vec<String> = found.into_iter().map(|file| file.name).collect();
        names.sort();
        names
    }

    #[test]
    fn only_finished_regular_files_of_the_pattern_are_found() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for name in ["a.csv", "b.csv", ".c.csv", "d.csv.part", "e.tmp", "f.txt"] {
            fs::write(root.join(name), "").unwrap();
        }
        fs::create_dir(root.join("g.csv")).unwrap();
        fs::create_dir_all(root.join("deep/.hidden")).unwrap();
        fs::write(root.join("deep/h.csv"), "").unwrap();
        fs::write(root.join("deep/.hidden/i.csv"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link.csv")).unwrap();
        assert_eq!(listed(root, "*.csv"), ["a.csv", "b.csv"]);
        assert_eq!(listed(root, "deep/*.csv"), ["deep/h.csv"]);
        assert_eq!(listed(root, "**/*.csv"), ["a.csv", "b.csv", "deep/h.csv"]);
    }

    #[test]
    fn names_that_are_no_plain_text_are_escaped_and_stay_distinct() {
        let name = |bytes: &[u8]| partition_name(Path::new(OsStr::from_bytes(bytes)));
        assert_eq!(name("é a.csv".as_bytes()), "é a.csv");
        assert_eq!(name(b"a\nb\xff\\#2.csv"), "a\\x0ab\\xff\\x5c\\x232.csv");
        assert_eq!(partition_path("a.csv"), ("a.csv", 1));
        assert_eq!(partition_path(&partition("a.csv", 3)), ("a.csv", 3));
    }
}
