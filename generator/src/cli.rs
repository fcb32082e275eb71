//! The command line: flags, their help, and their checks.

use chrono::{DateTime, Utc};
use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use generator::{Banking, Dataset, Pace, Pattern, Settings};
use std::path::PathBuf;
use std::time::Duration;

/// Makes believable events of several kinds as CSV files: user events of a shop, unless a dataset
/// is named.
///
/// Without flags it writes one file of 30,000 events of the last hour to the folder `data` and
/// prints the file's path. A file appears under its name only when it is whole.
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

    /// Where to: `-` is standard output, instead of files. One header, then --rows records at once or
    /// records at a --rate
    #[arg(long, global = true, value_name = "TARGET", value_parser = ["-"])]
    #[arg(allow_hyphen_values = true, hide_possible_values = true)]
    #[arg(conflicts_with_all = ["files", "every", "out"])]
    to: Option<String>,

    /// Records per second, each written when it is due by the clock; until stopped, unless there is a
    /// --count or --duration
    #[arg(long, global = true, value_name = "NUMBER", allow_negative_numbers = true)]
    #[arg(requires = "to", conflicts_with_all = ["rows", "span"], value_parser = above_zero)]
    rate: Option<f64>,

    /// How the records are spread over time: evenly, at random (Poisson), or in bursts (MMPP: calm and
    /// busy times by turns, of two seconds on average)
    #[arg(long, global = true, requires = "rate", value_enum, default_value_t = PatternFlag::Uniform)]
    #[arg(hide_default_value = true)]
    pattern: PatternFlag,

    /// How many times as high the rate is in busy times as in calm ones
    #[arg(long, global = true, value_name = "NUMBER", allow_negative_numbers = true)]
    #[arg(requires = "rate", value_parser = above_zero, default_value_t = 5.0)]
    rate_ratio: f64,

    /// Stop after so many records
    #[arg(long, global = true, value_name = "N", requires = "rate")]
    count: Option<u64>,

    /// Stop after so long a time
    #[arg(long, global = true, value_name = "TIME", requires = "rate", value_parser = interval)]
    duration: Option<Duration>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum PatternFlag {
    Uniform,
    Poisson,
    Mmpp,
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
    },

    /// Bank transfers
    Transfers {
        /// With the names of the account's holder and of the other side
        #[arg(long)]
        people: bool,

        /// A region and its share of the accounts, instead of the five by default; as often as there
        /// are to be regions [such as: 'East Asian=0.25']
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
  generator gps --to - --rate 100         100 positions a second on standard output, until Ctrl-C
  generator transfers --rows 1000         1,000 bank transfers in data/transfers_<date>_<time>.csv

Exit codes: 0 done, 1 failed or stopped before it was done, 2 wrong usage";

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
    /// Records on standard output: those of one file at once, or at a pace.
    Stdout(Option<Pace>),
    /// The ads with their campaigns.
    Mappings,
}

/// Reads the command line of this process. Ends the process with help, the version, or a usage
/// error if that is what it comes to.
pub(crate) fn parse() -> Order {
    order(Flags::parse()).unwrap_or_else(|error| error.exit())
}

fn order(flags: Flags) -> Result<Order, clap::Error> {
    let span = flags.span.or(flags.every).unwrap_or(Settings::default().span);
    let output = match (&flags.dataset, &flags.to) {
        (Some(DatasetFlags::AdEvents { mappings: true }), _) => Output::Mappings,
        (_, None) => Output::Files(flags.every),
        (_, Some(_)) => Output::Stdout(flags.rate.map(|rate| pace(rate, &flags))),
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
        out: flags.out,
    };
    settings
        .check()
        .map_err(|invalid| Flags::command().error(ErrorKind::ValueValidation, invalid))?;
    Ok(Order { settings, output })
}

fn pace(rate: f64, flags: &Flags) -> Pace {
    let pattern = match flags.pattern {
        PatternFlag::Uniform => Pattern::Uniform,
        PatternFlag::Poisson => Pattern::Poisson,
        PatternFlag::Mmpp => Pattern::Mmpp,
    };
    let Flags { rate_ratio, duration, count, .. } = *flags;
    Pace { pattern, rate, rate_ratio, duration, count }
}

