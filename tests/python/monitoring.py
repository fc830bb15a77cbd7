"""Holds docs/monitoring against what a run really serves: every query is PromQL, asks for metrics and labels that are there,
every metric is on the dashboard, and docs/operations.md has a section for every alert.

monitoring.py METRICS    METRICS: a file of what /metrics answered; ends with 1 at the first thing that is wrong
"""

import itertools
import json
import pathlib
import re
import sys

import promql_parser
import yaml

FOLDER = pathlib.Path(__file__).parents[2] / "docs/monitoring"
# What Prometheus adds to every metric that it scrapes.
SCRAPED = {"job", "instance"}


def exposed(text):
    """Metric -> its labels, but for those of a histogram's parts."""
    metrics = {}
    for name, labels in re.findall(r"^(\w+)(?:\{(.*)\})? ", text, re.MULTILINE):
        metrics.setdefault(name, set()).update(re.findall(r'(\w+)="', labels))
    return metrics


def selectors(query):
    """What a query selects."""
    found = []

    def visit(node):
        node = getattr(node, "vector_selector", node)
        if isinstance(node, promql_parser.VectorSelector):
            found.append(node)

    promql_parser.walk(promql_parser.parse(query), visit)
    return found


def check(query, shown):
    """Fails unless the query is one over these metrics, and the labels that are shown with it are among its own."""
    plain = query.replace("$__rate_interval", "5m").replace("$job", ".*")
    selected = selectors(plain)
    assert selected, f"{query} selects nothing"
    for selector in selected:
        labels = METRICS.get(selector.name)
        assert labels is not None, f"{query}: a run serves no {selector.name}"
        for matcher in selector.matchers.matchers:
            assert matcher.name in labels | SCRAPED, f"{query}: {selector.name} has no label {matcher.name}"
        NAMED.add(selector.name)
    grouped = [set(re.findall(r"\w+", group)) for group in re.findall(r"\b(?:by|on) \((.*?)\)", plain)]
    there = set().union(*(METRICS[selector.name] for selector in selected)) | SCRAPED
    for group in grouped:
        assert group <= there, f"{query}: groups by {group - there}, which none of its metrics has"
    kept = set().union(*grouped) if grouped else there
    assert set(shown) <= kept, f"{query} has no {set(shown) - kept} to show"


METRICS, NAMED = exposed(pathlib.Path(sys.argv[1]).read_text()) | {"up": set()}, set()

rules = [rule for group in yaml.safe_load((FOLDER / "alerts.yml").read_text())["groups"] for rule in group["rules"]]
for rule in rules:
    check(rule["expr"], re.findall(r"\$labels\.(\w+)", json.dumps(rule["annotations"])))
named = [rule["alert"] for rule in rules]
assert len(set(named)) == len(named), "two alerts have one name"
sections = re.findall(r"^## (Citystream\w+)$", (FOLDER.parent / "operations.md").read_text(), re.MULTILINE)
assert sorted(sections) == sorted(named), f"docs/operations.md has other alerts: {set(sections) ^ set(named)}"

dashboard = json.loads((FOLDER / "grafana.json").read_text())
NAMED.clear()
for panel in dashboard["panels"]:
    for target in panel["targets"]:
        check(target["expr"], re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
places = [panel["gridPos"] for panel in dashboard["panels"]]
for one, other in itertools.combinations(places, 2):
    apart = any(a[x] + a[w] <= b[x] for a, b in [(one, other), (other, one)] for x, w in ["xw", "yh"])
    assert apart, f"panels lie on each other: {one}, {other}"
histograms = {name.removesuffix("_bucket") for name in METRICS if name.endswith("_bucket")}


def whole(names):
    """The same, with a histogram's parts as one."""
    return {next((of for of in histograms if re.fullmatch(f"{of}_(bucket|sum|count)", name)), name) for name in names}


missing = whole(METRICS) - whole(NAMED)
assert not missing, f"on no panel: {missing}"
print(f"{len(rules)} alerts, {len(dashboard['panels'])} panels, {len(METRICS)} metrics")
