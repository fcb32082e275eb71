//! The streamers that are at work, in words.

use super::table::{counted, table};
use crate::ledger::instance::Seen;

/// Lists them.
pub(super) fn text(instances: &[Seen]) -> String {
    if instances.is_empty() {
        return "no streamer is at work\n".to_owned();
    }
    let headings = ["host", "process", "version", "streams", "started", "seen", "HTTP"];
    let mut lines = table(&headings, headings.len());
    for instance in instances {
        lines.add_row([
            instance.host.clone(),
            instance.pid.to_string(),
            instance.version.clone(),
            instance.streams.join(", "),
            instance.started_at.format("%Y-%m-%d %H:%M:%S UTC").to_string(),
            seen(instance),
            instance.address.clone().unwrap_or_else(|| "-".to_owned()),
        ]);
    }
    let are = if instances.len() == 1 { "is" } else { "are" };
    format!("{} {are} at work\n{lines}\n", counted(instances.len(), "streamer"))
}

/// Which one it is, and when it was seen.
pub(super) fn named(instance: &Seen) -> String {
    format!("process {} on host {}, seen {}", instance.pid, instance.host, seen(instance))
}

fn seen(instance: &Seen) -> String {
    format!("{:.1} s ago", instance.seen_seconds_ago)
}