fn dataset(flags: DatasetFlags) -> Dataset {
    match flags {
        DatasetFlags::UserEvents => Dataset::UserEvents,
        DatasetFlags::AdEvents { .. } => Dataset::AdEvents,
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
    let (name, weight) = text.rsplit_once('=').ok_or("it looks like 'East Asian=0.25'")?;
    let weight = weight.parse().map_err(|_| format!("`{weight}` is not a number"))?;
    Ok((name.to_owned(), weight))
}

fn above_zero(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is not a number".to_owned())?;
    if number > 0.0 && number.is_finite() {
        Ok(number)
    } else {
        Err("it must be above zero".to_owned())
    }
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
mod tests {
    use super::*;

    fn parsed(flags: &[&str]) -> Result<Order, clap::Error> {
        Flags::try_parse_from([&["generator"], flags].concat()).and_then(order)
    }

    #[test]
    fn the_definition_of_the_flags_is_sound() {
        Flags::command().debug_assert();
    }

    #[test]
    fn no_flags_mean_the_default_settings() {
        let default = Order { settings: Settings::default(), output: Output::Files(None) };
        assert_eq!(parsed(&[]).unwrap(), default);
    }

    #[test]
    fn the_span_is_the_interval_unless_given() {
        let span = |flags: &[&str]| parsed(flags).unwrap().settings.span;
        assert_eq!(span(&["--every", "30s"]), Duration::from_secs(30));
        assert_eq!(span(&["--every", "30s", "--span", "2m"]), Duration::from_secs(120));
    }

    #[test]
    fn a_start_may_have_another_time_zone() {
        let order = parsed(&["--start", "2026-03-01T02:00:00+02:00"]).unwrap();
        assert_eq!(order.settings.start.unwrap().to_rfc3339(), "2026-03-01T00:00:00+00:00");
    }

    #[test]
    fn a_dataset_takes_flags_of_its_own_and_the_common_ones_on_either_side() {
        let flags = ["--rows", "7", "transfers", "--region", "A=B=0.5", "--people", "--seed", "1"];
        let regions = vec![("A=B".to_owned(), 0.5)];
        let dataset = Dataset::Transfers(Banking { regions, people: true });
        let settings = Settings { dataset, rows: 7, seed: Some(1), ..Settings::default() };
        assert_eq!(parsed(&flags).unwrap().settings, settings);
        assert_eq!(parsed(&["ad-events", "--mappings"]).unwrap().output, Output::Mappings);
        assert!(parsed(&["gps", "--mappings"]).is_err());
        for region in ["North", "North=", "North=much", "North=-1", "=0.5"] {
            let error = parsed(&["transfers", "--region", region]).unwrap_err();
            assert!(error.to_string().contains("--region"), "{region}: {error}");
        }
    }

    #[test]
    fn standard_output_takes_a_pace() {
        let flags = ["gps", "--to", "-", "--rate", "100", "--pattern", "mmpp", "--count", "7"];
        let pace = Pace {
            pattern: Pattern::Mmpp,
            rate: 100.0,
            rate_ratio: 5.0,
            duration: None,
            count: Some(7),
        };
        assert_eq!(parsed(&flags).unwrap().output, Output::Stdout(Some(pace)));
        assert_eq!(parsed(&["--to", "-"]).unwrap().output, Output::Stdout(None));
        assert!(parsed(&["--rate", "100"]).is_err(), "files have no pace");
        assert!(parsed(&["--to", "-", "--pattern", "poisson"]).is_err(), "no rate");
        assert!(parsed(&["--to", "-", "--files", "2"]).is_err());
        assert!(parsed(&["--to", "-", "--rate", "100", "--rows", "2"]).is_err());
        for rate in ["0", "-1", "inf", "NaN", "many"] {
            let error = parsed(&["--to", "-", "--rate", rate]).unwrap_err();
            assert!(error.to_string().contains("--rate"), "{rate}: {error}");
        }
    }

    #[test]
    fn usage_errors_name_the_flag() {
        for (flag, value) in [
            ("--rows", "-1"),
            ("--rows", "many"),
            ("--files", "0"),
            ("--every", "0s"),
            ("--every", "soon"),
            ("--span", "0s"),
            ("--span", "1000000y"),
            ("--start", "yesterday"),
            ("--start", "1969-12-31T23:59:59Z"),
            ("--seed", "x"),
            ("--duplicates", "1.1"),
            ("--duplicates", "NaN"),
            ("--bad", "-0.1"),
            ("--out", ""),
        ] {
            let error = parsed(&[flag, value]).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{flag} {value}");
            assert!(error.to_string().contains(flag), "{flag} {value}: {error}");
        }
        let error = parsed(&["--duplicates", "0.6", "--bad", "0.5"]).unwrap_err().to_string();
        assert!(error.contains("--duplicates") && error.contains("--bad"), "{error}");
    }
}
