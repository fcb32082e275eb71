"""Peak memory of the streamer with what could make it grow: one large file, a quote never closed, long records,
many files."""

from contest import Contest
from data import csv_files
from loaders import count_is, streamer
from process import Failed

MAX_ROWS = 10_000
MOST_MB = 64


def run(bench):
    data, server = bench.data, bench.server
    rows = 1_000_000 if bench.quick else 10_000_000
    large = data.make("ordered", 1, rows)
    entrants = [entrant(bench, f"one file of {rows:,} rows", large, rows)]
    contests = [Contest(bench, entrants).run(1)]
    break_quote(csv_files(large)[0])

    def all_told():
        records = server.number("select sum(records) from streamer.micro_batch")
        if not records or records != server.number(
            "select sum(rows + duplicates + dead_letters) from streamer.micro_batch"
        ):
            raise Failed(f"{records} records, not all of them told")

    broken = entrant(bench, "the same with a quote that is never closed", large, rows, check=all_told, success=(3,))
    contests.append(Contest(bench, [broken]).run(1))
    data.drop(large)

    count = 2 if bench.quick else 70
    folder = data.make("ordered", count, bench.rows)
    many = data.cut(folder, 100)
    records = count * bench.rows
    contests.append(Contest(bench, [entrant(bench, f"{records // 100:,} files of 100 rows", many, records)]).run(1))
    data.drop(many)

    long = data.folder / "long"
    long.mkdir()
    count = 50 if bench.quick else 1000
    long_records(long / "user_events_long.csv", count)
    contests.append(Contest(bench, [entrant(bench, f"{count:,} records of 1 MB", long, count)]).run(1))
    data.drop(long)

    lines = [contest.table(contest.entrants[0].name).splitlines() for contest in contests]
    rows = [*lines[0], *(line for more in lines[1:] for line in more[2:])]
    # Each is its own measure: there is nothing to compare with.
    text = "\n".join(
        "|" + "|".join(cell for n, cell in enumerate(row.split("|")[1:-1]) if n != 1) + "|" for row in rows
    )
    how = f"`--available-now`, max_rows {MAX_ROWS:,}, as many writers as by default, once each."
    bench.report.section("peaks", how, text)
    worst = max(contest.middle(contest.entrants[0].name, "peak_mb") for contest in contests)
    bench.report.target(f"peak memory, max_rows {MAX_ROWS:,}", f"< {MOST_MB} MB", worst, most=MOST_MB, unit=" MB")


def entrant(bench, name, folder, records, **other):
    other.setdefault("check", count_is(bench.server, records))
    return streamer(bench, name, folder, MAX_ROWS, writers=None, records=records, **other)


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
