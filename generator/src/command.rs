//! Carries out the command line: signals, standard output, the progress bar, the exit code.

use crate::cli::{Order, Output};
use anyhow::{Context, bail};
use generator::{Generator, Report, Settings, Target, Traffic, Written, mappings};
use indicatif::{HumanCount, ProgressBar, ProgressFinish, ProgressState, ProgressStyle};
use signal_hook::consts::{SIGINT, SIGTERM};
use std::fmt;
use std::io::{self, ErrorKind, Write};
use std::ops::ControlFlow;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// Does what was ordered. Errors are told on standard error.
pub(crate) fn run(order: Order) -> ExitCode {
    let done = match order.output {
        Output::Files(every) => make_sets(order.settings, every),
        Output::Stdout => write_to_stdout(order.settings),
        Output::Traffic(traffic) => send(order.settings, &traffic),
        Output::Mappings => print_mappings(order.settings.seed),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(format_args!("error: {error}"));
            for cause in error.chain().skip(1) {
                say(format_args!("caused by: {cause}"));
            }
            ExitCode::FAILURE
        }
    }
}

fn print_mappings(seed: Option<u64>) -> anyhow::Result<()> {
    unless_reader_gone(io::stdout().write_all(mappings(seed).as_bytes()))
}

/// That nobody reads any more is no error.
fn unless_reader_gone(written: io::Result<()>) -> anyhow::Result<()> {
    match written {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
        written => written.context("cannot write to standard output"),
    }
}

/// The records of one file at once.
fn write_to_stdout(settings: Settings) -> anyhow::Result<()> {
    let stop = Stop::on_signals()?;
    let mut generator = Generator::new(settings)?;
    let written = generator.write_events(io::stdout().lock(), &mut |_| stop.flow());
    if matches!(written, Ok(None)) {
        bail!("stopped before all records were made");
    }
    unless_reader_gone(written.map(drop))
}

/// Records to a target until there are enough or a signal comes; then the report.
fn send(settings: Settings, traffic: &Traffic) -> anyhow::Result<()> {
    let stop = Stop::on_signals()?;
    let mut generator = Generator::new(settings)?;
    let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
    let (mut last, mut told) = (Report::default(), Troubles::default());
    let mut progress = |report: &Report| {
        told.tell(report, &bar);
        bar.set_message(live(report));
        bar.tick();
        last = report.clone();
        stop.flow()
    };
    let sent = generator.send(traffic, &mut progress);
    let report = sent.as_ref().unwrap_or(&last);
    told.tell(report, &bar);
    drop(bar);
    say(format_args!("{report}"));
    let has_end = traffic.pace.count.is_some() || traffic.pace.duration.is_some();
    match sent {
        Err(error) => match error.downcast::<io::Error>() {
            Ok(error) if traffic.target == Target::Stdout => unless_reader_gone(Err(error)),
            Ok(error) => Err(error.into()),
            Err(error) => Err(error),
        },
        Ok(report) if report.accepted < report.sent || report.is_behind => {
            bail!("not all records were accepted")
        }
        Ok(_) if stop.is_asked() && has_end => {
            bail!("stopped before all records were sent")
        }
        Ok(_) => Ok(()),
    }
}

/// How it goes, in a line.
fn live(report: &Report) -> String {
    let mut line = format!(
        "{} accepted in {} s, {:.0}/s",
        HumanCount(report.accepted),
        report.elapsed.as_secs(),
        report.rate()
    );
    if report.refused > 0 {
        line += &format!(", {} refused", HumanCount(report.refused));
    }
    if report.retries > 0 {
        line += &format!(", sent again {} times", HumanCount(report.retries));
    }
    line
}

/// What was told of what goes wrong: each kind once.
#[derive(Default)]
struct Troubles {
    refusal: bool,
    trouble: bool,
}

impl Troubles {
    fn tell(&mut self, report: &Report, bar: &ProgressBar) {
        if let Some(refusal) = report.refusal.as_ref().filter(|_| !self.refusal) {
            self.refusal = true;
            bar.suspend(|| say(format_args!("refused: {refusal}")));
        }
        if let Some(trouble) = report.trouble.as_ref().filter(|_| !self.trouble) {
            self.trouble = true;
            bar.suspend(|| say(format_args!("trying again: {trouble}")));
        }
    }
}

