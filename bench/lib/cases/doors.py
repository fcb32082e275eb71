"""A minute of traffic through each door, generator, streamer and server on one machine; and the same with the
streamer killed in the middle of it."""

import re
import signal
import subprocess
import time
import urllib.request

from process import Command, Failed, kill, start
from report import table
from server import free_port

SECONDS = 60
DOORS = {
    "HTTP, 100 a request": ("http", ["--rate", 50_000, "--batch", 100, "--producers", 4]),
    "HTTP, single": ("http", ["--rate", 5_000, "--batch", 1, "--producers", 32]),
    "TCP lines": ("tcp", ["--rate", 100_000]),
}
AIMS = {"HTTP, 100 a request": 50_000, "HTTP, single": 5_000, "TCP lines": 100_000}
SENT = re.compile(r"sent (\d+), accepted (\d+), refused (\d+).* in ([\d.]+) s")
LATENCY = re.compile(r"P50 ([\d.]+), P90 ([\d.]+), P99 ([\d.]+), max ([\d.]+)")
COUNTS = """select coalesce(sum(records), 0), coalesce(sum(rows), 0), coalesce(sum(duplicates), 0),
                   coalesce(sum(dead_letters), 0), coalesce(sum(repeated), 0) from streamer.micro_batch"""


def run(bench):
    seconds = 3 if bench.quick else SECONDS
    rows = [one(bench, name, seconds, is_killed) for name in DOORS for is_killed in (False, True)]
    bench.report.section(
        f"{seconds} s through each door",
        "`streamer run --every 0s`, max_rows 10,000, time-ordered ids; generator, streamer and server share the machine. "
        "Latency in ms from when a record was due until it was accepted, that is, synced. The backlog is what is "
        "accepted and not committed, looked at each second. Killed: by SIGKILL in the middle, started again at once; "
        "of TCP lines those on their way are then lost, and the last ones sent again.",
        table(
            ["door", "records/s", "accepted", "in the table", "duplicates", "dead letters", "P50", "P99", "max"]
            + ["most backlog (MB)", "at the end"],
            rows,
        ),
    )
    visible(bench, seconds)


class Running:
    """A streamer with its doors open, on ports that stay the same when it is started again."""

    def __init__(self, bench):
        self.bench, self.inbox = bench, bench.work / "doors"
        self.inbox.mkdir()
        self.http, self.tcp = free_port(), free_port()
        self.settings = bench.work / "doors.toml"
        text = (bench.repository / "bench" / "streams.toml").read_text(encoding="utf-8")
        self.settings.write_text(f'{text}tcp_listen = "127.0.0.1:{self.tcp}"\n', encoding="utf-8")
        self.start()

    def start(self):
        flags = ["--every", "0s", "--max-rows", 10_000, "--listen", f"127.0.0.1:{self.http}"]
        environment = {"STREAMER_CONFIG": str(self.settings)}
        command = self.bench.streamer.command(self.inbox, self.bench.server.socket_url, *flags, environment=environment)
        self.process = start(command, self.bench.work / "doors.log")
        while True:
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{self.http}/readyz", timeout=1).read()
                return
            except OSError:
                if self.process.poll() is not None:
                    raise Failed("streamer ended:\n" + (self.bench.work / "doors.log").read_text()) from None
                time.sleep(0.02)

    def backlog(self):
        """In bytes; nothing, if it does not answer now."""
        try:
            text = urllib.request.urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=2).read().decode()
        except OSError:
            return None
        return int(re.search(r'^streamer_spool_bytes\{stream="user_events"\} (\d+)', text, re.MULTILINE)[1])

    def kill_and_start(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.start()

    def end(self):
        kill(self.process)
        self.process.wait()
        self.bench.data.drop(self.inbox)


def one(bench, name, seconds, is_killed):
    scheme, flags = DOORS[name]
    bench.server.empty()
    running = Running(bench)
    try:
        port = running.http if scheme == "http" else running.tcp
        target = f"{scheme}://127.0.0.1:{port}"
        words = [bench.generator, "user-events", "--to", target, *flags, "--duration", f"{seconds}s"]
        log = bench.work / "traffic.log"
        sending = start(Command(words), log)
        begin, backlogs, killed = time.monotonic(), [], False
        while sending.poll() is None:
            time.sleep(1)
            if is_killed and not killed and time.monotonic() - begin > seconds / 2:
                running.kill_and_start()
                killed = True
            backlogs.append(running.backlog() or 0)
        said = log.read_text()
        sent = SENT.search(said)
        if not sent:
            raise Failed(f"the generator ended with {sending.returncode}:\n{said}")
        accepted = int(sent[2])
        left = drained(running)
        records, inserted, duplicates, dead, repeated = map(int, bench.server.sql(COUNTS).split("|"))
        if records != inserted + duplicates + dead + repeated:
            raise Failed(
                f"{records} records, but {inserted} rows, {duplicates} duplicates, {dead} dead letters, {repeated} repeated"
            )
        if (scheme == "http" or not is_killed) and records - repeated != accepted:
            raise Failed(f"{name}: accepted {accepted}, but {records - repeated} records came")
        rate = accepted / float(sent[4])
        if not is_killed:
            bench.report.target(f"{name}: records/s", f"{AIMS[name]:,}", rate, least=0.99 * AIMS[name])
        p50, _, p99, most = LATENCY.search(said).groups()
        title = f"{name}, killed" if is_killed else name
        cells = [f"{rate:,.0f}", f"{accepted:,}", f"{inserted:,}", f"{duplicates:,}", f"{dead:,}", p50, p99, most]
        return [title, *cells, f"{max(backlogs) / 1e6:.1f}", f"{left / 1e6:.1f}"]
    finally:
        running.end()


def drained(running):
    """Waits until all is committed; returns what was left at first, in bytes."""
    left = running.backlog()
    deadline = time.monotonic() + 120
    while running.backlog() != 0:
        if time.monotonic() > deadline:
            raise Failed("the spool is not loaded within two minutes")
        time.sleep(0.1)
    return left or 0


def visible(bench, seconds):
    """From the POST to the row: 1,000 events a second, each a request that waits for its commit."""
    bench.server.empty()
    running = Running(bench)
    try:
        target = f"http://127.0.0.1:{running.http}"
        flags = ["--preset", "low-latency", "--rate", 1000, "--duration", f"{seconds}s"]
        words = [bench.generator, "user-events", "--to", target, *flags]
        said = subprocess.run([str(word) for word in words], check=True, capture_output=True, text=True)
        taken = LATENCY.search(said.stdout + said.stderr)
        drained(running)
        text = urllib.request.urlopen(f"{target}/metrics").read().decode()
    finally:
        running.end()
    buckets = re.findall(
        r'^streamer_latency_seconds_bucket\{le="([^"]+)",stream="user_events"\} (\d+)', text, re.MULTILINE
    )
    total = int(buckets[-1][1])
    # A bucket tells no more than its upper end.
    p50, p90, p99 = (
        next(float(end) * 1000 for end, count in buckets if int(count) >= share * total) for share in (0.5, 0.9, 0.99)
    )
    bench.report.section(
        "from the request to the committed row, 1,000 single events a second",
        f"{total:,} requests, accepted within {taken[1]} ms (P50), {taken[2]} ms (P90), {taken[3]} ms (P99) of when "
        f"they were due. From accepted to committed, by the streamer's own histogram, whose buckets double: P50 at most {p50:.0f} ms, "
        f"P90 {p90:.0f} ms, P99 {p99:.0f} ms.",
    )
    bench.report.target("accepted to committed at 1,000 events/s, P99", "< 50 ms", p99, most=50, unit=" ms")
