"""Reads a lake again and again while it is being written: every read must be exactly one commit.

readers.py LAKE READS    ends with 1 at the first read that is not.

Each read takes a version that all tables have, reads all tables at it (DuckDB; every tenth read Polars), and compares
the rows by disposition, and the pings that the derived tables count, with the ledgers of the commits up to that version. The
sealed rows at it must be the live ones that its horizon makes final.
"""

import collections
import json
import sys
import time

import duckdb
import polars

import lakes

LAKE, READS = sys.argv[1], int(sys.argv[2])
DISPOSITIONS = ["on_time", "late", "expired", "duplicate"]
commits, ends = [], {}


def last_of(version):
    """The last commit of a version."""
    while version not in ends:
        commits.append(lakes.commit(LAKE, len(commits)))
        ends[commits[-1].get("version")] = len(commits) - 1
    return ends[version]


def ledger(version):
    """Counts of all commits up to a version: (topic, what) -> n."""
    total = collections.Counter()
    last = last_of(version)
    for commit in commits[: last + 1]:
        for topic, counts in commit["ledger"].items():
            for what in ["read", *DISPOSITIONS, "dead"]:
                total[topic, what] += counts[what]
    return total


def common_version(tables):
    for name, table in tables.items():
        table.update_incremental()
    return min(table.version() for table in tables.values())


def by_duckdb(name, version):
    connection = duckdb.connect()
    connection.register("t", lakes.table(LAKE, name, version).to_pyarrow_table(columns=columns_of(name)))
    what = "null" if name == "dead_letters" else "disposition"
    found = connection.execute(f"select {what}, count(*), max(seq) from t group by 1").fetchall()
    return {w: n for w, n, _ in found}, max((seq for _, _, seq in found), default=-1)


def by_polars(name, version):
    frame = polars.read_delta(lakes.uri(LAKE, name), version=version, columns=columns_of(name))
    last = frame["seq"].max() if len(frame) else -1
    if name == "dead_letters":
        return ({None: len(frame)} if len(frame) else {}), last
    return {row["disposition"]: row["len"] for row in frame.group_by("disposition").len().to_dicts()}, last


def columns_of(name):
    return ["seq"] if name == "dead_letters" else ["disposition", "seq"]


def check(version, read):
    total = ledger(version)
    for name in [*lakes.RAW, "dead_letters"]:
        rows, last = read(name, version)
        if last is not None and last > last_of(version):
            raise SystemExit(f"{name} at version {version} has a row of commit {last}")
        if name == "dead_letters":
            want = {None: sum(n for (_, what), n in total.items() if what == "dead")}
        else:
            topic = name.removeprefix("raw_")
            want = {d: total[topic, d] for d in DISPOSITIONS}
        want = {d: n for d, n in want.items() if n}
        if rows != want:
            raise SystemExit(f"{name} at version {version}: {rows} rows, its commits say {want}")


def check_changes(version):
    for name, each in lakes.CHANGES.items():
        columns = ["diff", "seq"] if each == "1" else ["diff", "seq", each]
        connection = duckdb.connect()
        connection.register("t", lakes.table(LAKE, name, version).to_pyarrow_table(columns=columns))
        pings, last = connection.execute(f"select coalesce(sum(diff * {each}), 0), max(seq) from t").fetchone()
        if pings != ledger(version)["gps", "on_time"] or (last is not None and last > last_of(version)):
            raise SystemExit(f"{name} at version {version}: {pings} pings up to commit {last}, its commits say otherwise")


def check_sealed(version):
    horizon = commits[last_of(version)]["horizon"]
    for name, (column, minutes) in lakes.SEALED.items():
        end = (horizon // (minutes * 60_000_000)) * minutes * 60_000_000 if horizon is not None else 0
        connection = duckdb.connect()
        for what, table, columns in [("changes", f"{name}_changes", ["diff"]), ("sealed", name, [])]:
            rows = lakes.table(LAKE, table, version).to_pyarrow_table(columns=["row_key", column, *columns])
            connection.register(what, rows)
        final = f"select row_key from changes where epoch_us({column}) < {end} group by 1 having sum(diff) = 1"
        for one, other in [(final, "select row_key from sealed"), ("select row_key from sealed", final)]:
            odd = connection.execute(f"select * from (({one}) except all ({other})) limit 3").fetchall()
            if odd:
                raise SystemExit(f"{name} at version {version}, sealed before {end}: {odd} of {one} alone")


began = time.monotonic()
tables = {name: lakes.table(LAKE, name) for name in lakes.TABLES}
versions = []
while len(versions) < READS:
    version = common_version(tables)
    check(version, by_polars if len(versions) % 10 == 9 else by_duckdb)
    check_changes(version)
    if len(versions) % 4 == 0:
        check_sealed(version)  # reads whole tables
    versions.append(version)
    if len(versions) % 7 == 3 and version > 1:
        check(version // 2, by_duckdb)  # an older one is still there
print(json.dumps({"reads": len(versions), "versions": len(set(versions)), "last": versions[-1],
                  "seconds": round(time.monotonic() - began, 1)}))
lakes.finish()
