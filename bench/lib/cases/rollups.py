"""What a rollup costs: the same files into user_events, its rollup kept or not."""

from contest import Contest
from loaders import count_is, streamer
from process import Failed

WITHOUT, WITH = "without a rollup", "with a rollup"
LEAST = 0.85


def run(bench):
    server = bench.server

    def with_rollup():
        server.empty()
        server.keep_rollup()

    def without_rollup():
        server.drop_rollup_trigger()
        server.empty()

    def kept():
        count_is(server, bench.records)()
        if server.number("select sum(events) from user_events_per_minute") != bench.records:
            raise Failed("the rollup does not hold every row")

    try:
        for kind, title in (("random", "random ids"), ("ordered", "ids in order of time")):
            folder = bench.data.make(kind, bench.files, bench.rows)
            for max_rows in (1000, 10_000):
                contest = Contest(
                    bench,
                    [
                        streamer(bench, WITHOUT, folder, max_rows, prepare=without_rollup),
                        streamer(bench, WITH, folder, max_rows, prepare=with_rollup, check=kept),
                    ],
                ).run(bench.rounds)
                what = f"max_rows {max_rows:,}, {title}"
                bench.report.section(what, "One writer.", contest.table(WITHOUT))
                ratio = contest.ratio(WITH, WITHOUT)
                bench.report.target(f"{what}: with a rollup to without", f"≥ {LEAST}", ratio, least=LEAST)
    finally:
        server.drop_rollup_trigger()
