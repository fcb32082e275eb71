//! The settings of a stream's lines by TCP.

use std::net::SocketAddr;
use std::time::Duration;

use super::Wrong;
use super::groups::TcpListen;

/// Who sends nothing for so long has gone, or has forgotten the connection.
const IDLE_DEFAULT: Duration = Duration::from_secs(5 * 60);

/// A longer time is a mistake, and one that can't be reckoned with.
const IDLE_MAX: Duration = Duration::from_secs(365 * 24 * 3600);

const CONNECTIONS_DEFAULT: usize = 1000;

/// What is written of a listener.
pub(super) struct Written<'w> {
    pub(super) address: Option<&'w str>,
    pub(super) is_open_to_all: bool,
    pub(super) idle: Option<Duration>,
    pub(super) connections: Option<usize>,
}

/// An address for everybody only if that is said: who sends lines shows no token.
pub(super) fn tcp_listen(written: &Written<'_>) -> Result<Option<TcpListen>, Wrong> {
    let Some(text) = written.address else {
        let idle = written.idle.map(|_| "tcp_idle");
        let setting = idle.or(written.connections.map(|_| "tcp_connections"));
        return setting.map_or(Ok(None), |setting| {
            Err((setting, "has a meaning only with tcp_listen".to_owned()))
        });
    };
    let wrong = |message: String| ("tcp_listen", message);
    let address: SocketAddr = text
        .replace("localhost:", "127.0.0.1:")
        .parse()
        .map_err(|_| wrong(format!("{text:?} is no address; write \"127.0.0.1:9000\"")))?;
    if !address.ip().is_loopback() && !written.is_open_to_all {
        let message = "can be reached from other machines, and TCP asks for no token; listen on \
                       127.0.0.1, or set tcp_open_to_all = true";
        return Err(wrong(message.to_owned()));
    }
    let idle = written.idle.unwrap_or(IDLE_DEFAULT);
    if idle.is_zero() || idle > IDLE_MAX {
        return Err(("tcp_idle", "must be more than 0s and at most 365 days".to_owned()));
    }
    let connections_max = written.connections.unwrap_or(CONNECTIONS_DEFAULT);
    if connections_max == 0 {
        return Err(("tcp_connections", "must be at least 1".to_owned()));
    }
    Ok(Some(TcpListen { address, idle, connections_max }))
}

pub(super) fn tcp_connect(place: Option<String>) -> Result<Option<String>, Wrong> {
    let has_port = |place: &String| {
        place
            .rsplit_once(':')
            .is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    match place {
        Some(place) if !has_port(&place) => {
            Err(("tcp_connect", format!("{place:?} is no host and port; write \"host:9000\"")))
        }
        place => Ok(place),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::config::{ConfigError, Overrides, Settings};

    fn settings(text: &str) -> Result<Settings, ConfigError> {
        let text = format!("[stream.a]\nfiles = 'a.csv'\n{text}\n");
        Settings::from_text("streams.toml", &text, Overrides::default())
    }

    #[test]
    fn a_listener_has_its_limits() {
        let listen = |text: &str| {
            let stream = settings(text).unwrap().streams.remove(0);
            stream.listeners.tcp_listen.map(|listen| (listen.idle, listen.connections_max))
        };
        let minutes = Duration::from_secs(300);
        assert_eq!(listen(""), None);
        assert_eq!(listen("tcp_listen = 'localhost:9000'"), Some((minutes, 1000)));
        let own = "tcp_listen = '[::1]:9000'\ntcp_idle = '1h'\ntcp_connections = 7";
        assert_eq!(listen(own), Some((Duration::from_secs(3600), 7)));
    }

    #[test]
    fn limits_out_of_bounds_or_of_no_listener_are_told() {
        let listen = "tcp_listen = '127.0.0.1:0'\n";
        for (text, expected) in [
            (format!("{listen}tcp_idle = '0s'"), "tcp_idle must be more than 0s"),
            (format!("{listen}tcp_idle = '400days'"), "tcp_idle must be more than 0s and at"),
            (format!("{listen}tcp_idle = 'soon'"), ":4:12: \"soon\" is no duration"),
            (format!("{listen}tcp_connections = 0"), "tcp_connections must be at least 1"),
            ("tcp_idle = '1m'".to_owned(), "tcp_idle has a meaning only with tcp_listen"),
            ("tcp_connections = 5".to_owned(), "tcp_connections has a meaning only with"),
            ("tcp_listen = '9000'".to_owned(), "tcp_listen \"9000\" is no address"),
            ("tcp_connect = 'host'".to_owned(), "tcp_connect \"host\" is no host and port"),
        ] {
            let message = settings(&text).unwrap_err().to_string();
            assert!(message.contains(expected), "{message}");
        }
    }
}