/// One set of files, or set after set until a signal comes or nobody reads the paths any more.
fn make_sets(settings: Settings, every: Option<Duration>) -> anyhow::Result<()> {
    let stop = Stop::on_signals()?;
    let mut generator = Generator::new(settings)?;
    loop {
        let begun = Instant::now();
        let end = make_set(&mut generator, &stop)?;
        match (end, every) {
            (SetEnd::Stopped, None) => bail!("stopped before all files were made"),
            (SetEnd::Made, Some(every)) if !stop.comes_before(begun, every) => {}
            _ => return Ok(()),
        }
    }
}

/// How a set of files came to its end.
enum SetEnd {
    Made,
    /// By a signal. No file is left half-made.
    Stopped,
    /// Nobody reads standard output any more, as in `generator --files 9 | head -n 1`.
    ReaderGone,
}

fn make_set(generator: &mut Generator, stop: &Stop) -> anyhow::Result<SetEnd> {
    let Settings { rows, files, .. } = *generator.settings();
    let mixed = generator.settings().duplicates > 0.0 || generator.settings().bad > 0.0;
    let bar = progress_bar(rows.saturating_mul(u64::from(files)));
    let mut progress = |made| {
        bar.set_position(made);
        stop.flow()
    };
    let mut printed = Ok(());
    let mut tell = |written: Written| {
        if mixed {
            bar.suspend(|| say(format_args!("{}", Mixture(&written))));
        }
        printed = bar.suspend(|| print_path(&written));
        if printed.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    };
    let end = generator.write_files(files, &mut progress, &mut tell)?;
    match printed {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(SetEnd::ReaderGone),
        Err(error) => Err(error).context("cannot write to standard output"),
        Ok(()) if end.is_break() => Ok(SetEnd::Stopped),
        Ok(()) => Ok(SetEnd::Made),
    }
}

/// The path byte for byte, which need not be UTF-8.
fn print_path(written: &Written) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(written.path.as_os_str().as_encoded_bytes())?;
    stdout.write_all(b"\n")?;
    stdout.flush()
}

/// What was put into a file, for whoever asked for duplicates or broken records.
struct Mixture<'a>(&'a Written);

impl fmt::Display for Mixture<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Written { path, counts } = self.0;
        let name = path.file_name().unwrap_or_default().display();
        let (rows, duplicates, bad) = (counts.rows, counts.duplicates, counts.bad);
        write!(f, "{name}: {rows} records, of them {duplicates} duplicates and {bad} broken")
    }
}

/// A line on standard error. That it may be closed must not end the program.
fn say(line: fmt::Arguments) {
    let _ = writeln!(io::stderr(), "{line}");
}

/// On standard error, only if that is a terminal, and gone when done.
fn progress_bar(records: u64) -> ProgressBar {
    let template = "{bar:40} {human_pos} of {human_len} events, {speed}/s, {eta} left";
    let speed = |state: &ProgressState, out: &mut dyn fmt::Write| {
        // A bar that cannot be drawn is no reason to stop.
        let _ = write!(out, "{:.0}", state.per_sec());
    };
    let style = ProgressStyle::with_template(template)
        .expect("the template is well-formed")
        .with_key("speed", speed);
    ProgressBar::new(records).with_style(style).with_finish(ProgressFinish::AndClear)
}

/// Tells of Ctrl-C and SIGTERM. SIGHUP is left alone, so that `nohup` works.
struct Stop {
    asked: Arc<AtomicBool>,
}

/// How often the wait between sets looks for a signal: soon enough for people, too seldom to cost.
const LOOK_FOR_SIGNAL: Duration = Duration::from_millis(50);

impl Stop {
    fn on_signals() -> anyhow::Result<Self> {
        let asked = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&asked))
                .context("cannot listen for Ctrl-C")?;
        }
        Ok(Self { asked })
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Relaxed)
    }

    /// Whether to go on.
    fn flow(&self) -> ControlFlow<()> {
        if self.is_asked() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    /// Waits until `time` has passed since `begun`; true if a signal came first.
    fn comes_before(&self, begun: Instant, time: Duration) -> bool {
        loop {
            let left = time.saturating_sub(begun.elapsed());
            if self.is_asked() || left.is_zero() {
                return self.is_asked();
            }
            thread::sleep(left.min(LOOK_FOR_SIGNAL));
        }
    }
}
