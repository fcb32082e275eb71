"""Many streams on few connections: what a noisy one, a locked table and idle ones cost the others."""

import http.client
import math
import threading
import time

from process import Failed, kill, start, status_mb
from report import table
from server import free_port

DATABASE = "streams"
STREAMS, CONNECTIONS, RATE, IDLE = 20, 4, 10, 1000
CONNECTED = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'streamer'"
DONE = "select count(*) from streamer.checkpoint where state = 'done'"


class Running:
    """A streamer with as many streams `s0`, `s1`, ... as there are tables."""

    def __init__(self, bench, count, *flags):
        self.bench, self.inbox, self.port = bench, bench.work / "streams", free_port()
        self.inbox.mkdir()
        bench.server.sql(f"drop database if exists {DATABASE} with (force)", f"create database {DATABASE}")
        names = [f"s{n}" for n in range(count)]
        tables = [f"create table {name} (id bigint primary key, v text)" for name in names]
        bench.server.sql(";".join(tables), database=DATABASE)
        settings = bench.work / "streams.toml"
        streams = [f'[stream.{name}]\nfiles = "{name}_*.csv"\nevery = "0s"\n' for name in names]
        settings.write_text("".join(streams), encoding="utf-8")
        environment = {"STREAMER_CONFIG": str(settings)}
        flags = ["--listen", f"127.0.0.1:{self.port}", *flags]
        url = bench.server.url(DATABASE)
        self.log = bench.work / "streams.log"
        self.process = start(bench.streamer.command(self.inbox, url, *flags, environment=environment), self.log)
        self.wait("it is ready", lambda: self.is_ready())

    def is_ready(self):
        try:
            client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=1)
            client.request("GET", "/readyz")
            return client.getresponse().status == 200
        except OSError:
            return False

    def wait(self, what, is_so, seconds=600):
        until = time.monotonic() + seconds
        while not is_so():
            if self.process.poll() is not None or time.monotonic() > until:
                raise Failed(f"not before the end: {what}\n{self.log.read_text()[-3000:]}")
            time.sleep(0.1)

    def number(self, question):
        return self.bench.server.number(question, database=DATABASE)

    def end(self):
        kill(self.process)
        self.process.wait()
        self.bench.data.drop(self.inbox)


class Clients:
    """One for each of some streams: sends a record ten times a second and waits until it is committed."""

    def __init__(self, port, numbers, seconds):
        self.port, self.seconds, self.waited, self.failed = port, seconds, [], []
        self.threads = [threading.Thread(target=self.send, args=(n,)) for n in numbers]
        for thread in self.threads:
            thread.start()

    def send(self, n):
        client = http.client.HTTPConnection("127.0.0.1", self.port, timeout=120)
        begin = time.monotonic() + n / (RATE * STREAMS)
        first = time.time_ns()
        for k in range(self.seconds * RATE):
            due = begin + k / RATE
            time.sleep(max(0, due - time.monotonic()))
            body = f"id,v\n{first + k},x\n"
            client.request("POST", f"/streams/s{n}/events?wait=commit", body, {"Content-Type": "text/csv"})
            answer = client.getresponse()
            answer.read()
            if answer.status != 200:
                self.failed.append(answer.status)
            self.waited.append((time.monotonic() - due) * 1000)

    def quantiles(self):
        """P50, P99 and the longest, in ms, from when each record was due."""
        for thread in self.threads:
            thread.join()
        if self.failed:
            raise Failed(f"answers {set(self.failed)}")
        times = sorted(self.waited)
        return [times[math.ceil(share * len(times)) - 1] for share in (0.5, 0.99, 1)]


def run(bench):
    noisy(bench)
    locked(bench)
    idle(bench)


