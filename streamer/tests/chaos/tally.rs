//! What was injected, what it hit, and what it cost.

use std::collections::BTreeMap;
use std::fmt;

use crate::schedule::{Fault, Round};
use crate::verdict::Verdict;

/// The sums over all rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    faults: BTreeMap<String, Line>,
    rows: i64,
    ambiguous: u32,
}

/// One line of the table of results. Lost and doubled rows count for every fault of their round.
#[derive(Debug, Default)]
struct Line {
    injected: u32,
    /// How often it met what it was meant for: an open transaction, a step of the protocol, a
    /// waiting lock.
    hit: u32,
    lost: i64,
    doubled: i64,
}

impl Tally {
    /// A fault was injected; whether it hit.
    pub(crate) fn injected(&mut self, fault: Fault, hit: bool) {
        let line = self.faults.entry(fault.name()).or_default();
        line.injected += 1;
        line.hit += u32::from(hit);
    }

    /// A round was judged.
    pub(crate) fn judged(&mut self, round: &Round, verdict: &Verdict, ambiguous: u32) {
        let names: std::collections::BTreeSet<String> =
            round.steps.iter().map(|step| step.fault.name()).collect();
        for name in names {
            let line = self.faults.entry(name).or_default();
            line.lost += verdict.lost;
            line.doubled += verdict.doubled;
        }
        self.rows += verdict.rows;
        self.ambiguous += ambiguous;
    }

    /// Demands that the faults hit: else the run shows nothing.
    pub(crate) fn demand_proof(&self) {
        let kills = &self.faults[&Fault::Kill.name()];
        assert!(
            kills.hit * 5 >= kills.injected,
            "not proven: only {} of {} kills hit an open transaction",
            kills.hit,
            kills.injected
        );
        assert!(self.ambiguous > 0, "not proven: no COMMIT was ambiguous");
        let missed = self.faults.iter().find(|(_, line)| line.injected > 3 && line.hit == 0);
        assert!(missed.is_none(), "not proven: a fault never hit: {missed:?}");
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| fault | injected | hit | rows lost | rows doubled |")?;
        writeln!(f, "|---|--:|--:|--:|--:|")?;
        for (name, line) in &self.faults {
            let Line { injected, hit, lost, doubled } = line;
            writeln!(f, "| {name} | {injected} | {hit} | {lost} | {doubled} |")?;
        }
        write!(f, "{} rows; {} COMMITs truly ambiguous", self.rows, self.ambiguous)
    }
}
