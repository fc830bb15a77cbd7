#!/usr/bin/env python3
"""What a cluster costs, as a formula (docs/scale.md), held against points that were measured.

    python3 benches/scaling --tables all,raw --json scaling.json      measures
    python3 benches/scaling/model.py scaling.json                     ends with 1 where a point is off by more than a quarter
    python3 benches/scaling/model.py --workers 64 --records 1e9 --epochs 3600 --vehicles 1e6 --partitions 1000
"""
import argparse
import dataclasses
import json
import sys

BOUND = 0.25  # how far off a measured point may be


@dataclasses.dataclass(frozen=True)
class Cost:
    """Constants of one kind of tables, in microseconds of CPU and bytes."""

    record: float  # CPU a record, wherever it is read
    pair: float  # CPU an epoch and pair of workers: what they tell each other as it goes on and ends
    record_bytes: float  # of a record, to other workers, if all of it went there
    pair_bytes: float  # an epoch and pair of workers
    start: float = 100_000  # CPU of a process's start and end
    binding_bytes: float = 42  # an epoch, worker and partition: each report goes to all
    text_bytes: float = 60  # a text on its way home, and from there to a process


COSTS = {
    "all": Cost(record=6.6, pair=500, record_bytes=206, pair_bytes=6_800),
    "raw": Cost(record=4.5, pair=200, record_bytes=73, pair_bytes=1_500),
}


def predict(cost, workers, processes, records, epochs, partitions, vehicles, hours):
    """Seconds of CPU of all workers, and bytes between workers."""
    away, pairs = 1 - 1 / workers, workers * (workers - 1)
    cpu = (records * cost.record + processes * cost.start + epochs * pairs * cost.pair) / 1e6
    sent = (records * cost.record_bytes * away + epochs * pairs * cost.pair_bytes
            + epochs * (workers - 1) * partitions * cost.binding_bytes + hours * vehicles * (workers + processes) * away * cost.text_bytes)
    return cpu, sent


def rows(path):
    """The measured points, and what the formula says of each."""
    with open(path, encoding="utf-8") as file:
        tables = json.load(file)["tables"]
    for row in (row for table in tables for row in table["rows"]):
        shape = {"workers": row["count"], "processes": row["count"], "records": row["records"], "epochs": row["epochs"],
                 "partitions": 80, "vehicles": 2000, "hours": row["log_minutes"] / 60}
        yield row, predict(COSTS[row["tables"]], **shape)


def compare(path):
    """Prints each point beside the formula; whether all are within the bound."""
    good = True
    for row, (cpu, sent) in rows(path):
        pairs = [("CPU s", row["cpu"], cpu), ("MB", (row["bytes"] or 0) / 1e6, sent / 1e6)]
        pairs = [(name, seen, said) for name, seen, said in pairs if seen > 1]
        off = [abs(said / seen - 1) for _, seen, said in pairs]
        good = good and all(each <= BOUND for each in off)
        words = ", ".join(f"{name} {seen:,.1f} seen, {said:,.1f} by the formula ({said / seen - 1:+.0%})" for name, seen, said in pairs)
        print(f"{row['tables']} tables, n={row['count']}: {words}")
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("measured", nargs="?", metavar="FILE", help="what the benchmark wrote by --json")
    parser.add_argument("--tables", choices=COSTS, default="all")
    for name, value in (("workers", 64), ("records", 1e9), ("epochs", 1200), ("partitions", 1000), ("vehicles", 1e6), ("hours", 1)):
        parser.add_argument(f"--{name}", type=float, default=value)
    given = parser.parse_args()
    if given.measured:
        sys.exit(0 if compare(given.measured) else 1)
    shape = {name: getattr(given, name) for name in ("workers", "records", "epochs", "partitions", "vehicles", "hours")}
    cost = COSTS[given.tables]
    cpu, sent = predict(cost, processes=given.workers, **shape)
    useful = given.records * cost.record / 1e6
    print(f"CPU {cpu:,.0f} s in all, {cpu / given.workers:,.1f} s a worker, {useful / cpu:.0%} of it what one worker would need; "
          f"{sent / 1e6:,.0f} MB between them")


if __name__ == "__main__":
    main()
