//! Where records go: what a target is called, and how it is opened.

use super::http::Http;
use super::json::Encoder;
use super::listen::Listen;
use super::stdout::Stdout;
use super::tcp::Tcp;
use super::{Sender, Traffic};
use std::fmt;
use std::io;
use std::net::TcpListener;
use std::ops::ControlFlow;
use std::str::FromStr;

/// Where records go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// Standard output: `-`.
    Stdout,
    /// A server that takes requests: `http://host:port`.
    Http {
        /// With `http://`, without a slash at the end.
        url: String,
    },
    /// A server that takes lines: `tcp://host:port`.
    Tcp {
        /// Host and port.
        address: String,
    },
    /// Whoever connects to this process: `tcp-listen:port`, on the loopback unless a host is named,
    /// `tcp-listen:host:port`. Each client gets all records from when it connects.
    TcpListen {
        /// Host and port.
        address: String,
    },
}

/// Not the name of a target.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTarget(String);

impl FromStr for Target {
    type Err = InvalidTarget;

    fn from_str(text: &str) -> Result<Target, InvalidTarget> {
        let refuse = |why: &str| Err(InvalidTarget(why.to_owned()));
        if text == "-" {
            return Ok(Target::Stdout);
        }
        if text.starts_with("https://") {
            return refuse("only http:// is spoken; encryption is the work of a proxy");
        }
        if let Some(place) = text.strip_prefix("http://") {
            let place = place.strip_suffix('/').unwrap_or(place);
            if place.is_empty() || place.contains(['/', '?', '#', '@']) {
                return refuse("it looks like http://127.0.0.1:8080, without a path");
            }
            return Ok(Target::Http { url: format!("http://{place}") });
        }
        if let Some(address) = text.strip_prefix("tcp://") {
            return match has_port(address) {
                true => Ok(Target::Tcp { address: address.to_owned() }),
                false => refuse("it looks like tcp://127.0.0.1:9000"),
            };
        }
        if let Some(place) = text.strip_prefix("tcp-listen:") {
            let address = match place.parse::<u16>() {
                Ok(port) => format!("127.0.0.1:{port}"),
                Err(_) => place.to_owned(),
            };
            return match has_port(&address) {
                true => Ok(Target::TcpListen { address }),
                false => refuse("it looks like tcp-listen:9000 or tcp-listen:0.0.0.0:9000"),
            };
        }
        refuse(
            "there are files:FOLDER, http://host:port, tcp://host:port, tcp-listen:port, and - for \
             standard output",
        )
    }
}

fn has_port(address: &str) -> bool {
    let parts = address.rsplit_once(':');
    parts.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Stdout => write!(f, "standard output"),
            Target::Http { url } => write!(f, "{url}"),
            Target::Tcp { address } => write!(f, "tcp://{address}"),
            Target::TcpListen { address } => write!(f, "tcp-listen:{address}"),
        }
    }
}

/// A sender for each producer. One that waits for its first client asks `go_on` meanwhile; `None`
/// if that breaks off.
pub(super) fn open(
    traffic: &Traffic,
    columns: &[&str],
    go_on: &mut dyn FnMut() -> ControlFlow<()>,
) -> anyhow::Result<Option<Vec<Box<dyn Sender>>>> {
    let encoder = Encoder::new(traffic.format, columns);
    let each = |sender: &dyn Fn() -> Box<dyn Sender>| {
        Ok(Some((0..traffic.producers.max(1)).map(|_| sender()).collect()))
    };
    match &traffic.target {
        Target::Stdout => Ok(Some(vec![Box::new(Stdout::new(encoder))])),
        Target::Tcp { address } => each(&|| Box::new(Tcp::new(address.clone(), encoder.clone()))),
        Target::Http { url } => {
            let http = Http::new(url, &traffic.stream, traffic.token.as_ref(), encoder)?;
            each(&|| Box::new(http.beside()))
        }
        Target::TcpListen { address } => {
            let listener = TcpListener::bind(address).map_err(|error| {
                io::Error::new(error.kind(), format!("cannot listen on {address}: {error}"))
            })?;
            let mut listen = Listen::new(listener, encoder)?;
            let is_there = listen.wait_for_client(go_on).is_continue();
            Ok(is_there.then(|| vec![Box::new(listen) as Box<dyn Sender>]))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_the_names_that_are_documented() {
        let target = |text: &str| text.parse::<Target>().unwrap();
        assert_eq!(target("-"), Target::Stdout);
        let http = Target::Http { url: "http://127.0.0.1:8080".to_owned() };
        assert_eq!(target("http://127.0.0.1:8080"), http);
        assert_eq!(target("http://127.0.0.1:8080/"), http);
        assert_eq!(target("tcp://[::1]:9000"), Target::Tcp { address: "[::1]:9000".to_owned() });
        let listen = |address: &str| Target::TcpListen { address: address.to_owned() };
        assert_eq!(target("tcp-listen:9000"), listen("127.0.0.1:9000"));
        assert_eq!(target("tcp-listen:0.0.0.0:9000"), listen("0.0.0.0:9000"));
    }

    #[test]
    fn what_is_no_target_is_refused_with_what_one_looks_like() {
        for (text, words) in [
            ("https://example.com", "a proxy"),
            ("http://", "http://127.0.0.1:8080"),
            ("http://host/streams", "without a path"),
            ("http://me@host", "without a path"),
            ("tcp://host", "tcp://127.0.0.1:9000"),
            ("tcp://:9000", "tcp://127.0.0.1:9000"),
            ("tcp-listen:", "tcp-listen:9000"),
            ("tcp-listen:70000", "tcp-listen:9000"),
            ("pigeon:home", "files:FOLDER"),
            ("", "files:FOLDER"),
        ] {
            let error = text.parse::<Target>().unwrap_err().to_string();
            assert!(error.contains(words), "{text}: {error}");
        }
    }
}
