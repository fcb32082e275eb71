//! A plain HTTP client: what goes over the wire is what the test says.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

use super::{Running, WAIT_MAX};

/// The server of a streamer under test.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Http {
    pub(crate) port: u16,
}

/// What it answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Lower case names.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Http {
    /// The server that `running`, started with `--listen 127.0.0.1:0`, tells of in its log.
    pub(crate) fn of(running: &Running) -> Http {
        let line = running.wait_for_log("listening on http://");
        let port = line.rsplit(':').next().and_then(|port| port.trim().parse().ok());
        Http { port: port.expect("the line ends with the port") }
    }

    /// The same, once it takes events.
    pub(crate) fn ready(running: &Running) -> Http {
        let http = Http::of(running);
        http.wait_until_ready();
        http
    }

    pub(crate) fn wait_until_ready(self) {
        for _ in 0..1000 {
            // At first nobody may listen there yet.
            if self.ask("GET", "/readyz", &[], b"").is_ok_and(|answer| answer.status == 200) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("the streamer does not get ready");
    }

    pub(crate) fn get(self, path: &str) -> Answer {
        self.ask("GET", path, &[], b"").expect("it answers")
    }

    /// Posts CSV.
    pub(crate) fn post(self, path: &str, body: impl AsRef<[u8]>) -> Answer {
        self.ask("POST", path, &[("Content-Type", "text/csv")], body.as_ref()).expect("it answers")
    }

    pub(crate) fn post_with(self, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        self.ask("POST", path, headers, body).expect("it answers")
    }

    /// One request on a connection of its own.
    pub(crate) fn ask(
        self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Answer> {
        let mut head = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
        if headers.iter().all(|(name, _)| *name != "Host") {
            head += &format!("Host: 127.0.0.1:{}\r\n", self.port);
        }
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        head += &format!("Content-Length: {}\r\n\r\n", body.len());
        self.raw(&[head.as_bytes(), body].concat())
    }

    /// Whatever bytes, and what comes back until the server closes.
    pub(crate) fn raw(self, bytes: &[u8]) -> std::io::Result<Answer> {
        let mut stream = self.connect()?;
        // A server that refuses early may close before all is written.
        let written = stream.write_all(bytes);
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        if answer.is_empty() {
            written?;
            read?;
        }
        Answer::parse(&answer)
            .ok_or_else(|| std::io::Error::new(std::io::ErrorKind::UnexpectedEof, "no answer"))
    }

    pub(crate) fn connect(self) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(WAIT_MAX))?;
        Ok(stream)
    }
}

impl Answer {
    fn parse(bytes: &[u8]) -> Option<Answer> {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n")?;
        let mut lines = head.lines();
        let status = lines.next()?.split(' ').nth(1)?.parse().ok()?;
        let header = |line: &str| {
            let (name, value) = line.split_once(": ")?;
            Some((name.to_ascii_lowercase(), value.to_owned()))
        };
        Some(Answer { status, headers: lines.filter_map(header).collect(), body: body.to_owned() })
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(other, _)| other == name);
        found.map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Demands a status.
    pub(crate) fn expect(self, status: u16) -> Answer {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}
