//! Logs: on stderr, a line an event, as text or JSON. Never the content of a record or a password.

use std::io::IsTerminal;

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

/// Starts logging; `RUST_LOG` changes what is shown, `NO_COLOR` turns colours off.
pub fn start(format: LogFormat, default_level: &str) {
    // sqlx would warn with the values of a URL, reqwest_retry with a page of details.
    let default = format!("warn,sqlx=error,reqwest_retry=error,streamer={default_level}");
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let colours = std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none();
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colours)
        .with_target(false);
    match format {
        LogFormat::Text => logs.init(),
        LogFormat::Json => logs.json().flatten_event(true).init(),
    }
}
