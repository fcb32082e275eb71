"""Peak memory of a running streamer under what could make it take more than the setting `memory` says, and what is left of
that a minute later."""

import http.client
import shutil
import socket
import subprocess
import sys
import threading
import time

from process import Failed, kill, start, status_mb
from report import table
from server import free_port

# What the program may take beside the setting `memory`; what may be left over idle, and when, in seconds.
BESIDE_MB, LEFT_MB, LEFT_AFTER = 64, 16, 60
TABLE = "create table pressure (id bigint primary key, note text)"
SETTINGS = """[server]
max_spool = "64GiB"
[stream.pressure]
files = "*.csv*"
settle = "300ms"
scan_every = "300ms"
extra = "ignore"
writers = 4
"""


class Running:
    """A streamer with both listeners open, into a table of its own."""

    def __init__(self, bench, memory_mb):
        self.bench, self.memory_mb = bench, memory_mb
        self.folder = bench.work / "pressure"
        self.folder.mkdir()
        bench.server.sql("drop table if exists pressure", TABLE)
        bench.server.forget()
        self.http, self.tcp = free_port(), free_port()
        settings = bench.work / "pressure.toml"
        settings.write_text(f'{SETTINGS}tcp_listen = "127.0.0.1:{self.tcp}"\n', encoding="utf-8")
        flags = ["--every", "0s", "--listen", f"127.0.0.1:{self.http}", "--memory", f"{memory_mb}MiB"]
        environment = {"STREAMER_CONFIG": str(settings)}
        command = bench.streamer.command(self.folder, bench.server.socket_url, *flags, environment=environment)
        self.process = start(command, bench.work / "pressure.log")
        self.wait(lambda: self.ask("GET", "/readyz")[0] == 200)
        self.idle_mb = status_mb(self.process.pid, "VmRSS")

    def ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection("127.0.0.1", self.http, timeout=120)
        try:
            connection.request(method, path, body, headers or {})
            return (connection.getresponse().status,)
        except OSError as error:
            return (0, error)
        finally:
            connection.close()

    def post(self, body):
        return self.ask("POST", "/streams/pressure/events", body, {"Content-Type": "text/csv"})[0]

    def wait(self, done, seconds=300):
        end = time.monotonic() + seconds
        while not done():
            if self.process.poll() is not None or time.monotonic() > end:
                said = (self.bench.work / "pressure.log").read_text(errors="replace")
                raise Failed(f"the streamer did not get there:\n{said[-2000:]}")
            time.sleep(0.1)

    def wait_for_rows(self, rows):
        self.wait(lambda: self.bench.server.number("select count(*) from pressure") == rows)

    def settle(self):
        """How much there is left over idle as soon as that is little, or a minute later."""
        end = time.monotonic() + LEFT_AFTER
        while (left := status_mb(self.process.pid, "VmRSS") - self.idle_mb) > LEFT_MB and time.monotonic() < end:
            time.sleep(0.5)
        return left

    def end(self):
        kill(self.process)
        self.process.wait()
        shutil.rmtree(self.folder)


def lines(first, count, size):
    note = "x" * size
    return "".join(f"{number},{note}\n" for number in range(first, first + count))


def packed(running, count):
    """Files of zstd with a window of 128 MiB: from stdin, whose length it does not know."""
    for file in range(4):
        path = running.bench.work / f"{file}.csv"
        path.write_text("id,note\n" + lines(file * count, count, 100), encoding="ascii")
        unnamed = running.folder / f"{file}.part"
        with open(path, "rb") as text:
            subprocess.run(["zstd", "-q", "-1", "--long=27", "-o", unnamed], stdin=text, check=True)
        unnamed.rename(running.folder / f"{file}.csv.zst")
        path.unlink()


def windows(running, quick):
    packed(running, 200_000 if quick else 1_600_000)
    running.wait_for_rows(4 * (200_000 if quick else 1_600_000))


def windows_refused(running, quick):
    packed(running, 1000)
    refused = "select count(*) from streamer.checkpoint where state = 'refused' and stream = 'pressure'"
    running.wait(lambda: running.bench.server.number(refused) == 4)


