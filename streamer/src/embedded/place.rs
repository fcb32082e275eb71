//! Where the server's files are.
//!
//! ```text
//! home/owner.lock      held by the streamer that owns the server
//! home/server.lock     held by initdb and by every process of the server
//! home/postgresql.log  what the server says
//! home/data/           the data folder
//! home/socket/         the folder of the socket; below /tmp when home is too deep
//! ```

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use nix::unistd::geteuid;
use xxhash_rust::xxh3::xxh3_64;

use super::EmbeddedError;
use super::account::Account;
use crate::private;

/// Where data go that the server's account can't reach elsewhere.
const SHARED_HOMES: &str = "/var/lib/streamer";

/// The longest path of a socket that all systems take: 107 bytes on Linux, 103 on macOS.
const SOCKET_PATH_MAX: usize = 103;

/// What PostgreSQL adds to the folder of the socket, at its longest.
const SOCKET_NAME: &str = "/.s.PGSQL.65535";

/// The files of one server, and who runs it.
#[derive(Debug)]
pub(super) struct Place {
    home: PathBuf,
    pub(super) account: Account,
}

/// Where a server listens, by its own account of it.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) port: u16,
    pub(super) socket: PathBuf,
}

impl Place {
    /// The place at `asked`, or another one when the account that runs the server can't get there.
    /// The folder exists afterwards.
    pub(super) fn find(asked: &Path) -> Result<Place, EmbeddedError> {
        let absolute = std::path::absolute(asked).map_err(io_at(asked))?;
        if absolute.as_os_str().as_bytes().contains(&b'\n') {
            return Err(EmbeddedError::LineBreak { path: absolute });
        }
        if let Some(parent) = absolute.parent() {
            fs::create_dir_all(parent).map_err(io_at(parent))?;
        }
        // Root's server runs as another account, which must get through.
        let mode = if geteuid().is_root() { 0o711 } else { 0o700 };
        make_folder(&absolute, mode)?;
        refuse_foreign(&absolute)?;
        let home = absolute.canonicalize().map_err(io_at(&absolute))?;
        let place = Place::at(home)?;
        if !place.account.switched || place.account.can_enter(&place.home) {
            return Ok(place);
        }
        let name = format!("{:016x}", xxh3_64(place.home.as_os_str().as_bytes()));
        let instead = Path::new(SHARED_HOMES).join(name);
        make_folder(Path::new(SHARED_HOMES), 0o711)?;
        make_folder(&instead, 0o711)?;
        refuse_foreign(&instead)?;
        let other = Place::at(instead)?;
        if !other.account.can_enter(&other.home) {
            let (account, home, instead) = (other.account.name, place.home, other.home);
            return Err(EmbeddedError::Unreachable { account, home, instead });
        }
        tracing::warn!(
            "PostgreSQL's files are in {}, not in {}, which the account {} can't reach",
            other.home.display(),
            place.home.display(),
            other.account.name
        );
        // An empty folder would only mislead. It stays if there is anything in it.
        let _ = fs::remove_dir(&place.home);
        Ok(other)
    }

    fn at(home: PathBuf) -> Result<Place, EmbeddedError> {
        let account = Account::for_data(&home.join("data"))?;
        Ok(Place { home, account })
    }

    pub(super) fn home(&self) -> &Path {
        &self.home
    }

    pub(super) fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    pub(super) fn owner_lock(&self) -> PathBuf {
        self.home.join("owner.lock")
    }

    pub(super) fn server_lock(&self) -> PathBuf {
        self.home.join("server.lock")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.home.join("postgresql.log")
    }

