"""Loaders against each other: each in turn, round after round, each time from the same start."""

import os
import sys
from dataclasses import dataclass
from statistics import median
from typing import Callable

from process import Failed, machine_seconds, run
from report import spread, table

TITLES = ["loader", "rows/s", "seconds", "CPU s client + server", "peak MB", "WAL MB"]


@dataclass
class Entrant:
    name: str
    # Gives the commands of a run; they run at the same time.
    commands: Callable
    # Brings tables and folders to where each run starts. Not measured.
    prepare: Callable
    # Takes nothing and raises Failed unless what had to be loaded is there. Not measured.
    check: Callable
    records: int
    # A peer that fails is named in the report; ours or psql failing ends the measurement.
    peer: bool = False


@dataclass
class Sample:
    seconds: float
    client_cpu: float
    server_cpu: float
    peak_mb: float
    wal_mb: float
    # CPU seconds of everybody else on the machine: what disturbed it.
    others_cpu: float


class Contest:
    def __init__(self, bench, entrants):
        self.bench, self.entrants = bench, entrants
        self.samples = {entrant.name: [] for entrant in entrants}

    def run(self, rounds):
        for number in range(1, rounds + 1):
            for entrant in [e for e in self.entrants if e.name in self.samples]:
                try:
                    sample = self._once(entrant)
                except Failed as failure:
                    if not entrant.peer:
                        raise SystemExit(f"bench/run: {entrant.name}: {failure}") from None
                    print(f"{entrant.name}: {failure}", file=sys.stderr)
                    self.bench.report.missing(entrant.name, f"failed: {str(failure).splitlines()[0]}")
                    del self.samples[entrant.name]
                    continue
                self.samples[entrant.name].append(sample)
                told = f"round {number} of {rounds}: {entrant.name}: {sample.seconds:.2f} s"
                print(told, file=sys.stderr, flush=True)
        return self

    def _once(self, entrant):
        server = self.bench.server
        entrant.prepare()
        commands = entrant.commands()
        wal, cpu, machine = server.wal_bytes(), server.cpu_seconds(), machine_seconds()
        usage = run(commands, self.bench.work / "run")
        machine, cpu, wal = machine_seconds() - machine, server.cpu_seconds() - cpu, server.wal_bytes() - wal
        entrant.check()
        others = max(0.0, machine - cpu - usage.client_cpu)
        return Sample(usage.seconds, usage.client_cpu, cpu, usage.peak_mb, wal / 1e6, others)

    def others(self):
        """Says how much of the machine went to others meanwhile."""
        samples = [sample for some in self.samples.values() for sample in some]
        share = sum(s.others_cpu for s in samples) / sum(s.seconds for s in samples) / os.cpu_count()
        return f"Others took {share:.0%} of the machine meanwhile."

    def took_part(self, name):
        return bool(self.samples.get(name))

    def ratios(self, name, base):
        """How many times as fast as `base`, in records a second, in each round."""
        records = {entrant.name: entrant.records for entrant in self.entrants}
        share = records[name] / records[base]
        pairs = zip(self.samples[name], self.samples[base])
        return [share * theirs.seconds / ours.seconds for ours, theirs in pairs]

    def ratio(self, name, base):
        """The median of the rounds' ratios."""
        return median(self.ratios(name, base))

    def middle(self, name, measure):
        return median(getattr(sample, measure) for sample in self.samples[name])

    def rows(self, base=None):
        """Of the table: without `base` each is its own measure, and nothing is compared."""
        rows = []
        for entrant in self.entrants:
            name = entrant.name
            if not self.took_part(name):
                continue
            peak = max(sample.peak_mb for sample in self.samples[name])
            rows.append(
                [
                    name,
                    *([spread(self.ratios(name, base))] if base else []),
                    f"{entrant.records / self.middle(name, 'seconds'):,.0f}",
                    spread([sample.seconds for sample in self.samples[name]]),
                    f"{self.middle(name, 'client_cpu'):.2f} + {self.middle(name, 'server_cpu'):.2f}",
                    f"{peak:.0f}",
                    f"{self.middle(name, 'wal_mb'):.0f}",
                ]
            )
        return rows

    def table(self, base):
        return table([TITLES[0], f"times {base}", *TITLES[1:]], self.rows(base)) + "\n" + self.others()
