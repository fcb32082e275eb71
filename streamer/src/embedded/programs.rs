//! Which PostgreSQL to run.

use std::cmp::Reverse;
use std::env;
use std::fs;
use std::path::{Path, PathBuf};

use super::EmbeddedError;
use super::fetch;
use super::place::Place;

/// Names the folder of the programs to use.
const BIN_VARIABLE: &str = "STREAMER_PG_BIN";

/// Where installers put PostgreSQL: in a folder below the first whose name begins with the second,
/// the programs being in its `bin`.
const INSTALLED: [(&str, &str); 6] = [
    ("/usr/lib/postgresql", ""),                          // Debian
    ("/usr", "pgsql-"),                                   // Red Hat
    ("/opt/homebrew/opt", "postgresql"),                  // Homebrew
    ("/usr/local/opt", "postgresql"),                     // Homebrew on Intel
    ("/Library/PostgreSQL", ""),                          // EnterpriseDB
    ("/Applications/Postgres.app/Contents/Versions", ""), // Postgres.app
];

/// The programs of one PostgreSQL.
#[derive(Debug)]
pub(super) struct Programs {
    pub(super) bin: PathBuf,
    major: u32,
}

impl Programs {
    /// The programs to use: the ones named by `STREAMER_PG_BIN`, else installed ones, the first on
    /// PATH before the newest, else ones fetched from the internet. They are of major version
    /// `wanted` if that is given, and the server's account can run them.
    pub(super) async fn find(
        place: &Place,
        wanted: Option<u32>,
    ) -> Result<Programs, EmbeddedError> {
        let fits = |programs: &Programs| wanted.is_none_or(|wanted| wanted == programs.major);
        let other_version =
            |wanted, found| Err(EmbeddedError::OtherVersion { data: place.data(), wanted, found });
        if let Some(bin) = env::var_os(BIN_VARIABLE) {
            let bin = PathBuf::from(bin);
            let bin = bin.canonicalize().unwrap_or(bin);
            let programs = Programs::probe(place, bin.clone()).await;
            let programs =
                programs.map_err(|reason| EmbeddedError::NoProgramsThere { bin, reason })?;
            return match wanted {
                Some(wanted) if !fits(&programs) => other_version(
                    wanted,
                    format!("STREAMER_PG_BIN is PostgreSQL {}", programs.major),
                ),
                _ => Ok(programs),
            };
        }
        let found = installed(place).await;
        let majors: Vec<String> = found.iter().map(|found| found.major.to_string()).collect();
        if let Some(programs) = found.into_iter().find(fits) {
            return Ok(programs);
        }
        match wanted {
            Some(wanted) if wanted != fetch::MAJOR && majors.is_empty() => {
                other_version(wanted, "no PostgreSQL is installed".to_owned())
            }
            Some(wanted) if wanted != fetch::MAJOR => {
                other_version(wanted, format!("installed is PostgreSQL {}", majors.join(" and ")))
            }
            _ => fetched(place).await,
        }
    }

    /// Asks the programs in `bin` for their version, and so whether they run.
    async fn probe(place: &Place, bin: PathBuf) -> Result<Programs, String> {
        if !bin.join("initdb").is_file() {
            return Err("there is no initdb".to_owned());
        }
        let mut command = place.account.command(bin.join("postgres"));
        command.arg("--version");
        let output = tokio::process::Command::from(command).output().await;
        let output = output.map_err(|error| format!("run postgres: {error}"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        match major(&text) {
            Some(major) => Ok(Programs { bin, major }),
            None => Err(format!("postgres says {text}{}", String::from_utf8_lossy(&output.stderr))),
        }
    }
}

/// All that is installed and runs: first the one on PATH, then the newest.
async fn installed(place: &Place) -> Vec<Programs> {
    let first = on_path("initdb").and_then(|initdb| Some(initdb.parent()?.to_path_buf()));
    let mut all = Vec::new();
    for bin in first.iter().cloned().chain(installed_folders()) {
        match Programs::probe(place, bin.clone()).await {
            Ok(programs) => all.push(programs),
            Err(reason) => tracing::debug!("no usable PostgreSQL in {}: {reason}", bin.display()),
        }
    }
    all.sort_by_key(|programs| (first.as_ref() != Some(&programs.bin), Reverse(programs.major)));
    all.dedup_by(|a, b| a.bin == b.bin);
    all
}

async fn fetched(place: &Place) -> Result<Programs, EmbeddedError> {
    let no_programs = |reason| EmbeddedError::NoPrograms { version: fetch::VERSION, reason };
    let bin = fetch::programs(place).await.map_err(no_programs)?;
    Programs::probe(place, bin).await.map_err(no_programs)
}

/// The `psql` to look inside with; just its name if it is on PATH or nowhere.
pub(super) fn psql() -> PathBuf {
    let name = PathBuf::from("psql");
    if on_path("psql").is_some() {
        return name;
    }
    let named = env::var_os(BIN_VARIABLE).map(PathBuf::from);
    let mut candidates = named.into_iter().chain(installed_folders()).map(|bin| bin.join("psql"));
    candidates.find(|psql| psql.is_file()).unwrap_or(name)
}

fn installed_folders() -> impl Iterator<Item = PathBuf> {
    INSTALLED.iter().flat_map(|(parent, prefix)| {
        let entries = fs::read_dir(parent).into_iter().flatten().flatten();
        let named =
            entries.filter(move |entry| entry.file_name().to_string_lossy().starts_with(prefix));
        named.filter_map(|entry| entry.path().join("bin").canonicalize().ok())
    })
}

/// The file that `name` stands for in a shell, symlinks resolved.
fn on_path(name: &str) -> Option<PathBuf> {
    let is_file = |path: &PathBuf| Path::is_file(path);
    let path = env::var_os("PATH")?;
    let found = env::split_paths(&path).map(|folder| folder.join(name)).find(is_file)?;
    found.canonicalize().ok()
}

/// The major version in what `postgres --version` writes.
fn major(text: &str) -> Option<u32> {
    let version = text.strip_prefix("postgres (PostgreSQL) ")?;
    let digits = version.split(|c: char| !c.is_ascii_digit()).next()?;
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::major;

    #[test]
    fn the_major_version_is_read_from_what_postgres_says() {
        assert_eq!(major("postgres (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)\n"), Some(15));
        assert_eq!(major("postgres (PostgreSQL) 18beta2\n"), Some(18));
        assert_eq!(major("command not found"), None);
    }
}
