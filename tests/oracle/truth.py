"""Compares a lake with the truth about its log, as `citystream simulate --truth FILE` wrote it: to the record.

truth.py LAKE TRUTH     ends with 1 if anything differs; the log must be that one simulation, read to its end
"""

import json
import sys

import duckdb

from compare import LATEST
from lake import Lake

DISPOSITIONS = ["on_time", "late", "expired", "duplicate"]


def wanted(truth):
    """What is to be counted: a number for each name."""
    numbers = {"enriched_pings": truth["pings"], "traffic_5m.pings": truth["pings"], "incidents": len(truth["incidents"])}
    for topic, expected in truth["topics"].items():
        for disposition in DISPOSITIONS:
            numbers[f"{topic} {disposition}"] = numbers[f"quality of {topic} {disposition}"] = expected.get(disposition, 0)
        for reason, n in expected["dead_letters"].items():
            numbers[f"{topic} {reason}"] = numbers[f"quality of {topic} dead_{reason}"] = n
    return numbers | {f"statuses of {i['id']}": i["statuses"] for i in truth["incidents"]}


def found(lake, connection):
    """The same, counted in the lake."""
    numbers = {}
    for topic in ["vehicle", "gps", "traffic", "weather", "emergency"]:
        sql = f"SELECT disposition, count(*) FROM raw_{topic} GROUP BY ALL"
        numbers |= {f"{topic} {disposition}": n for disposition, n in connection.execute(sql).fetchall()}
    sql = "SELECT topic, reason, count(*) FROM dead_letters GROUP BY ALL"
    numbers |= {f"{topic} {reason}": n for topic, reason, n in connection.execute(sql).fetchall()}
    numbers["enriched_pings"] = latest(lake, connection, "enriched_pings", "count(*)")[0][0]
    numbers["traffic_5m.pings"] = latest(lake, connection, "traffic_5m", "sum(pings)")[0][0]
    incidents = latest(lake, connection, "incidents", "incident_id, statuses")
    numbers["incidents"] = len(incidents)
    numbers |= {f"statuses of {incident}": statuses for incident, statuses in incidents}
    lake.changes(connection, "data_quality_15m")
    columns = [c for c, *_ in connection.execute("DESCRIBE changes").fetchall() if c in DISPOSITIONS or c.startswith("dead_")]
    for column in columns:
        for topic, n in latest(lake, connection, "data_quality_15m", f"topic, sum({column})", "GROUP BY topic"):
            numbers[f"quality of {topic} {column}"] = n
    return numbers


def latest(lake, connection, table, what, grouped=""):
    """Of the plain table of a change log."""
    if not lake.changes(connection, table):
        raise SystemExit(f"the lake has no {table}")
    connection.execute(LATEST)
    return connection.execute(f"SELECT {what} FROM have {grouped}").fetchall()


def main():
    root, path = sys.argv[1:]
    lake, connection = Lake(root), duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    complaints = lake.load(connection)
    with open(path, encoding="utf-8") as file:
        want = wanted(json.load(file))
    have = found(lake, connection)
    names = {name for name in want.keys() | have.keys() if not name.endswith("dead_letters")}  # the sum of its reasons
    complaints += [f"{name}: {have.get(name, 0)}, not {want.get(name, 0)}" for name in sorted(names)
                   if int(have.get(name) or 0) != want.get(name, 0)]
    print(*complaints[:20], sep="\n", end="\n" if complaints else "")
    if complaints:
        raise SystemExit(f"{len(complaints)} of {len(names)} counts differ from the truth")
    print(f"ok {len(names)} counts, of {have['gps on_time']} pings on time, are the truth")


if __name__ == "__main__":
    main()
