//! The command line: flags, their help, and their checks.

mod traffic;

use chrono::{DateTime, Utc};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use generator::{Advertising, Banking, Dataset, Format, Settings, Traffic};
use std::path::PathBuf;
use std::time::Duration;
use traffic::{Place, TrafficFlags};

/// Makes believable events of several kinds, user events of a shop unless a dataset is named: as
/// CSV files, or sent to a server at a rate.
///
/// Without flags it writes one file of 30,000 events of the last hour to the folder `data` and
/// prints the file's path. A file appears under its name only when it is whole.
///
/// With --to it sends events, each when it is due by the clock, and tells in the end how many were
/// sent, accepted and refused, and the latency: from when an event was due, not from when it was
/// sent, until it was accepted.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXAMPLES, disable_help_subcommand = true)]
#[command(subcommand_value_name = "DATASET", subcommand_help_heading = "Datasets")]
struct Flags {
    #[command(subcommand)]
    dataset: Option<DatasetFlags>,

    /// Records in each file, duplicates and broken ones included
    #[arg(
        long,
        global = true,
        value_name = "N",
        default_value_t = 30_000,
        allow_negative_numbers = true
    )]
    rows: u64,

    /// Files to make
    #[arg(
        long,
        global = true,
        value_name = "K",
        default_value_t = 1,
        allow_negative_numbers = true
    )]
    files: u32,

    /// Make that many files again and again, at this interval, until stopped [such as: 30s, 5m]
    #[arg(long, global = true, value_name = "TIME", value_parser = interval)]
    every: Option<Duration>,

    /// Folder for the files; made if missing
    #[arg(long, global = true, value_name = "FOLDER", default_value = "data")]
    out: PathBuf,

    /// Time in which the events happen, all files together; it ends now unless there is a start
    /// or a seed [default: the interval of --every, otherwise 1h]
    #[arg(long, global = true, value_name = "TIME", value_parser = humantime::parse_duration)]
    span: Option<Duration>,

    /// When the events begin [such as: 2026-01-01T00:00:00Z]
    #[arg(long, global = true, value_name = "TIME", value_parser = rfc3339)]
    start: Option<DateTime<Utc>>,

    /// Make the same events each time: equal flags, equal bytes. The events then begin at
    /// 2026-01-01T00:00:00Z unless --start is given
    #[arg(long, global = true, value_name = "NUMBER", allow_negative_numbers = true)]
    seed: Option<u64>,

    /// Share of records that repeat an earlier record of this run [such as: 0.01]
    #[arg(
        long,
        global = true,
        value_name = "SHARE",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    #[arg(hide_default_value = true)]
    duplicates: f64,

    /// Share of records that are broken in many ways, to see how a loader copes [such as: 0.001]
    #[arg(
        long,
        global = true,
        value_name = "SHARE",
        default_value_t = 0.0,
        allow_negative_numbers = true
    )]
    #[arg(hide_default_value = true)]
    bad: f64,

    #[command(flatten)]
    traffic: TrafficFlags,
}

#[derive(Debug, Subcommand)]
enum DatasetFlags {
    /// What users do in a shop
    UserEvents,

    /// Views, clicks and purchases of the ads of ten campaigns
    AdEvents {
        /// Print the ads, each with its campaign, as CSV, and make no events. They hang on the seed
        #[arg(long)]
        mappings: bool,

        /// Length of the tumbling windows that window_id counts, from 1ms up
        #[arg(long, value_name = "TIME", default_value = "10s")]
        #[arg(value_parser = humantime::parse_duration)]
        window: Duration,
    },

    /// Bank transfers
    Transfers {
        /// With the names of the account's holder and of the other side
        #[arg(long)]
        people: bool,

        /// A region and its share of the accounts, instead of the five by default; as often as
        /// there are to be regions [such as: 'East Asian Trade Zone=0.25']
        #[arg(long = "region", value_name = "NAME=WEIGHT", value_parser = region)]
        regions: Vec<(String, f64)>,
    },

    /// Positions of vehicles
    Gps,

    /// Sales at the tills of stores
    Pos,

    /// Reactions to a show
    Emoji,

    /// A value that wanders in time
    Simulator,
}

