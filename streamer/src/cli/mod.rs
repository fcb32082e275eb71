//! The command line: commands and flags.

mod bench;
mod load;
mod results;
mod run;

use std::ffi::OsString;
use std::num::ParseIntError;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, CommandFactory, Parser, Subcommand};
use clap_complete::Shell;

pub use bench::{BenchArgs, BenchDataset, BenchLoad, BenchPattern};

use crate::config::{DatabaseUrl, Overrides};
use crate::logging::LogFormat;
pub use load::LoadArgs;
pub use results::{LatencyArgs, OtherReport, Output, ReportArgs, ResetArgs};
pub use run::RunArgs;

/// Streams files of events into PostgreSQL in micro-batches, each exactly once.
///
/// Without a command it does what `streamer run` does. Without a database it runs one of its own.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Settings of all commands.
    #[command(flatten)]
    pub global: Global,
}

const EXAMPLES: &str = "\
Examples:
  streamer demo                        make a file of events and watch it go in
  streamer run                         load new files of data/ as they come
  streamer run --available-now         load what there is as fast as possible, then end
  streamer status                      who is at work, and how far each file is
  streamer bench user-events           send events at a rate, and see how late their rows are
  DATABASE_URL=postgres://user:password@host/db streamer run

Exit codes: 0 done, 1 failure, 2 wrong usage, 3 done, but with dead letters.";

/// Settings of all commands.
#[derive(Debug, Clone, Args)]
pub struct Global {
    /// Where the streams are described [default: streams.toml, else one for each
    /// dataset of the generator]
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        env = "STREAMER_CONFIG",
        help_heading = "Settings"
    )]
    pub config: Option<PathBuf>,
    /// The folder that the streams' patterns start from
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "STREAMER_DATA",
        default_value = "data",
        help_heading = "Settings"
    )]
    pub data: PathBuf,
    /// The folder for what comes by HTTP, TCP and stdin until it is loaded [default: spool, in the
    /// data folder]
    #[arg(
        long,
        global = true,
        value_name = "DIR",
        env = "STREAMER_SPOOL",
        help_heading = "Settings"
    )]
    pub spool: Option<PathBuf>,
    /// The database; without one an embedded PostgreSQL is run in the data folder. Everybody on
    /// this machine can read a command line: give a password in DATABASE_URL
    #[arg(
        long,
        global = true,
        value_name = "URL",
        env = "DATABASE_URL",
        hide_env_values = true,
        help_heading = "Settings"
    )]
    pub database_url: Option<DatabaseUrl>,
    /// How log lines look
    #[arg(
        long,
        global = true,
        value_name = "FORMAT",
        env = "STREAMER_LOG_FORMAT",
        value_enum,
        default_value_t,
        help_heading = "Settings"
    )]
    pub log_format: LogFormat,
}

/// What the streamer can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Load new files as they come (the default)
    Run(RunArgs),
    /// Load records from stdin, CSV with a header or JSON lines, print a summary and end
    Load(LoadArgs),
    /// Make a file of events, load it into the embedded PostgreSQL before your eyes, and show what
    /// can be asked
    Demo(DemoArgs),
    /// Send events at a rate through a streamer made for it, and report how late their rows were
    ///
    /// Nothing of yours is touched: it has a data folder of its own, and a database of its own on
    /// the server of the database URL, or an embedded one without. Both are removed at the end. The
    /// exit code is 0 only if every event was accepted and is a row, a duplicate or a dead letter.
    Bench(BenchArgs),
    /// Show which streamers are at work, and how far each stream and file is
    Status(StatusArgs),
    /// Show the records of a stream as they pass, each as it stands, whether it came by a file or a
    /// listener
    ///
    /// It reads the files and the spool itself, from now on, and changes nothing. So it shows what
    /// is refused or a duplicate too, and what came by a listener perhaps before it is
    /// acknowledged. It does not slow the streamer: if it is read too slowly, it misses what is
    /// loaded and deleted meanwhile.
    Tap(TapArgs),
    /// Print a page, one HTML file, that sends events by hand or by itself to a streamer elsewhere
    ///
    /// streamer simulator > simulator.html, opened from disk, asks for the streamer's address and
    /// token. In streams.toml that streamer needs simulator = true and cors_origins = ["null"]: any
    /// site can make a frame of that origin, so set a token, too.
    Simulator,
    /// Show the views of a dataset, or how long its events took, as tables, CSV or JSON
    Report(ReportArgs),
    /// Check settings, database and table, and try all pending files without keeping anything; the
    /// data folder must be there
    Check,
    /// Tell whether the `streamer run` on this data folder is well: exit code 0 if it is, else 1
    /// and why
    Health,
    /// List, show, export, retry or discard records that could not be loaded
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
    /// Go on with a file that has stopped its stream by more dead letters than max_dead_letters
    ///
    /// It goes on where it stands, or from its start if it was replaced meanwhile; its dead letters
    /// are counted anew. A streamer that is running notices. Also lets the stream go on when the
    /// file is gone.
    RetryFile(RetryFileArgs),
    /// Forget what a stream has read, its micro-batches and its dead letters; with --rows also the
    /// rows
    ///
    /// Its files are read again from their beginnings by the next `streamer run`. Stop all
    /// streamers that work on it first. One that was killed is waited for until it was not seen for
    /// 15 seconds.
    Reset(ResetArgs),
    /// Create or update the streamer's tables and those of the datasets that streams name; `run`
    /// does this too
    ///
    /// A dataset's windows are brought to what the settings say. A database that the streamer
    /// before has made is taken over, with all that is in it, in one transaction.
    Migrate,
    /// Print the completions for a shell
    Completions {
        /// Which shell
        shell: Shell,
    },
}

