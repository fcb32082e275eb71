//! A file on its way to its name: written under a temporary name in the same folder, synced, and
//! only then given its own. No file is ever replaced, and none is left half-made.

use chrono::Utc;
use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::path::{Path, PathBuf};

/// A file under its temporary name; removed when dropped, so unless published nothing remains.
#[derive(Debug)]
pub(crate) struct Draft {
    folder: PathBuf,
    /// The final name without suffix and ending.
    stem: String,
    suffix: u32,
    temporary: PathBuf,
    file: File,
}

impl Draft {
    /// The temporary name also reserves the final one among generators at work at the same time,
    /// as it is the final name with a dot before and `.part` behind.
    pub(crate) fn create(folder: &Path, dataset: &str) -> io::Result<Self> {
        let stem = format!("{dataset}_{}", Utc::now().format("%Y%m%d_%H%M%S"));
        for suffix in 0..=u32::MAX {
            let name = file_name(&stem, suffix);
            if folder.join(&name).try_exists()? {
                continue;
            }
            let temporary = folder.join(format!(".{name}.part"));
            let file = match OpenOptions::new().write(true).create_new(true).open(&temporary) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            let draft =
                Self { folder: folder.to_owned(), stem: stem.clone(), suffix, temporary, file };
            // Another generator may have published between the look and the reservation.
            if !folder.join(name).try_exists()? {
                return Ok(draft);
            }
        }
        Err(io::Error::from(ErrorKind::AlreadyExists))
    }

    /// The final name, if nobody else takes it meanwhile.
    pub(crate) fn path(&self) -> PathBuf {
        self.folder.join(file_name(&self.stem, self.suffix))
    }

    /// Writes `chunks` until there are no more, and syncs the file.
    pub(crate) fn fill(&mut self, chunks: impl IntoIterator<Item = Vec<u8>>) -> io::Result<()> {
        for chunk in chunks {
            self.file.write_all(&chunk)?;
        }
        self.file.sync_all()
    }

    /// Gives the file its final name or the next free one. A hard link is the portable way that
    /// never replaces a file. Where there are no hard links, the reservation and a look at the
    /// folder must do.
    pub(crate) fn publish(mut self) -> io::Result<PathBuf> {
        loop {
            let path = self.path();
            match fs::hard_link(&self.temporary, &path) {
                Ok(()) => return Ok(path),
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(_) if path.try_exists()? => {}
                Err(_) => return fs::rename(&self.temporary, &path).map(|()| path),
            }
            self.suffix =
                self.suffix.checked_add(1).ok_or(io::Error::from(ErrorKind::AlreadyExists))?;
        }
    }
}

impl Drop for Draft {
    /// Once the file has its final name, only the temporary one goes.
    fn drop(&mut self) {
        // Nobody is left to be told: either an error is already on its way, or a rename has taken
        // the temporary name.
        let _ = fs::remove_file(&self.temporary);
    }
}

fn file_name(stem: &str, suffix: u32) -> String {
    match suffix {
        0 => format!("{stem}.csv"),
        _ => format!("{stem}_{suffix}.csv"),
    }
}

/// Makes the names in `folder` survive a loss of power. Systems other than Unix cannot open
/// folders, and some file systems cannot sync them.
pub(crate) fn sync_folder(folder: &Path) -> io::Result<()> {
    if !cfg!(unix) {
        return Ok(());
    }
    match File::open(folder)?.sync_all() {
        Err(error) if matches!(error.kind(), ErrorKind::InvalidInput | ErrorKind::Unsupported) => {
            Ok(())
        }
        synced => synced,
    }
}

/// Says which `step` failed at which path, and what the user can do.
pub(crate) fn failed<'a>(
    step: &'a str,
    path: &'a Path,
) -> impl FnOnce(io::Error) -> anyhow::Error + 'a {
    move |error| {
        let remedy = match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                "free some space there, ask for fewer rows, or choose another folder"
            }
            ErrorKind::PermissionDenied => &may_not_write(path),
            ErrorKind::ReadOnlyFilesystem => "let this user write there, or choose another folder",
            ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
                "a part of this path is a file; choose another folder"
            }
            ErrorKind::NotFound => "the folder is gone; make it again, or choose another one",
            _ => "choose another folder",
        };
        anyhow::Error::new(error).context(format!("cannot {step} {}: {remedy}", path.display()))
    }
}

/// What to do where this account may not write: names it, and the account that may.
fn may_not_write(path: &Path) -> String {
    #[cfg(unix)]
    if let Some(owner) = path.ancestors().find_map(|folder| fs::metadata(folder).ok()) {
        use std::os::unix::fs::MetadataExt;
        let (uid, gid) = (owner.uid(), owner.gid());
        let own = nix::unistd::geteuid();
        return format!(
            "this runs as user {own}, and there user {uid} may write; choose another folder, or make \
             the two one: for a container by HOST_UID={uid} and HOST_GID={gid} in .env, else by chown"
        );
    }
    format!("let this user write in {}, or choose another folder", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn names_that_are_taken_are_passed_over_and_their_files_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut draft = Draft::create(folder.path(), "user_events").unwrap();
        draft.stem = "user_events_20260101_000000".to_owned();
        let first = draft.path();
        fs::write(&first, "mine").unwrap();
        let published = draft.publish().unwrap();
        assert_eq!(published, folder.path().join("user_events_20260101_000000_1.csv"));
        assert_eq!(fs::read_to_string(first).unwrap(), "mine");
        assert_eq!(names(folder.path()).len(), 2);
    }

    #[test]
    fn drafts_at_work_at_the_same_time_have_different_names() {
        let folder = tempfile::tempdir().unwrap();
        let drafts: Vec<Draft> =
            (0..5).map(|_| Draft::create(folder.path(), "user_events").unwrap()).collect();
        let paths: std::collections::HashSet<PathBuf> = drafts.iter().map(Draft::path).collect();
        assert_eq!(paths.len(), 5);
        drop(drafts);
        assert_eq!(names(folder.path()), Vec::<String>::new());
    }

    #[cfg(unix)]
    #[test]
    fn who_may_not_write_is_told_who_may_and_how_to_mend_it() {
        let denied = io::Error::from(ErrorKind::PermissionDenied);
        let error = failed("make a file in", Path::new("/"))(denied).to_string();
        assert!(error.contains("there user 0 may write"), "{error}");
        assert!(error.contains("HOST_UID=0 and HOST_GID=0 in .env"), "{error}");
        let own = format!("this runs as user {},", nix::unistd::geteuid());
        assert!(error.contains(&own), "{error}");
    }

    #[test]
    fn a_failure_names_the_path_and_a_remedy() {
        let full = io::Error::from(ErrorKind::StorageFull);
        let error = failed("write", Path::new("data/x.csv"))(full);
        assert!(error.to_string().starts_with("cannot write data/x.csv: free some space"));
        assert_eq!(error.chain().count(), 2);
    }
}
