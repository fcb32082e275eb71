//! Finding the files of a stream: the listing of the folder is the truth of what files there are.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{SFlag, fstatat};

use super::below::{open_below, open_file};
use super::pattern::Pattern;
use crate::config::Reading;
use crate::partition::fingerprint::Stat;
use crate::partition::{SPOOL, file_text, file_text_without};

/// The files below a folder that match a pattern.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    pattern: Pattern,
    depth_max: usize,
    /// Folders whose files are finished.
    archives: Vec<PathBuf>,
    /// Characters that no name is written with.
    lacking: Arc<HashSet<char>>,
}

/// A folder or file that could not be looked at.
#[derive(Debug)]
pub struct Unlisted {
    /// Its path below the folder.
    pub name: String,
    /// Why.
    pub error: io::Error,
}

impl Folder {
    /// The files that `reading` means: those below `root` whose path below it matches its pattern.
    pub fn new(root: PathBuf, reading: &Reading) -> Folder {
        let archives = reading.archives.iter().map(|archive| root.join(archive)).collect();
        Folder::matching(root, &reading.files, archives)
    }

    fn matching(root: PathBuf, pattern: &globset::Glob, archives: Vec<PathBuf>) -> Folder {
        let separators = pattern.glob().matches('/').count();
        let depth_max = if pattern.glob().contains("**") { usize::MAX } else { separators + 1 };
        let lacking = Arc::default();
        Folder { root, pattern: Pattern::new(pattern), depth_max, archives, lacking }
    }

    /// The same, with names that are written without the characters that are `lacking`.
    pub fn without(self, lacking: HashSet<char>) -> Folder {
        Folder { lacking: Arc::new(lacking), ..self }
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether files of deeper folders match too.
    pub fn is_deep(&self) -> bool {
        self.depth_max > 1
    }

    /// Whether a change at this path below the folder can be one of its files. What becomes of a
    /// folder may be.
    pub fn is_concerned(&self, below: &Path) -> bool {
        self.is_deep() || below.as_os_str().is_empty() || self.pattern.is_match(below)
    }

    /// Shows all regular files that match to `see`: each one's name, see [`file_text`], and what it
    /// looks like. Returns what kept from listing a folder. Hidden files, unfinished ones
    /// (`*.part`, `*.tmp`) and links are left out, so that nothing outside the folder is ever read.
    ///
    /// # Errors
    /// When the folder itself can't be listed. A file or folder that vanishes meanwhile is no
    /// error.
    pub fn visit(&self, mut see: impl FnMut(&str, Stat)) -> io::Result<Vec<Unlisted>> {
        let mut unlisted = Vec::new();
        // What is still to be listed, and how deep the files in it lie.
        let mut folders = vec![(PathBuf::new(), 1)];
        while let Some((below, depth)) = folders.pop() {
            let descend = |folder: &Path| {
                if depth < self.depth_max && !self.is_apart(folder) {
                    folders.push((folder.to_owned(), depth + 1));
                }
            };
            match self.visit_one(&below, &mut see, descend) {
                Err(error) if below.as_os_str().is_empty() => return Err(error),
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    unlisted.push(Unlisted { name: file_text(&below).into_owned(), error });
                }
                Ok(()) | Err(_) => {}
            }
        }
        Ok(unlisted)
    }

