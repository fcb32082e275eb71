"""Rows that are there already, and records that are refused: what they cost, and against staging + ON CONFLICT."""

from contest import Contest
from data import csv_files
from loaders import copy_lines, count_is, psql, psql_command, staging_lines, streamer
from process import Failed
from process import run as run_commands

MAX_ROWS = 10_000


def run(bench):
    data, server = bench.data, bench.server
    clean = data.make("random", bench.files, bench.rows)
    one_percent = data.make("random", bench.files, bench.rows, duplicates=0.01)
    earlier = data.make("random", bench.files, bench.rows, seed=2)
    older = data.repeat(clean, earlier, 0.01)
    bad = data.make("random", bench.files, bench.rows, bad=0.01)
    distinct = count_ids(one_percent)
    both, with_older = count_ids(clean, earlier), count_ids(earlier, older)

    def loaded(folder):
        """Its rows are there, as they would be some time after they were loaded: statistics made, pages looked at."""
        server.empty()
        run_commands([psql_command(bench, "before", copy_lines(folder, csv_files(folder)))], bench.work / "before")
        server.sql("vacuum analyze user_events", "checkpoint")

    def all_loaded():
        loaded(clean)

    def earlier_loaded():
        loaded(earlier)

    def bad_check():
        records, rows, refused = map(
            int, server.sql("select sum(records), sum(rows), sum(dead_letters) from streamer.micro_batch").split("|")
        )
        count_is(server, rows)()
        if records != bench.records or not 0.009 < refused / records < 0.011:
            raise Failed(f"{records} records of {bench.records}, {refused} of them refused")

    def ours(name, folder, **other):
        return streamer(bench, name, folder, MAX_ROWS, **other)

    def staging(name, folder, **other):
        return psql(bench, name, folder, lines=staging_lines, **other)

    contest = Contest(
        bench,
        [
            ours("streamer, clean", clean),
            ours("streamer, all duplicates", clean, prepare=all_loaded),
            staging("staging, all duplicates", clean, prepare=all_loaded),
            ours("streamer, 1 % duplicates", one_percent, check=count_is(server, distinct)),
            staging("staging, 1 % duplicates", one_percent, check=count_is(server, distinct)),
            ours("streamer, clean, beside earlier rows", clean, prepare=earlier_loaded, check=count_is(server, both)),
            ours("streamer, 1 % older duplicates", older, prepare=earlier_loaded, check=count_is(server, with_older)),
            staging("staging, 1 % older duplicates", older, prepare=earlier_loaded, check=count_is(server, with_older)),
            ours("streamer, 1 % bad", bad, check=bad_check, success=(3,)),
        ],
    ).run(bench.rounds)
    bench.report.section(
        "and bad records",
        f"max_rows {MAX_ROWS:,}, one writer, random ids. Staging is one psql: for each file a transaction that copies "
        "into a temporary table and inserts from there with `on conflict do nothing`. Of 1 % bad records it would load "
        "nothing. Duplicates repeat rows of the same load, older ones rows of one before it.",
        contest.table("streamer, clean"),
    )
    target = bench.report.target
    for what in ("all duplicates", "1 % duplicates", "1 % older duplicates"):
        ratio = contest.ratio(f"streamer, {what}", f"staging, {what}")
        target(f"{what}, to staging + ON CONFLICT", "≥ 1.5", ratio, least=1.5)
    for what, other in (
        ("1 % duplicates", "clean"),
        ("1 % older duplicates", "clean, beside earlier rows"),
        ("1 % bad", "clean"),
    ):
        ratio = contest.ratio(f"streamer, {what}", f"streamer, {other}")
        target(f"{what}, to the clean load", "≥ 0.8", ratio, least=0.8)


def count_ids(*folders):
    ids = set()
    for path in (path for folder in folders for path in csv_files(folder)):
        with open(path, "rb") as file:
            next(file)
            ids.update(line[:36] for line in file)
    return len(ids)