    /// The major version that made the data folder; none if there is no data folder.
    pub(super) fn version(&self) -> Result<Option<u32>, EmbeddedError> {
        let path = self.data().join("PG_VERSION");
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_at(&path)(error)),
        };
        let major = text.trim().split('.').next().unwrap_or_default().parse();
        major.map(Some).map_err(|error| io_at(&path)(io::Error::new(ErrorKind::InvalidData, error)))
    }

    /// The file in which the last server to run here wrote its process id and where it listens.
    pub(super) fn pid_file(&self) -> PathBuf {
        self.data().join("postmaster.pid")
    }

    /// Where the last server to run here listened, as far as it got; whether it lives is not known.
    pub(super) fn address(&self) -> Option<Address> {
        Address::parse(&fs::read(self.pid_file()).ok()?)
    }

    /// Where the socket is to be: inside the home unless the path is too long for a socket, holds a
    /// comma (which separates hosts for psql), or is no UTF-8 (which sqlx needs).
    fn socket_folder(&self) -> PathBuf {
        let inside = self.home.join("socket");
        let fits =
            |path: &str| path.len() + SOCKET_NAME.len() <= SOCKET_PATH_MAX && !path.contains(',');
        if inside.to_str().is_some_and(fits) {
            return inside;
        }
        let id = xxh3_64(self.home.as_os_str().as_bytes());
        PathBuf::from(format!("/tmp/streamer-{}-{id:016x}", self.account.uid))
    }

    /// The folder for the socket, empty. No server may be running.
    ///
    /// This folder is the access control: the server lets in, without a password, whoever gets to
    /// its socket. Mode 0700 leaves that to its owner and to root.
    pub(super) fn empty_socket_folder(&self) -> Result<PathBuf, EmbeddedError> {
        let folder = self.socket_folder();
        let at = io_at(&folder);
        let owner = private::make_folder(&folder, &[self.account.uid, geteuid()]).map_err(&at)?;
        let Some(owner) = owner else { return Err(EmbeddedError::SocketFolder { path: folder }) };
        if owner != self.account.uid {
            self.account.give(&folder).map_err(&at)?;
        }
        for entry in fs::read_dir(&folder).map_err(&at)? {
            fs::remove_file(entry.map_err(&at)?.path()).map_err(&at)?;
        }
        Ok(folder)
    }
}

impl Address {
    /// Reads a `postmaster.pid`: process, data folder, start time, port, folder of the socket, one
    /// to a line. A server that does not listen yet has written fewer lines.
    fn parse(file: &[u8]) -> Option<Address> {
        let mut lines = file.split(|byte| *byte == b'\n');
        let port = std::str::from_utf8(lines.nth(3)?).ok()?.trim().parse().ok()?;
        let socket = lines.next().filter(|line| !line.is_empty())?;
        Some(Address { port, socket: PathBuf::from(OsStr::from_bytes(socket)) })
    }
}

/// An error about `path`.
pub(super) fn io_at(path: &Path) -> impl Fn(io::Error) -> EmbeddedError + use<> {
    let path = path.to_path_buf();
    move |source| EmbeddedError::File { path: path.clone(), source }
}

/// Makes a folder of exactly this mode, whatever the umask. One that is there stays as it is.
pub(super) fn make_folder(path: &Path, mode: u32) -> Result<(), EmbeddedError> {
    match fs::create_dir(path) {
        Ok(()) => fs::set_permissions(path, Permissions::from_mode(mode)).map_err(io_at(path)),
        Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        Err(error) => Err(io_at(path)(error)),
    }
}

/// Refuses a home that somebody else made or may write in: its files would have us start what they
/// like, or send records where they like.
fn refuse_foreign(home: &Path) -> Result<(), EmbeddedError> {
    let found = home.symlink_metadata().map_err(io_at(home))?;
    if !found.is_dir() || found.uid() != geteuid().as_raw() || found.mode() & 0o022 != 0 {
        return Err(EmbeddedError::ForeignHome { path: home.to_path_buf() });
    }
    Ok(())
}

/// A file to lock.
pub(super) fn open_lock(path: &Path) -> Result<File, EmbeddedError> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    options.open(path).map_err(io_at(path))
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn the_address_is_read_from_a_postmaster_pid() {
        let file = b"4711\n/my data\n1763700000\n5432\n/my socket\n\n  5432001  65538\nready   \n";
        let address = Address::parse(file).unwrap();
        assert_eq!(address.port, 5432);
        assert_eq!(address.socket.to_str(), Some("/my socket"));
    }

    #[test]
    fn a_server_that_does_not_listen_yet_has_no_address() {
        assert!(Address::parse(b"").is_none());
        assert!(Address::parse(b"4711\n/data\n1763700000\n5432\n").is_none());
        assert!(Address::parse(b"4711\n/data\n1763700000\n5432\n\n\n").is_none());
    }
}
