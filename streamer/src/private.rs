//! Folders that only one account can enter, in places where anybody can make folders.

use std::fs::DirBuilder;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

use nix::unistd::Uid;

/// Makes the folder, unless it is there, and says whose it is. None if it is not to be used:
/// anybody could have made a folder or symlink of this name before us, so one that is there must be
/// a folder, of one of `owners`, and closed to others; then nobody else can replace it either.
pub(crate) fn make_folder(folder: &Path, owners: &[Uid]) -> io::Result<Option<Uid>> {
    match DirBuilder::new().mode(0o700).create(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
        _ => {}
    }
    let found = folder.symlink_metadata()?;
    let owner = Uid::from_raw(found.uid());
    let is_private = found.is_dir() && owners.contains(&owner) && found.mode() & 0o077 == 0;
    Ok(is_private.then_some(owner))
}
