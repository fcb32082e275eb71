//! Whose server it is. PostgreSQL refuses to run as root, so root has another account run it.

use std::fs::{self, DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use nix::unistd::{User, geteuid};
use xxhash_rust::xxh3::xxh3_64;

use super::programs::without_settings;

/// Accounts that run the server for root, the first that exists.
const ACCOUNTS: [&str; 2] = ["postgres", "nobody"];

/// Where root's server is kept when its account can't reach the data folder.
const SHARED_FOLDER: &str = "/var/lib/streamer";

/// The account that runs the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Account {
    uid: u32,
    /// The group to switch to, if it is not our own account.
    switch_gid: Option<u32>,
}

impl Account {
    /// Our own, or for root one of those made for such things.
    pub(super) fn choose() -> io::Result<Account> {
        let own = geteuid();
        if !own.is_root() {
            return Ok(Account { uid: own.as_raw(), switch_gid: None });
        }
        for name in ACCOUNTS {
            if let Some(user) = User::from_name(name)? {
                return Ok(Account { uid: user.uid.as_raw(), switch_gid: Some(user.gid.as_raw()) });
            }
        }
        Err(io::Error::other(
            "root can't run PostgreSQL, and there is no account postgres or nobody",
        ))
    }

    /// A program that runs as this account, with nothing of the terminal and no stray settings.
    pub(super) fn command(self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        without_settings(&mut command).stdin(Stdio::null()).current_dir("/");
        if let Some(gid) = self.switch_gid {
            command.uid(self.uid).gid(gid);
        }
        command
    }

    /// Makes a folder of this account that no other can look into.
    pub(super) fn make_private(self, folder: &Path) -> io::Result<()> {
        match DirBuilder::new().mode(0o700).create(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        let metadata = fs::symlink_metadata(folder)?;
        if !metadata.is_dir() || ![self.uid, geteuid().as_raw()].contains(&metadata.uid()) {
            return Err(io::Error::other("it is somebody else's"));
        }
        fs::set_permissions(folder, Permissions::from_mode(0o700))?;
        self.own(folder)
    }

    /// Gives a file or folder to this account.
    pub(super) fn own(self, path: &Path) -> io::Result<()> {
        match self.switch_gid {
            Some(gid) => chown(path, Some(self.uid), Some(gid)),
            None => Ok(()),
        }
    }

    /// Makes `home`, or a stand-in for it if this account can't reach it.
    pub(super) fn reachable_home(self, home: &Path) -> io::Result<PathBuf> {
        fs::create_dir_all(home)?;
        let home = fs::canonicalize(home)?;
        if self.switch_gid.is_none() {
            fs::set_permissions(&home, Permissions::from_mode(0o700))?;
            return Ok(home);
        }
        // The folders in it are private; its account only has to pass through.
        fs::set_permissions(&home, Permissions::from_mode(0o711))?;
        if self.reaches(&home)? {
            return Ok(home);
        }
        let shared = Path::new(SHARED_FOLDER);
        fs::create_dir_all(shared)?;
        fs::set_permissions(shared, Permissions::from_mode(0o711))?;
        let stand_in = shared.join(short_name(&home));
        fs::create_dir_all(&stand_in)?;
        fs::set_permissions(&stand_in, Permissions::from_mode(0o711))?;
        Ok(stand_in)
    }

    fn reaches(self, folder: &Path) -> io::Result<bool> {
        let mut test = self.command("sh");
        test.args(["-c", "cd -- \"$1\"", "sh"]).arg(folder).stderr(Stdio::null());
        Ok(test.status()?.success())
    }
}

/// A short name that stands for a path.
pub(super) fn short_name(path: &Path) -> String {
    format!("{:016x}", xxh3_64(path.as_os_str().as_encoded_bytes()))
}
