"""Very many tiny files: loading them, what they cost when all is done, and what a start and a new file then cost."""

import os
import signal
import time
from pathlib import Path
from statistics import median

from process import Command, cpu_seconds, kill, start, status_mb
from process import run as run_commands
from report import table
from server import Session

ROWS = 3
# At least so long, and until so many scans were seen, but no longer than that.
IDLE_SECONDS, SCANS, LONGEST_IDLE_SECONDS = 40, 4, 180
# On-CPU time that counts as work, in 20 ms, and how long nothing may happen before the next burst.
WORK_NS, QUIET_SECONDS = 1_000_000, 0.3


def run(bench):
    server, files = bench.server, bench.tiny
    inbox = bench.work / "tiny"
    environment = tiny(bench, inbox, files)
    server.forget()
    streamer = start(Command([bench.streamer.binary, "run", "--every", "0s"], environment), bench.work / "tiny.log")
    session = Session(server)
    try:
        tenths = load(streamer, session, files)
        expect(session, files * ROWS)
        loaded_mb = status_mb(streamer.pid, "VmHWM")
        time.sleep(6)
        bursts, busy, seconds = idle(streamer.pid)
        new_ms = new_file(inbox, session)
        idle_mb = status_mb(streamer.pid, "VmHWM")
        streamer.send_signal(signal.SIGTERM)
        streamer.wait(60)
    finally:
        kill(streamer)
        session.close()
    words = [bench.streamer.binary, "run", "--available-now"]
    starts = [run_commands([Command(words, environment)], bench.work / "run") for _ in range(bench.rounds)]
    expect_rows = server.number("select count(*) from tiny")
    if expect_rows != files * ROWS + 1:
        raise SystemExit(f"bench/run: {expect_rows} rows instead of {files * ROWS + 1}")
    tell(
        bench,
        tenths,
        bursts,
        busy,
        {"seconds": seconds, "new": new_ms, "loaded": loaded_mb, "idle": idle_mb, "starts": starts},
    )
    bench.data.drop(inbox)


def tiny(bench, inbox, files):
    """So many files of a few rows in `inbox`, and a table for them: the environment of a streamer that loads them."""
    inbox.mkdir()
    for number in range(files):
        lines = [f"{number * ROWS + row},word\n" for row in range(ROWS)]
        (inbox / f"{number:07}.csv").write_text("id,word\n" + "".join(lines), encoding="utf-8")
    settings = bench.work / "tiny.toml"
    settings.write_text('[stream.tiny]\nfiles = "*.csv"\n', encoding="utf-8")
    server = bench.server
    server.sql("drop table if exists tiny", "create table tiny (id bigint primary key, word text)")
    return {
        "DATABASE_URL": server.socket_url,
        "STREAMER_DATA": str(inbox),
        "STREAMER_CONFIG": str(settings),
        "STREAMER_LISTEN": "none",
        "RUST_LOG": "warn",
    }


def load(streamer, session, files):
    """Files a second and memory of each tenth. Each file takes one number of the sequence, and some leave gaps."""
    numbers = "select case when is_called then last_value else 0 end from streamer.micro_batch_batch_id_seq"
    first, told, before, rows = int(session.ask(numbers)), 0, time.monotonic(), []
    while told < files:
        time.sleep(0.1)
        if streamer.poll() is not None:
            raise SystemExit("bench/run: the streamer ended while it loaded tiny files")
        count = int(session.ask(numbers)) - first
        if count >= told + files // 10 or count >= files:
            now = time.monotonic()
            speed = (count - told) / (now - before)
            rows.append([f"{count:,}", f"{speed:,.0f}", f"{status_mb(streamer.pid, 'VmRSS'):.0f}"])
            told, before = count, now
    return rows


def expect(session, rows):
    deadline = time.monotonic() + 60
    while int(session.ask("select count(*) from tiny")) < rows:
        if time.monotonic() > deadline:
            raise SystemExit(f"bench/run: not all of the {rows} rows of tiny files came")
        time.sleep(0.5)


def on_cpu_ns(pid):
    """Time on the CPU of each thread. That of ended ones is lost, so it is only good for short steps."""
    found = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        try:
            found[task] = int(Path(f"/proc/{pid}/task/{task}/schedstat").read_text().split()[0])
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def idle(pid):
    """Bursts of work of the idle process as [seconds from first to last sign, CPU seconds], its share of a core, and
    for how long it was looked at.

    Idle, it does nothing of length but list the folder.
    """
    begin = last = time.monotonic()
    cpu, before = cpu_seconds(pid), on_cpu_ns(pid)
    bursts, quiet_since = [], begin - 1
    while last - begin < IDLE_SECONDS or (len(bursts) < SCANS and last - begin < LONGEST_IDLE_SECONDS):
        time.sleep(0.02)
        now, used = time.monotonic(), on_cpu_ns(pid)
        step = sum(ns - before.get(task, 0) for task, ns in used.items())
        if step > WORK_NS:
            if last - quiet_since > QUIET_SECONDS:
                bursts.append([last, now, 0])
            bursts[-1][1] = quiet_since = now
            bursts[-1][2] += step / 1e9
        last, before = now, used
    seconds = last - begin
    return [[end - start, cpu] for start, end, cpu in bursts], (cpu_seconds(pid) - cpu) / seconds, seconds


def new_file(inbox, session):
    part = inbox / "new.part"
    part.write_text("id,word\n-1,word\n", encoding="utf-8")
    begin = time.monotonic()
    part.rename(inbox / "new.csv")
    while session.ask("select count(*) from tiny where id = -1") == "0":
        time.sleep(0.005)
    return (time.monotonic() - begin) * 1000


def tell(bench, tenths, bursts, busy, found):
    walls, cpus = [wall * 1000 for wall, _ in bursts] or [0], [cpu * 1000 for _, cpu in bursts] or [0]
    rows = [
        ["idle, of a core", f"{busy * 100:.2f} %"],
        [f"a scan ({len(bursts)} seen in {found['seconds']:.0f} s), CPU", f"{median(cpus):.0f} ms"],
        ["a scan, from begin to end (seen each 20 ms)", f"{median(walls):.0f} ms"],
        ["a new file is visible after", f"{found['new']:.0f} ms"],
        ["peak memory while loading", f"{found['loaded']:.0f} MB"],
        ["peak memory, also idle", f"{found['idle']:.0f} MB"],
        ["a start with nothing to load", f"{median(usage.seconds for usage in found['starts']):.2f} s"],
        ["its peak memory", f"{max(usage.peak_mb for usage in found['starts']):.0f} MB"],
    ]
    bench.report.section(
        f"{bench.tiny:,} finished files in the folder",
        f"Files of {ROWS} rows, `streamer run --every 0s`. Each tenth while they are loaded, then when all is done:",
        table(["files", "files/s", "memory (MB)"], tenths),
        table(["", ""], rows),
    )
    target = bench.report.target
    target(f"idle with {bench.tiny:,} finished files", "< 1 % of a core", busy * 100, most=1, unit=" %")
    if bursts:
        target("a scan of them", "< 200 ms", median(walls), most=200, unit=" ms")
    else:
        bench.report.missing("a scan", "none was seen")
    target("peak memory with them", "< 64 MB", found["idle"], most=64, unit=" MB")
