//! Flags of the commands that show results, and of the one that forgets them.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Subcommand};

/// Flags of `report`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct ReportArgs {
    /// Which report, if not the views of a dataset.
    #[command(subcommand)]
    pub other: Option<OtherReport>,
    /// The stream, as streams.toml names it; or the dataset, as the generator does
    #[arg(required = true, value_name = "DATASET|STREAM")]
    pub name: Option<String>,
    /// Only this view
    #[arg(long, value_name = "VIEW")]
    pub view: Option<String>,
    /// Show so many rows of each view, of windows the newest [default: 10; all with --csv and
    /// --json]
    #[arg(long, value_name = "N")]
    pub rows: Option<i64>,
    /// How and where to.
    #[command(flatten)]
    pub output: Output,
}

/// Reports of another kind.
#[derive(Debug, Subcommand)]
pub enum OtherReport {
    /// Show how long events took to become rows, per window
    ///
    /// From produce_time where the table has it, else from the time of the event, to ingested_at,
    /// when the transaction that brought the row began. It reads the whole table.
    Latency(LatencyArgs),
}

/// Flags of `report latency`.
#[derive(Debug, Args)]
pub struct LatencyArgs {
    /// The stream, or the dataset
    #[arg(value_name = "DATASET|STREAM")]
    pub name: String,
    /// How long each window is [default: as the dataset's rollup ..._per_window has them, else 10s]
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    pub window: Option<Duration>,
    /// How and where to.
    #[command(flatten)]
    pub output: Output,
}

/// How results are written, and where to.
#[derive(Debug, Default, Args)]
#[command(group = ArgGroup::new("form").args(["csv", "json"]))]
pub struct Output {
    /// Write CSV; views behind each other have a line with the name of each
    #[arg(long)]
    pub csv: bool,
    /// Write JSON
    #[arg(long)]
    pub json: bool,
    /// Write to this file, in the place of the one that is there; with --csv also into this folder
    /// (an existing one, or a path that ends in /), a file for each view [default: stdout]
    #[arg(long, value_name = "FILE|FOLDER/")]
    pub out: Option<PathBuf>,
}

/// Flags of `reset`.
#[derive(Debug, Args)]
pub struct ResetArgs {
    /// The stream, as streams.toml names it
    pub stream: String,
    /// Also remove the rows that it has brought to its table, and so what rollups hold of them
    #[arg(long)]
    pub rows: bool,
    /// Don't ask
    #[arg(long)]
    pub yes: bool,
}
