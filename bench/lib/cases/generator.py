"""The generator against a Python script that makes the same columns by Faker."""

import shutil

from contest import Contest, Entrant
from data import csv_files
from peer import Peers
from process import Command, Failed

OURS, FAKER = "generator", "Faker"
FILES, ROWS = 100, 30_000
# Faker's speed does not depend on how many; 3,000,000 would take it many minutes.
FAKER_ROWS = 30_000


def run(bench):
    peers = Peers(bench)
    made = bench.data.folder / "made"

    def prepare():
        shutil.rmtree(made, ignore_errors=True)
        made.mkdir()

    def check(expected):
        def count():
            lines = 0
            for path in csv_files(made):
                with open(path, "rb") as file:
                    lines += sum(1 for _ in file) - 1
            if lines != expected:
                raise Failed(f"{lines} records instead of {expected}")

        return count

    def entrant(name, command, records, peer=False):
        return Entrant(name, lambda: [command], prepare, check(records), records, peer)

    ours = Command([bench.generator, "--files", FILES, "--rows", ROWS, "--seed", 1, "--out", made])
    entrants = [entrant(OURS, ours, FILES * ROWS)]
    if peers.need("faker"):
        faker = peers.job("faker_job.py", made / "faker.csv", FAKER_ROWS)
        entrants.append(entrant(FAKER, faker, FAKER_ROWS, peer=True))
    contest = Contest(bench, entrants).run(bench.rounds)
    shutil.rmtree(made)
    base = FAKER if contest.took_part(FAKER) else OURS
    how = (
        f"{FILES * ROWS:,} rows in {FILES} files; Faker {peers.version('faker')}, start included, {FAKER_ROWS:,} rows "
        "in one file, so its seconds are of a hundredth of the work."
    )
    bench.report.section("3,000,000 rows", how, contest.table(base))
    if base == FAKER:
        bench.report.target("generator: rows/s to Faker's", "≥ 100", contest.ratio(OURS, FAKER), least=100)
