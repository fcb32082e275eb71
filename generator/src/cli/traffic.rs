//! The flags of where records go and when.

use super::{Output, interval};
use clap::error::ErrorKind;
use clap::{Args, CommandFactory, ValueEnum};
use generator::{Format, Pace, Pattern, Preset, Target, Token, Traffic};
use std::env;
use std::error::Error;
use std::path::PathBuf;
use std::time::Duration;

/// Where a token is looked for unless another variable is named.
const TOKEN_ENV: &str = "STREAMER_TOKEN";

/// Records of a request, unless there are to be more or fewer.
const BATCH: usize = 100;

#[derive(Debug, Args)]
#[command(next_help_heading = "Traffic")]
pub(super) struct TrafficFlags {
    /// Where to: `files:FOLDER`; `http://host:port`, whose streams take requests;
    /// `tcp://host:port`, which takes lines; `tcp-listen:port`, where each client gets all lines
    /// from when it connects; `-`, standard output [default: files:data]
    #[arg(long, global = true, value_name = "TARGET", value_parser = place)]
    #[arg(allow_hyphen_values = true, conflicts_with = "out")]
    pub(super) to: Option<Place>,

    /// Records per second, each sent when it is due by the clock; until stopped, unless there is a
    /// --count or --duration. Without a rate --rows records, or --count, as fast as the target
    /// takes them
    #[arg(long, global = true, value_name = "NUMBER", allow_negative_numbers = true)]
    #[arg(conflicts_with_all = ["rows", "span"], value_parser = above_zero)]
    rate: Option<f64>,

    /// How the records are spread over time: evenly, at random (Poisson), or in bursts (MMPP: calm
    /// and busy times by turns, of two seconds on average)
    #[arg(long, global = true, value_enum)]
    pattern: Option<PatternFlag>,

    /// How many times as high the rate is in busy times as in calm ones [default: 5]
    #[arg(long, global = true, value_name = "NUMBER", allow_negative_numbers = true)]
    #[arg(value_parser = above_zero)]
    rate_ratio: Option<f64>,

    /// Stop after so many records
    #[arg(long, global = true, value_name = "N")]
    count: Option<u64>,

    /// Stop after so long a time
    #[arg(long, global = true, value_name = "TIME", value_parser = interval)]
    duration: Option<Duration>,

    /// Connections that send at the same time, to http:// and tcp:// [default: 1]
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    producers: Option<usize>,

    /// Records of a request to http://; one that is not full is sent after a tenth of a second
    /// [default: 100]
    #[arg(long, global = true, value_name = "N", value_parser = at_least_one)]
    batch: Option<usize>,

    /// Values for these flags under one name: high-throughput, low-latency or bursty, or one of
    /// --presets. Flags that are given win
    #[arg(long, global = true, value_name = "NAME")]
    preset: Option<String>,

    /// A file with presets of your own, in TOML: for each a table with values of these flags, as
    /// `[calm]`, `rate = 10`, `duration = "60s"`
    #[arg(long, global = true, value_name = "FILE", requires = "preset")]
    presets: Option<PathBuf>,

    /// How records are written: as CSV under a header, or as JSON objects, one in a line [default:
    /// csv]
    #[arg(long, global = true, value_enum)]
    format: Option<FormatFlag>,

    /// The stream of http:// that the records are for [default: the one that is shipped for the
    /// dataset]
    #[arg(long, global = true, value_name = "NAME")]
    stream: Option<String>,

    /// The environment variable that holds the bearer token for http:// [default: STREAMER_TOKEN]
    #[arg(long, global = true, value_name = "NAME")]
    token_env: Option<String>,
}

/// Where records go.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Place {
    Files(PathBuf),
    Target(Target),
}

/// The value of `--pattern`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PatternFlag {
    Uniform,
    Poisson,
    Mmpp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum FormatFlag {
    Csv,
    Ndjson,
}

