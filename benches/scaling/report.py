"""From runs to a table: medians, efficiency, and what a change has brought."""
import dataclasses
import statistics


@dataclasses.dataclass(frozen=True)
class Point:
    """What is measured."""

    binary: str
    tables: str
    count: int
    records: int | None  # None: what the topics hold


def medians(runs):
    """Each figure's median; None where a run lacks it."""
    return {name: None if any(run[name] is None for run in runs) else statistics.median(run[name] for run in runs) for name in runs[0]}


def row(point, runs, base):
    """The figures of a point; `base` is the same binary's at the fewest processes."""
    figures = medians(runs)
    least = base or (point.count, figures)
    hosts, records = point.count / least[0], figures["records"] / least[1]["records"]
    both = figures["steady"] and least[1]["steady"]
    return {
        **dataclasses.asdict(point),
        **figures,
        "kept": len(runs),
        "least": min(run["wall"] for run in runs),
        "greatest": max(run["wall"] for run in runs),
        "efficiency": least[1]["wall"] * records / (hosts * figures["wall"]),
        "steady_efficiency": figures["steady"] / least[1]["steady"] / hosts if both else None,
        "cpu_growth": figures["cpu"] / least[1]["cpu"] / records,
        "bytes_record": None if figures["bytes"] is None else figures["bytes"] / figures["records"],
        "epochs_minute": figures["epochs"] / figures["log_minutes"] if figures["log_minutes"] else None,
    }


def rows(points, runs, cores):
    """A row each for points that differ in processes and binary only, where there are runs."""
    found, bases = [], {}
    for point in points:
        if runs[point]:
            made = row(point, runs[point], bases.get(point.binary))
            bases.setdefault(point.binary, (point.count, made))
            found.append({**made, "quota": made["cpu"] / (point.count * cores * made["wall"])})
    return found


COLUMNS = (
    ("n", "count", "{:,}"),
    ("wall s", "wall", "{:.1f}"),
    ("least", "least", "{:.1f}"),
    ("greatest", "greatest", "{:.1f}"),
    ("efficiency", "efficiency", "{:.2f}"),
    ("steady", "steady_efficiency", "{:.2f}"),
    ("CPU s", "cpu", "{:.1f}"),
    ("user", "user", "{:.1f}"),
    ("system", "system", "{:.1f}"),
    ("growth", "cpu_growth", "{:.2f}"),
    ("quota", "quota", "{:.2f}"),
    ("skew", "skew", "{:.2f}"),
    ("MB", "bytes", "{:,.0f}"),
    ("B/record", "bytes_record", "{:,.0f}"),
    ("packets k", "packets", "{:,.0f}"),
    ("epochs", "epochs", "{:,.0f}"),
    ("/log min", "epochs_minute", "{:.1f}"),
    ("commits", "commits", "{:,.0f}"),
    ("files", "files", "{:,.0f}"),
    ("peak MiB", "peak", "{:,.0f}"),
    ("runs", "kept", "{}"),
)
SCALES = {"bytes": 1e6, "packets": 1e3}
LEGEND = """\
efficiency: time of one process / (n x time), a record; steady: the same of the rate between the second and the last
commit but one; growth: CPU a record against that of one process; where n = 1 is missing, against the fewest processes.
quota: share of it that was used; skew: CPU of the busiest process / mean; MB, packets: between processes, headers
included; /log min: epochs a minute of the log; peak: of the process that has most."""


def cell(figures, name, form):
    """A figure as text."""
    value = figures[name]
    return "-" if value is None else form.format(value / SCALES[name] if name in SCALES else value)


def table(found):
    """Rows as lines of text."""
    several = len({each["binary"] for each in found}) > 1
    columns = ((("", "binary", "{}"),) if several else ()) + COLUMNS
    cells = [[title for title, _, _ in columns], *([cell(each, name, form) for _, name, form in columns] for each in found)]
    widths = [max(map(len, column)) for column in zip(*cells)]
    return "\n".join("  ".join(text.rjust(width) for text, width in zip(line, widths)) for line in cells)


def changes(found):
    """What each binary brought against the first, a line each."""
    first = {each["count"]: each for each in found if each["binary"] == found[0]["binary"]}
    for name in dict.fromkeys(each["binary"] for each in found if each["binary"] != found[0]["binary"]):
        pairs = [(each, first[each["count"]]) for each in found if each["binary"] == name and each["count"] in first]
        ratios = (f"n={one['count']} time {one['wall'] / other['wall']:.2f} CPU {one['cpu'] / other['cpu']:.2f}" for one, other in pairs)
        yield f"{name} / {found[0]['binary']}: {'; '.join(ratios)}"
