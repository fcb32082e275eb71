"""Where and with what the measurements were made."""

import datetime
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


def processor():
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    return found.group(1) if found else platform.machine()


def busy():
    """The load of the last minute: above a few tenths, somebody else is at work."""
    return os.getloadavg()[0]


def described(bench):
    """The lines that stand above all results."""
    linux = ".".join(platform.release().split(".")[:2])
    settings = ", ".join(f"{key} = {value}" for key, value in bench.server.settings.items())
    return f"""* Machine: {os.cpu_count()} cores ({processor()}), {memory_gib():.0f} GiB, Linux {linux}.
* PostgreSQL {bench.server.version}: fsync and synchronous_commit on, {settings}; reached by its Unix socket unless said.
* Ratios are of records a second: the median of the rounds' ratios, in brackets the least and the largest. Seconds
  likewise; CPU, memory and WAL are medians, peak memory the largest.
"""


def moment(bench):
    """When and with what a case is measured."""
    streamer = first_line([bench.streamer.binary, "--version"])
    git = ["git", "-C", bench.repository]
    commit = first_line([*git, "rev-parse", "--short", "HEAD"]) or "unknown"
    if first_line([*git, "status", "--porcelain", "--", "streamer", "generator", "Cargo.lock"]):
        commit += " with changes"
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        f"Measured {now:%Y-%m-%d %H:%M} UTC: {streamer}, commit {commit}, PostgreSQL {bench.server.version.split()[0]}, "
        f"{processor()}, rounds: {bench.rounds}, files: {bench.files}, load before: {busy():.1f}."
    )
