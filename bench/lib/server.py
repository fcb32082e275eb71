"""A private PostgreSQL: set up with default durability, asked, emptied, weighed, thrown away."""

import glob
import os
import shutil
import socket
import subprocess
from pathlib import Path

# What differs from PostgreSQL's defaults. Nothing here touches durability.
SETTINGS = {"shared_buffers": "512MB", "min_wal_size": "8GB", "max_wal_size": "8GB", "listen_addresses": "127.0.0.1"}
TICKS = os.sysconf("SC_CLK_TCK")


def programs():
    """The folder of the server's programs, the newest installed one."""
    named = os.environ.get("STREAMER_PG_BIN")
    if named:
        return Path(named)
    found = glob.glob("/usr/lib/postgresql/*/bin/initdb")
    if found:
        return Path(max(found, key=lambda path: int(path.split("/")[4]))).parent
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    raise SystemExit("bench/run: no PostgreSQL programs; apt-get install postgresql, or set STREAMER_PG_BIN")


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Server:
    def __init__(self, work):
        self.bin = programs()
        self.settings = SETTINGS
        self.folder = work / "pg"
        self.folder.mkdir()
        # PostgreSQL refuses to run as root.
        self.account = {"cwd": "/"}
        if os.getuid() == 0:
            shutil.chown(self.folder, "postgres")
            self.account.update(user="postgres", group="postgres", extra_groups=[])
        self.port = free_port()
        self._program("initdb", "-U", "bench", "-A", "trust", "-E", "UTF8", "--locale=C", "-D", self.data)
        options = f"-k {self.folder} -p {self.port} " + " ".join(f"-c {k}={v}" for k, v in SETTINGS.items())
        self._program("pg_ctl", "-w", "-D", self.data, "-l", self.folder / "log", "-o", options, "start")
        self.environment = {
            "PGHOST": str(self.folder),
            "PGPORT": str(self.port),
            "PGUSER": "bench",
            "PGDATABASE": "postgres",
            "PGOPTIONS": "--client-min-messages=warning",
        }
        self.socket_url = self.url("postgres")
        self.tcp_url = f"postgres://bench@127.0.0.1:{self.port}/postgres?sslmode=disable"
        self.version = self.sql("show server_version")

    def url(self, database):
        return f"postgres://bench@localhost:{self.port}/{database}?host={self.folder}"

    @property
    def data(self):
        return self.folder / "data"

    def _program(self, name, *arguments):
        # The server keeps what it inherits, so its output must not be a pipe that somebody reads to its end.
        with open(self.folder.parent / "server.log", "ab") as log:
            done = subprocess.run(
                [self.bin / name, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                check=False,
                **self.account,
            )
        if done.returncode:
            raise SystemExit(f"bench/run: {name} failed:\n" + (self.folder.parent / "server.log").read_text())

    def psql(self, *arguments):
        """The words of a psql command that stops at the first error."""
        return [str(self.bin / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", *map(str, arguments)]

    def sql(self, *statements, database="postgres"):
        words = [word for statement in statements for word in ("-c", statement)]
        environment = {**os.environ, **self.environment, "PGDATABASE": database}
        done = subprocess.run(self.psql(*words), env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"bench/run: {done.stderr.strip()}\nin {statements}")
        return done.stdout.strip()

    def number(self, statement, database="postgres"):
        return int(self.sql(statement, database=database) or 0)

    def empty(self, database="postgres"):
        """Leaves empty tables and a server with nothing to write back."""
        self.forget(database)
        self.sql("truncate user_events", "checkpoint", database=database)

    def forget(self, database="postgres"):
        """The streamer has seen no file; the rows stay."""
        ledger = "streamer.checkpoint, streamer.micro_batch, streamer.dead_letter"
        self.sql(f"truncate {ledger}", "checkpoint", database=database)

    def keep_rollup(self):
        """From now on user_events has the rollup that it has by default."""
        self.sql("select streamer.change_rollup('user_events_per_minute')", "checkpoint")

    def drop_rollup_trigger(self, database="postgres"):
        """Loads cost nothing for the rollup; a trigger that is only disabled has the new rows collected all the same."""
        self.sql("drop trigger if exists user_events_per_minute_insert on user_events", database=database)

    def warm(self, megabytes):
        """Writes so much WAL: whoever writes first would else pay for making the files that later runs use again."""
        self.sql(
            "do $$ begin for n in 1.."
            f"{megabytes} loop perform pg_logical_emit_message(false, 'warm', repeat('x', 1000000)); end loop; end $$",
            "checkpoint",
        )

    def cpu_seconds(self):
        """Of the server and all its processes, those included that have ended."""
        postmaster = int((self.data / "postmaster.pid").read_text().split()[0])
        children = Path(f"/proc/{postmaster}/task/{postmaster}/children").read_text().split()
        ticks = 0
        for pid in [str(postmaster), *children]:
            try:
                fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            ticks += sum(map(int, fields[11 : 15 if pid == str(postmaster) else 13]))
        return ticks / TICKS

    def wal_bytes(self):
        return self.number("select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint")

    def stop(self):
        subprocess.run(
            [self.bin / "pg_ctl", "-D", self.data, "-m", "immediate", "stop"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
            **self.account,
        )


class Session:
    """A psql that stays connected: a question costs a round trip, not the start of a program."""

    def __init__(self, server):
        self.process = subprocess.Popen(
            server.psql(),
            env={**os.environ, **server.environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            bufsize=1,
        )

    def send(self, text):
        self.process.stdin.write(text + "\n")
        self.process.stdin.flush()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit("bench/run: psql ended before it answered")
        return line.rstrip("\n")

    def ask(self, question):
        self.send(question + ";")
        return self.answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait()
