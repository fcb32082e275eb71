"""What the streamer's own tables take beside the user's: after a trickle of one event a second, and with very many files.

The trickle's lines are made by SQL, as the streamer writes them (a segment of the spool a minute, a micro-batch a
record), six hours at a time; then the streamer itself makes them smaller, and a plain vacuum follows, as autovacuum's
would. Nothing is rewritten: free space within the tables counts.
"""

import os
import time
from statistics import median

from cases.folder import idle, load, tiny
from process import Command, kill, start
from process import run as run_commands
from report import spread, table
from server import Session

SEGMENT, RECORD_BYTES = 60, 110
# Seconds that are made at a time.
CHUNK = 6 * 3600
# Rows of the trickle's size that a table has for each file, where the files' share is told.
ROWS_OF_A_FILE = [10, 78, 1000]
LEDGER = """select sum(pg_total_relation_size(c.oid))::bigint from pg_class c
             where c.relnamespace = 'streamer'::regnamespace and c.relkind = 'r'"""
PARTS = """select c.relname || '|' || pg_table_size(c.oid) || '|' || pg_indexes_size(c.oid) || '|' || greatest(c.reltuples, 0)::bigint
             from pg_class c where c.relnamespace = 'streamer'::regnamespace and c.relkind = 'r'
              and pg_total_relation_size(c.oid) > 1000000 order by pg_total_relation_size(c.oid) desc"""
VACUUM = "vacuum analyze streamer.micro_batch", "vacuum analyze streamer.micro_batch_old", "vacuum analyze streamer.checkpoint"
PRINT = (
    """jsonb_build_object('head', jsonb_build_object('bytes', 4096, 'xxh3', md5(s::text)), 'tail', """
    """jsonb_build_object('bytes', 4096, 'xxh3', md5((s + 1)::text)), 'stat', jsonb_build_object('size', 7000, """
    """'inode', jsonb_build_array(64768, 1234567), 'modified', jsonb_build_array(1780000000, 123456789), """
    """'changed', jsonb_build_array(1780000000, 123456789)))"""
)


def run(bench):
    trickle(bench)
    many_files(bench)


def megabytes(size):
    return f"{size / 1e6:,.0f} MB"


def clear(server):
    server.sql("truncate streamer.checkpoint, streamer.micro_batch, streamer.dead_letter, streamer.compaction")


# A trickle.


def trickle(bench):
    server, days = bench.server, bench.days
    seconds = days * 86400
    server.empty()
    clear(server)
    events(server, seconds)
    heap = server.number("select pg_relation_size('user_events')")
    whole = server.number("select pg_total_relation_size('user_events')")
    # As it would be if all stayed as it is written.
    began = server.sql(f"select now() - {seconds} * interval '1 s'")
    lines(server, 0, 86400, began)
    server.sql(*VACUUM)
    unmerged = server.number(LEDGER) * days
    clear(server)
    inbox = bench.work / "trickle"
    inbox.mkdir()
    took = 0
    for first in range(0, seconds, CHUNK):
        lines(server, first, CHUNK, began)
        took += compact(bench, inbox)
        server.sql(*VACUUM)
    merged, parts = server.number(LEDGER), server.sql(PARTS).splitlines()
    check(server, seconds)
    rows = [
        ["table, without its indexes", megabytes(heap), ""],
        ["table with its indexes", megabytes(whole), ""],
        ["bookkeeping, if nothing were made smaller", megabytes(unmerged), f"{unmerged / heap * 100:.1f} %"],
        ["bookkeeping", megabytes(merged), f"{merged / heap * 100:.2f} %"],
    ]
    for name, main, indexes, count in (part.split("|") for part in parts):
        what = f"of that, {name} ({int(count):,} rows): table, indexes"
        rows.append([what, f"{megabytes(int(main))}, {megabytes(int(indexes))}", ""])
    rows.append([f"made smaller in, at {seconds:,} micro-batches", f"{took:.0f} s", ""])
    bench.report.section(
        f"an event a second for {days} days",
        f"{seconds:,} rows like those of user_events ({heap / seconds:.0f} bytes each), and as many micro-batches of one record, "
        f"in {seconds // SEGMENT:,} segments. Shares are of the table without its indexes.",
        table(["", "", ""], rows),
    )
    bench.report.target("bookkeeping of a trickle", "< 5 % of the table", merged / heap * 100, most=5, unit=" %")
    server.empty()
    clear(server)


def events(server, seconds):
    server.sql(
        f"""insert into user_events
            select (lpad(to_hex(1700000000000 + s * 1000::bigint), 12, '0') || substr(md5(s::text), 1, 20))::uuid, s % 100000, s % 5000,
                   (array['view', 'cart', 'purchase'])[s % 3 + 1], now() - ({seconds} - s) * interval '1 s', (s % 10000) / 100.0,
                   'electronics', 'Mozilla/5.0 (X11)', 'Frankfurt am Main, Germany', s + 1, now() - ({seconds} - s) * interval '1 s'
              from generate_series(0, {seconds} - 1) s""",
        "vacuum analyze user_events",
    )


