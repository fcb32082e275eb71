"""Loaders against each other: each in turn, round after round, each time from the same start."""

import sys
from dataclasses import dataclass
from statistics import median
from typing import Callable

from process import Failed, run
from report import spread, table


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
        wal, cpu = server.wal_bytes(), server.cpu_seconds()
        usage = run(commands, self.bench.work / "run")
        cpu, wal = server.cpu_seconds() - cpu, server.wal_bytes() - wal
        entrant.check()
        return Sample(usage.seconds, usage.client_cpu, cpu, usage.peak_mb, wal / 1e6)

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

    def table(self, base):
        titles = ["loader", f"times {base}", "rows/s", "seconds", "CPU s client + server", "peak MB", "WAL MB"]
        rows = []
        for entrant in self.entrants:
            if not self.took_part(entrant.name):
                continue
            name = entrant.name
            peak = max(sample.peak_mb for sample in self.samples[name])
            rows.append(
                [
                    name,
                    spread(self.ratios(name, base)),
                    f"{entrant.records / self.middle(name, 'seconds'):,.0f}",
                    spread([sample.seconds for sample in self.samples[name]]),
                    f"{self.middle(name, 'client_cpu'):.2f} + {self.middle(name, 'server_cpu'):.2f}",
                    f"{peak:.0f}",
                    f"{self.middle(name, 'wal_mb'):.0f}",
                ]
            )
        return table(titles, rows)
