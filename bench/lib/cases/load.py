"""All files into an empty table, by one writer or with nothing set, against psql with the same files."""

from contest import Contest
from loaders import against, psql, streamer

PSQL = "psql"
ROWS = (1000, 10_000, 30_000)
CUT = "psql, files of 1,000 rows"
UNSET = "streamer, nothing set"


def ours(max_rows):
    return f"streamer, max_rows {max_rows:,}"


def theirs(max_rows):
    return f"the other build, max_rows {max_rows:,}"


def random(bench):
    one_kind(bench, "random", "random ids")


def ordered(bench):
    one_kind(bench, "ordered", "ids in order of time")


def one_kind(bench, kind, title):
    folder = bench.data.make(kind, bench.files, bench.rows)
    tcp = f"{ours(1000)}, TCP"
    entrants = [psql(bench, PSQL, folder)]
    for max_rows in ROWS:
        entrants.append(streamer(bench, ours(max_rows), folder, max_rows))
        if bench.against:
            # Next to each other, because the machine's speed drifts.
            entrants.append(against(bench, theirs(max_rows), folder, max_rows))
    if kind == "random":
        entrants.append(streamer(bench, UNSET, folder, max_rows=None, writers=None))
        entrants.append(psql(bench, CUT, bench.data.cut(folder, 1000)))
        entrants.append(streamer(bench, tcp, folder, 1000, url=bench.server.tcp_url))
    contest = Contest(bench, entrants).run(bench.rounds)
    how = (
        f"`psql \\copy`, one session, {bench.files} files of {bench.rows:,} rows, {title}; the streamer has one writer, "
        "but where nothing is set: then as many as there are cores, up to four."
    )
    bench.report.section(title, how, contest.table(PSQL))

    report = bench.report
    for max_rows in ROWS if bench.against else ():
        ratio = contest.ratio(ours(max_rows), theirs(max_rows))
        report.target(f"max_rows {max_rows:,}, {title}, to the other build", "≥ 0.97", ratio, least=0.97)
    if kind == "ordered":
        for max_rows in (10_000, 30_000):
            report.target(
                f"max_rows {max_rows:,}, {title}, to psql", "≥ 1.4", contest.ratio(ours(max_rows), PSQL), least=1.4
            )
        return
    for max_rows, least in ((10_000, 1.4), (30_000, 1.6), (1000, 0.9)):
        report.target(
            f"max_rows {max_rows:,}, {title}, to psql", f"≥ {least}", contest.ratio(ours(max_rows), PSQL), least=least
        )
    report.target(
        f"max_rows 1,000, {title}, to psql with files of 1,000 rows", "≥ 1.0", contest.ratio(ours(1000), CUT), least=1.0
    )
    report.target(f"nothing set, {title}, to psql", "≥ 2.0", contest.ratio(UNSET, PSQL), least=2.0)
    report.target("max_rows 1,000: TCP to Unix socket", "≥ 0.9", contest.ratio(tcp, ours(1000)), least=0.9)
