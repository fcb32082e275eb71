"""Which peers are installed, and where."""

import shutil
import subprocess
from importlib import metadata

from contest import Entrant
from loaders import count_is
from process import Command


class Peers:
    def __init__(self, bench):
        self.bench = bench
        # What they keep for themselves goes with the work folder.
        self.home = {"HOME": str(bench.work), "DLT_DATA_DIR": str(bench.work / "dlt-data")}
        self.python = bench.venv / "bin" / "python" if bench.venv else None

    def version(self, package):
        """Of a Python package in the virtual environment; None if it is not there."""
        if not self.python or not self.python.exists():
            return None
        found = metadata.distributions(path=[str(path) for path in self.bench.venv.glob("lib/python*/site-packages")])
        versions = {dist.metadata["Name"].lower().replace("_", "-"): dist.version for dist in found}
        return versions.get(package)

    def need(self, *packages):
        """Whether all are installed; else they are named as missing."""
        absent = [package for package in packages if not self.version(package)]
        if absent:
            self.bench.report.missing(packages[0], f"{', '.join(absent)} not installed (bench/README.md)")
        return not absent

    def job(self, script, *arguments):
        """The command of one of our scripts in bench/peers."""
        path = self.bench.repository / "bench" / "peers" / script
        return Command([self.python, path, *arguments], {**self.home, "PYTHONDONTWRITEBYTECODE": "1"}, family=True)

    def entrant(self, name, command, prepare=None, check=None, records=None):
        """`command` is called before each run."""
        records = records or self.bench.records
        check = check or count_is(self.bench.server, records)
        return Entrant(name, lambda: [command()], prepare or self.bench.server.empty, check, records, peer=True)


def program_version(name):
    """What a program on PATH says of its version; None if it is not there."""
    if not shutil.which(name):
        return None
    said = subprocess.run([name, "--version"], check=False, capture_output=True, text=True)
    return (said.stdout or said.stderr).splitlines()[0]
