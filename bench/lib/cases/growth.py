"""Rows a second of each million, while the table grows: the streamer and psql in turn, each on a table of its own."""

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
# Of both loaders' tables, with indexes, write-ahead log and the files of one million.
BYTES_PER_ROW, WAL_PER_ROW, MOST_WAL = 600, 800, 9 << 30
BEGIN = datetime.datetime(2026, 1, 1)


def run(bench):
    rows = bench.millions * MILLION
    wanted = rows * BYTES_PER_ROW + min(rows * WAL_PER_ROW, MOST_WAL)
    free = shutil.disk_usage(bench.work).free
    if free < wanted:
        bench.report.missing(
            f"growth to {bench.millions} million rows", f"{free >> 30} GiB of disk are free of {wanted >> 30}"
        )
        return
    bench.server.warm(300 * bench.millions)
    filler = fill_memory(bench.work)
    kinds = {"ordered": "ids in order of time", "random": "random ids"}
    names, columns = [], []
    for kind, title in kinds.items():
        for loader, speeds in grow(bench, kind).items():
            names.append(f"{loader}, {title}")
            columns.append(speeds)
    filler.unlink()
    rows = [[n + 1, *(f"{column[n]:,.0f}" for column in columns)] for n in range(bench.millions)]
    # One million beside another differs by a quarter from run to run; a median of several does not.
    some = max(1, bench.millions // 5)
    last = [median(column[-some:]) / median(column[:some]) for column in columns]
    rows.append([f"last {some} to first {some}, medians", *(f"{ratio:.2f}" for ratio in last)])
    how = (
        f"Rows a second. max_rows {MAX_ROWS:,}, one writer. Each loader has a table of its own, empty at the beginning; "
        "they take turns, million by million. What memory the machine has is taken before."
    )
    bench.report.section(f"to {bench.millions} million rows", how, table(["million", *names], rows))
    what = f"growth to {bench.millions} million rows: the last {some} to the first {some}"
    bench.report.target(f"{what}, ids in order of time (psql: {last[1]:.2f})", "≥ 0.95", last[0], least=0.95)
    bench.report.target(f"{what}, random ids (psql: {last[3]:.2f})", "as psql, or better", last[2], least=last[3])


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
    """Loads million after million, the loaders in turn; the files of each are made before and removed after,
    unmeasured."""
    server = bench.server
    server.empty()
    databases = {loader: f"growth_{loader}" for loader in LOADERS}
    for database in databases.values():
        server.sql(f"create database {database} template postgres")
    speeds = {loader: [] for loader in LOADERS}
    for number in range(bench.millions):
        start = (BEGIN + datetime.timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        folder = bench.data.make(kind, FILES, ROWS, seed=1000 + number, start=start)
        folder = folder.rename(folder.with_name(f"million{number}"))
        # A file is known by its path: no two may have one.
        for path in csv_files(folder):
            path.rename(path.with_name(f"user_events_{number:03}_{path.name.removeprefix('user_events_')}"))
        # Who comes first changes each time.
        for loader in list(LOADERS)[:: 1 if number % 2 else -1]:
            command = LOADERS[loader](bench, folder, databases[loader])
            speeds[loader].append(MILLION / run_commands([command], bench.work / "run").seconds)
        bench.data.drop(folder)
    for database in databases.values():
        rows = server.number("select count(*) from user_events", database)
        if rows != bench.millions * MILLION:
            raise Failed(f"{rows} rows in {database} instead of {bench.millions * MILLION}")
        server.sql(f"drop database {database}")
    return speeds
