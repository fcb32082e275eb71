//! The flags of `streamer bench`.

use std::time::Duration;

use clap::{Args, ValueEnum};
use generator::{Dataset, Pattern};

use super::positive;

/// A bench has so many windows at most.
const WINDOWS_MAX: u32 = 1000;

/// Flags of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What kind of events, as the generator makes them
    pub dataset: BenchDataset,
    /// How many events to send
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub events: u64,
    /// The time over which they are spread; 0s: each as soon as it is taken
    #[arg(long, value_name = "DURATION", default_value = "60s", value_parser = humantime::parse_duration)]
    pub duration: Duration,
    /// How they are spread: evenly, at random (Poisson), or in bursts (MMPP)
    #[arg(long, value_enum, default_value_t)]
    pub pattern: BenchPattern,
    /// Connections that send at the same time
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = positive::<usize>)]
    pub producers: usize,
    /// Events that a request has at most [default: what is due within 5 ms, at most 1000]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    pub batch: Option<usize>,
    /// How long events wait for more before they are committed together; 0s: not at all
    #[arg(long, value_name = "DURATION", default_value = "0s", value_parser = humantime::parse_duration)]
    pub linger: Duration,
    /// Records that a micro-batch has at most [default: as many as suit what waits, from 1000 to
    /// 30000]
    #[arg(long, value_name = "N", value_parser = positive::<u64>)]
    pub max_rows: Option<u64>,
    /// The length of the windows that are reported
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = window)]
    pub window: Duration,
    /// Print the report as JSON
    #[arg(long)]
    pub json: bool,
}

/// The generator's datasets, by the names that it gives them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchDataset {
    /// What users do in a shop.
    UserEvents,
    /// Views, clicks and purchases of ads.
    AdEvents,
    /// Bank transfers.
    Transfers,
    /// Positions of vehicles.
    Gps,
    /// Sales at the tills of stores.
    Pos,
    /// Reactions to a show.
    Emoji,
    /// A value that wanders in time.
    Simulator,
}

/// How events are spread over time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum BenchPattern {
    /// At equal distances.
    #[default]
    Uniform,
    /// Each by itself.
    Poisson,
    /// Calm and busy times by turns.
    Mmpp,
}

impl BenchArgs {
    /// How many windows are reported at most.
    pub fn windows_max(&self) -> u64 {
        u64::from(WINDOWS_MAX)
    }

    /// Events per second; none where each is sent as soon as it is taken.
    #[allow(clippy::cast_precision_loss, reason = "a rate needs no more digits")]
    pub fn rate(&self) -> Option<f64> {
        (!self.duration.is_zero()).then(|| self.events as f64 / self.duration.as_secs_f64())
    }
}

impl From<BenchDataset> for Dataset {
    fn from(dataset: BenchDataset) -> Dataset {
        match dataset {
            BenchDataset::UserEvents => Dataset::UserEvents,
            BenchDataset::AdEvents => Dataset::AdEvents(generator::Advertising::default()),
            BenchDataset::Transfers => Dataset::Transfers(generator::Banking::default()),
            BenchDataset::Gps => Dataset::Gps,
            BenchDataset::Pos => Dataset::Pos,
            BenchDataset::Emoji => Dataset::Emoji,
            BenchDataset::Simulator => Dataset::Simulator,
        }
    }
}

impl From<BenchPattern> for Pattern {
    fn from(pattern: BenchPattern) -> Pattern {
        match pattern {
            BenchPattern::Uniform => Pattern::Uniform,
            BenchPattern::Poisson => Pattern::Poisson,
            BenchPattern::Mmpp => Pattern::Mmpp,
        }
    }
}

fn window(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(window) if window < Duration::from_millis(1) => {
            Err("it must be at least 1ms".to_owned())
        }
        Ok(window) => Ok(window),
        Err(error) => Err(error.to_string()),
    }
}
