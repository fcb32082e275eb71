"""What was found, as Markdown: the targets with what was measured, what is missing, a section for each case."""

from statistics import median


def spread(values, digits=2):
    """Median (min to max)."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(titles, rows):
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


class Report:
    def __init__(self, header):
        self.header = header
        self.sections = []
        self.targets = []
        self.absent = []

    def section(self, title, *paragraphs):
        """Adds a section and prints it at once, so that what was measured outlives a later failure."""
        text = "\n".join([f"### {title}\n", *(paragraph.rstrip("\n") + "\n" for paragraph in paragraphs)])
        self.sections.append(text)
        print(text, flush=True)

    def target(self, what, wanted, value, *, least=None, most=None, unit=""):
        """A target, `value` being what was measured; one of `least` and `most` is the line."""
        met = value >= least if least is not None else value <= most
        self.targets.append([what, wanted, f"{value:.2f}{unit}", "yes" if met else "**no**"])

    def missing(self, what, why):
        print(f"NOT MEASURED: {what}: {why}\n", flush=True)
        self.absent.append(f"* {what}: {why}")

    def markdown(self):
        parts = [self.header]
        if self.targets:
            parts += ["### Targets\n", table(["what", "target", "measured", "met"], self.targets)]
        if self.absent:
            parts += ["### Not measured\n", "\n".join(self.absent) + "\n"]
        return "\n".join(parts + self.sections)
