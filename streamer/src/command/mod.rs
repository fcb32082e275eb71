//! What a user can type, one file each.

mod at_work;
mod bench;
mod check;
mod dead_letters;
mod demo;
mod health;
mod load;
mod migrate;
mod progress;
mod report;
mod reset;
mod retry_file;
mod run;
mod shown;
mod simulator;
mod status;
mod summary;
mod table;
mod tap;

use std::borrow::Cow;
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::CommandFactory;
use sqlx::PgConnection;
use tokio_util::sync::CancellationToken;

use crate::advice::advise;
use crate::cli::{Cli, Command, Global};
use crate::config::{DatabaseUrl, Settings, Stream};
use crate::database::Database;
use crate::logging;
use crate::migrate::Inventory;
use crate::retry::advice;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All is well.
    Done,
    /// Something was not loaded that is no dead letter either: a whole file.
    Failed,
    /// Done, but some records are dead letters.
    DeadLetters,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        match exit {
            Exit::Done => ExitCode::SUCCESS,
            Exit::Failed => ExitCode::FAILURE,
            Exit::DeadLetters => ExitCode::from(3),
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Whatever kept it from being done, for [`print_error`].
pub async fn run(cli: Cli) -> Result<Exit> {
    let global = cli.global;
    let shows_progress = match &cli.command {
        Command::Run(args) => args.available_now && std::io::stderr().is_terminal(),
        Command::Load(_) | Command::Bench(_) => std::io::stderr().is_terminal(),
        Command::Demo(_) => true,
        _ => false,
    };
    let is_quiet = shows_progress || !matches!(cli.command, Command::Run(_));
    logging::start(global.log_format, if is_quiet { "warn" } else { "info" });
    warn_of_open_password(&global);
    match cli.command {
        Command::Run(args) => run::run(&global, &args, shows_progress).await,
        Command::Load(args) => load::run(&global, &args, shows_progress).await,
        Command::Demo(args) => demo::run(&global, &args).await,
        Command::Bench(args) => bench::run(&global, &args, shows_progress).await,
        Command::Status(args) => status::run(&global, &args).await,
        Command::Tap(args) => tap::run(&global, &args),
        Command::Report(args) => report::run(&global, &args).await,
        Command::Check => check::run(&global).await,
        Command::DeadLetters(command) => dead_letters::run(&global, command).await,
        Command::Health => health::run(&global).await,
        Command::Simulator => simulator::run(),
        Command::RetryFile(args) => retry_file::run(&global, &args).await,
        Command::Reset(args) => reset::run(&global, &args).await,
        Command::Migrate => migrate::run(&global).await,
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "streamer", &mut script);
            print(&String::from_utf8(script).context("write the completions")?)
        }
    }
}

/// Prints an error and what caused it, a line each, on stderr.
pub fn print_error(error: &anyhow::Error) {
    let mut lines: Vec<String> = Vec::new();
    for cause in error.chain().map(ToString::to_string) {
        // A cause that its consequence has told already is not told again.
        if lines.last().is_none_or(|last| !last.ends_with(&cause)) {
            lines.push(cause);
        }
    }
    // A line end in a message must not pose as a line of its own.
    let lines: Vec<String> = lines.iter().map(|line| line.replace('\n', "\n  ")).collect();
    let mut text = lines.join("\ncaused by: ");
    let database = error.chain().find_map(|cause| cause.downcast_ref::<sqlx::Error>());
    if let Some(advice) = database.and_then(advice).filter(|advice| !text.contains(advice.as_ref()))
    {
        text += &format!("\nto do: {advice}");
    }
    // Without stderr there is nobody to tell.
    drop(writeln!(std::io::stderr(), "error: {}", harmless(&text)));
}

/// What came of work in the database, on the table of a stream or on the streamer's own; a failure
/// with what a user can do about it, where the database has to be asked for that.
async fn with_advice<T>(
    database: &Database,
    stream: Option<&Stream>,
    outcome: Result<T>,
) -> Result<T> {
    let Err(error) = outcome else { return outcome };
    let of_database = error.chain().find_map(|cause| cause.downcast_ref::<sqlx::Error>());
    let table = stream.map(|stream| stream.table.as_str());
    let advice = match of_database {
        Some(cause) => advise(database, table, cause).await,
        None => None,
    };
    Err(match (advice, stream) {
        (Some(advice), Some(stream)) => error.context(format!("stream {}: {advice}", stream.name)),
        (Some(advice), None) => error.context(advice),
        (None, _) => error,
    })
}

