//! The settings of the HTTP server and of the spools.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;

use bytesize::ByteSize;
use serde::Deserialize;

use super::{ConfigError, Overrides, TokenSource};
use crate::partition::SPOOL;

/// Where the server listens where nothing is said.
pub const LISTEN_DEFAULT: SocketAddr =
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8080);

/// Settings of the HTTP server and of the spools.
#[derive(Debug, Clone)]
pub struct Server {
    /// Where it is to listen; nothing, if nobody has said.
    pub listen: Option<Listen>,
    /// Bytes that the body of a request has at most, unpacked.
    pub max_body: ByteSize,
    /// Bytes that may wait to be committed, of each stream.
    pub max_spool: ByteSize,
    /// Connections at a time.
    pub max_connections: usize,
    /// The web pages that may post, as browsers name them; `null` is a page opened from disk.
    pub cors_origins: Vec<String>,
    /// Whether the page and what it shows can be read without a token, under the names of this
    /// machine.
    pub open_page: bool,
    /// Whether events can be sent by the page's simulator.
    pub simulator: bool,
    /// Where the tokens are that streams without any of their own ask for.
    pub token: Option<TokenSource>,
}

/// Where to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Nowhere.
    None,
    /// There.
    At(SocketAddr),
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Listen, String> {
        if text == "none" {
            return Ok(Listen::None);
        }
        let numeric = text.replace("localhost:", "127.0.0.1:");
        let error = |_| format!("{text:?} is no address; write \"127.0.0.1:8080\", or \"none\"");
        numeric.parse().map(Listen::At).map_err(error)
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Listen::None => f.write_str("none"),
            Listen::At(address) => write!(f, "{address}"),
        }
    }
}

impl Server {
    /// Whether no other machine can reach it.
    pub fn is_loopback(&self) -> bool {
        is_loopback(self.listen)
    }
}

fn is_loopback(listen: Option<Listen>) -> bool {
    match listen {
        Some(Listen::At(address)) => address.ip().is_loopback(),
        Some(Listen::None) | None => true,
    }
}

/// The same as written in streams.toml.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ServerFile {
    listen: Option<String>,
    spool: Option<PathBuf>,
    max_body: Option<ByteSize>,
    max_spool: Option<ByteSize>,
    max_connections: Option<usize>,
    pub(super) memory: Option<ByteSize>,
    #[serde(default)]
    cors_origins: Vec<String>,
    token_file: Option<PathBuf>,
    open_page: Option<bool>,
    #[serde(default)]
    simulator: bool,
}

/// A path without links and `..`, as far as it is there.
fn resolved(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    let (mut there, mut rest) = (path.as_path(), Vec::new());
    loop {
        if let Ok(real) = there.canonicalize() {
            let back = |path: PathBuf, part| match part {
                Component::ParentDir => path.parent().map_or(path.clone(), Path::to_owned),
                part => path.join(part),
            };
            return rest.into_iter().rev().fold(real, back);
        }
        let (Some(parent), Some(last)) = (there.parent(), there.components().next_back()) else {
            return path;
        };
        rest.push(last);
        there = parent;
    }
}

impl ServerFile {
    /// The folder of the spools: where it is said, else in the data folder under the name that no
    /// pattern reaches into.
    pub(super) fn spool(&self, path: &str, overrides: &Overrides) -> Result<PathBuf, ConfigError> {
        let usual = overrides.data.join(SPOOL);
        let Some(spool) = overrides.spool.clone().or_else(|| self.spool.clone()) else {
            return Ok(usual);
        };
        let (place, data) = (resolved(&spool), resolved(&overrides.data));
        if place != resolved(&usual) && (place.starts_with(&data) || data.starts_with(&place)) {
            return Err(ConfigError::Server {
                path: path.to_owned(),
                setting: "spool",
                message: format!(
                    "must not be in the data folder, whose files are loaded, nor around it, but as {}",
                    usual.display()
                ),
            });
        }
        Ok(spool)
    }

    pub(super) fn checked(self, path: &str, overrides: &Overrides) -> Result<Server, ConfigError> {
        let wrong = |setting, message: String| {
            let path = path.to_owned();
            ConfigError::Server { path, setting, message }
        };
        let listen = self.listen.map(|text| text.parse::<Listen>()).transpose();
        let listen = overrides.listen.or(listen.map_err(|error| wrong("listen", error))?);
        let max_body = self.max_body.unwrap_or(ByteSize::mib(8));
        if !(1..=1 << 30).contains(&max_body.as_u64()) {
            return Err(wrong("max_body", "must be from 1 B to 1 GiB".to_owned()));
        }
        let max_connections = self.max_connections.unwrap_or(1000);
        if max_connections == 0 {
            return Err(wrong("max_connections", "must be at least 1".to_owned()));
        }
        let is_origin = |text: &String| {
            let host = text.split_once("://").map(|(_, host)| host);
            text == "null" || host.is_some_and(|host| !host.is_empty() && !host.contains('/'))
        };
        if let Some(bad) = self.cors_origins.iter().find(|origin| !is_origin(origin)) {
            let message =
                format!("{bad:?} is no origin; write \"https://shop.example\", or \"null\"");
            return Err(wrong("cors_origins", message));
        }
        Ok(Server {
            listen,
            open_page: overrides.open_page.or(self.open_page).unwrap_or(is_loopback(listen)),
            simulator: self.simulator,
            max_body,
            max_spool: self.max_spool.unwrap_or(ByteSize::gib(1)),
            max_connections,
            cors_origins: self.cors_origins,
            token: overrides.token.clone().or(self.token_file.map(TokenSource::File)),
        })
    }
}
