"""Other loaders, each at the best settings found, with the same files."""

import shutil

from contest import Contest
from data import csv_files, header
from loaders import psql, streamer
from peer import Peers, program_version
from process import Command, Failed

FILES = 10
OURS = "streamer, max_rows 10,000"
PGLOADER = """LOAD CSV FROM ALL FILENAMES MATCHING ~<user_events_.*csv$> IN DIRECTORY '{folder}'
    HAVING FIELDS ({columns})
    INTO postgresql://bench@127.0.0.1:{port}/postgres?tablename=user_events
    TARGET COLUMNS ({columns})
    WITH skip header = 1, fields optionally enclosed by '"', fields terminated by ',',
         workers = 4, concurrency = 2, batch rows = 50000, prefetch rows = 100000;
"""


def run(bench):
    files = min(FILES, bench.files)
    records = files * bench.rows
    folder = bench.data.make("random", files, bench.rows)
    peers = Peers(bench)
    url = f"postgresql://bench:trusted@127.0.0.1:{bench.server.port}/postgres"
    entrants = [
        streamer(bench, OURS, folder, 10_000, records=records),
        psql(bench, "psql", folder, records=records),
        *pgloader(bench, peers, folder, records),
        *python(bench, peers, folder, records, url),
        *sling(bench, peers, folder, records, url),
        *dlt(bench, peers, folder, records, url),
    ]
    contest = Contest(bench, entrants).run(bench.rounds)
    how = f"{records:,} rows in {files} files, random ids, whole processes. The streamer has one writer."
    bench.report.section("other loaders", how, contest.table("psql"))
    for entrant in entrants[2:]:
        if contest.took_part(entrant.name):
            ratio = contest.ratio(OURS, entrant.name)
            bench.report.target(f"to {entrant.name}", "> 1", ratio, least=1.0)


def pgloader(bench, peers, folder, records):
    version = program_version("pgloader")
    if not version:
        bench.report.missing("pgloader", "not installed (bench/README.md)")
        return []
    script = bench.work / "pgloader.load"
    # pgloader knows no * in a folder's name: the files have it to themselves.
    script.write_text(PGLOADER.format(folder=folder, columns=header(folder), port=bench.server.port), encoding="utf-8")
    command = Command(["pgloader", "--root-dir", bench.work / "pgloader", script], family=True)
    name = "pgloader " + version.split()[-1].strip('"')
    return [peers.entrant(name, lambda: command, records=records)]


def python(bench, peers, folder, records, url):
    if not peers.need("psycopg"):
        return []
    version = peers.version("psycopg")
    columns = header(folder)
    found = [
        peers.entrant(
            f"psycopg {version}, the file's bytes into COPY",
            lambda: peers.job("psycopg_job.py", "bytes", url, columns, *csv_files(folder)),
            records=records,
        )
    ]
    if peers.need("pandas"):
        name = f"pandas {peers.version('pandas')} + psycopg, read_csv into COPY"
        job = ("psycopg_job.py", "pandas", url, columns, *csv_files(folder))
        found.append(peers.entrant(name, lambda: peers.job(*job), records=records))
    return found


def sling(bench, peers, folder, records, url):
    if not peers.need("sling-linux-amd64"):
        return []
    binary = next(bench.venv.glob("lib/python*/site-packages/sling_linux_amd64/bin/sling-*"))
    environment = {"BENCH": f"{url}?sslmode=disable", **peers.home, "SLING_DISABLE_TELEMETRY": "true"}
    words = [binary, "run", "--src-stream", f"file://{folder}/", "--tgt-conn", "BENCH"]
    words += ["--tgt-object", "public.user_events"]
    version = peers.version("sling-linux-amd64")

    def entrant(name, *flags):
        return peers.entrant(name, lambda: Command([*words, *flags], environment, family=True), records=records)

    return [
        entrant(f"sling {version}, truncate", "--mode", "truncate"),
        entrant(f"sling {version}, incremental by key", "--mode", "incremental", "--primary-key", "event_id"),
    ]


def dlt(bench, peers, folder, records, url):
    """Into tables of its own making: it adds columns, and has no key unless it merges."""
    if not peers.need("dlt", "pyarrow"):
        return []
    server = bench.server

    def prepare():
        server.empty()
        server.sql("drop schema if exists dlt, dlt_staging cascade")
        shutil.rmtree(bench.work / "dlt", ignore_errors=True)

    def check():
        rows = server.number("select count(*) from dlt.user_events")
        if rows != records:
            raise Failed(f"{rows} rows instead of {records}")

    def entrant(mode):
        job = ("dlt_job.py", mode, url, bench.work / "dlt", *csv_files(folder))
        name = f"dlt {peers.version('dlt')}, {mode}"
        return peers.entrant(name, lambda: peers.job(*job), prepare=prepare, check=check, records=records)

    return [entrant("append"), entrant("merge")]