def noisy(bench):
    seconds = 5 if bench.quick else 30
    running = Running(bench, STREAMS)
    try:
        quiet = range(1, STREAMS)
        Clients(running.port, quiet, 2).quantiles()
        alone = Clients(running.port, quiet, seconds).quantiles()
        rows = 1_000_000
        for file in range(1 if bench.quick else 8):
            lines = "".join(f"{n},{'x' * 60}\n" for n in range(file * rows, (file + 1) * rows))
            (running.inbox / f".s0_{file}.csv").write_text("id,v\n" + lines, encoding="utf-8")
        for file in sorted(running.inbox.glob(".s0_*.csv")):
            file.rename(file.with_name(file.name[1:]))
        loaded = "select coalesce(sum(rows), 0)::bigint from streamer.micro_batch where stream = 's0'"
        running.wait("the noisy stream is at work", lambda: running.number(loaded) > 0)
        before, begin = running.number(loaded), time.monotonic()
        beside = Clients(running.port, quiet, seconds).quantiles()
        rate = (running.number(loaded) - before) / (time.monotonic() - begin)
    finally:
        running.end()
    ratio = beside[1] / alone[1]
    bench.report.section(
        f"one stream at full speed beside {STREAMS - 1} that get {RATE} records/s",
        f"By HTTP with `wait=commit`, {seconds} s each, `linger` as by default; ms from when a record was due until it "
        f"was answered. The noisy stream has files and loads {rate:,.0f} records/s meanwhile.",
        table(
            ["", "P50", "P99", "max"],
            [[name, *(f"{value:.0f}" for value in times)] for name, times in (("alone", alone), ("beside", beside))],
        ),
    )
    bench.report.target("P99 beside a noisy stream to P99 alone", "<= 2", ratio, most=2)


def locked(bench):
    seconds = 5 if bench.quick else 60
    running = Running(bench, STREAMS, "--connections", CONNECTIONS)
    try:
        others = range(1, STREAMS)
        Clients(running.port, others, 2).quantiles()
        alone = Clients(running.port, others, min(seconds, 20)).quantiles()
        lock = f"begin; lock table s0; select pg_sleep({seconds}); commit"
        blocker = threading.Thread(target=bench.server.sql, args=(lock,), kwargs={"database": DATABASE})
        blocker.start()
        is_locked = "select count(*) from pg_locks where relation = 's0'::regclass and mode = 'AccessExclusiveLock'"
        running.wait("the table is locked", lambda: running.number(is_locked) > 0)
        (running.inbox / "s0_1.csv").write_text("id,v\n1,x\n", encoding="utf-8")
        clients = Clients(running.port, others, max(2, seconds - 5))
        most = 0
        while any(thread.is_alive() for thread in clients.threads):
            most = max(most, running.number(CONNECTED))
            time.sleep(0.5)
        beside = clients.quantiles()
        blocker.join()
        begin = time.monotonic()
        running.wait("the stream of the locked table is complete", lambda: running.number("select count(*) from s0") == 1)
        after = time.monotonic() - begin
    finally:
        running.end()
    bench.report.section(
        f"{STREAMS} streams, {CONNECTIONS} connections, a table locked for {seconds} s",
        f"{STREAMS - 1} streams get {RATE} records/s by HTTP with `wait=commit`, before and while the table of the other one "
        f"is locked; ms as above. The streamer had {most} connections at most, all kinds together. The locked stream was "
        f"complete {after:.1f} s after the lock was gone.",
        table(
            ["", "P50", "P99", "max"],
            [[name, *(f"{value:.0f}" for value in times)] for name, times in (("before", alone), ("locked", beside))],
        ),
    )
    bench.report.target("P99 beside a locked table to P99 before", "<= 2", beside[1] / alone[1], most=2)


def idle(bench):
    count = 50 if bench.quick else IDLE
    sizes = []
    for streams in (1, count):
        running = Running(bench, streams)
        try:
            begin = time.monotonic()
            for n in range(streams):
                (running.inbox / f"s{n}_1.csv").write_text("id,v\n1,x\n2,y\n", encoding="utf-8")
            running.wait("all files are loaded", lambda: running.number(DONE) == streams)
            took = time.monotonic() - begin
            time.sleep(5 if bench.quick else 60)
            sizes.append((streams, took, status_mb(running.process.pid, "VmRSS"), running.number(CONNECTED)))
        finally:
            running.end()
    bench.report.section(
        f"{count:,} idle streams",
        "Each has loaded one file of two records; the memory is looked at a minute later.",
        table(
            ["streams", "all loaded after", "RSS (MB)", "connections"],
            [[f"{streams:,}", f"{took:.1f} s", f"{rss:.0f}", connected] for streams, took, rss, connected in sizes],
        ),
    )
    more = sizes[1][2] - sizes[0][2]
    bench.report.target(f"memory of {count:,} idle streams", "< 100 MB", more, most=100, unit=" MB")