/// Flags of `demo`.
#[derive(Debug, Args)]
pub struct DemoArgs {
    /// How many events to make
    #[arg(long, value_name = "N", default_value_t = 30_000)]
    pub rows: u64,
}

/// Flags of `status`.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Show all files, not only the newest
    #[arg(long)]
    pub all: bool,
}

/// Flags of `tap`.
#[derive(Debug, Args)]
pub struct TapArgs {
    /// The stream, as streams.toml names it
    pub stream: String,
    /// End after so many records
    #[arg(long, value_name = "N", value_parser = positive::<usize>)]
    pub count: Option<usize>,
    /// Show first what is in the files and in the spool already
    #[arg(long)]
    pub from_start: bool,
}

/// Flags of `retry-file`.
#[derive(Debug, Args)]
pub struct RetryFileArgs {
    /// The file, named as `streamer status` does or by its path
    pub file: PathBuf,
    /// Only in this stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
}

/// What can be done with dead letters.
#[derive(Debug, Subcommand)]
pub enum DeadLettersCommand {
    /// Group them by column and reason, with an example of each
    List {
        /// Only this stream's
        #[arg(long, value_name = "STREAM")]
        stream: Option<String>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Show one whole: its place, its raw record, every reason
    Show {
        /// The number that `list` shows
        id: i64,
    },
    /// Write them as they stood in their files, to be mended and dropped back
    ///
    /// Below the original header stand the original records, byte for byte: raw, so that what a
    /// spreadsheet or a terminal would obey is in them too. All that are open, unless some are
    /// chosen. They stay open: once the mended file is loaded, discard them.
    Export(ExportArgs),
    /// Try to load them again, after the table or the settings have changed
    Retry(Chosen),
    /// Give them up: they stay, marked as discarded
    Discard(Chosen),
}

/// Flags of `dead-letters export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// As CSV under the original header, and as JSON lines what came so: the only form there is
    #[arg(long)]
    pub csv: bool,
    /// Which.
    #[command(flatten)]
    pub which: Selection,
    /// Write to this file, never over another; or into this folder (an existing one, or a path that
    /// ends in /), a file for each stream, format and header [default: stdout]
    #[arg(long, value_name = "FILE|FOLDER/")]
    pub out: Option<PathBuf>,
}

/// Which dead letters; naming none takes `--all`.
#[derive(Debug, Args)]
pub struct Chosen {
    /// Some of them.
    #[command(flatten)]
    pub which: Selection,
    /// All there are
    #[arg(
        long,
        required_unless_present_any = ["ids", "stream", "file"],
        conflicts_with_all = ["ids", "stream", "file"]
    )]
    pub all: bool,
}

/// Which dead letters; all where nothing is named.
#[derive(Debug, Default, Args)]
pub struct Selection {
    /// These, by number
    #[arg(value_name = "ID", conflicts_with_all = ["stream", "file"])]
    pub ids: Vec<i64>,
    /// Those of a stream
    #[arg(long, value_name = "STREAM")]
    pub stream: Option<String>,
    /// Those of a file, named as `streamer status` does
    #[arg(long, value_name = "FILE")]
    pub file: Option<String>,
}

impl Cli {
    /// Reads the command line; `run` where no command is named.
    ///
    /// # Errors
    /// Wrong usage, or a call for help or the version, each with the text to print.
    pub fn read(args: impl IntoIterator<Item = OsString>) -> Result<Cli, clap::Error> {
        let mut args: Vec<OsString> = args.into_iter().collect();
        let starts_with_flag =
            args.get(1).is_none_or(|arg| arg.as_encoded_bytes().starts_with(b"-"));
        let asks = ["-h", "--help", "-V", "--version"];
        let is_question = args.iter().any(|arg| asks.iter().any(|ask| arg == ask));
        if starts_with_flag && !is_question && !args.is_empty() {
            // Errors are left to the second reading, which knows the command.
            let found = Cli::command().ignore_errors(true).try_get_matches_from(&args);
            if found.is_ok_and(|found| found.subcommand_name().is_none()) {
                args.insert(1, "run".into());
            }
        }
        Cli::try_parse_from(args)
    }
}

impl Global {
    /// As what streams.toml is overlaid with.
    pub fn overrides(&self) -> Overrides {
        Overrides {
            file: self.config.clone(),
            data: self.data.clone(),
            spool: self.spool.clone(),
            database_url: self.database_url.clone(),
            ..Overrides::default()
        }
    }
}

/// A number of at least 1.
fn positive<N: FromStr<Err = ParseIntError> + From<bool> + PartialEq>(
    text: &str,
) -> Result<N, String> {
    match text.parse() {
        Ok(number) if number == N::from(false) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<Cli, clap::Error> {
        Cli::read(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn run_is_the_default_command() {
        for line in ["streamer", "streamer --available-now", "streamer --data x --every 1s"] {
            assert!(matches!(read(line).unwrap().command, Command::Run(_)), "{line}");
        }
        let cli = read("streamer --data x status --json").unwrap();
        assert!(matches!(cli.command, Command::Status(StatusArgs { json: true, .. })));
        assert_eq!(cli.global.data, PathBuf::from("x"));
    }

    #[test]
    fn wrong_usage_is_told() {
        let error = read("streamer rnu").unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::InvalidSubcommand);
        for line in ["streamer rnu", "streamer --every soon", "streamer run --max-rows 0"] {
            assert_eq!(read(line).unwrap_err().exit_code(), 2, "{line}");
        }
        let error = read("streamer dead-letters retry").unwrap_err();
        assert_eq!(error.kind(), clap::error::ErrorKind::MissingRequiredArgument);
    }
}
