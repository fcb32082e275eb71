//! What happens when: all of it follows from a seed, so that a run can be repeated.

use std::time::Duration;

use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::support::Cut;

/// Steps between two judgements.
const STEPS: usize = 20;

/// What can go wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9 of a streamer.
    Kill,
    /// SIGSTOP of a streamer, SIGCONT later.
    Freeze,
    /// The same, and the server ends its connections meanwhile, as its timeouts would.
    FreezeLong,
    /// pg_terminate_backend of the connections in use.
    Terminate,
    /// kill -9 of a backend in use: the server throws out everybody and recovers.
    KillBackend,
    /// Immediate shutdown and restart of the server.
    StopServer,
    /// The connection is cut at a step of the protocol.
    Cut(Cut),
    /// A lock on the tables.
    Lock,
    /// A transaction that wants the same locks in another order.
    Deadlock,
    /// Another writer, while transactions are serializable.
    Conflict,
    /// The role has no connection left.
    TooManyConnections,
}

/// All faults but [`Fault::Kill`].
const OTHERS: [Fault; 17] = [
    Fault::Freeze,
    Fault::FreezeLong,
    Fault::Terminate,
    Fault::KillBackend,
    Fault::StopServer,
    Fault::Cut(Cut::CheckpointRead),
    Fault::Cut(Cut::BeforeBegin),
    Fault::Cut(Cut::MidCopy),
    Fault::Cut(Cut::AfterCopy),
    Fault::Cut(Cut::BeforeCommit),
    Fault::Cut(Cut::AfterCommit),
    Fault::Cut(Cut::AfterCommit),
    Fault::Cut(Cut::LateCommit),
    Fault::Lock,
    Fault::Deadlock,
    Fault::Conflict,
    Fault::TooManyConnections,
];

/// What befalls the files.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Change {
    /// Another file comes.
    Arrive,
    /// A file is replaced by another under its name, whether it was read to its end or not.
    Replace,
    /// A file that was read loses its second half.
    Truncate,
    /// A file gets another name, whether it was read or not.
    Rename,
    /// A copy of a file comes under another name.
    Copy,
    /// A file is removed, whether it was read or not.
    Remove,
    /// Records are appended to a file.
    Grow,
}

const CHANGES: [Change; 7] = [
    Change::Arrive,
    Change::Replace,
    Change::Truncate,
    Change::Rename,
    Change::Copy,
    Change::Remove,
    Change::Grow,
];

/// One fault, and what comes with it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Step {
    pub(crate) fault: Fault,
    /// From a commit to the fault.
    pub(crate) delay: Duration,
    /// How long the fault lasts, where it lasts.
    pub(crate) hold: Duration,
    /// Which streamer or backend, which file: counted around.
    pub(crate) pick: usize,
    pub(crate) change: Option<Change>,
}

/// What happens between two judgements, with its own tables and folder.
#[derive(Debug)]
pub(crate) struct Round {
    /// How many streamers work on the folder.
    pub(crate) streamers: usize,
    /// Whether the tables are divided by time.
    pub(crate) is_divided: bool,
    /// Of the files.
    pub(crate) seed: u64,
    pub(crate) steps: Vec<Step>,
}

impl Fault {
    /// Its name in the table of results.
    pub(crate) fn name(self) -> String {
        match self {
            Fault::Kill => "kill -9 of the streamer".to_owned(),
            Fault::Freeze => "SIGSTOP of the streamer".to_owned(),
            Fault::FreezeLong => "SIGSTOP until the server hangs up".to_owned(),
            Fault::Terminate => "pg_terminate_backend".to_owned(),
            Fault::KillBackend => "kill -9 of a backend".to_owned(),
            Fault::StopServer => "immediate shutdown of the server".to_owned(),
            Fault::Cut(cut) => format!("connection cut {}", place(cut)),
            Fault::Lock => "lock on the tables".to_owned(),
            Fault::Deadlock => "deadlock".to_owned(),
            Fault::Conflict => "serialization failures".to_owned(),
            Fault::TooManyConnections => "too many connections".to_owned(),
        }
    }
}

fn place(cut: Cut) -> &'static str {
    match cut {
        Cut::CheckpointRead => "during the checkpoint read",
        Cut::BeforeBegin => "before BEGIN",
        Cut::MidCopy => "in mid-COPY",
        Cut::AfterCopy => "after COPY",
        Cut::BeforeCommit => "before COMMIT",
        Cut::AfterCommit => "between COMMIT and its reply",
        Cut::LateCommit => "while COMMIT is on its way",
    }
}

/// The rounds of `seed`, with `kills` kills of a streamer in all and about as many other faults.
pub(crate) fn rounds(seed: u64, kills: u32) -> Vec<Round> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let mut left = kills;
    // The others go around, so that each comes about as often.
    let mut others: Vec<Fault> = Vec::new();
    let mut rounds = Vec::new();
    while left > 0 {
        let mut steps = Vec::new();
        while steps.len() < STEPS && left > 0 {
            let fault = if rng.random_bool(0.5) {
                left -= 1;
                Fault::Kill
            } else {
                if others.is_empty() {
                    others.extend(OTHERS);
                }
                others.swap_remove(rng.random_range(0..others.len()))
            };
            steps.push(step(fault, &mut rng));
        }
        let streamers = [2, 4, 2, 1][rounds.len() % 4];
        let is_divided = rounds.len() % 2 == 1;
        rounds.push(Round { streamers, is_divided, seed: rng.next_u64(), steps });
    }
    rounds
}

fn step(fault: Fault, rng: &mut ChaCha8Rng) -> Step {
    let change = rng.random_range(0..CHANGES.len() * 2);
    Step {
        fault,
        delay: Duration::from_micros(rng.random_range(0..30_000)),
        hold: Duration::from_millis(rng.random_range(50..600)),
        pick: rng.random_range(0..1000),
        change: CHANGES.get(change).copied(),
    }
}
