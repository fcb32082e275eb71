//! Finding the files of a stream: the listing of the folder is the truth of what files there are.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use nix::dir::{Dir, Type};
use nix::fcntl::{AtFlags, OFlag};
use nix::sys::stat::{SFlag, fstatat};

use super::below::{open_below, open_file};
use super::content::Packing;
use super::fingerprint::Stat;
use super::known::Look;
use super::pattern::Pattern;
use crate::config::Stream;
use crate::receiver::spool::Spool;

/// What the names of partitions begin with that came by a door; also the folder below the data folder that the
/// spools of all streams are in, unless they are elsewhere. No stream's pattern reaches into it.
pub const SPOOL: &str = "spool";

/// The files below a folder that match a pattern.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    pattern: Pattern,
    depth_max: usize,
    /// Folders whose files are finished.
    archives: Vec<PathBuf>,
    /// What comes by the stream's doors.
    spool: Option<Spool>,
}

/// A file that was found.
#[derive(Debug, Clone)]
pub struct Found {
    /// What it is called in the checkpoint: its path below the folder, see [`partition_name`].
    pub name: String,
    /// What it looked like.
    pub stat: Stat,
}

impl Found {
    /// The hash of its name and of what it looks like.
    pub fn look(&self) -> Look {
        self.stat.look(&self.name)
    }

    /// Whether it is to be unpacked.
    pub fn is_packed(&self) -> bool {
        Packing::of(&self.name).is_some()
    }
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
    /// The files of `stream`: those below `root` whose path below it matches its pattern.
    pub fn new(root: PathBuf, stream: &Stream) -> Folder {
        let archives = stream.archives.iter().map(|archive| root.join(archive)).collect();
        Folder::matching(root, &stream.files, archives)
    }

    fn matching(root: PathBuf, pattern: &globset::Glob, archives: Vec<PathBuf>) -> Folder {
        let separators = pattern.glob().matches('/').count();
        let depth_max = if pattern.glob().contains("**") { usize::MAX } else { separators + 1 };
        Folder { root, pattern: Pattern::new(pattern), depth_max, archives, spool: None }
    }

    /// The same, with what comes by the stream's doors.
    pub fn with_spool(self, spool: Option<Spool>) -> Folder {
        Folder { spool, ..self }
    }

    /// What comes by the stream's doors.
    pub fn spool(&self) -> Option<&Spool> {
        self.spool.as_ref()
    }

    /// The folder itself.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Whether files of deeper folders match too.
    pub fn is_deep(&self) -> bool {
        self.depth_max > 1
    }

    /// Whether a change at this path below the folder can be one of its files. What becomes of a folder may
    /// be.
    pub fn is_concerned(&self, below: &Path) -> bool {
        self.is_deep() || below.as_os_str().is_empty() || self.pattern.is_match(below)
    }

    /// Shows all regular files that match to `see`: each one's name, see [`partition_name`], and what it looks like.
    /// Returns what kept from listing a folder. Hidden files, unfinished ones (`*.part`, `*.tmp`) and links are left
    /// out, so that nothing outside the folder is ever read.
    ///
    /// # Errors
    /// When the folder itself can't be listed. A file or folder that vanishes meanwhile is no error.
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
                    unlisted.push(Unlisted { name: partition_name(&below).into_owned(), error });
                }
                Ok(()) | Err(_) => {}
            }
        }
        for found in self.spool.iter().flat_map(Spool::survey) {
            see(&found.name, found.stat);
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
                            see(&partition_name(path), Stat::of_entry(&stat));
                        }
                        _ => {}
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Whether a folder holds no files of the stream's own pattern: finished ones, or those of the spool.
    fn is_apart(&self, below: &Path) -> bool {
        below == Path::new(SPOOL)
            || self.archives.iter().any(|archive| *archive == self.root.join(below))
    }

    /// Opens a file for reading: never by way of a link, and only a regular file, so that nothing blocks.
    ///
    /// # Errors
    /// When it can't be opened, or is no regular file.
    pub fn open(&self, found: &Found) -> io::Result<(File, Stat)> {
        match &self.spool {
            Some(spool) if is_spooled(&found.name) => {
                Folder::open_segment(spool.root(), &found.name)
            }
            _ => self.open_below(&partition_file(&found.name)),
        }
    }

    /// Opens the segment of this partition, where the spools of all streams are in `root`.
    ///
    /// # Errors
    /// When it can't be opened, or is no regular file.
    pub fn open_segment(root: &Path, name: &str) -> io::Result<(File, Stat)> {
        let below = partition_file(name);
        open_file(root, below.strip_prefix(SPOOL).unwrap_or(&below))
    }

    /// Opens the file at this path below the folder, as [`Folder::open`] does.
    ///
    /// # Errors
    /// When it can't be opened, or is no regular file.
    pub fn open_below(&self, below: &Path) -> io::Result<(File, Stat)> {
        open_file(&self.root, below)
    }

    /// Opens a folder at this path below the folder, never by way of a link; itself, if the path is empty.
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

