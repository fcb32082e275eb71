//! Which call goes wrong, and how.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::process::Command;

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum How {
    Fail,
    /// It fails, and some calls behind it.
    FailSeveral,
    KillBefore,
    KillAfter,
    /// Half is written, then the process is killed.
    Short,
}

/// A point: the call of a kind with this number, and what happens there.
#[derive(Debug, Clone)]
pub(crate) struct Fault {
    kind: String,
    number: u32,
    how: How,
}

/// What the shim has noted.
#[derive(Debug)]
pub(crate) struct Noted {
    /// How many calls of each kind there were.
    pub(crate) calls: BTreeMap<String, u32>,
    pub(crate) is_hit: bool,
}

/// All that can happen.
const ALL: [How; 5] = [How::Fail, How::FailSeveral, How::KillBefore, How::KillAfter, How::Short];

/// How many openings of files that are there count: each listing of the folder opens the segments
/// of the other streamer.
const OPENINGS_MAX: u32 = 6;

impl How {
    fn name(self) -> &'static str {
        match self {
            How::Fail => "fail",
            How::FailSeveral => "several",
            How::KillBefore => "before",
            How::KillAfter => "after",
            How::Short => "short",
        }
    }
}

impl Fault {
    /// Whether the process is killed.
    pub(crate) fn kills(&self) -> bool {
        !matches!(self.how, How::Fail | How::FailSeveral)
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.kind, self.number, self.how.name())
    }
}

impl Noted {
    /// Reads the shim's log.
    pub(crate) fn read(log: &Path) -> Noted {
        let text = std::fs::read_to_string(log).expect("the shim has noted calls");
        let mut noted = Noted { calls: BTreeMap::new(), is_hit: false };
        for line in text.lines() {
            match line.split_once(' ') {
                Some((kind, _)) => *noted.calls.entry(kind.to_owned()).or_default() += 1,
                None => noted.is_hit = true,
            }
        }
        noted
    }

    /// All that can go wrong at these calls.
    pub(crate) fn points(&self) -> Vec<Fault> {
        let mut points = Vec::new();
        for (kind, &count) in &self.calls {
            let count = if kind == "open" { count.min(OPENINGS_MAX) } else { count };
            for number in 1..=count {
                for how in ALL {
                    if how != How::Short || kind == "write" {
                        points.push(Fault { kind: kind.clone(), number, how });
                    }
                }
            }
        }
        points
    }
}

/// Has the calls of a command on files below `spool` counted into `log`, and the fault happen.
pub(crate) fn inject(
    command: &mut Command,
    shim: &Path,
    spool: &Path,
    log: &Path,
    fault: Option<&Fault>,
) {
    command.env("LD_PRELOAD", shim).env("FAULT_BELOW", spool).env("FAULT_LOG", log);
    if let Some(Fault { kind, number, how }) = fault {
        command.env("FAULT_CALL", format!("{kind} {number}")).env("FAULT_HOW", how.name());
    }
}
