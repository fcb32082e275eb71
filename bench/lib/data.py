"""The files to load: made by the generator, with ids in order of time or at random, cut into smaller ones."""

import hashlib
import re
import shutil
import subprocess
from concurrent.futures import ProcessPoolExecutor

ID = re.compile(rb"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12},")


def random_id(line):
    """A version 4 id in the place of the line's own; equal ids become equal ids, so duplicates stay."""
    if not ID.match(line):
        return line
    h = hashlib.md5(line[:36]).hexdigest()
    return f"{h[:8]}-{h[8:12]}-4{h[13:16]}-a{h[17:20]}-{h[20:]}".encode() + line[36:]


def make_random(path):
    """Rewrites the ids of a file."""
    with open(path, "rb") as old:
        lines = [random_id(line) for line in old]
    with open(path, "wb") as new:
        new.writelines(lines)


def csv_files(folder):
    return sorted(folder.glob("*.csv"))


def header(folder):
    with open(csv_files(folder)[0], encoding="utf-8") as file:
        return file.readline().strip()


class Data:
    def __init__(self, work, generator):
        self.folder = work / "data"
        self.folder.mkdir()
        self.generator = generator

    def make(self, kind, files, rows, seed=1, start=None, **shares):
        """A folder of `files` files of `rows` events; `kind` is "ordered" or "random". Kept until dropped."""
        name = "-".join([kind, f"{files}x{rows}", str(seed), *(f"{k}{v}" for k, v in sorted(shares.items()))])
        folder = self.folder / name
        if folder.exists():
            return folder
        words = [self.generator, "--files", files, "--rows", rows, "--seed", seed, "--out", folder]
        words += ["--start", start] if start else []
        for share, value in shares.items():
            words += [f"--{share}", value]
        subprocess.run([str(word) for word in words], check=True, capture_output=True)
        if kind == "random":
            with ProcessPoolExecutor() as pool:
                list(pool.map(make_random, csv_files(folder)))
        return folder

    def cut(self, folder, rows):
        """The same records in files of `rows` records. Only for records of one line."""
        cut = folder.with_name(f"{folder.name}-cut{rows}")
        if cut.exists():
            return cut
        cut.mkdir()
        for path in csv_files(folder):
            with open(path, "rb") as file:
                first, *lines = file.readlines()
            for at in range(0, len(lines), rows):
                part = cut / f"{path.stem}_{at // rows:05}.csv"
                part.write_bytes(first + b"".join(lines[at : at + rows]))
        return cut

    def repeat(self, folder, earlier, share):
        """The same files, but so many of their records, evenly, are in the place of others those of `earlier`."""
        repeating = folder.with_name(f"{folder.name}-repeats{share}-of-{earlier.name}")
        if repeating.exists():
            return repeating
        repeating.mkdir()
        each = round(1 / share)
        for path, other in zip(csv_files(folder), csv_files(earlier), strict=True):
            with open(path, "rb") as file, open(other, "rb") as old:
                lines, repeats = file.readlines(), old.readlines()
            lines[each::each] = repeats[each::each]
            (repeating / path.name).write_bytes(b"".join(lines))
        return repeating

    def drop(self, folder):
        shutil.rmtree(folder)
