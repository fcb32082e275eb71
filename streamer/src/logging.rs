//! Logs: on stderr, a line an event, as text or JSON. Never the content of a record or a password.

use std::io::{self, IsTerminal, Write};

use clap::ValueEnum;
use tracing_subscriber::EnvFilter;

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum LogFormat {
    /// A line of text for people.
    #[default]
    Text,
    /// A JSON object a line for machines.
    Json,
}

/// Writes each event as one line: a line end or a carriage return in it, from a file's name or an
/// error's text, could else pose as an event of its own. Escape characters are tracing-subscriber's
/// to escape.
struct OneLine<W>(W);

impl<W: Write> Write for OneLine<W> {
    /// Takes an event, whole.
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = event.strip_suffix(b"\n").unwrap_or(event);
        let mut line = Vec::with_capacity(event.len());
        for &byte in text {
            match byte {
                b'\n' => line.extend(b"\\n"),
                b'\r' => line.extend(b"\\r"),
                byte => line.push(byte),
            }
        }
        line.extend(&event[text.len()..]);
        self.0.write_all(&line)?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Starts logging; `RUST_LOG` changes what is shown, `NO_COLOR` turns colours off.
pub fn start(format: LogFormat, default_level: &str) {
    // reqwest_retry would warn with a page of details.
    let default = format!("warn,reqwest_retry=error,streamer={default_level}");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    // Not even if RUST_LOG asks: it would log parts of URLs and of the password file.
    let filter = filter.add_directive("sqlx=off".parse().expect("the directive is valid"));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(|| OneLine(std::io::stderr()))
        .with_ansi(colours)
        .with_target(false);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_whatever_is_in_it() {
        let mut out = OneLine(Vec::new());
        out.write_all(b"INFO a\r\nERROR b\n").unwrap();
        assert_eq!(out.0, b"INFO a\\r\\nERROR b\n");
    }
}
