//! Server-sent events as they come over the wire.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use serde_json::Value;

use super::Http;

/// An event stream that is open.
pub(crate) struct Events {
    pub(crate) status: u16,
    lines: BufReader<TcpStream>,
}

impl Events {
    /// Asks for `path`, with these headers.
    pub(crate) fn open(http: Http, path: &str, headers: &[(&str, &str)]) -> Events {
        let mut stream = http.connect().expect("the server takes a connection");
        // By HTTP/1.0 the body comes as it is, not in chunks.
        let mut head = format!("GET {path} HTTP/1.0\r\nHost: 127.0.0.1:{}\r\n", http.port);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("send the request");
        let mut lines = BufReader::new(stream);
        let mut first = String::new();
        lines.read_line(&mut first).expect("read the status");
        let status = first.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("{first:?} has a status"));
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).expect("read the head");
            if line.trim().is_empty() {
                return Events { status, lines };
            }
        }
    }

    /// The next event: its name and its data. `None` at the end.
    pub(crate) fn next(&mut self) -> Option<(String, Value)> {
        let (mut name, mut data) = (String::new(), None);
        loop {
            let mut line = String::new();
            if self.lines.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let line = line.trim_end();
            if let Some(event) = line.strip_prefix("event: ") {
                name = event.to_owned();
            } else if let Some(json) = line.strip_prefix("data: ") {
                data = Some(serde_json::from_str(json).expect("the data are JSON"));
            } else if line.is_empty()
                && let Some(data) = data
            {
                return Some((name, data));
            }
        }
    }

    /// The next frame for which `is_it` holds.
    pub(crate) fn frame(&mut self, is_it: impl Fn(&Value) -> bool) -> Value {
        loop {
            let (name, data) = self.next().expect("the events go on");
            let frame = if name == "history" { data["frame"].clone() } else { data };
            if is_it(&frame) {
                return frame;
            }
        }
    }
}
