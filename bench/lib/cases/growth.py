"""Rows a second of each million, while the table grows: the streamer and psql, each alone on its own table."""

import datetime
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
# With indexes, write-ahead log and the files of one million.
BYTES_PER_ROW, WAL_PER_ROW, MOST_WAL = 300, 400, 9 << 30
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
    kinds = {"ordered": "ids in order of time", "random": "random ids"}
    names, columns = [], []
    for kind, title in kinds.items():
        for loader, commands in {"streamer": ours, "psql": psql}.items():
            names.append(f"{loader}, {title}")
            columns.append(speeds(bench, kind, commands))
    rows = [[n + 1, *(f"{column[n]:,.0f}" for column in columns)] for n in range(bench.millions)]
    # One million beside another differs by a quarter from run to run; a median of several does not.
    some = max(1, bench.millions // 5)
    last = [median(column[-some:]) / median(column[:some]) for column in columns]
    rows.append([f"last {some} to first {some}, medians", *(f"{ratio:.2f}" for ratio in last)])
    how = f"Rows a second. max_rows {MAX_ROWS:,}, one writer; each loader and kind of id once, from the empty table on."
    bench.report.section(f"to {bench.millions} million rows", how, table(["million", *names], rows))
    what = f"growth to {bench.millions} million rows: the last {some} to the first {some}"
    bench.report.target(f"{what}, ids in order of time", "≥ 0.95", last[0], least=0.95)
    bench.report.target(f"{what}, random ids (psql: {last[3]:.2f})", "as psql, or better", last[2], least=last[3])


def ours(bench, folder):
    flags = ["--available-now", "--max-rows", MAX_ROWS]
    return bench.streamer.command(folder, bench.server.socket_url, *flags, writers=1)


def psql(bench, folder):
    return psql_command(bench, "growth", copy_lines(folder, csv_files(folder)))


def speeds(bench, kind, command):
    """Loads million after million; the files of each are made before and removed after, unmeasured."""
    bench.server.empty()
    found = []
    for number in range(bench.millions):
        start = (BEGIN + datetime.timedelta(hours=number)).strftime("%Y-%m-%dT%H:%M:%SZ")
        folder = bench.data.make(kind, FILES, ROWS, seed=1000 + number, start=start)
        folder = folder.rename(folder.with_name(f"million{number}"))
        # A file is known by its path: no two may have one.
        for path in csv_files(folder):
            path.rename(path.with_name(f"user_events_{number:03}_{path.name.removeprefix('user_events_')}"))
        found.append(MILLION / run_commands([command(bench, folder)], bench.work / "run").seconds)
        bench.data.drop(folder)
    rows = bench.server.number("select count(*) from user_events")
    if rows != bench.millions * MILLION:
        raise Failed(f"{rows} rows instead of {bench.millions * MILLION}")
    return found
