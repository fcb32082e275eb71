//! A progress bar on stderr.

use std::time::Duration;

use bytesize::ByteSize;
use indicatif::{ProgressBar, ProgressState, ProgressStyle};

use super::harmless;
use super::table::grouped;
use crate::batch::Counts;
use crate::event::Event;

/// How far a run is.
pub(super) struct Progress {
    bar: ProgressBar,
    done_bytes: u64,
    records: u64,
}

impl Progress {
    /// A bar that starts to show with the first micro-batch.
    pub(super) fn new() -> Progress {
        let rate = |state: &ProgressState, out: &mut dyn std::fmt::Write| {
            // Below a second the rate is noise.
            if state.elapsed() >= Duration::from_secs(1) {
                let per_second = ByteSize::b(state.pos() / state.elapsed().as_secs().max(1));
                // The bar's buffer takes everything.
                let _ = write!(out, "{}/s", per_second.display().iec());
            }
        };
        let style = ProgressStyle::with_template(
            "{bar:30.green} {percent:>3} %  {msg}  {rate}  {eta} left",
        )
        .expect("the template is valid")
        .with_key("rate", rate);
        Progress { bar: ProgressBar::new(0).with_style(style), done_bytes: 0, records: 0 }
    }

    /// Takes an event in.
    pub(super) fn note(&mut self, event: &Event<'_>) {
        match event {
            Event::Committed(commit) => {
                self.done_bytes += commit.bytes;
                self.records += Counts::of(commit.parts).records;
                let left_bytes = commit.lag.left_bytes().unwrap_or_default();
                self.bar.set_length(self.done_bytes + left_bytes);
                self.bar.set_position(self.done_bytes);
                let left = commit.lag.records.filter(|records| *records > 0);
                let left = left.map(|records| format!(", about {} wait", grouped(records)));
                let text = format!("{} records{}", grouped(self.records), left.unwrap_or_default());
                self.bar.set_message(text);
            }
            Event::Stopped { partition, reason, .. } => {
                self.bar.println(harmless(&format!("stopped: {partition}: {reason}")));
            }
            Event::Waiting { partition, reason, .. } => {
                self.bar.println(harmless(&format!("waiting: {partition}: {reason}")));
            }
            Event::Failed { partition, reason, .. } => {
                self.bar.println(harmless(&format!("not loaded: {partition}: {reason}")));
            }
        }
    }

    /// Leaves the bar as it is and goes to the next line.
    pub(super) fn finish(&self) {
        self.bar.abandon();
    }
}
