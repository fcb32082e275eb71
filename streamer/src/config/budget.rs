//! What the setting `memory` is used for: a part is reserved for each connection, the rest is
//! shared.

use bytesize::ByteSize;

use super::{ConfigError, Listen, Server, Stream};
use crate::memory::{
    CONNECTION_BYTES, Memory, line_bytes, micro_batch_bytes, request_bytes, with_kept,
};

/// What the program counts of its memory, where nothing is said.
pub(super) const MEMORY: ByteSize = ByteSize::mib(128);

/// How the memory is divided.
#[derive(Debug, Clone, Copy)]
pub struct Budget {
    /// The setting `memory`, in bytes.
    pub total: usize,
    /// What is reserved of it, in bytes.
    pub reserved: usize,
}

/// A part of what is reserved: what for, how many, and the bytes of each.
struct Part(String, usize, usize);

impl Budget {
    /// Divides `memory`, where so many `connections` have a micro-batch each.
    ///
    /// # Errors
    /// When it is less than the settings need; with the sum.
    pub(super) fn new(
        memory: ByteSize,
        connections: usize,
        server: &Server,
        streams: &[Stream],
        path: &str,
    ) -> Result<Budget, ConfigError> {
        let total = usize::try_from(memory.as_u64()).unwrap_or(usize::MAX);
        let parts = parts(connections, server, streams);
        let reserved = parts.iter().map(|Part(_, count, bytes)| count.saturating_mul(*bytes));
        let reserved = reserved.fold(0_usize, usize::saturating_add);
        let (shared_by, largest) = largest(server, streams);
        let shared = with_kept(largest);
        let least = reserved.saturating_add(shared);
        if least > total {
            let parts = parts.iter().map(|Part(what, count, bytes)| {
                format!("{count} {what} with {} each", words(*bytes))
            });
            let parts: Vec<String> = parts.collect();
            return Err(ConfigError::Server {
                path: path.to_owned(),
                setting: "memory",
                message: format!(
                    "must be at least {} with these settings: {}, and {} for {shared_by}",
                    words(least),
                    parts.join(", "),
                    words(shared),
                ),
            });
        }
        Ok(Budget { total, reserved })
    }

    /// What is shared.
    pub fn shared(&self) -> Memory {
        Memory::new(self.total - self.reserved)
    }
}

/// What is reserved.
fn parts(connections: usize, server: &Server, streams: &[Stream]) -> Vec<Part> {
    let micro_batch = micro_batch_bytes(record_bytes_max(streams));
    let mut parts = vec![Part("micro-batches (connections)".to_owned(), connections, micro_batch)];
    if server.listen != Some(Listen::None) {
        let connections = "HTTP connections (max_connections)".to_owned();
        parts.push(Part(connections, server.max_connections, CONNECTION_BYTES));
    }
    for stream in streams {
        let listeners = &stream.listeners;
        let to_listen = listeners.tcp_listen.map_or(0, |listen| listen.connections_max);
        let connections = to_listen + usize::from(listeners.tcp_connect.is_some());
        if connections > 0 {
            let what = format!("TCP connections of stream {} (tcp_connections)", stream.name);
            parts.push(Part(what, connections, CONNECTION_BYTES));
        }
    }
    parts
}

/// The largest that is taken at once, and its bytes.
fn largest(server: &Server, streams: &[Stream]) -> (&'static str, usize) {
    let line = line_bytes(record_bytes_max(streams));
    let max_body = usize::try_from(server.max_body.as_u64()).unwrap_or(usize::MAX);
    let request = request_bytes(max_body);
    match server.listen {
        Some(Listen::None) => ("a record (max_record_bytes)", line),
        _ if line > request => ("a record (max_record_bytes)", line),
        _ => ("a request (max_body)", request),
    }
}

fn record_bytes_max(streams: &[Stream]) -> usize {
    streams.iter().map(|stream| stream.reading.record_bytes_max).max().unwrap_or(0)
}

/// A size as it may be written in the settings, not less than it is.
fn words(bytes: usize) -> String {
    let kib = bytes.div_ceil(1024);
    match kib.is_multiple_of(1024) || kib > 64 * 1024 {
        true => format!("{}MiB", kib.div_ceil(1024)),
        false => format!("{kib}KiB"),
    }
}

#[cfg(test)]
mod tests {
    use crate::config::{Overrides, Settings};

    fn settings(server: &str, stream: &str) -> Result<Settings, String> {
        let text = format!("[server]\n{server}\n[stream.a]\nfiles = 'a.csv'\n{stream}\n");
        let settings = Settings::from_text("streams.toml", &text, Overrides::default());
        settings.map_err(|error| error.to_string())
    }

    #[test]
    fn settings_that_do_not_fit_are_refused_with_the_sum() {
        let error = settings("memory = '32MiB'", "").unwrap_err();
        assert_eq!(
            error,
            "streams.toml: server.memory must be at least 88MiB with these settings: 10 \
             micro-batches (connections) with 5MiB each, 1000 HTTP connections (max_connections) with 16KiB each, \
             and 21931KiB for a request (max_body)"
        );
        let least = "memory = '89131KiB'";
        let budget = settings(least, "").unwrap().memory;
        assert_eq!(budget.shared().capacity(), 21931 * 1024);
        let error = settings(least, "tcp_listen = '127.0.0.1:9000'").unwrap_err();
        assert!(error.contains("1000 TCP connections of stream a (tcp_connections)"), "{error}");
        let error = settings(&format!("{least}\nlisten = 'none'"), "max_record_bytes = '1GiB'");
        assert!(error.unwrap_err().contains("for a record (max_record_bytes)"));
        assert!(settings("memory = '56MiB'\nlisten = 'none'", "").is_ok());
    }
}