    /// Shows the files of the folder at `below` to `see`, and the folders in it to `descend`.
    fn visit_one(
        &self,
        below: &Path,
        see: &mut impl FnMut(&str, Stat),
        mut descend: impl FnMut(&Path),
    ) -> io::Result<()> {
        let folder = self.open_folder(below)?;
        let mut path = below.as_os_str().as_bytes().to_vec();
        if !path.is_empty() {
            path.push(b'/');
        }
        let folder_len = path.len();
        for entry in Dir::from_fd(folder.try_clone()?.into())?.iter() {
            let entry = entry?;
            let name = entry.file_name();
            if is_hidden(name.to_bytes()) {
                continue;
            }
            path.truncate(folder_len);
            path.extend(name.to_bytes());
            let path = Path::new(OsStr::from_bytes(&path));
            match entry.file_type() {
                Some(Type::Directory) => descend(path),
                Some(Type::File) if !self.is_wanted(path) => {}
                // Not every file system tells what an entry is.
                kind @ (Some(Type::File) | None) => {
                    // What has vanished meanwhile is not there.
                    let Ok(stat) = fstatat(&folder, name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
                        continue;
                    };
                    match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
                        SFlag::S_IFDIR => descend(path),
                        SFlag::S_IFREG if kind.is_some() || self.is_wanted(path) => {
                            see(&file_text_without(path, &self.lacking), Stat::of_entry(&stat));
                        }
                        _ => {}
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a folder holds no files of the stream's own pattern: finished ones, or those of the
    /// spool.
    fn is_apart(&self, below: &Path) -> bool {
        below == Path::new(SPOOL)
            || self.archives.iter().any(|archive| *archive == self.root.join(below))
    }

    /// Opens the file at this path below the folder for reading: never by way of a link, and only a
    /// regular file, so that nothing blocks.
    ///
    /// # Errors
    /// When it can't be opened, or is no regular file.
    pub fn open_below(&self, below: &Path) -> io::Result<(File, Stat)> {
        open_file(&self.root, below)
    }

    /// Opens a folder at this path below the folder, never by way of a link; itself, if the path is
    /// empty.
    ///
    /// # Errors
    /// When it can't be opened, or is no folder.
    pub fn open_folder(&self, below: &Path) -> io::Result<File> {
        if below.as_os_str().is_empty() {
            return File::open(&self.root);
        }
        open_below(&self.root, below, OFlag::O_DIRECTORY)
    }

    fn is_wanted(&self, below: &Path) -> bool {
        !is_unfinished(below) && self.pattern.is_match(below)
    }
}

fn is_hidden(name: &[u8]) -> bool {
    name.starts_with(b".")
}

fn is_unfinished(path: &Path) -> bool {
    let path = path.as_os_str().as_bytes();
    path.ends_with(b".part") || path.ends_with(b".tmp")
}

#[cfg(test)]
mod tests {
    use std::fs;

    use globset::GlobBuilder;

    use super::*;

    fn listed(root: &Path, pattern: &str) -> Vec<String> {
        let glob = GlobBuilder::new(pattern).literal_separator(true).build().unwrap();
        let archives = vec![root.join("deep/archive")];
        let mut names = Vec::new();
        let folder = Folder::matching(root.to_owned(), &glob, archives);
        folder.visit(|name, _| names.push(name.to_owned())).unwrap();
        names.sort();
        names
    }

    #[test]
    fn a_flat_folder_is_concerned_by_names_that_match_and_by_itself() {
        let of = |pattern: &str, below: &str| {
            let glob = GlobBuilder::new(pattern).literal_separator(true).build().unwrap();
            let folder = Folder::matching(PathBuf::from("data"), &glob, Vec::new());
            folder.is_concerned(Path::new(below))
        };
        assert!(of("a_*.csv", "a_1.csv") && of("a_*.csv", ""));
        assert!(!of("a_*.csv", "b_1.csv") && !of("a_*.csv", ".a_1.csv.part"));
        assert!(of("in/*.csv", "in") && of("**/*.csv", "x"), "folders may come and go");
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
        fs::create_dir_all(root.join("deep/archive")).unwrap();
        fs::write(root.join("deep/archive/j.csv"), "").unwrap();
        fs::write(root.join("deep/h.csv"), "").unwrap();
        fs::write(root.join("deep/.hidden/i.csv"), "").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", root.join("link.csv")).unwrap();
        assert_eq!(listed(root, "*.csv"), ["a.csv", "b.csv"]);
        assert_eq!(listed(root, "deep/*.csv"), ["deep/h.csv"]);
        assert_eq!(listed(root, "**/*.csv"), ["a.csv", "b.csv", "deep/h.csv"]);
    }

    #[test]
    fn a_folder_that_became_a_link_leads_nowhere() {
        let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        fs::create_dir(folder.path().join("in")).unwrap();
        fs::write(folder.path().join("in/1.csv"), "").unwrap();
        fs::write(outside.path().join("1.csv"), "secret").unwrap();
        let glob = GlobBuilder::new("in/*.csv").literal_separator(true).build().unwrap();
        let files = Folder::matching(folder.path().to_owned(), &glob, Vec::new());
        let mut found = Vec::new();
        files.visit(|name, _| found.push(PathBuf::from(name))).unwrap();
        assert!(files.open_below(&found[0]).is_ok());
        fs::rename(folder.path().join("in"), folder.path().join("in.old")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("in")).unwrap();
        assert!(files.open_below(&found[0]).is_err());
    }
}
