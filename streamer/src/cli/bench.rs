//! The flags of `streamer bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use generator::{Dataset, Pattern, Preset, PresetError};

use super::positive;

/// A bench has so many windows at most.
const WINDOWS_MAX: u32 = 1000;

/// What is sent where neither flags nor a preset say.
const EVENTS: u64 = 20_000;
const DURATION: Duration = Duration::from_secs(60);
const PRODUCERS: usize = 2;

/// How much higher the rate is in bursts than in calm times, unless a preset says so.
const RATE_RATIO: f64 = 5.0;

/// What a bench is to send.
#[derive(Debug, Clone, PartialEq)]
pub struct BenchLoad {
    /// How many events.
    pub events: u64,
    /// Over which time; zero: each as soon as it is taken.
    pub duration: Duration,
    /// How they are spread.
    pub pattern: Pattern,
    /// How much higher the rate is in bursts than in calm times.
    pub rate_ratio: f64,
    /// Connections that send at the same time.
    pub producers: usize,
    /// Events that a request has at most.
    pub batch: Option<usize>,
}

/// Flags of `bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// What kind of events, as the generator makes them
    pub dataset: BenchDataset,
    /// How many events to send [default: 20000, or what the preset's rate makes of the duration]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    events: Option<u64>,
    /// The time over which they are spread; 0s: each as soon as it is taken [default: 60s, or what
    /// the preset's rate makes of the events]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    duration: Option<Duration>,
    /// How they are spread: evenly, at random (Poisson), or in bursts (MMPP) [default: uniform]
    #[arg(long, value_enum)]
    pattern: Option<BenchPattern>,
    /// Connections that send at the same time [default: 2]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    producers: Option<usize>,
    /// Values for these flags under one name, as the generator has them: high-throughput,
    /// low-latency or bursty, or one of --presets. Flags that are given win
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// A file with presets of your own, as the generator's flag of this name takes it
    #[arg(long, value_name = "FILE", requires = "preset")]
    presets: Option<PathBuf>,
    /// Events that a request has at most [default: what is due within 5 ms, at most 1000]
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    batch: Option<usize>,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum BenchPattern {
    /// At equal distances.
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

    /// What is to be sent: as the flags say, else the preset, else as ever.
    ///
    /// # Errors
    /// There is no such preset.
    pub fn load(&self) -> Result<BenchLoad, PresetError> {
        let preset = match &self.preset {
            Some(name) => Preset::named(name, self.presets.as_deref())?,
            None => Preset::default(),
        };
        let (events, duration) = self.extent(&preset);
        Ok(BenchLoad {
            events,
            duration,
            pattern: self.pattern.map(Pattern::from).or(preset.pattern).unwrap_or_default(),
            rate_ratio: preset.rate_ratio.unwrap_or(RATE_RATIO),
            producers: self.producers.or(preset.producers).unwrap_or(PRODUCERS),
            batch: self.batch.or(preset.batch),
        })
    }

    /// How many events, over which time.
    #[allow(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rate needs no more digits"
    )]
    fn extent(&self, preset: &Preset) -> (u64, Duration) {
        let time_for = |events: u64, rate: f64| {
            Duration::try_from_secs_f64(events as f64 / rate).unwrap_or(Duration::MAX)
        };
        let within = |time: Duration, rate: f64| (time.as_secs_f64() * rate).ceil().max(1.0) as u64;
        // An end of one's own stands instead of the preset's.
        let (events, duration) = match (self.events, self.duration) {
            (None, None) => (preset.count, preset.duration),
            own => own,
        };
        match (events, duration, preset.rate) {
            (Some(events), None, Some(rate)) => (events, time_for(events, rate)),
            (None, Some(duration), Some(rate)) => (within(duration, rate), duration),
            (None, None, Some(rate)) => (within(DURATION, rate), DURATION),
            (events, duration, _) => (events.unwrap_or(EVENTS), duration.unwrap_or(DURATION)),
        }
    }
}

impl BenchLoad {
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

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: BenchArgs,
    }

    fn load(flags: &str) -> BenchLoad {
        let line = Line::parse_from(["bench", "emoji"].into_iter().chain(flags.split_whitespace()));
        line.args.load().unwrap()
    }

    #[test]
    fn flags_win_over_their_preset_which_wins_over_the_defaults() {
        let extent = |flags| {
            let load = load(flags);
            (load.events, load.duration.as_secs(), load.producers)
        };
        assert_eq!(extent(""), (20_000, 60, 2));
        assert_eq!(extent("--preset bursty"), (300_000, 60, 4));
        assert_eq!(extent("--preset bursty --duration 2s"), (10_000, 2, 4));
        assert_eq!(extent("--preset bursty --events 10000 --producers 1"), (10_000, 2, 1));
        assert_eq!(extent("--preset bursty --events 7 --duration 7s"), (7, 7, 4));
        assert_eq!(extent("--events 7 --duration 0s"), (7, 0, 2));
        let bursty = load("--preset bursty");
        assert_eq!((bursty.pattern, bursty.batch), (Pattern::Mmpp, Some(50)));
        assert!((bursty.rate_ratio - 9.0).abs() < f64::EPSILON);
        assert_eq!(load("--preset bursty --pattern poisson").pattern, Pattern::Poisson);
    }
}