const EXAMPLES: &str = "\
Examples:
  generator                               30,000 events in data/user_events_<date>_<time>.csv
  generator --every 10s --rows 5000       a new file every ten seconds, until Ctrl-C
  generator --files 12 --span 24h         a day of events in twelve files
  generator --seed 7 --out /tmp/events    the same events each time it is run
  generator --duplicates 0.01 --bad 0.001 some records twice, some broken
  generator transfers --rows 1000         1,000 bank transfers in data/transfers_<date>_<time>.csv
  generator gps --to - --rate 100         100 positions a second on standard output, until Ctrl-C
  generator --to http://127.0.0.1:8080 --preset low-latency
                                          single events for a minute, as they come from many users

Exit codes: 0 done, 1 failed, stopped before it was done, or not all accepted, 2 wrong usage";

/// What the command line asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Order {
    /// Checked.
    pub(crate) settings: Settings,
    pub(crate) output: Output,
}

/// What comes out of it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Output {
    /// Sets of files at this interval; one set only if there is none.
    Files(Option<Duration>),
    /// The records of one file on standard output, at once.
    Stdout,
    /// Records to a target, each when it is due.
    Traffic(Traffic),
    /// The ads with their campaigns.
    Mappings,
}

/// Reads the command line of this process. Ends the process with help, the version, or a usage
/// error if that is what it comes to.
pub(crate) fn parse() -> Order {
    order(Flags::parse()).unwrap_or_else(|error| error.exit())
}

fn order(flags: Flags) -> Result<Order, clap::Error> {
    let is_mappings = matches!(flags.dataset, Some(DatasetFlags::AdEvents { mappings: true, .. }));
    let span = flags.span.or(flags.every).unwrap_or(Settings::default().span);
    let out = match &flags.traffic.to {
        Some(Place::Files(folder)) => folder.clone(),
        _ => flags.out,
    };
    let settings = Settings {
        dataset: flags.dataset.map_or(Dataset::default(), dataset),
        rows: flags.rows,
        files: flags.files,
        span,
        start: flags.start,
        seed: flags.seed,
        duplicates: flags.duplicates,
        bad: flags.bad,
        out,
    };
    let refused = |kind, why: &dyn std::fmt::Display| Flags::command().error(kind, why);
    settings.check().map_err(|invalid| refused(ErrorKind::ValueValidation, &invalid))?;
    if is_mappings {
        return Ok(Order { settings, output: Output::Mappings });
    }
    let output = flags.traffic.output(flags.rows, flags.every, settings.dataset.name())?;
    match &output {
        Output::Traffic(traffic) if traffic.format == Format::Ndjson && settings.bad > 0.0 => {
            let why = "--bad is for CSV: what is broken there may be whole in JSON";
            return Err(refused(ErrorKind::ArgumentConflict, &why));
        }
        Output::Traffic(_) | Output::Stdout if flags.every.is_some() || flags.files > 1 => {
            return Err(refused(ErrorKind::ArgumentConflict, &"--every and --files are for files"));
        }
        _ => {}
    }
    Ok(Order { settings, output })
}

fn dataset(flags: DatasetFlags) -> Dataset {
    match flags {
        DatasetFlags::UserEvents => Dataset::UserEvents,
        DatasetFlags::AdEvents { window, .. } => Dataset::AdEvents(Advertising { window }),
        DatasetFlags::Transfers { people, regions } if regions.is_empty() => {
            Dataset::Transfers(Banking { people, ..Banking::default() })
        }
        DatasetFlags::Transfers { people, regions } => {
            Dataset::Transfers(Banking { regions, people })
        }
        DatasetFlags::Gps => Dataset::Gps,
        DatasetFlags::Pos => Dataset::Pos,
        DatasetFlags::Emoji => Dataset::Emoji,
        DatasetFlags::Simulator => Dataset::Simulator,
    }
}

fn region(text: &str) -> Result<(String, f64), String> {
    let (name, weight) =
        text.rsplit_once('=').ok_or("it looks like 'East Asian Trade Zone=0.25'")?;
    let weight = weight.parse().map_err(|_| format!("`{weight}` is not a number"))?;
    Ok((name.to_owned(), weight))
}

fn interval(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(Duration::ZERO) => Err("it must be longer than zero".to_owned()),
        Ok(interval) => Ok(interval),
        Err(error) => Err(error.to_string()),
    }
}

fn rfc3339(text: &str) -> Result<DateTime<Utc>, String> {
    DateTime::parse_from_rfc3339(text)
        .map(|time| time.to_utc())
        .map_err(|error| format!("{error}; a time looks like 2026-01-01T00:00:00Z"))
}

#[cfg(test)]
mod tests;
