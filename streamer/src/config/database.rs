//! The settings of the database.

use std::fmt;

use serde::Deserialize;

use super::{ConfigError, Overrides};

/// How many connections micro-batches have where nothing is said.
pub const CONNECTIONS_DEFAULT: usize = 10;

/// The least: while one waits for a lock, another goes on.
const CONNECTIONS_MIN: usize = 2;

/// The most.
const CONNECTIONS_MAX: usize = 1000;

/// A connection URL. It may hold a password, so it is never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct DatabaseUrl(pub String);

impl DatabaseUrl {
    /// Whether a password is in it.
    pub fn has_password(&self) -> bool {
        let rest = self.0.split_once("://").map_or(self.0.as_str(), |(_, rest)| rest);
        let user = rest.rsplit_once('@').map_or("", |(user, _)| user);
        user.contains(':') || rest.contains("password=")
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DatabaseUrl(…)")
    }
}

impl std::str::FromStr for DatabaseUrl {
    type Err = std::convert::Infallible;

    fn from_str(url: &str) -> Result<Self, Self::Err> {
        Ok(DatabaseUrl(url.to_owned()))
    }
}

/// The settings as written in streams.toml.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DatabaseFile {
    pub(super) url: Option<DatabaseUrl>,
    connections: Option<usize>,
}

impl DatabaseFile {
    /// How many connections micro-batches have at most.
    pub(super) fn connections(
        &self,
        path: &str,
        overrides: &Overrides,
    ) -> Result<usize, ConfigError> {
        let connections = overrides.connections.or(self.connections).unwrap_or(CONNECTIONS_DEFAULT);
        if (CONNECTIONS_MIN..=CONNECTIONS_MAX).contains(&connections) {
            return Ok(connections);
        }
        Err(ConfigError::Database {
            path: path.to_owned(),
            setting: "connections",
            message: format!("must be from {CONNECTIONS_MIN} to {CONNECTIONS_MAX}"),
        })
    }
}
