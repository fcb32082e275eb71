"""Rows that are there already, and records that are refused: what they cost, and against staging + ON CONFLICT."""

from functools import partial

from contest import Contest
from data import csv_files
from loaders import AGAINST, against, copy_lines, count_is, psql, psql_command, staging_lines, streamer
from process import Failed
from process import run as run_commands

MAX_ROWS = 10_000
OURS, THEIRS = "streamer", "the other build"


def run(bench):
    data, server = bench.data, bench.server
    clean = data.make("random", bench.files, bench.rows)
    one_percent = data.make("random", bench.files, bench.rows, duplicates=0.01)
    earlier = data.make("random", bench.files, bench.rows, seed=2)
    older = data.repeat(clean, earlier, 0.01)
    bad = data.make("random", bench.files, bench.rows, bad=0.01)
    distinct = count_ids(one_percent)
    both, with_older = count_ids(clean, earlier), count_ids(earlier, older)

    def loaded(folder, database):
        """Its rows are there, as they would be some time after they were loaded: statistics made, pages looked at."""
        server.empty(database)
        lines = copy_lines(folder, csv_files(folder))
        run_commands([psql_command(bench, "before", lines, database)], bench.work / "before")
        server.sql("vacuum analyze user_events", "checkpoint", database=database)

    def all_loaded(database="postgres"):
        loaded(clean, database)

    def earlier_loaded(database="postgres"):
        loaded(earlier, database)

    def counted(rows):
        return lambda database: count_is(server, rows, database)()

    def bad_check(database):
        sums = "select sum(records), sum(rows), sum(dead_letters) from streamer.micro_batch"
        records, rows, refused = map(int, server.sql(sums, database=database).split("|"))
        count_is(server, rows, database)()
        if records != bench.records or not 0.009 < refused / records < 0.011:
            raise Failed(f"{records} records of {bench.records}, {refused} of them refused")

    def ours(what, folder, prepare=server.empty, check=counted(bench.records), **other):
        """The streamer, and next to it the other build, because the machine's speed drifts."""
        builds = [(streamer, OURS, "postgres")]
        if bench.against:
            builds.append((against, THEIRS, AGAINST))
        return [
            build(
                bench,
                f"{name}, {what}",
                folder,
                MAX_ROWS,
                prepare=partial(prepare, database),
                check=partial(check, database),
                **other,
            )
            for build, name, database in builds
        ]

    def staging(name, folder, **other):
        return psql(bench, name, folder, lines=staging_lines, **other)

    contest = Contest(
        bench,
        [
            *ours("clean", clean),
            *ours("all duplicates", clean, all_loaded),
            staging("staging, all duplicates", clean, prepare=all_loaded),
            *ours("1 % duplicates", one_percent, check=counted(distinct)),
            staging("staging, 1 % duplicates", one_percent, check=count_is(server, distinct)),
            *ours("clean, beside earlier rows", clean, earlier_loaded, counted(both)),
            *ours("1 % older duplicates", older, earlier_loaded, counted(with_older)),
            staging("staging, 1 % older duplicates", older, prepare=earlier_loaded, check=count_is(server, with_older)),
            *ours("1 % bad", bad, check=bad_check, success=(3,)),
        ],
    ).run(bench.rounds)
    bench.report.section(
        "and bad records",
        f"max_rows {MAX_ROWS:,}, one writer, random ids. Staging is one psql: for each file a transaction that copies "
        "into a temporary table and inserts from there with `on conflict do nothing`. Of 1 % bad records it would load "
        "nothing. Duplicates repeat rows of the same load, older ones rows of one before it.",
        contest.table(f"{OURS}, clean"),
    )
    target = bench.report.target
    kinds = ("clean", "all duplicates", "1 % duplicates", "clean, beside earlier rows", "1 % older duplicates", "1 % bad")
    for what in kinds if bench.against else ():
        ratio = contest.ratio(f"{OURS}, {what}", f"{THEIRS}, {what}")
        target(f"{what}, to the other build", "≥ 0.98", ratio, least=0.98)
    for what in ("all duplicates", "1 % duplicates", "1 % older duplicates"):
        ratio = contest.ratio(f"{OURS}, {what}", f"staging, {what}")
        target(f"{what}, to staging + ON CONFLICT", "≥ 1.5", ratio, least=1.5)
    for what, other in (
        ("1 % duplicates", "clean"),
        ("1 % older duplicates", "clean, beside earlier rows"),
        ("1 % bad", "clean"),
    ):
        ratio = contest.ratio(f"{OURS}, {what}", f"{OURS}, {other}")
        target(f"{what}, to the clean load", "≥ 0.8", ratio, least=0.8)


def count_ids(*folders):
    ids = set()
    for path in (path for folder in folders for path in csv_files(folder)):
        with open(path, "rb") as file:
            next(file)
            ids.update(line[:36] for line in file)
    return len(ids)
