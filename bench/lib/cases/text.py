"""What it costs to send rows as text: the same files into two tables, one with a column that has no binary form."""

from contest import Contest
from loaders import Streamer, streamer
from process import Failed

BINARY, TEXT = "in the binary form", "as text"
LEAST = 0.7

# The table, and the type of its column price. There is no encoder for money.
TABLES = {BINARY: ("sent_binary", "numeric"), TEXT: ("sent_text", "money")}


def run(bench):
    server = bench.server
    folder = bench.data.make("random", bench.files, bench.rows)
    for max_rows in (1000, 10_000):
        contest = Contest(bench, [entrant(bench, name, folder, max_rows) for name in TABLES]).run(bench.rounds)
        what = f"max_rows {max_rows:,}, sent as text"
        bench.report.section(what, "One writer, random ids. The column price is numeric or money.", contest.table(BINARY))
        ratio = contest.ratio(TEXT, BINARY)
        bench.report.target(f"{what}, to the binary form", f"≥ {LEAST}", ratio, least=LEAST)
    for table, _ in TABLES.values():
        server.sql(f"drop table {table}")


def entrant(bench, name, folder, max_rows):
    server = bench.server
    table, price = TABLES[name]
    settings = bench.work / f"{table}.toml"
    settings.write_text(f"[stream.{table}]\nfiles = '*.csv'\nsettle = '0s'\n", encoding="utf-8")

    def prepare():
        server.empty()
        server.sql(
            f"drop table if exists {table}",
            f"create table {table} (event_id uuid primary key, user_id bigint, product_id bigint, event_type text, "
            f"event_time timestamptz, price {price}, category text, user_device text, user_location text)",
        )

    def check():
        found = server.number(f"select count(*) from {table}")
        if found != bench.records:
            raise Failed(f"{found} rows instead of {bench.records}")

    program = Streamer(bench.streamer.binary.parent, settings)
    return streamer(bench, name, folder, max_rows, program=program, prepare=prepare, check=check)
