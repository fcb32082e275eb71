//! Folders and files that only one account can enter, also in places where anybody can make
//! folders.

pub(crate) mod sockets;

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::unistd::{Uid, geteuid};

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

/// Makes a folder that nobody else can enter, whatever the umask, and returns whether it was not
/// there. One of this account that is there is closed to others. Never by way of a link.
///
/// # Errors
/// When it can't be made, or something else is there.
pub(crate) fn make_closed_folder(path: &Path) -> io::Result<bool> {
    let is_made = match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => true,
        Err(error) if error.kind() == ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error),
    };
    let flags = (OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW).bits();
    let folder = OpenOptions::new().read(true).custom_flags(flags).open(path);
    let folder = folder.map_err(|error| match error.kind() {
        ErrorKind::NotADirectory => {
            io::Error::new(error.kind(), "it is a link, which is not followed, or no folder")
        }
        _ => error,
    });
    close(&folder?)?;
    Ok(is_made)
}

/// Makes a file to read and write that nobody else can open, whatever the umask.
///
/// # Errors
/// When it can't be made; [`ErrorKind::AlreadyExists`] if anything is there.
pub(crate) fn create_file(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(path)?;
    close(&file)?;
    Ok(file)
}

/// Closes a file or folder of this account to others, and leaves what is somebody else's.
///
/// # Errors
/// When its mode can't be asked for or set. A file system that keeps no modes is no error.
pub(crate) fn close(file: &File) -> io::Result<()> {
    let found = file.metadata()?;
    let mode = if found.is_dir() { 0o700 } else { 0o600 };
    if Uid::from_raw(found.uid()) != geteuid() || found.mode() & 0o7777 == mode {
        return Ok(());
    }
    match file.set_permissions(Permissions::from_mode(mode)) {
        Err(error) if error.kind() != ErrorKind::PermissionDenied => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn what_is_made_is_closed_to_others_and_what_was_there_becomes_so() {
        let parent = tempfile::tempdir().unwrap();
        let mode = |path: &Path| path.symlink_metadata().unwrap().mode() & 0o7777;
        let loosen = |path: &Path, mode| {
            fs::set_permissions(path, Permissions::from_mode(mode)).unwrap();
        };
        let folder = parent.path().join("folder");
        assert!(make_closed_folder(&folder).unwrap());
        assert_eq!(mode(&folder), 0o700);
        loosen(&folder, 0o2777);
        assert!(!make_closed_folder(&folder).unwrap());
        assert_eq!(mode(&folder), 0o700);

        let file = folder.join("file");
        drop(create_file(&file).unwrap());
        assert_eq!(mode(&file), 0o600);
        loosen(&file, 0o644);
        assert_eq!(create_file(&file).unwrap_err().kind(), ErrorKind::AlreadyExists);
        assert_eq!(mode(&file), 0o644, "it may be somebody else's");
        close(&File::open(&file).unwrap()).unwrap();
        assert_eq!(mode(&file), 0o600);

        let target = parent.path().join("target");
        fs::create_dir(&target).unwrap();
        loosen(&target, 0o755);
        let link = parent.path().join("link");
        std::os::unix::fs::symlink(&target, &link).unwrap();
        assert!(make_closed_folder(&link).is_err());
        assert_eq!(mode(&target), 0o755);
    }
}
