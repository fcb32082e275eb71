//! What `streamer status` shows of a stream, as text.

use std::time::Duration;

use super::super::table::{bytes, counted, grouped, table};
use super::{SHOWN_MAX, StreamStatus};
use crate::database::Usage;
use crate::memory::SharedMemory;

impl StreamStatus {
    pub(super) fn text(&self, all: bool) -> String {
        let shown = if all { usize::MAX } else { SHOWN_MAX };
        let mut text = format!(
            "stream {} into table {}{}: {}, {} records: {} rows, {} duplicates{}; \
             {} dead letters open, {} to read{}{}\n",
            self.stream,
            self.table,
            if self.stopped {
                ", stopped"
            } else if self.waiting {
                ", waiting"
            } else {
                ""
            },
            counted(self.files.len(), "file"),
            grouped(self.records),
            grouped(self.rows),
            grouped(self.duplicates),
            self.repeated_text(),
            grouped(self.dead_letters),
            bytes(self.lag_bytes),
            self.lag_text(),
            self.committed_text(),
        );
        for line in self.ailments.iter().chain(&self.slow) {
            text += &format!("{line}\n");
        }
        if self.spool.segments > 0 {
            let free = self.spool.free_bytes;
            let free = free.map(|free| format!(", with {} left on its disk", bytes(free)));
            text += &format!(
                "of that, {} in {} of the spool{}\n",
                bytes(self.spool.lag_bytes),
                counted(self.spool.segments, "segment"),
                free.unwrap_or_default(),
            );
        }
        if let Some(remedy) = &self.missing_partition {
            text += &format!(
                "there is no partition for tomorrow, and no default; make one: {remedy}\n"
            );
        }
        if let Some(latency) = &self.latency {
            let events = grouped(latency.events);
            text += &format!("latency of {events} rows since the streamer's start: {latency}\n");
        }
        if self.files.is_empty() {
            return text;
        }
        let headings =
            ["file", "state", "offset", "lag", "records", "rows", "duplicates", "dead letters"];
        let mut lines = table(&headings, 2);
        for file in self.files.iter().take(shown) {
            let counts = [file.records, file.rows, file.duplicates, file.dead_letters];
            let places = [grouped(file.next_offset), bytes(file.lag_bytes)];
            let names = [file.file.clone(), file.state.to_owned()];
            lines.add_row(names.into_iter().chain(places).chain(counts.map(grouped)));
        }
        text += &format!("{lines}\n");
        if self.files.len() > shown {
            text +=
                &format!("and {} older files: streamer status --all\n", self.files.len() - shown);
        }
        for file in &self.files {
            let waits_for = file.waits_for.as_ref().filter(|_| file.state == "waiting");
            if let Some(reason) = file.refusal.as_ref().or(waits_for) {
                text += &format!("{}: {reason}\n", file.file);
            }
        }
        text + &self.micro_batches_text(shown)
    }

    /// Told only where there are some: few clients use keys.
    fn repeated_text(&self) -> String {
        match self.repeated {
            0 => String::new(),
            some => format!(", {} repeated", grouped(some)),
        }
    }

    fn committed_text(&self) -> String {
        match self.committed_seconds_ago {
            None => String::new(),
            Some(seconds) => format!(", committed last {} ago", ago(seconds)),
        }
    }

    fn lag_text(&self) -> String {
        if self.lag_bytes == 0 {
            return String::new();
        }
        let duration = |seconds| humantime::format_duration(Duration::from_secs(seconds));
        let records = self.lag_records.map(|some| format!(" (about {} records)", grouped(some)));
        let left = self.seconds_left.filter(|seconds| *seconds > 0);
        let left = left.map(|seconds| format!(", {} left", duration(seconds)));
        format!(
            "{}, the oldest written {} ago{}",
            records.unwrap_or_default(),
            duration(self.lag_age_seconds),
            left.unwrap_or_default()
        )
    }

    fn micro_batches_text(&self, shown: usize) -> String {
        if self.last_micro_batches.is_empty() {
            return String::new();
        }
        let headings =
            ["last micro-batches", "path", "file", "records", "rows", "duplicates", "dead letters"];
        let mut lines = table(&headings, 3);
        for batch in self.last_micro_batches.iter().take(shown.min(SHOWN_MAX)) {
            let at = batch.written_at.format("%Y-%m-%d %H:%M:%S UTC").to_string();
            let counts = [batch.records, batch.rows, batch.duplicates, batch.dead_letters];
            let names = [at, batch.path.clone(), batch.file.clone()];
            lines.add_row(names.into_iter().chain(counts.map(grouped)));
        }
        format!("{lines}\n")
    }
}

/// How many connections the streams share, where a streamer tells of them.
pub(super) fn connections(usage: Option<Usage>) -> String {
    let Some(Usage { in_use, limit, waiting }) = usage else { return String::new() };
    let writers = counted(waiting, "writer");
    format!("{in_use} of {limit} connections in use, {writers} waiting for one\n")
}

/// How much of the memory the streams share, where a streamer tells of it.
pub(super) fn memory(usage: Option<SharedMemory>) -> String {
    let Some(SharedMemory { shared_bytes, used_bytes, is_short }) = usage else {
        return String::new();
    };
    let of = |count| bytes(u64::try_from(count).unwrap_or(u64::MAX));
    let short = if is_short { ", and more is asked for" } else { "" };
    format!("{} of {} of shared memory in use{short}\n", of(used_bytes), of(shared_bytes))
}

/// A time that has passed, exact where it is short.
fn ago(seconds: f64) -> String {
    if seconds < 60.0 {
        return format!("{seconds:.1} s");
    }
    let whole = Duration::from_secs_f64(seconds.floor());
    humantime::format_duration(whole).to_string()
}
