"""A Spark Structured Streaming job of the same work, as a whole process. It removes no duplicates and may load rows
twice after a crash."""

import shutil
import tempfile

from contest import Contest
from loaders import streamer
from machine import first_line
from peer import Peers

OURS, ONE = "streamer", "streamer, one writer"
USUAL, BEST = "Spark, usual settings", "Spark, best settings"
# maxFilesPerTrigger (0: no limit), batchsize, reWriteBatchedInserts
SETTINGS = {USUAL: (1, 1000, "false"), BEST: (0, 10_000, "true")}


def small(bench):
    against(bench, 10, bench.rounds, 22, 16)


def large(bench):
    """Three rounds at most: one takes two minutes."""
    against(bench, 20 if bench.quick else 100, min(bench.rounds, 3), 8, 3.5)


def against(bench, files, rounds, usual, best):
    """`usual` and `best` are the ratios wanted to Spark's settings of these names."""
    peers = Peers(bench)
    java = first_line(["java", "-version"])
    jars = sorted(bench.venv.glob("postgresql-*.jar")) if bench.venv else []
    if not peers.need("pyspark"):
        return
    if not java or not jars:
        bench.report.missing("pyspark", "no Java" if not java else "no JDBC driver (bench/README.md)")
        return
    jar = jars[-1]
    records = files * bench.rows
    folder = bench.data.make("random", files, bench.rows)
    url = f"jdbc:postgresql://127.0.0.1:{bench.server.port}/postgres?stringtype=unspecified"
    checkpoints = []

    def job(settings):
        for old in checkpoints:
            shutil.rmtree(old, ignore_errors=True)
        checkpoints[:] = [tempfile.mkdtemp(dir=bench.work)]
        return peers.job("spark_job.py", folder, url, jar, checkpoints[0], *settings)

    # Spark takes every core, so the streamer may too.
    entrants = [streamer(bench, OURS, folder, 30_000, writers=None, records=records)]
    if bench.streamer.knows_writers:
        entrants.append(streamer(bench, ONE, folder, 30_000, records=records))
    for name, settings in SETTINGS.items():
        entrants.append(peers.entrant(name, lambda settings=settings: job(settings), records=records))
    contest = Contest(bench, entrants).run(rounds)
    bench.report.section(
        f"{records:,} rows",
        f"Spark {peers.version('pyspark')} with {jar.stem}, {java}, `local[*]`: file source, `foreachBatch`, JDBC "
        "append, `availableNow`; the whole process from start to end. Usual settings: `maxFilesPerTrigger=1`, "
        "`batchsize=1000`. Best: no limit of files, `batchsize=10000`, `reWriteBatchedInserts=true`. The streamer: "
        f"max_rows 30,000, as many writers as by default. Random ids, {rounds} rounds.",
        contest.table(OURS),
    )
    for name, least in ((USUAL, usual), (BEST, best)):
        if contest.took_part(name):
            what = f"{records:,} rows, to {name}"
            bench.report.target(what, f"≥ {least}", contest.ratio(OURS, name), least=least)
    if contest.took_part(BEST):
        share = contest.middle(OURS, "peak_mb") / contest.middle(BEST, "peak_mb")
        bench.report.target(f"{records:,} rows, memory to Spark's", "≤ 1/12 = 0.08", share, most=1 / 12)