def lines(server, first, count, began):
    """Micro-batches and checkpoints of so many seconds."""
    at = f"'{began}'::timestamptz + s * interval '1 s'"
    name = f"""'spool/user_events/' || to_char(({at}) at time zone 'utc', 'YYYYMMDD"T"HH24MISS') || '.123Z-0a1b2c3d-0.csv'"""
    server.sql(
        f"""insert into streamer.micro_batch (batch_id, stream, partition, start_offset, end_offset, records, rows, duplicates,
                                              dead_letters, path, started_at, written_at, repeated)
            select s + 1, 'user_events', g.name, (s - g.first) * {RECORD_BYTES}, (s - g.first + 1) * {RECORD_BYTES}, 1, 1, 0, 0, 'direct',
                   {at}, {at} + interval '1 ms', 0
              from (select s as first, {name} as name from generate_series({first}, {first + count - 1}, {SEGMENT}) s) g
             cross join generate_series(g.first, g.first + {SEGMENT - 1}) s""",
        f"""insert into streamer.checkpoint (stream, partition, fingerprint, next_offset, records, state, updated_at, judged_records)
            select 'user_events', {name}, {PRINT}, {SEGMENT * RECORD_BYTES}, {SEGMENT}, 'done', {at}, {SEGMENT}
              from generate_series({first}, {first + count - 1}, {SEGMENT}) s""",
    )


def compact(bench, inbox, settings=None):
    """Has the streamer make smaller what is old, until nothing is left to do; returns the seconds."""
    server = bench.server
    server.sql("truncate streamer.compaction")
    began = time.monotonic()
    environment = {"STREAMER_CONFIG": str(settings)} if settings else {}
    while server.number("select count(*) from streamer.compaction") == 0:
        command = bench.streamer.command(inbox, server.socket_url, "--available-now", environment=environment)
        run_commands([command], bench.work / "run")
    return time.monotonic() - began


def check(server, seconds):
    """Sums are what they were, and numbers lead to where they did."""
    sums = server.sql("select sum(records) || '|' || sum(rows) from streamer.micro_batch")
    astray = server.number(
        f"""select count(*) from generate_series(1, {seconds}, 997) n left join lateral streamer.batch_origin(n) o on true
             where o.start_offset is null or (n - 1) % {SEGMENT} * {RECORD_BYTES} not between o.start_offset and o.end_offset - 1
                or o.partition <> (select m.partition from streamer.micro_batch m where m.batch_id >= n order by m.batch_id limit 1)"""
    )
    if sums != f"{seconds}|{seconds}" or astray:
        raise SystemExit(f"bench/run: sums are {sums}, and {astray} numbers lead astray")


# Very many files.


def many_files(bench):
    server, files = bench.server, bench.tiny
    inbox, aside = bench.work / "files", bench.work / "aside"
    environment = tiny(bench, inbox, files)
    settings = environment["STREAMER_CONFIG"]
    clear(server)
    binary = bench.streamer.binary

    def measured():
        """Starts with nothing to load, and scans of a streamer that idles."""
        server.sql(*VACUUM)
        words = Command([binary, "run", "--available-now"], environment)
        starts = [run_commands([words], bench.work / "run").seconds for _ in range(bench.rounds)]
        streamer = start(Command([binary, "run", "--every", "0s"], environment), bench.work / "files.log")
        try:
            time.sleep(8)
            bursts, _, _ = idle(streamer.pid)
        finally:
            kill(streamer)
        scans = [cpu * 1000 for _, cpu in bursts] or [0]
        return server.number(LEDGER), starts, scans

    streamer = start(Command([binary, "run", "--every", "0s"], environment), bench.work / "files.log")
    session = Session(server)
    try:
        load(streamer, session, files)
        while server.number("select count(*) from streamer.checkpoint where state = 'done'") < files:
            time.sleep(0.5)
    finally:
        kill(streamer)
        session.close()
    found = {"as they were loaded": measured()}
    server.sql(
        "update streamer.micro_batch set written_at = written_at - interval '2 hours'",
        "update streamer.checkpoint set updated_at = updated_at - interval '2 days'",
        # What these two have left behind is not the streamer's.
        "vacuum full streamer.micro_batch",
        "vacuum full streamer.checkpoint",
    )
    seconds = compact(bench, inbox, settings)
    found["once that is old"] = measured()
    os.rename(inbox, aside)
    inbox.mkdir()
    gone_seconds = compact(bench, inbox, settings)
    found["and the files are gone"] = measured()
    inbox.rmdir()
    os.rename(aside, inbox)
    found["and all are put back"] = measured()
    if server.number("select count(*) from tiny") != files * 3:
        raise SystemExit("bench/run: files that were put back were read twice")
    rows = [
        [what, megabytes(size), f"{size / files:.0f}", spread(starts), f"{median(scans):.0f}"]
        for what, (size, starts, scans) in found.items()
    ]
    size = found["once that is old"][0]
    shares = [f"{size / files / (172 * count) * 100:.1f} % at {count:,}" for count in ROWS_OF_A_FILE]
    bench.report.section(
        f"{files:,} files",
        "Made old by an update and a full vacuum; a vacuum that rewrites nothing precedes each line. A start is `run --available-now` with nothing to load.",
        table(["", "bookkeeping", "bytes a file", "a start (s)", "a scan, CPU (ms)"], rows),
        f"A look through all of it took {seconds:.1f} s, with the files gone {gone_seconds:.1f} s. Of a table with rows of 172 "
        f"bytes it is {', '.join(shares)} rows a file.",
    )
    before, after = (median(found[what][1]) for what in ("as they were loaded", "once that is old"))
    bench.report.target("a start, of one with young bookkeeping", "<= 1.1", after / before, most=1.1)
    bench.data.drop(inbox)
