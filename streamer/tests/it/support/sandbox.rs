//! Namespaces of a process's own, in which file systems and limits can be changed without harm.
//! They need root, or a system on which everybody may make user namespaces.

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::unistd::{getegid, geteuid};

use super::Running;

/// What is done in the namespaces before the program starts, as the root of them: shell commands.
pub(crate) struct Sandbox {
    setup: String,
}

impl Sandbox {
    /// `folder` is a file system of its own, of so many MiB.
    pub(crate) fn small_disk(folder: &Path, mebibytes: u32) -> Sandbox {
        let folder = folder.display();
        Sandbox { setup: format!("mount -t tmpfs -o size={mebibytes}m,mode=755 none '{folder}'") }
    }

    /// Nothing in `folder` can be changed.
    pub(crate) fn read_only(folder: &Path) -> Sandbox {
        let folder = folder.display();
        let setup =
            format!("mount --bind '{folder}' '{folder}' && mount -o remount,ro,bind '{folder}'");
        Sandbox { setup }
    }

    /// No folder can be watched, because there are too many watches already.
    pub(crate) fn without_notifications() -> Sandbox {
        Sandbox { setup: "echo 0 > /proc/sys/user/max_inotify_watches".to_owned() }
    }

    /// No more than so many files can be open.
    pub(crate) fn few_files(number: u32) -> Sandbox {
        Sandbox { setup: format!("ulimit -n {number}") }
    }

    /// The same command, inside.
    pub(crate) fn wrap(&self, command: &Command) -> Command {
        let (uid, gid) = (geteuid(), getegid());
        // The limits are those of a user namespace; mounting needs none where one is root.
        let is_root = uid.is_root() && !self.setup.contains("/proc/sys/user");
        let mut wrapped = Command::new("unshare");
        wrapped.args(if is_root { &["-m"][..] } else { &["-m", "-r"] });
        // Inside, back to the account that one is outside.
        let back = match is_root || uid.is_root() {
            true => String::new(),
            false => format!("unshare --map-user={uid} --map-group={gid}"),
        };
        let why = "this test needs root, or the right of everybody to make user namespaces";
        let script =
            format!("{{ {}; }} || {{ echo '{why}' >&2; exit 9; }}; exec {back} \"$@\"", self.setup);
        wrapped
            .args(["sh", "-c", &script, "sh"])
            .arg(command.get_program())
            .args(command.get_args());
        wrapped.current_dir("/");
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(name, value),
                None => wrapped.env_remove(name),
            };
        }
        wrapped
    }

    /// Where `path` inside is to be found from outside.
    pub(crate) fn path(running: &Running, path: &Path) -> PathBuf {
        let below = path.strip_prefix("/").expect("a path from the root");
        Path::new("/proc").join(running.id().to_string()).join("root").join(below)
    }
}
