"""Two writers side by side, against one psql and against two."""

from contest import Contest
from loaders import psql, streamer


def run(bench):
    folder = bench.data.make("random", bench.files, bench.rows)
    entrants = [
        psql(bench, "one psql", folder),
        psql(bench, "two psql", folder, sessions=2),
        streamer(bench, "streamer, 1 writer", folder, 10_000),
    ]
    if bench.streamer.knows_writers:
        entrants.append(streamer(bench, "streamer, 2 writers", folder, 10_000, writers=2))
    else:
        bench.report.missing("streamer, 2 writers", "this streamer has no `--writers`")
    contest = Contest(bench, entrants).run(bench.rounds)
    how = "max_rows 10,000, random ids. The two psql run at the same time, each with half of the files."
    bench.report.section("two side by side", how, contest.table("one psql"))
    if bench.streamer.knows_writers:
        for base, least in (("one psql", 1.9), ("two psql", 1.2)):
            ratio = contest.ratio("streamer, 2 writers", base)
            bench.report.target(
                f"two writers, max_rows 10,000, random ids, to {base}", f"≥ {least}", ratio, least=least
            )
