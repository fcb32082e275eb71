"""What Idempotency-Keys cost: as many requests as are taken, with keys and without, by this build and another one."""

import re
import selectors
import socket
import time
import urllib.request
import uuid
from statistics import median

from loaders import AGAINST
from process import Failed, kill, start
from report import spread, table
from server import free_port

HEADER = b"event_id,user_id,product_id,event_type,event_time\n"
CONNECTIONS = 64
# Requests, records in each, whether they have keys; and what the other build's rate is to be compared with.
KINDS = {
    "100 a request, with a key": (3_000, 100, True, 0.95),
    "single, with a key": (30_000, 1, True, 0.8),
    "single, without": (30_000, 1, False, 0.98),
}


def run(bench):
    builds = {"this": (bench.streamer, "postgres")}
    if bench.against:
        builds["other"] = (bench.against, AGAINST)
    else:
        bench.report.missing("the ratios", "they take another build, by --against FOLDER")
    rows = []
    for kind, (requests, records, has_keys, least) in KINDS.items():
        requests = requests // 20 if bench.quick else requests
        rates = {build: [] for build in builds}
        for number in range(bench.rounds):
            turns = list(builds) if number % 2 == 0 else list(builds)[::-1]
            for build in turns:
                rates[build].append(one(bench, *builds[build], requests, records, has_keys))
        for build in builds:
            accepted, committed = zip(*rates[build])
            rows.append([kind, build, spread(accepted, 0), spread(committed, 0)])
        if bench.against:
            pairs = [this[0] / other[0] for this, other in zip(rates["this"], rates["other"])]
            what = f"{kind}: to the other build"
            bench.report.target(what, f"≥ {least}", median(pairs), least=least)
    bench.report.section(
        "as many requests as are taken",
        f"{CONNECTIONS} connections that send one request behind the other, `streamer run --every 0s --max-rows 10000`; "
        "client, streamer and server share the machine. Accepted: records/s until the last 202. Committed: until all "
        "are in the table. Of a ratio, the median over pairs of turns.",
        table(["requests", "build", "accepted records/s", "committed records/s"], rows),
    )


def one(bench, streamer, database, requests, records, has_keys):
    """Accepted and committed records a second."""
    bench.server.empty(database)
    inbox, port, log = bench.work / "keys", free_port(), bench.work / "keys.log"
    inbox.mkdir()
    flags = ["--every", "0s", "--max-rows", 10_000, "--listen", f"127.0.0.1:{port}"]
    process = start(streamer.command(inbox, bench.server.url(database), *flags), log)
    try:
        ready(process, port, log)
        streams = written(requests, records, has_keys)
        begin = time.monotonic()
        send(port, streams, requests)
        accepted = time.monotonic() - begin
        deadline = time.monotonic() + 60
        while bench.server.number("select count(*) from user_events", database) != requests * records:
            if time.monotonic() > deadline:
                found = bench.server.number("select count(*) from user_events", database)
                said = log.read_text()[-500:]
                raise Failed(f"{found} of {requests * records} are in the table after two minutes\n{said}")
            time.sleep(0.02)
        committed = time.monotonic() - begin
        return requests * records / accepted, requests * records / committed
    finally:
        kill(process)
        process.wait()
        bench.data.drop(inbox)


def ready(process, port, log):
    while True:
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=1).read()
            return
        except OSError:
            if process.poll() is not None:
                raise Failed("streamer ended:\n" + log.read_text()) from None
            time.sleep(0.02)


def written(requests, records, has_keys):
    """What each connection is to send."""
    streams, turn = [bytearray() for _ in range(CONNECTIONS)], uuid.uuid4()
    for request in range(requests):
        ids = range(request * records, (request + 1) * records)
        # In order of time, as events come.
        lines = "".join(f"{uuid.UUID(int=(1 << 100) + i)},{i},1,view,2026-01-01T00:00:00Z\n" for i in ids)
        body = HEADER + lines.encode()
        key = f"Idempotency-Key: {turn}-{request}\r\n" if has_keys else ""
        head = (
            f"POST /streams/user_events/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: text/csv\r\n{key}"
            f"Content-Length: {len(body)}\r\n\r\n"
        )
        streams[request % CONNECTIONS] += head.encode() + body
    return streams


def send(port, streams, requests):
    """Sends all, and reads the answers, each of which must be a 202."""
    selector, answers = selectors.DefaultSelector(), 0
    for stream in streams:
        connection = socket.create_connection(("127.0.0.1", port))
        connection.setblocking(False)
        state = {"left": memoryview(bytes(stream)), "tail": b""}
        selector.register(connection, selectors.EVENT_READ | selectors.EVENT_WRITE, state)
    while answers < requests:
        for key, ready_for in selector.select(timeout=60):
            connection, state = key.fileobj, key.data
            if ready_for & selectors.EVENT_WRITE:
                sent = connection.send(state["left"][: 1 << 16])
                state["left"] = state["left"][sent:]
                if not state["left"]:
                    selector.modify(connection, selectors.EVENT_READ, state)
            if ready_for & selectors.EVENT_READ:
                read = connection.recv(1 << 16)
                text = state["tail"] + read
                statuses = re.findall(rb"HTTP/1\.1 (\d{3}) ", text)
                if not read or any(status != b"202" for status in statuses):
                    raise Failed(f"not accepted: {text[:300]!r}")
                answers += len(statuses)
                # Half a status line may come next.
                last = text.rfind(b"HTTP/1.1 ")
                is_cut = len(text) - last < len(b"HTTP/1.1 202 ")
                state["tail"] = text[last:] if last >= 0 and is_cut else text[-8:] if last < 0 else b""
    for key in list(selector.get_map().values()):
        key.fileobj.close()