/// Whether the partition of this name came by a door.
pub fn is_spooled(name: &str) -> bool {
    name.strip_prefix(SPOOL).is_some_and(|rest| rest.starts_with('/'))
}

/// A file's name in the checkpoint: its path as text that a table and a log can hold. Bytes that are no
/// UTF-8, control characters, `\` and `#` are written as `\xNN`, so that different paths have different
/// names and `#2` can mark a second file under the same path.
pub fn partition_name(below: &Path) -> Cow<'_, str> {
    let is_odd = |c: char| c.is_control() || c == '\\' || c == '#';
    if let Some(plain) = below.to_str().filter(|name| !name.contains(is_odd)) {
        return plain.into();
    }
    let mut name = String::new();
    for chunk in below.as_os_str().as_bytes().utf8_chunks() {
        for c in chunk.valid().chars() {
            if is_odd(c) {
                let mut utf8 = [0; 4];
                escape(&mut name, c.encode_utf8(&mut utf8).as_bytes());
            } else {
                name.push(c);
            }
        }
        escape(&mut name, chunk.invalid());
    }
    name.into()
}

fn escape(name: &mut String, bytes: &[u8]) {
    name.extend(bytes.iter().map(|byte| format!("\\x{byte:02x}")));
}

/// The path below the folder that has this name: what [`partition_name`] made it of.
pub fn partition_file(name: &str) -> PathBuf {
    let mut bytes = Vec::with_capacity(name.len());
    let mut rest = name.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let escaped = behind.strip_prefix(b"x").filter(|_| first == b'\\');
        let hex = escaped.and_then(|escaped| std::str::from_utf8(escaped.get(..2)?).ok());
        let (byte, behind) = match hex.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            Some(byte) => (byte, &behind[3..]),
            None => (first, behind),
        };
        bytes.push(byte);
        rest = behind;
    }
    PathBuf::from(OsString::from_vec(bytes))
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
        files.visit(|name, stat| found.push(Found { name: name.to_owned(), stat })).unwrap();
        assert!(files.open(&found[0]).is_ok());
        fs::rename(folder.path().join("in"), folder.path().join("in.old")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("in")).unwrap();
        assert!(files.open(&found[0]).is_err());
    }

    #[test]
    fn names_that_are_no_plain_text_are_escaped_and_stay_distinct() {
        let name = |bytes: &[u8]| partition_name(Path::new(OsStr::from_bytes(bytes))).into_owned();
        assert_eq!(name("é a.csv".as_bytes()), "é a.csv");
        let strange = b"in/a\nb\xff\\#2\\x41.csv";
        assert_eq!(name(strange), "in/a\\x0ab\\xff\\x5c\\x232\\x5cx41.csv");
        assert_eq!(partition_file(&name(strange)).as_os_str().as_bytes(), strange);
        assert_eq!(partition_file("é a.csv"), Path::new("é a.csv"));
        assert_eq!(partition_path("a.csv"), ("a.csv", 1));
        assert_eq!(partition_path(&partition("a.csv", 3)), ("a.csv", 3));
    }
}
