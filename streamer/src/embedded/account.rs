//! Who runs the server, and with what environment.
//!
//! PostgreSQL refuses to run as root. So root runs its programs as another account; anybody else
//! runs them as themselves.

use std::env;
use std::ffi::OsStr;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User, geteuid};

use super::EmbeddedError;

/// Variables that the server's programs get. Others are none of their business: some are settings
/// of PostgreSQL's clients, some are secrets.
const KEPT_VARIABLES: [&str; 4] = ["PATH", "TZ", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH"];

/// The account that runs the server.
#[derive(Debug, Clone)]
pub(super) struct Account {
    pub(super) name: String,
    pub(super) uid: Uid,
    gid: Gid,
    /// Whether it is another account than ours.
    pub(super) switched: bool,
}

impl Account {
    /// For root the owner of `data`, where that exists, else `postgres`, else `nobody`; ourselves
    /// for anybody else.
    ///
    /// # Errors
    /// For root, if there is no such account.
    pub(super) fn for_data(data: &Path) -> Result<Account, EmbeddedError> {
        let (uid, gid) = (geteuid(), nix::unistd::getegid());
        if !uid.is_root() {
            return Ok(Account { name: uid.to_string(), uid, gid, switched: false });
        }
        if let Ok(metadata) = data.symlink_metadata() {
            let (uid, gid) = (Uid::from_raw(metadata.uid()), Gid::from_raw(metadata.gid()));
            if !uid.is_root() {
                let user = User::from_uid(uid).ok().flatten();
                let name = user.map_or_else(|| uid.to_string(), |user| user.name);
                return Ok(Account { name, uid, gid, switched: true });
            }
        }
        let named = |name: &&str| User::from_name(name).ok().flatten();
        let user = ["postgres", "nobody"].iter().find_map(named);
        let user = user.ok_or(EmbeddedError::NoAccount)?;
        Ok(Account { name: user.name, uid: user.uid, gid: user.gid, switched: true })
    }

    /// A command that runs `program` as this account, with nothing to read.
    pub(super) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env_clear().env("LC_ALL", "C").stdin(Stdio::null()).current_dir("/");
        let kept = KEPT_VARIABLES.iter().filter_map(|name| Some((name, env::var_os(name)?)));
        command.envs(kept);
        if self.switched {
            command.uid(self.uid.as_raw()).gid(self.gid.as_raw());
        }
        command
    }

    /// Whether this account can enter `folder`. Not reasoned about but tried: modes, access control
    /// lists, mounts and security modules all have a say.
    pub(super) fn can_enter(&self, folder: &Path) -> bool {
        let mut command = self.command("/bin/sh");
        command.args(["-c", "cd -- \"$1\"", "sh"]).arg(folder);
        let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    }

    /// Makes this account the owner of `path`, a symlink not followed.
    pub(super) fn give(&self, path: &Path) -> io::Result<()> {
        if !self.switched {
            return Ok(());
        }
        std::os::unix::fs::lchown(path, Some(self.uid.as_raw()), Some(self.gid.as_raw()))
    }
}