/// Prints to stdout; a reader that has gone away is no failure.
fn print(text: &str) -> Result<Exit> {
    match std::io::stdout().write_all(harmless(text).as_bytes()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(error).context("write to stdout")
        }
        _ => Ok(Exit::Done),
    }
}

/// Prints a line to stdout. Without a reader there is nobody to tell.
fn say(line: impl AsRef<str>) {
    drop(writeln!(std::io::stdout(), "{}", harmless(line.as_ref())));
}

/// What a terminal shows and does not obey: control characters but line ends and tabs are written
/// as JSON has them.
fn harmless(text: &str) -> Cow<'_, str> {
    let is_obeyed = |c: char| c.is_control() && c != '\n' && c != '\t';
    if !text.contains(is_obeyed) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if is_obeyed(c) { shown += &format!("\\u{:04x}", u32::from(c)) } else { shown.push(c) }
    }
    Cow::Owned(shown)
}

/// Warns of a password that others can read in the list of processes.
fn warn_of_open_password(global: &Global) {
    let is_open =
        std::env::args_os().any(|arg| arg.as_encoded_bytes().starts_with(b"--database-url"));
    if is_open && global.database_url.as_ref().is_some_and(DatabaseUrl::has_password) {
        tracing::warn!(
            "everybody on this machine can read the password on the command line; give it in \
             DATABASE_URL"
        );
    }
}

/// Reads the settings and opens the database: what most commands start with.
async fn open(global: &Global) -> Result<(Settings, Database)> {
    let settings = Settings::load(global.overrides())?;
    make_folder(&settings.data)?;
    let database = Database::open(settings.database_url.as_ref(), &settings.data).await?;
    Ok((settings, database))
}

/// A connection to a database that has the streamer's tables, and those of the datasets that are
/// named.
async fn connect(database: &Database, streams: &[Stream]) -> Result<PgConnection> {
    Ok(inventory(database, streams).await?.0)
}

/// The same, with what was found of the tables.
async fn inventory(database: &Database, streams: &[Stream]) -> Result<(PgConnection, Inventory)> {
    let mut conn = database.connect_now().await?;
    let inventory = Inventory::of(&mut conn, streams).await.map_err(anyhow::Error::from);
    let inventory = with_advice(database, None, inventory).await?;
    if let [first, ..] = inventory.pending().as_slice() {
        anyhow::bail!(
            "the streamer's tables are missing or old ({first}); run `streamer migrate` first"
        );
    }
    Ok((conn, inventory))
}

/// The stream of this name.
fn stream_named<'s>(settings: &'s Settings, name: &str) -> Result<&'s Stream> {
    settings.streams.iter().find(|stream| stream.name == name).with_context(|| {
        let names: Vec<&str> = settings.streams.iter().map(|one| one.name.as_str()).collect();
        format!("there is no stream {name}; streams.toml has: {}", names.join(", "))
    })
}

/// Demands the data folder where nothing can come into it any more.
fn need_folder(data: &Path) -> Result<()> {
    anyhow::ensure!(
        data.is_dir(),
        "there is no data folder {}; make it, or name another by --data or STREAMER_DATA",
        data.display()
    );
    Ok(())
}

fn make_folder(data: &Path) -> Result<()> {
    if !data.is_dir() {
        std::fs::create_dir_all(data)
            .with_context(|| format!("make the data folder {}", data.display()))?;
        tracing::info!("made the data folder {}", data.display());
    }
    Ok(())
}

/// Is cancelled by Ctrl-C or SIGTERM; a second one ends the process at once.
fn stop_on_signal() -> Result<CancellationToken> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("listen for Ctrl-C")?;
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    tokio::spawn(async move {
        for is_first in [true, false] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            if is_first {
                tracing::info!("stopping after the micro-batch in flight");
                stopped.cancel();
            }
        }
        std::process::exit(1);
    });
    Ok(stop)
}
