"""Runs commands and weighs them: time, CPU, peak memory, of the processes that they start too."""

import os
import signal
import subprocess
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
# A run that takes longer is ended and counts as failed.
LONGEST_SECONDS = 900


class Failed(Exception):
    """A command ended badly; the text is the end of what it said."""


@dataclass
class Command:
    words: list
    environment: dict = field(default_factory=dict)
    # Exit codes that are a success.
    success: tuple = (0,)
    # Whether it starts processes that count; looking for them costs a little time.
    family: bool = False


@dataclass
class Usage:
    seconds: float
    client_cpu: float
    # High-water mark of the resident memory. Of a family: its largest sum, looked at ten times a second.
    peak_mb: float


def start(command, log):
    """Starts a command in a session of its own, in the folder of the file `log`, which gets both outputs."""
    with open(log, "wb") as out:
        return subprocess.Popen(
            [str(word) for word in command.words],
            env={**os.environ, **command.environment},
            cwd=Path(log).parent,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def status_mb(pid, name):
    """A line of /proc/PID/status, in MB (of 1024 x 1024 bytes); 0 once the process has ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) / 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0.0


def descendants(pid):
    found = [pid]
    for parent in found:
        try:
            for task in os.listdir(f"/proc/{parent}/task"):
                found += map(int, Path(f"/proc/{parent}/task/{task}/children").read_text().split())
        except (FileNotFoundError, ProcessLookupError):
            continue
    return found


def cpu_seconds(pid):
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def machine_seconds():
    """CPU time that the whole machine has spent so far: user, nice, system, interrupts."""
    fields = [int(field) for field in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:]]
    return sum(fields[n] for n in (0, 1, 2, 5, 6)) / TICKS


class Watcher(threading.Thread):
    """Looks at a process until told to stop."""

    def __init__(self, process, family):
        super().__init__(daemon=True)
        self.process, self.family = process, family
        self.peak_mb, self.cpu = 0.0, {}
        self.done = threading.Event()

    def run(self):
        begin = time.monotonic()
        while not self.done.wait(0.1 if self.family else 0.02):
            if self.family:
                pids = descendants(self.process.pid)
                self.peak_mb = max(self.peak_mb, sum(status_mb(pid, "VmRSS") for pid in pids))
                self.cpu.update({pid: seconds for pid in pids if (seconds := cpu_seconds(pid))})
            self.peak_mb = max(self.peak_mb, status_mb(self.process.pid, "VmHWM"))
            if time.monotonic() - begin > LONGEST_SECONDS:
                kill(self.process)


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass


def run(commands, log):
    """Runs commands at the same time until the last has ended."""
    begin = time.perf_counter()
    running = []
    try:
        for number, command in enumerate(commands):
            process = start(command, f"{log}.{number}")
            watcher = Watcher(process, command.family)
            watcher.start()
            running.append((command, process, watcher, f"{log}.{number}"))
        cpu = peak = 0.0
        for command, process, watcher, said in running:
            _, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            seconds = time.perf_counter() - begin
            watcher.done.set()
            watcher.join()
            # A family's members that nobody waited for are missing in `used`.
            cpu += max(used.ru_utime + used.ru_stime, sum(watcher.cpu.values()))
            peak += watcher.peak_mb
            if process.returncode not in command.success:
                tail = Path(said).read_text(errors="replace")[-2000:]
                raise Failed(f"{command.words[0]} ended with {process.returncode}:\n{tail}")
        return Usage(seconds, cpu, peak)
    finally:
        for _, process, watcher, _ in running:
            watcher.done.set()
            if process.returncode is None:
                kill(process)
                process.wait()
