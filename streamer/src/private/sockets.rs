//! Where the sockets of this account's streamers are: a folder in /tmp that others can't enter.
//!
//! What a streamer that was killed has left there is cleared by a later one. Whether the owner
//! lives is told by a lock or by its answer, never by a process number: containers may share the
//! folder but not the numbers.

use std::fs::{self, DirEntry, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::fcntl::OFlag;
use nix::unistd::geteuid;
use tempfile::TempDir;
use tokio::net::UnixStream;

use super::make_folder;

/// How the name of a socket by which a streamer tells how it is begins.
pub(crate) const HEALTH: &str = "health-";

/// How the name of a folder for a socket of one connection begins.
const TUNNEL: &str = "tunnel-";

/// The file that is locked for as long as its folder is in use, and the one that is while what is
/// in the account's folder is looked at and changed.
const LOCK: &str = "lock";

/// How long to wait for others, who need an instant unless they hang.
const WAITS: (u32, Duration) = (50, Duration::from_millis(20));

/// A folder for a socket; it goes when this is dropped.
pub(crate) struct SocketFolder {
    folder: TempDir,
    _lock: File,
}

/// The folder of this account, which may not be there yet.
pub(crate) fn account_folder() -> PathBuf {
    PathBuf::from(format!("/tmp/streamer-{}", geteuid()))
}

/// Makes the folder of this account.
///
/// # Errors
/// When it can't be made, or somebody else has.
pub(crate) fn make_account_folder() -> io::Result<PathBuf> {
    let folder = account_folder();
    if make_folder(&folder, &[geteuid()])?.is_none() {
        let message = format!("{} is not a private folder of this account", folder.display());
        return Err(io::Error::new(ErrorKind::PermissionDenied, message));
    }
    Ok(folder)
}

/// Keeps the other streamers of this account from changing what is in their folder, until this is
/// dropped. None if one of them hangs meanwhile.
pub(crate) async fn hold(folder: &Path) -> Option<File> {
    let file = open_lock(&folder.join(LOCK)).ok()?;
    for _ in 0..WAITS.0 {
        if file.try_lock().is_ok() {
            return Some(file);
        }
        tokio::time::sleep(WAITS.1).await;
    }
    None
}

/// Removes what streamers of this account that live no more have left behind.
///
/// # Errors
/// When there is no folder for it.
pub(crate) async fn clear_leftovers() -> io::Result<()> {
    clear(&make_account_folder()?).await
}

async fn clear(folder: &Path) -> io::Result<()> {
    let Some(_held) = hold(folder).await else { return Ok(()) };
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if let Err(error) = clear_if_left(&entry).await {
            tracing::debug!("{} stays: {error}", entry.path().display());
        }
    }
    Ok(())
}

async fn clear_if_left(entry: &DirEntry) -> io::Result<()> {
    let (path, name, found) = (entry.path(), entry.file_name(), entry.metadata()?);
    let begins = |with: &str| name.as_encoded_bytes().starts_with(with.as_bytes());
    if found.uid() != geteuid().as_raw() {
        return Ok(());
    }
    if found.is_dir() && begins(TUNNEL) {
        return match OpenOptions::new().read(true).custom_flags(NOFOLLOW).open(path.join(LOCK)) {
            Ok(lock) if lock.try_lock().is_ok() => fs::remove_dir_all(&path),
            // Its owner has just made it, or got no further.
            Err(error) if error.kind() == ErrorKind::NotFound => fs::remove_dir(&path),
            other => other.map(drop),
        };
    }
    if found.file_type().is_socket() && begins(HEALTH) {
        let called = UnixStream::connect(&path).await;
        if called.is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused) {
            return fs::remove_file(&path);
        }
    }
    Ok(())
}

const NOFOLLOW: i32 = OFlag::O_NOFOLLOW.bits();

/// A file to lock, never by way of a link.
fn open_lock(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false).mode(0o600).custom_flags(NOFOLLOW).open(path)
}

impl SocketFolder {
    /// Makes one that nobody else can enter, whatever the umask.
    ///
    /// # Errors
    /// When there is no place for it.
    pub(crate) fn make() -> io::Result<SocketFolder> {
        // Without the account's folder it is one among others, and nobody clears it.
        let parent = make_account_folder().unwrap_or_else(|_| std::env::temp_dir());
        SocketFolder::make_in(&parent)
    }

    fn make_in(parent: &Path) -> io::Result<SocketFolder> {
        let mode = fs::Permissions::from_mode(0o700);
        let prefix = format!("{TUNNEL}{}-", std::process::id());
        loop {
            let mut builder = tempfile::Builder::new();
            let folder = builder.prefix(&prefix).permissions(mode.clone()).tempdir_in(parent)?;
            // Before it is locked, somebody may take it for a leftover.
            let lock = match open_lock(&folder.path().join(LOCK)) {
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                opened => opened?,
            };
            if lock.try_lock().is_ok() && lock.metadata()?.nlink() > 0 {
                return Ok(SocketFolder { folder, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[tokio::test]
    async fn leftovers_are_cleared_and_all_else_stays() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let living = SocketFolder::make_in(parent).unwrap();
        let _listener = UnixListener::bind(living.path().join("socket")).unwrap();
        assert_eq!(living.path().metadata().unwrap().mode() & 0o7777, 0o700);
        let _answering = UnixListener::bind(parent.join("health-1.sock")).unwrap();
        let stays = |name: &str| fs::write(parent.join(name), "").unwrap();
        let goes = |name: &str| fs::create_dir(parent.join(name)).unwrap();
        drop(UnixListener::bind(parent.join("health-2.sock")).unwrap());
        goes("tunnel-1-killed");
        fs::write(parent.join("tunnel-1-killed/lock"), "").unwrap();
        drop(UnixListener::bind(parent.join("tunnel-1-killed/socket")).unwrap());
        goes("tunnel-2-begun");
        stays("health-3.sock");
        drop(UnixListener::bind(parent.join("other.sock")).unwrap());
        let elsewhere = tempfile::tempdir().unwrap();
        fs::write(elsewhere.path().join(LOCK), "").unwrap();
        std::os::unix::fs::symlink(elsewhere.path(), parent.join("tunnel-3-link")).unwrap();
        clear(parent).await.unwrap();
        let entries = fs::read_dir(parent).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = entries.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        let mine = living.path().file_name().unwrap().to_str().unwrap();
        let mut expected =
            ["health-1.sock", "health-3.sock", LOCK, "other.sock", "tunnel-3-link", mine];
        expected.sort_unstable();
        assert_eq!(names, expected);
        assert!(elsewhere.path().join(LOCK).exists());
        drop(living);
        assert_eq!(fs::read_dir(parent).unwrap().count(), 5);
    }

    #[tokio::test]
    async fn only_one_at_a_time_changes_what_is_there() {
        let folder = tempfile::tempdir().unwrap();
        let held = hold(folder.path()).await.unwrap();
        drop(UnixListener::bind(folder.path().join("health-1.sock")).unwrap());
        clear(folder.path()).await.unwrap();
        assert!(folder.path().join("health-1.sock").exists());
        drop(held);
        clear(folder.path()).await.unwrap();
        assert!(!folder.path().join("health-1.sock").exists());
    }
}