def headers(running, quick):
    for number in range(5 if quick else 25):
        names = ",".join(f"{number:x}{name:x}" for name in range(150_000))
        header = f"id,note,{names}"[:1_040_000].rsplit(",", 1)[0]
        running.wait(lambda header=header, number=number: running.post(f"{header}\n{number},a\n") in (202, 400))


def endless_lines(running, quick):
    """Connections that send a line without an end, as long as it may be, and wait."""
    peers = []
    for _ in range(50 if quick else 500):
        peer = socket.create_connection(("127.0.0.1", running.tcp))
        peer.settimeout(0.2)
        peers.append(peer)
    line = b"id,note\n1," + b"x" * (1 << 20)
    rest = {peer: line for peer in peers}
    end = time.monotonic() + (10 if quick else 60)
    while rest and time.monotonic() < end:
        for peer, left in list(rest.items()):
            try:
                rest[peer] = left[peer.send(left) :]
            except TimeoutError:
                continue
            except OSError:
                rest[peer] = b""
            if not rest[peer]:
                del rest[peer]
    for peer in peers:
        peer.close()


def many_posts(clients):
    def run(running, quick):
        body = "id,note\n" + lines(0, 8000, 1000)
        answers = []

        def client():
            while (answer := running.post(body)) != 202:
                answers.append(answer)
                time.sleep(0.2)

        threads = [threading.Thread(target=client) for _ in range(clients)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        running.wait_for_rows(8000)

    return run


def dead_letters(running, quick):
    count = 1000 if quick else 12_000
    note = "y" * 60_000
    path = running.folder / "dead.part"
    with open(path, "w", encoding="ascii") as file:
        file.write("id,note\n")
        file.writelines(f"x{number},{note}\n" for number in range(count))
    path.rename(running.folder / "dead.csv")
    running.wait(lambda: running.bench.server.number("select count(*) from streamer.dead_letter") == count)


def long_rows(running, quick):
    count = 10 if quick else 100
    for file in range(4):
        path = running.folder / f"{file}.part"
        path.write_text("id,note\n" + lines(file * count, count, 1_000_000), encoding="ascii")
        path.rename(running.folder / f"{file}.csv")
    running.wait_for_rows(4 * count)


CASES = [
    ("four zst files made with --long=27, memory = 128 MiB: refused", windows_refused, 128),
    ("the same, loaded with memory = 640 MiB", windows, 640),
    ("25 different headers of 1 MB", headers, 128),
    ("500 TCP connections with a line of 1 MiB without an end", endless_lines, 128),
    ("60 clients that post 8 MB", many_posts(60), 128),
    ("80 clients that post 8 MB", many_posts(80), 128),
    ("12,000 dead letters of 60 kB", dead_letters, 128),
    ("rows of 1 MB, 4 writers", long_rows, 128),
]


def run(bench):
    rows, most, left_most = [], 0, 0
    for name, burden, memory_mb in CASES:
        running = Running(bench, memory_mb)
        try:
            burden(running, bench.quick)
            peak, left = status_mb(running.process.pid, "VmHWM"), running.settle()
        finally:
            running.end()
        most, left_most = max(most, peak - memory_mb), max(left_most, left)
        print(f"{name}: peak {peak:.0f} MB, {left:+.0f} over idle", file=sys.stderr, flush=True)
        rows.append([name, memory_mb, f"{running.idle_mb:.0f}", f"{peak:.0f}", f"{left:+.0f}"])
    how = "`streamer run --every 0s`, one after the other, each a streamer of its own. Left: over idle, a minute later at most."
    bench.report.section("pressure", how, table(["", "memory (MiB)", "idle (MB)", "peak (MB)", "left (MB)"], rows))
    bench.report.target("peak beside the setting memory", f"≤ {BESIDE_MB} MB", most, most=BESIDE_MB, unit=" MB")
    bench.report.target("left a minute later", f"≤ {LEFT_MB} MB", left_most, most=LEFT_MB, unit=" MB")
    bench.server.sql("drop table pressure")
    bench.server.forget()
