"""Streamer and psql as entrants of a contest."""

import os
import subprocess
import sys

from contest import Entrant
from data import csv_files, header
from process import Command, Failed


# The database of the other build.
AGAINST = "against"


class Streamer:
    def __init__(self, folder, settings):
        """The streamer in a folder; settings of its own that lie beside it, as those of another version, count."""
        self.binary, self.settings = folder / "streamer", settings
        if (folder / "streams.toml").is_file():
            self.settings = folder / "streams.toml"
        binary = self.binary
        said = subprocess.run([binary, "run", "--help"], capture_output=True, text=True, check=True).stdout
        self.knows_writers = "--writers" in said
        if not self.knows_writers:
            print(f"bench/run: {binary} KNOWS NO --writers: IT RUNS AS IT DOES BY DEFAULT", file=sys.stderr)

    def migrate(self, url):
        """Makes the tables."""
        settings = {"STREAMER_CONFIG": str(self.settings), "DATABASE_URL": url}
        subprocess.run(
            [self.binary, "migrate"], env={**os.environ, **settings}, stdout=subprocess.DEVNULL, check=True
        )

    def command(self, folder, url, *flags, writers=None, environment=None, success=(0,)):
        words = [self.binary, "run", "--data", folder, *flags]
        if writers and self.knows_writers:
            words += ["--writers", writers]
        settings = {
            "STREAMER_CONFIG": str(self.settings),
            "STREAMER_LISTEN": "none",
            "RUST_LOG": "warn",
        }
        return Command(words, {**settings, "DATABASE_URL": url, **(environment or {})}, success)


def count_is(server, rows, database="postgres"):
    """A check: the table has that many rows."""

    def check():
        found = server.number("select count(*) from user_events", database)
        if found != rows:
            raise Failed(f"{found} rows instead of {rows}")

    return check


def streamer(bench, name, folder, max_rows, writers=1, **other):
    """`streamer run --available-now`; `other` replaces program, prepare, check, records, url, success. Without max_rows
    and writers, nothing is set."""
    server = bench.server
    records = other.get("records", bench.records)
    url = other.get("url", server.socket_url)
    success = other.get("success", (0,))
    flags = ["--available-now", *(["--max-rows", max_rows] if max_rows else [])]
    program = other.get("program", bench.streamer)
    return Entrant(
        name,
        lambda: [program.command(folder, url, *flags, writers=writers, success=success)],
        other.get("prepare", server.empty),
        other.get("check", count_is(server, records)),
        records,
    )


def against(bench, name, folder, max_rows, **other):
    """The other build, into a database of its own, which it has made; `other` replaces prepare, check, success."""
    server = bench.server
    standard = {"prepare": lambda: server.empty(AGAINST), "check": count_is(server, bench.records, AGAINST)}
    return streamer(
        bench, name, folder, max_rows, program=bench.against, url=server.url(AGAINST), **{**standard, **other}
    )


def copy_lines(folder, files):
    columns = header(folder)
    return [f"\\copy user_events ({columns}) from '{path}' with (format csv, header)\n" for path in files]


def staging_lines(folder, files):
    """A transaction for each file: COPY into a temporary table, which writes no WAL, then the rows not yet there."""
    columns = header(folder)
    lines = ["create temp table staging (like user_events) on commit delete rows;\n"]
    for path in files:
        lines += [
            "begin;\n",
            f"\\copy staging ({columns}) from '{path}' with (format csv, header)\n",
            f"insert into user_events ({columns}) select {columns} from staging on conflict do nothing;\n",
            "commit;\n",
        ]
    return lines


def psql_command(bench, name, lines, database="postgres"):
    """One psql, connected once, that does the lines one after the other."""
    script = bench.work / f"{name}.sql"
    script.write_text("".join(lines), encoding="utf-8")
    return Command(bench.server.psql("-f", script), {**bench.server.environment, "PGDATABASE": database})


def psql(bench, name, folder, lines=copy_lines, sessions=1, **other):
    """psql, all files in one session, or dealt out to several that run at the same time."""
    server = bench.server
    records = other.get("records", bench.records)
    files = csv_files(folder)

    def commands():
        hands = [files[number::sessions] for number in range(sessions)]
        return [psql_command(bench, f"psql{n}", lines(folder, hand)) for n, hand in enumerate(hands)]

    prepare = other.get("prepare", server.empty)
    return Entrant(name, commands, prepare, other.get("check", count_is(server, records)), records)
