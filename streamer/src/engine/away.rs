//! Moving a file to the archive, or removing it: never by way of a link, and never over another
//! file.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use chrono::Utc;
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};
use xxhash_rust::xxh3::xxh3_64;

use crate::partition::fingerprint::Stat;
use crate::source::folder::Folder;

/// How many names are tried in an archive that has them all.
const NAMES_MAX: u32 = 100;

/// How much of a file's name its archived name ends with.
const NAME_BYTES_MAX: usize = 120;

/// Where finished files go.
#[derive(Debug)]
pub(super) enum Away {
    /// To this folder below the data folder.
    Archive(PathBuf),
    /// Nowhere.
    Delete,
}

impl Away {
    /// What is done to a file.
    pub(super) fn participle(&self) -> &'static str {
        match self {
            Away::Archive(_) => "archived",
            Away::Delete => "deleted",
        }
    }

    /// Takes the file `below` the folder away; `name` is what it is called, `stat` what it looks
    /// like.
    ///
    /// # Errors
    /// When it can't be moved or removed; it is then where it was.
    pub(super) fn take(
        &self,
        folder: &Folder,
        name: &str,
        below: &Path,
        stat: Stat,
    ) -> io::Result<()> {
        let parent = folder.open_folder(below.parent().unwrap_or(Path::new("")))?;
        let file_name = below.file_name().ok_or(io::ErrorKind::InvalidInput)?;
        match self {
            Away::Delete => {
                unlinkat(&parent, file_name, UnlinkatFlags::NoRemoveDir)?;
                tracing::info!("deleted {name}: it is loaded");
            }
            Away::Archive(path) => {
                let archive = make_folder(folder, path)?;
                let archived = archive_as(&parent, Path::new(file_name), &archive, name, stat)?;
                let archived = path.join(archived);
                tracing::info!("archived {name} as {}: it is loaded", archived.display());
            }
        }
        Ok(())
    }
}

/// Opens a folder below the data folder, which is made where it is missing.
fn make_folder(folder: &Folder, path: &Path) -> io::Result<File> {
    let mut made = PathBuf::new();
    let mut parent = folder.open_folder(&made)?;
    for part in path.components() {
        made.push(part);
        parent = match folder.open_folder(&made) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match mkdirat(&parent, part.as_os_str(), Mode::from_bits_truncate(0o777)) {
                    Ok(()) | Err(nix::Error::EEXIST) => folder.open_folder(&made)?,
                    Err(error) => return Err(error.into()),
                }
            }
            opened => opened?,
        };
    }
    Ok(parent)
}

/// Moves a file into the archive under a name of its own, which it returns.
fn archive_as(
    parent: &File,
    file_name: &Path,
    archive: &File,
    name: &str,
    stat: Stat,
) -> io::Result<String> {
    let time = Utc::now().format("%Y%m%dT%H%M%SZ");
    for attempt in 0..NAMES_MAX {
        let hash = xxh3_64(format!("{name} {stat:?} {attempt}").as_bytes());
        let archived = format!("{time}-{hash:016x}-{}", plain(name));
        match rename_new(parent, file_name, archive, &archived) {
            Err(nix::Error::EEXIST) => {}
            renamed => return renamed.map(|()| archived).map_err(io::Error::from),
        }
    }
    Err(nix::Error::EEXIST.into())
}

/// Renames a file to a name that no other has.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
fn rename_new(from: &File, name: &Path, to: &File, new_name: &str) -> nix::Result<()> {
    use nix::fcntl::{RenameFlags, renameat2};
    match renameat2(from, name, to, new_name, RenameFlags::RENAME_NOREPLACE) {
        // Old kernels and some file systems can't promise it.
        Err(nix::Error::ENOSYS | nix::Error::EINVAL) => {
            rename_unless_there(from, name, to, new_name)
        }
        renamed => renamed,
    }
}

#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn rename_new(from: &File, name: &Path, to: &File, new_name: &str) -> nix::Result<()> {
    rename_unless_there(from, name, to, new_name)
}

fn rename_unless_there(from: &File, name: &Path, to: &File, new_name: &str) -> nix::Result<()> {
    use nix::fcntl::{AtFlags, renameat};
    use nix::sys::stat::fstatat;
    match fstatat(to, new_name, AtFlags::AT_SYMLINK_NOFOLLOW) {
        Ok(_) => Err(nix::Error::EEXIST),
        Err(nix::Error::ENOENT) => renameat(from, name, to, new_name),
        Err(error) => Err(error),
    }
}

/// The end of a file's name, in plain letters.
fn plain(name: &str) -> String {
    let file = name.rsplit('/').next().unwrap_or(name);
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    let plain: String = file.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    plain[plain.len().saturating_sub(NAME_BYTES_MAX)..].to_owned()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn an_archived_name_is_plain_and_short_and_keeps_the_ending() {
        assert_eq!(plain("in/a b\\x0aé;.csv"), "a_b_x0a__.csv");
        let long = plain(&format!("{}.csv.gz", "x".repeat(255)));
        assert!(long.len() == NAME_BYTES_MAX && long.ends_with("x.csv.gz"));
    }

    #[test]
    fn no_file_is_written_over() {
        let folder = tempfile::tempdir().unwrap();
        let handle = File::open(folder.path()).unwrap();
        for rename in [rename_new, rename_unless_there] {
            fs::write(folder.path().join("a"), "new").unwrap();
            fs::write(folder.path().join("b"), "old").unwrap();
            let renamed = rename(&handle, Path::new("a"), &handle, "b");
            assert_eq!(renamed, Err(nix::Error::EEXIST));
            assert_eq!(fs::read(folder.path().join("b")).unwrap(), b"old");
            assert_eq!(rename(&handle, Path::new("a"), &handle, "c"), Ok(()));
            fs::remove_file(folder.path().join("c")).unwrap();
        }
    }
}
