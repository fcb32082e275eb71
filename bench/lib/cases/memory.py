"""Peak memory of the streamer with what could make it grow: one large file, a quote never closed, long records,
many files; and under pressure."""

from cases import pressure
from contest import TITLES, Contest
from data import csv_files
from loaders import count_is, streamer
from process import Failed
from report import table

MAX_ROWS = 10_000
MOST_MB = 64


def run(bench):
    data, rows, peaks = bench.data, [], []

    def measure(name, folder, records, **other):
        other.setdefault("check", count_is(bench.server, records))
        entrant = streamer(bench, name, folder, MAX_ROWS, writers=None, records=records, **other)
        contest = Contest(bench, [entrant]).run(1)
        rows.extend(contest.rows())
        peaks.append(contest.middle(name, "peak_mb"))

    count = 1_000_000 if bench.quick else 10_000_000
    large = data.make("ordered", 1, count)
    measure(f"one file of {count:,} rows", large, count)
    break_quote(csv_files(large)[0])
    broken = "the same with a quote that is never closed"
    measure(broken, large, count, check=lambda: all_told(bench.server), success=(3,))
    data.drop(large)

    files = 2 if bench.quick else 70
    events = data.make("ordered", files, bench.rows)
    many = data.cut(events, 100)
    measure(f"{files * bench.rows // 100:,} files of 100 rows", many, files * bench.rows)
    data.drop(events)
    data.drop(many)

    count = 50 if bench.quick else 1000
    long = data.folder / "long"
    long.mkdir()
    long_records(long / "user_events_long.csv", count)
    measure(f"{count:,} records of 1 MB", long, count)
    data.drop(long)

    how = f"`--available-now`, max_rows {MAX_ROWS:,}, as many writers as by default, once each."
    bench.report.section("peaks", how, table(TITLES, rows))
    bench.report.target(f"peak memory, max_rows {MAX_ROWS:,}", f"< {MOST_MB} MB", max(peaks), most=MOST_MB, unit=" MB")
    pressure.run(bench)


def all_told(server):
    """A check: there are dead letters, and every record is a row, a duplicate or one of them."""
    sums = server.sql(
        "select sum(records), sum(rows + duplicates + dead_letters), sum(dead_letters) from streamer.micro_batch"
    )
    records, told, dead_letters = (int(number or 0) for number in sums.split("|"))
    if not dead_letters or records != told:
        raise Failed(f"{records} records, {told} of them told, {dead_letters} dead letters")


def break_quote(path):
    """Opens a quote at a tenth of the file that nothing closes."""
    with open(path, "r+b") as file:
        file.seek(path.stat().st_size // 10)
        file.readline()
        line_at = file.tell()
        line = file.readline()
        file.seek(line_at + line.index(b",") + 1)
        file.write(b'"')


def long_records(path, count):
    """Records of which the last field is nearly the longest that is taken by default (1 MiB)."""
    place = b"x" * 1_000_000
    with open(path, "wb") as file:
        file.write(b"event_id,user_id,product_id,event_type,event_time,user_location\n")
        line = b"00000000-0000-4000-8000-%012d,1,1,view,2026-01-01T00:00:00Z,%s\n"
        file.writelines(line % (number, place) for number in range(count))
