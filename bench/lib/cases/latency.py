"""From the rename of a file into the folder until its last row is seen by another connection."""

import os
import subprocess
import time
from statistics import median

from data import csv_files, header
from process import Failed, kill, start
from report import spread, table
from server import Session

# What the looking costs is the same for all: a backend that looks up one key each millisecond.
WATCH = """do $$ begin
    while not exists (select from user_events where event_id = '{id}') loop perform pg_sleep(0.001); end loop;
end $$;
select extract(epoch from clock_timestamp());"""
MAX_ROWS = 30_000
# Between two files, so that each finds everybody idle.
PAUSE_SECONDS = 0.2

OURS, OPEN, STARTED = "streamer", "psql, connected before", "psql, started for the file"


def run(bench):
    rows = []
    for kind, title in (("random", "random ids"), ("ordered", "ids in order of time")):
        found = turns(bench, kind, bench.rows, 4 * bench.rounds, [OURS, OPEN, STARTED])
        rows += [[f"30,000 rows, {title}", name, len(ms), spread(ms, 0)] for name, ms in found.items()]
        times = median(found[OPEN]) / median(found[OURS])
        what = f"30,000 rows visible, {title}: psql's time to the streamer's"
        bench.report.target(what, "≥ 1.0", times, least=1.0)
    found = turns(bench, "random", 10, 20 * bench.rounds, [OURS, OPEN])
    rows += [["10 rows, random ids", name, len(ms), spread(ms, 1)] for name, ms in found.items()]
    bench.report.target("10 rows visible", "< 20 ms", median(found[OURS]), most=20, unit=" ms")
    bench.report.section(
        "from the rename to visible rows",
        f"`streamer run --every 0s`, max_rows {MAX_ROWS:,}. From the rename, for psql from the command, until the "
        "file's last row is visible to another connection, which looks each millisecond. They take turns, file by file.",
        table(["file", "loader", "files", "milliseconds"], rows),
    )


def last_id(path):
    with open(path, "rb") as file:
        file.seek(-1000, os.SEEK_END)
        return file.read().splitlines()[-1][:36].decode()


def turns(bench, kind, rows, count, names):
    """Milliseconds for each of `count` files by each of the loaders."""
    server = bench.server
    folder = bench.data.make(kind, count * len(names), rows, seed=7)
    server.empty()
    inbox = bench.work / "inbox"
    inbox.mkdir()
    flags = ["--every", "0s", "--max-rows", MAX_ROWS]
    streamer = start(bench.streamer.command(inbox, server.socket_url, *flags), bench.work / "streamer.log")
    watcher, copier = Session(server), Session(server)
    watcher.ask("set enable_seqscan = off; select 1")
    found = {name: [] for name in names}

    def copy(path):
        return f"\\copy user_events ({header(folder)}) from '{path}' with (format csv, header)"

    begin = {
        OURS: lambda path: os.rename(path, inbox / path.name),
        OPEN: lambda path: copier.send(copy(path)),
        STARTED: lambda path: subprocess.Popen(
            server.psql("-c", copy(path)), env={**os.environ, **server.environment}
        ).wait(),
    }
    try:
        time.sleep(1)
        for number, path in enumerate(csv_files(folder)):
            name = names[number % len(names)]
            watcher.send(WATCH.format(id=last_id(path)))
            time.sleep(PAUSE_SECONDS)
            at = time.time()
            begin[name](path)
            found[name].append((float(watcher.answer()) - at) * 1000)
            if streamer.poll() is not None:
                raise SystemExit("bench/run: streamer ended:\n" + (bench.work / "streamer.log").read_text())
        loaded = server.number("select count(*) from user_events")
        if loaded != count * len(names) * rows:
            raise Failed(f"{loaded} rows instead of {count * len(names) * rows}")
    finally:
        watcher.process.kill()
        copier.close()
        kill(streamer)
        streamer.wait()
        bench.data.drop(folder)
        bench.data.drop(inbox)
    return found
