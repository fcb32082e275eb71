"""Rows a second of each million, while a table grows, beside the same million into an empty one: the streamer and psql
in turn, each on tables of its own."""

import datetime
import os
import shutil
from statistics import median

from data import csv_files
from loaders import copy_lines, psql_command
from process import Failed
from process import run as run_commands
from report import table

MAX_ROWS = 10_000
FILES, ROWS = 40, 25_000
MILLION = FILES * ROWS
# Of both loaders' tables with their indexes, and the files of one million; of the log of both tables of both.
BYTES_PER_ROW, WAL_PER_ROW, MOST_WAL = 600, 1600, 9 << 30
BEGIN = datetime.datetime(2026, 1, 1)
KINDS = {"ordered": "ids in order of time", "random": "random ids"}
# Who comes when: each is once in each place, and once behind each of the others.
ORDERS = ((0, 1, 3, 2), (1, 2, 0, 3), (2, 3, 1, 0), (3, 0, 2, 1))


def run(bench):
    rows = bench.millions * MILLION
    wanted = (rows + MILLION) * BYTES_PER_ROW + min(rows * WAL_PER_ROW, MOST_WAL)
    free = shutil.disk_usage(bench.work).free
    if free < wanted:
        bench.report.missing(
            f"growth to {bench.millions} million rows", f"{free >> 30} GiB of disk are free of {wanted >> 30}"
        )
        return
    bench.server.warm(min(600 * bench.millions, 8000))
    filler = fill_memory(bench.work)
    for kind in KINDS:
        tell(bench, kind, grow(bench, kind))
    filler.unlink()


def tell(bench, kind, speeds):
    """Reports the speeds of one kind of ids."""
    title = KINDS[kind]
    # One million beside another differs by a quarter from run to run; a median of several does not.
    some = min(len(ORDERS), max(1, bench.millions // 2))
    names, columns, changes, last = [], [], [], {}
    for loader in LOADERS:
        grown, empty = speeds[loader, "grown"], speeds[loader, "empty"]
        ratios = [one / other for one, other in zip(grown, empty)]
        last[loader] = median(ratios[-some:])
        names += [loader, f"{loader}, empty table", "ratio"]
        columns += [[f"{speed:,.0f}" for speed in grown], [f"{speed:,.0f}" for speed in empty]]
        columns += [[f"{ratio:.2f}" for ratio in ratios]]
        changes += [f"{median(column[-some:]) / median(column[:some]):.2f}" for column in (grown, empty)]
        changes += [f"{last[loader]:.2f}"]
    rows = [[n + 1, *(column[n] for column in columns)] for n in range(bench.millions)]
    rows.append([f"last {some} to first {some}; of ratios the last {some}; medians", *changes])
    how = (
        f"Rows a second. max_rows {MAX_ROWS:,}, one writer. Each loader has a table that grows, and one that is emptied "
        "before each million; they take turns, million by million. What memory the machine has is taken before, unless "
        "the server's files are in memory themselves."
    )
    bench.report.section(f"to {bench.millions} million rows, {title}", how, table(["million", *names], rows))
    what = (
        f"the last {some} of {bench.millions} millions, growing table to empty one, {title} (psql: {last['psql']:.2f})"
    )
    if kind == "ordered":
        bench.report.target(what, "≥ 0.95", last["streamer"], least=0.95)
    else:
        bench.report.target(what, "as psql, or better", last["streamer"], least=last["psql"])


def fill_memory(work):
    """Has the kernel keep a file as large as the memory, as it keeps others where a server has run for a while: else
    the first millions would be written into memory that is free, and later ones wait for it."""
    path = work / "filler"
    with open(path, "wb") as file:
        file.truncate(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    with open(path, "rb", buffering=0) as file:
        while file.read(1 << 24):
            pass
    return path


def ours(bench, folder, database):
    flags = ["--available-now", "--max-rows", MAX_ROWS]
    return bench.streamer.command(folder, bench.server.url(database), *flags, writers=1)


def psql(bench, folder, database):
    return psql_command(bench, "growth", copy_lines(folder, csv_files(folder)), database)


LOADERS = {"streamer": ours, "psql": psql}


def grow(bench, kind):
    """Loads million after million, all in turn: the speeds by loader and table. The files of each are made before and
    removed after, unmeasured."""
    server = bench.server
    server.empty()
    databases = {(loader, state): f"growth_{loader}_{state}" for loader in LOADERS for state in ("grown", "empty")}
    for database in databases.values():
        server.sql(f"create database {database} template postgres")
    speeds = {turn: [] for turn in databases}
    turns = list(databases)
    for number in range(bench.millions):
        for (_, state), database in databases.items():
            if state == "empty" and number:
                demand(server, database, MILLION)
                # Before the files are made: they take the memory that this leaves.
                server.sql("truncate user_events", database=database)
        start = (BEGIN + datetime.timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        folder = bench.data.make(kind, FILES, ROWS, seed=1000 + number, start=start)
        folder = folder.rename(folder.with_name(f"million{number}"))
        # A file is known by its path: no two may have one.
        for path in csv_files(folder):
            path.rename(path.with_name(f"user_events_{number:03}_{path.name.removeprefix('user_events_')}"))
        for turn in (turns[place] for place in ORDERS[number % len(ORDERS)]):
            command = LOADERS[turn[0]](bench, folder, databases[turn])
            speeds[turn].append(MILLION / run_commands([command], bench.work / "run").seconds)
        bench.data.drop(folder)
    for (_, state), database in databases.items():
        demand(server, database, MILLION * (bench.millions if state == "grown" else 1))
        server.sql(f"drop database {database}")
    return speeds


def demand(server, database, expected):
    """Ends the case unless the table has as many rows as were loaded into it."""
    rows = server.number("select count(*) from user_events", database)
    if rows != expected:
        raise Failed(f"{rows} rows in {database} instead of {expected}")
