//! Traffic: records sent to a target, each when it is due by the clock.
//!
//! One thread makes the records, because each depends on the one before, and puts those that belong
//! together into batches. The producers, a thread each, send them. What they tell is gathered in
//! one place. When a record was due is decided by the pattern alone, however slow the target is,
//! and the latency counts from there: a target that stands still makes all that were due meanwhile
//! late, not only the one that it holds.

mod batch;
mod http;
mod json;
mod listen;
mod pacing;
mod peer;
mod run;
mod stdout;
mod target;
mod tcp;

pub use json::Format;
pub use run::{Latency, Report};
pub use target::{InvalidTarget, Target};

use crate::arrivals::Pattern;
use crate::events::Generator;
use batch::Batch;
use pacing::Limits;
use run::Run;
use std::fmt;
use std::io;
use std::ops::ControlFlow;
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, Thread};
use std::time::Duration;

/// The longest time between two calls of `progress`, and the longest that a wait looks away from
/// whether the run is over: soon enough for people, too seldom to cost.
pub(crate) const PAUSE_MAX: Duration = Duration::from_millis(50);

/// Batches that may wait for each producer: with those being sent, they bound the memory.
const BATCHES_WAITING: usize = 2;

/// When records are due, and how many there are to be.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pace {
    /// How they are spread over time.
    pub pattern: Pattern,
    /// Records per second, above zero; without one, each is due as soon as it can be sent.
    pub rate: Option<f64>,
    /// How many times as high the rate is in the busy times of bursts as in the calm ones, above
    /// zero.
    pub rate_ratio: f64,
    /// The last record is due before so much time has passed.
    pub duration: Option<Duration>,
    /// So many records at the most.
    pub count: Option<u64>,
}

/// What is to be sent where, and how.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    /// Where to.
    pub target: Target,
    /// When.
    pub pace: Pace,
    /// How records are written.
    pub format: Format,
    /// How many send at the same time, each by a connection of its own, where the target takes
    /// several.
    pub producers: usize,
    /// How many records a request has at most.
    pub batch: usize,
    /// The stream that the records are for, as the target calls it.
    pub stream: String,
    /// What a request is allowed by, if the target asks for it.
    pub token: Option<Token>,
}

/// What a request is allowed by. It is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(pub String);

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Sends batches by one connection.
pub(crate) trait Sender: Send {
    /// Sends `batch`, again and again if need be, until its fate is known or the run is over.
    ///
    /// # Errors
    /// What makes it useless to go on.
    fn send(&mut self, batch: &Batch, run: &Run) -> io::Result<Fate>;

    /// Nothing more is to be sent.
    fn finish(&mut self) {}
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fate {
    /// So many of its records were taken.
    Accepted(u64),
    /// The target wants none of it, and says why.
    Refused(String),
    /// The run was over before an answer came.
    Unanswered,
}

impl Generator {
    /// Sends records until there are enough, or `progress` breaks off, which is told of the work so
    /// far at least every 50 ms. A record happens when it is due, counted from now or from the
    /// start that the settings give.
    ///
    /// # Errors
    /// What keeps the target from being used at all. Refused records are counted.
    pub fn send(
        &mut self,
        traffic: &Traffic,
        progress: &mut dyn FnMut(&Report) -> ControlFlow<()>,
    ) -> anyhow::Result<Report> {
        let mut go_on = || progress(&Report::default());
        let Some(senders) = target::open(traffic, self.columns(), &mut go_on)? else {
            return Ok(Report::default());
        };
        let (made, waiting) = sync_channel(senders.len() * BATCHES_WAITING);
        // The producers alone keep it open: when all have ended, no more records are made.
        let waiting = Arc::new(Mutex::new(waiting));
        let limits = Limits::of(traffic);
        let run = Run::begin(traffic.pace.duration);
        let main = thread::current();
        let failed = thread::scope(|scope| {
            let (run, main) = (&run, &main);
            let producers: Vec<_> = senders
                .into_iter()
                .map(|sender| {
                    let waiting = waiting.clone();
                    scope.spawn(move || produce(sender, &waiting, run, main))
                })
                .collect();
            drop(waiting);
            scope.spawn(move || self.make_batches(&traffic.pace, &limits, &made, run));
            while !producers.iter().all(|producer| producer.is_finished()) {
                if progress(&run.report()).is_break() {
                    run.stop();
                }
                thread::park_timeout(PAUSE_MAX);
            }
            let ended = producers.into_iter().map(|producer| match producer.join() {
                Ok(ended) => ended,
                Err(panic) => std::panic::resume_unwind(panic),
            });
            ended.collect::<Result<Vec<()>, io::Error>>()
        });
        failed?;
        Ok(run.report())
    }
}

/// The work of one producer.
fn produce(
    mut sender: Box<dyn Sender>,
    waiting: &Mutex<Receiver<Batch>>,
    run: &Run,
    main: &Thread,
) -> io::Result<()> {
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).recv();
    let mut sent = Ok(());
    while let Ok(batch) = next() {
        if run.is_over() {
            run.note_unsent();
            break;
        }
        run.note_sent(&batch);
        match sender.send(&batch, run) {
            Ok(fate) => run.note_fate(&batch, fate),
            Err(error) => {
                run.stop();
                sent = Err(error);
                break;
            }
        }
    }
    sender.finish();
    main.unpark();
    sent
}
