//! What was injected, what it hit, and what it cost.

use std::collections::BTreeMap;
use std::fmt;

use crate::clients::Told;
use crate::schedule::{Fault, Round};
use crate::verdict::Verdict;

/// The sums over all rounds.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    faults: BTreeMap<String, Line>,
    rows: i64,
    ambiguous: u32,
    keys: Keys,
}

/// What became of Idempotency-Keys.
#[derive(Debug, Default)]
struct Keys {
    acknowledged: usize,
    given_up: usize,
    committed: u32,
    looked_for: u32,
    again: u32,
    at_once: u32,
    unanswered: u32,
    /// Records that were skipped because their key was committed before.
    repeated: i64,
    /// Times between two kills of a round, and how many of them saw an acknowledgement.
    spells: u32,
    busy_spells: u32,
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

    /// Between two kills so many keys were acknowledged.
    pub(crate) fn acknowledged_between_kills(&mut self, keys: u32) {
        self.keys.spells += 1;
        self.keys.busy_spells += u32::from(keys > 0);
    }

    /// What the clients of a round were told, and how many of their records were repeated.
    pub(crate) fn told(&mut self, told: &Told, repeated: i64) {
        let acknowledged = told.requests.iter().filter(|one| one.is_acknowledged).count();
        self.keys.acknowledged += acknowledged;
        self.keys.given_up += told.requests.len() - acknowledged;
        self.keys.committed += told.committed;
        self.keys.looked_for += told.looked_for;
        self.keys.again += told.again;
        self.keys.at_once += told.at_once;
        self.keys.unanswered += told.unanswered;
        self.keys.repeated += repeated;
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
        let keys = &self.keys;
        assert!(
            keys.busy_spells > 0 && keys.busy_spells * 2 >= keys.spells,
            "not proven: too few acknowledgements between kills: {keys:?}"
        );
        assert!(
            keys.repeated > 0 && keys.looked_for > 0 && keys.unanswered > 0,
            "not proven: no key was tried hard: {keys:?}"
        );
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
        writeln!(f, "{} rows; {} COMMITs truly ambiguous", self.rows, self.ambiguous)?;
        write!(f, "{}", self.keys)
    }
}

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Keys { acknowledged, given_up, committed, looked_for, .. } = self;
        let Keys { again, at_once, unanswered, repeated, spells, busy_spells, .. } = self;
        writeln!(
            f,
            "{acknowledged} keys acknowledged, in {busy_spells} of {spells} times between kills;"
        )?;
        writeln!(f, "{given_up} given up, {unanswered} tries without an answer,")?;
        writeln!(f, "{again} sent again, {at_once} tries at two streamers at once;")?;
        writeln!(f, "{committed} answers after the commit, {looked_for} of them looked for;")?;
        write!(f, "{repeated} records repeated")
    }
}