impl TrafficFlags {
    /// What comes out of these flags, for records of which `rows` are asked for at a time and that
    /// are meant for `stream`; files every so often where no target is named.
    pub(super) fn output(
        self,
        rows: u64,
        every: Option<Duration>,
        stream: &str,
    ) -> Result<Output, clap::Error> {
        let Some(Place::Target(target)) = self.to.clone() else {
            return match self.first_of_traffic() {
                None => Ok(Output::Files(every)),
                Some(flag) => refuse(&format!("{flag} is for another target than files: see --to")),
            };
        };
        let preset = self.preset()?;
        let pace = self.pace(rows, &preset);
        if pace.rate.is_none() && (self.pattern.is_some() || self.rate_ratio.is_some()) {
            return refuse("--pattern and --rate-ratio need a --rate");
        }
        let is_paced = pace.rate.is_some() || self.duration.is_some() || self.count.is_some();
        let format = match self.format {
            Some(FormatFlag::Ndjson) => Format::Ndjson,
            Some(FormatFlag::Csv) | None => Format::Csv,
        };
        if target == Target::Stdout && !is_paced && format == Format::Csv {
            return Ok(Output::Stdout);
        }
        let token = self.token()?;
        Ok(Output::Traffic(Traffic {
            target,
            pace,
            format,
            producers: self.producers.or(preset.producers).unwrap_or(1),
            batch: self.batch.or(preset.batch).unwrap_or(BATCH),
            stream: self.stream.unwrap_or_else(|| stream.to_owned()),
            token,
        }))
    }

    /// The first flag given that files have no use for.
    fn first_of_traffic(&self) -> Option<&'static str> {
        [
            (self.rate.is_some(), "--rate"),
            (self.pattern.is_some(), "--pattern"),
            (self.rate_ratio.is_some(), "--rate-ratio"),
            (self.count.is_some(), "--count"),
            (self.duration.is_some(), "--duration"),
            (self.producers.is_some(), "--producers"),
            (self.batch.is_some(), "--batch"),
            (self.preset.is_some(), "--preset"),
            (self.format.is_some(), "--format"),
            (self.stream.is_some(), "--stream"),
            (self.token_env.is_some(), "--token-env"),
        ]
        .into_iter()
        .find_map(|(is_given, flag)| is_given.then_some(flag))
    }

    /// The values of the preset that is named.
    fn preset(&self) -> Result<Preset, clap::Error> {
        let Some(name) = &self.preset else { return Ok(Preset::default()) };
        match Preset::named(name, self.presets.as_deref()) {
            Ok(preset) => Ok(preset),
            Err(error) => match error.source() {
                Some(cause) => refuse(&format!("--preset: {error}: {cause}")),
                None => refuse(&format!("--preset: {error}")),
            },
        }
    }

    fn pace(&self, rows: u64, preset: &Preset) -> Pace {
        let pattern = match self.pattern {
            Some(PatternFlag::Uniform) => Some(Pattern::Uniform),
            Some(PatternFlag::Poisson) => Some(Pattern::Poisson),
            Some(PatternFlag::Mmpp) => Some(Pattern::Mmpp),
            None => preset.pattern,
        };
        let pattern = pattern.unwrap_or_default();
        let rate = self.rate.or(preset.rate);
        // An end of one's own stands instead of the preset's.
        let (mut count, mut duration) = (self.count, self.duration);
        if count.is_none() && duration.is_none() {
            count = preset.count;
            duration = preset.duration;
        }
        if rate.is_none() && count.is_none() && duration.is_none() {
            count = Some(rows);
        }
        let rate_ratio = self.rate_ratio.or(preset.rate_ratio).unwrap_or(5.0);
        Pace { pattern, rate, rate_ratio, duration, count }
    }

    /// The value of the variable that is named; one that is named must be there.
    fn token(&self) -> Result<Option<Token>, clap::Error> {
        match (&self.token_env, env::var(self.token_env.as_deref().unwrap_or(TOKEN_ENV))) {
            (_, Ok(token)) => Ok(Some(Token(token)).filter(|Token(token)| !token.is_empty())),
            (None, Err(_)) => Ok(None),
            (Some(name), Err(_)) => refuse(&format!("--token-env: there is no variable {name}")),
        }
    }
}

fn refuse<T>(why: &str) -> Result<T, clap::Error> {
    Err(super::Flags::command().error(ErrorKind::ValueValidation, why))
}

fn place(text: &str) -> Result<Place, String> {
    match text.strip_prefix("files:") {
        Some(folder) => Ok(Place::Files(PathBuf::from(folder))),
        None => text
            .parse()
            .map(Place::Target)
            .map_err(|error: generator::InvalidTarget| error.to_string()),
    }
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if number > 0.0 && number.is_finite() {
        Ok(number)
    } else {
        Err("it must be above zero".to_owned())
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("it must be at least one".to_owned()),
        Ok(number) => Ok(number),
        Err(_) => Err("it is not a whole number".to_owned()),
    }
}
