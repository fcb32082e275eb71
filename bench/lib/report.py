"""What was found, as Markdown: the targets with what was measured, what is missing, a section for each table."""

from statistics import median

# In a file that keeps results: what stands above it is not touched.
MARK = "## Last results\n"
TARGETS, MISSING = "### Targets\n", "### Not measured\n"


def spread(values, digits=2):
    """Median (min to max)."""
    return f"{median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def table(titles, rows):
    lines = [titles, ["---"] * len(titles), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines) + "\n"


class Report:
    """Everything is kept by the name of its case, so that a case that is measured again replaces what was there."""

    def __init__(self, machine, order):
        self.machine, self.order = machine, list(order)
        self.case, self.when = None, None
        self.targets, self.absent, self.sections = {}, {}, {}

    def begin(self, case, when):
        """What follows is of this case; `when` says when and how it is measured."""
        self.case, self.when = case, when
        self.targets[case], self.absent[case], self.sections[case] = [], [], []

    def section(self, title, *paragraphs):
        """Adds a section and prints it at once, so that what was measured outlives a later failure."""
        paragraphs = [f"### {self.case}: {title}", *(paragraph.rstrip("\n") for paragraph in paragraphs), self.when]
        text = "\n\n".join(paragraphs) + "\n"
        self.sections[self.case].append(text)
        print(text, flush=True)

    def target(self, what, wanted, value, *, least=None, most=None, unit=""):
        """A target, `value` being what was measured; one of `least` and `most` is the line."""
        met = value >= least if least is not None else value <= most
        self.targets[self.case].append([what, wanted, f"{value:.2f}{unit}", "yes" if met else "**no**"])

    def missing(self, what, why):
        print(f"NOT MEASURED: {what}: {why}\n", flush=True)
        self.absent[self.case].append(f"{what}: {why}")

    def take_over(self, text):
        """Adds what an earlier report holds of cases that this one has not."""
        earlier = Report(self.machine, self.order)
        for block in text.split("\n### ")[1:]:
            title, _, body = block.partition("\n")
            if f"### {title}\n" == TARGETS:
                for line in body.splitlines()[3:]:
                    case, *cells = (cell.strip() for cell in line.split("|")[1:-1])
                    earlier.targets.setdefault(case, []).append(cells)
            elif f"### {title}\n" == MISSING:
                for line in filter(None, body.splitlines()):
                    case, _, what = line.removeprefix("* ").partition(": ")
                    earlier.absent.setdefault(case, []).append(what)
            else:
                section = f"### {title}\n{body.rstrip()}\n"
                earlier.sections.setdefault(title.partition(":")[0], []).append(section)
        for case in set(earlier.sections) | set(earlier.absent) | set(earlier.targets):
            if case not in self.sections:
                self.targets[case] = earlier.targets.get(case, [])
                self.absent[case] = earlier.absent.get(case, [])
                self.sections[case] = earlier.sections.get(case, [])

    def save(self, path):
        """Puts the results into a file; what it says above them, and of cases not measured now, stays."""
        old = path.read_text(encoding="utf-8") if path.exists() else ""
        above, mark, results = old.partition(MARK)
        if mark:
            self.take_over(results)
        path.write_text(f"{above}{MARK}\n{self.markdown()}", encoding="utf-8")

    def markdown(self):
        cases = [case for case in self.order if case in self.sections]
        targets = [[case, *row] for case in cases for row in self.targets[case]]
        absent = [f"* {case}: {what}" for case in cases for what in self.absent[case]]
        parts = [self.machine]
        if targets:
            parts += [TARGETS, table(["case", "what", "target", "measured", "met"], targets)]
        if absent:
            parts += [MISSING, "\n".join(absent) + "\n"]
        parts += [section for case in cases for section in self.sections[case]]
        return "\n".join(parts)
