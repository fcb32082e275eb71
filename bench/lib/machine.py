"""Where and with what the measurements were made."""

import os
import platform
import re
import subprocess
from pathlib import Path


def first_line(words, **other):
    """What a program says of its version, or None where it is not installed."""
    try:
        done = subprocess.run(words, check=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **other)
    except FileNotFoundError:
        return None
    said = [line for line in done.stdout.splitlines() if line.strip()]
    return said[0].strip() if said and not done.returncode else None


def memory_gib():
    kib = int(re.search(r"MemTotal:\s+(\d+)", Path("/proc/meminfo").read_text()).group(1))
    return kib / 1024**2


def busy():
    """The load of the last minute: above a few tenths, somebody else is at work."""
    return os.getloadavg()[0]


def header(bench, words):
    commit = first_line(["git", "-C", bench.repository, "describe", "--always", "--dirty"]) or "unknown"
    settings = ", ".join(f"{key} = {value}" for key, value in bench.server.settings.items())
    machine = f"{os.cpu_count()} cores, {memory_gib():.0f} GiB, Linux {platform.release()}"
    streamer = first_line([bench.streamer.binary, "--version"])
    return f"""{bench.begun:%Y-%m-%d %H:%M} UTC, `{" ".join(["bench/run", *words])}`

* machine: {machine}; load {busy():.1f} at the start
* {streamer}, commit {commit}
* PostgreSQL {bench.server.version}, fsync and synchronous_commit on, {settings}; by Unix socket unless said
* {bench.files} files of {bench.rows:,} rows, {bench.rounds} rounds, unless said; loaders take turns

Ratios are of records a second, the median of the rounds' ratios; in brackets the least and the largest.
"""
