"""A plot as SVG: efficiency and growth of CPU against the number of processes.

The background is left clear, and greys and colours are such that they can be read on white and on black.
"""
import html
import math

WIDTH, HEIGHT, LEFT, TOP, PANEL_WIDTH, PANEL_HEIGHT, GAP = 820, 330, 52, 40, 320, 220, 76
GREY, COLOURS = "#7d8590", ("#2f81f7", "#db6d28", "#2da44e", "#a371f7", "#d4a72c", "#e5534b")


def text(x, y, words, anchor="middle", extra=""):
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" {extra}>{html.escape(words)}</text>'


def line(points, colour, width, dash=""):
    where = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline points="{where}" fill="none" stroke="{colour}" stroke-width="{width}" stroke-dasharray="{dash}"/>'


class Panel:
    """Axes: processes to the right, doubling; a figure upwards from 0."""

    def __init__(self, left, title, counts, top, step):
        self.left, self.title, self.counts, self.top, self.step = left, title, counts, top, step

    def x(self, count):
        first, last = math.log2(self.counts[0]), math.log2(self.counts[-1])
        return self.left + 10 + (PANEL_WIDTH - 20) * (0.5 if first == last else (math.log2(count) - first) / (last - first))

    def y(self, value):
        return TOP + PANEL_HEIGHT * (1 - min(value, self.top) / self.top)

    def axes(self):
        right = self.left + PANEL_WIDTH
        yield text(self.left, TOP - 16, self.title, "start", 'font-weight="bold"')
        for tick in range(round(self.top / self.step) + 1):
            value = tick * self.step
            ideal = math.isclose(value, 1)
            yield line([(self.left, self.y(value)), (right, self.y(value))], GREY, 1 if ideal or not tick else 0.3, "5 4" if ideal else "")
            yield text(self.left - 8, self.y(value) + 4, f"{value:g}", "end")
        for count in self.counts:
            yield text(self.x(count), TOP + PANEL_HEIGHT + 18, str(count))
        yield text(self.left + PANEL_WIDTH / 2, TOP + PANEL_HEIGHT + 36, "processes")

    def curve(self, points, colour, dash):
        places = [(self.x(count), self.y(value)) for count, value in points]
        yield line(places, colour, 2, dash)
        yield from (f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>' for x, y in places)


def curves(tables):
    """Name, colour, dash and rows of each curve; `tables` are the rows by kind of scaling and tables."""
    several, colours = len({row["binary"] for found in tables.values() for row in found}) > 1, {}
    for (scaling, which), found in tables.items():
        for binary in dict.fromkeys(row["binary"] for row in found):
            colour = colours.setdefault((which, binary), COLOURS[len(colours) % len(COLOURS)])
            name = f"{which} tables, {scaling} scaling" + (f", {binary}" if several else "")
            yield name, colour, "" if scaling == "strong" else "7 4", [row for row in found if row["binary"] == binary]


def legend(names):
    """A line and a name each, two a row."""
    for index, (name, colour, dash) in enumerate(names):
        x, y = LEFT + (index % 2) * (PANEL_WIDTH + GAP), HEIGHT + 20 * (index // 2)
        yield line([(x, y - 4), (x + 28, y - 4)], colour, 2, dash)
        yield text(x + 36, y, name, "start")


def svg(tables, note):
    """The plot of the rows, and under it what it was measured on."""
    drawn = list(curves(tables))
    counts = sorted({row["count"] for _, _, _, found in drawn for row in found})
    growth = max([row["cpu_growth"] for _, _, _, found in drawn for row in found] + [1.5])
    best = max([row["efficiency"] for _, _, _, found in drawn for row in found] + [1])
    step = next(step for step in (0.25, 0.5, 1, 2, 5, 10, 100) if growth / step <= 8)
    panels = (
        (Panel(LEFT, "Efficiency: time of one / (n × time)", counts, math.ceil(best / 0.2 - 1e-9) * 0.2, 0.2), "efficiency"),
        (Panel(LEFT + PANEL_WIDTH + GAP, "CPU a record (of one process: 1)", counts, math.ceil(growth / step) * step, step), "cpu_growth"),
    )
    height = HEIGHT + 20 * ((len(drawn) + 1) // 2) + 16
    look = f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{GREY}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {look}>',
             "<title>Efficiency and CPU a record against the number of processes</title>"]
    for panel, figure in panels:
        parts += panel.axes()
        for _, colour, dash, found in drawn:
            parts += panel.curve([(row["count"], row[figure]) for row in found], colour, dash)
    parts += legend([(name, colour, dash) for name, colour, dash, _ in drawn])
    parts += [text(LEFT, height - 8, note, "start", 'font-size="10"'), "</svg>"]
    return "\n".join(parts) + "\n"
