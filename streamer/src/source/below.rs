//! Opening what lies below a folder: the folder is a boundary that no link leads out of.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::fcntl::OFlag;

use crate::partition::fingerprint::Stat;

/// Opens the regular file at `path` below `root`: never by way of a link, and so that nothing
/// blocks.
///
/// # Errors
/// When it can't be opened, or is no regular file.
pub fn open_file(root: &Path, path: &Path) -> io::Result<(File, Stat)> {
    let file = open_below(root, path, OFlag::empty())?;
    let metadata = file.metadata()?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    Ok((file, Stat::of(&metadata)))
}

/// Opens `path` below `root`; the kernel itself sees to it that no link leads elsewhere.
#[cfg(target_os = "linux")]
pub(super) fn open_below(root: &Path, path: &Path, flags: OFlag) -> io::Result<File> {
    use nix::fcntl::{OpenHow, ResolveFlag, openat2};
    let root_folder = File::open(root)?;
    let resolve = ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS;
    let all_flags = flags | OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC;
    match openat2(root_folder, path, OpenHow::new().flags(all_flags).resolve(resolve)) {
        // Old kernels and some sandboxes do not have this call.
        Err(nix::Error::ENOSYS | nix::Error::EPERM) => open_plainly(&root.join(path), flags),
        opened => Ok(File::from(opened?)),
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn open_below(root: &Path, path: &Path, flags: OFlag) -> io::Result<File> {
    open_plainly(&root.join(path), flags)
}

/// Opens a path whose last part is no link.
fn open_plainly(path: &Path, flags: OFlag) -> io::Result<File> {
    let flags = (flags | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK).bits();
    OpenOptions::new().read(true).custom_flags(flags).open(path)
}
