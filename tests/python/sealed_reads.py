"""Reads all sealed tables of a lake again and again while a run writes, packs files, drops dates and deletes what was removed.

sealed_reads.py LAKE READS GRACE FILE     GRACE in seconds; prints a line a read; ends with 1 at the first that is wrong

Each read is of one version by one reader: the newest, one whose files were removed less than the grace ago, or one whose
files are deleted. Of the latter, reading a table that lacks a file has to fail, and to name what is missing. What others find
goes into FILE, a line a table, for `sealed.py`. All other tables have at a version as many rows as the commits up to it say.
"""

import collections
import json
import random
import sys
import time

import deltalake
import duckdb
import polars

import extensions
import lakes
import sealed

LAKE, READS, GRACE_MS, FILE = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]) * 1000, sys.argv[4]
# A read is over by then, or the machine is slow.
MARGIN_MS = GRACE_MS // 3
MISSING = ["not found", "No such file", "No files found", "does not exist"]


class History:
    """What the commits say so far."""

    def __init__(self):
        self.commits, self.ends, self.rows, self.added, self.removals, self.collected = 0, [], [], {}, [], -1
        self.live = collections.defaultdict(dict)

    def read_on(self, version):
        """Reads the commits up to the end of a version."""
        while len(self.ends) <= version:
            self.take(lakes.commit(LAKE, self.commits))
            self.commits += 1

    def take(self, commit):
        seq = commit["seq"]
        for table, files in commit["removed"].items():
            gone = [self.live[table].pop(file["path"]) and self.added[file["path"]] for file in files]
            self.removals.append((seq, commit["time_ms"], table, min(gone)))
        for table, files in commit["added"].items():
            for file in files:
                self.live[table][file["path"]] = file["rows"]
                self.added[file["path"]] = seq
        self.collected = commit.get("collected") or self.collected
        if commit.get("version") is not None:
            assert commit["version"] == len(self.ends), commit
            self.ends.append(seq)
            self.rows.append({table: sum(files.values()) for table, files in self.live.items()})

    def lost(self, version):
        """What a version has lost since: when, in which commits, and of which tables."""
        end = self.ends[version]
        return [(seq, time_ms, table) for seq, time_ms, table, first in self.removals if first <= end < seq]

    def left_ms(self, version):
        """How long a version has all its files for certain."""
        return min((time_ms for _, time_ms, _ in self.lost(version)), default=time.time() * 1000) + GRACE_MS - time.time() * 1000

    def within_grace(self):
        """Versions but the newest that have all their files for long enough."""
        return [version for version in self.some() if self.left_ms(version) > MARGIN_MS]

    def beyond(self):
        """Versions that lack files of sealed tables, and one such table of each."""
        lost = {version: [table for seq, _, table in self.lost(version) if seq <= self.collected] for version in self.some()}
        return [(version, table) for version, tables in lost.items() for table in tables if table in sealed.TABLES]

    def some(self):
        return random.sample(range(len(self.ends) - 1), min(30, len(self.ends) - 1))


def by_deltalake(table, version):
    rows = deltalake.QueryBuilder().register("t", lakes.table(LAKE, table, version)).execute("select * from t")
    return rows.read_all()


def by_pyarrow(table, version):
    return lakes.table(LAKE, table, version).to_pyarrow_dataset().to_table()


def by_polars(table, version):
    return polars.scan_delta(lakes.uri(LAKE, table), version=version).collect().to_arrow()


def by_duckdb(table, version):
    """Plain Parquet: the list of a version's files."""
    files = lakes.table(LAKE, table, version).file_uris()
    dated = "hive_partitioning = true, hive_types = {'event_date': DATE}"
    # Where no file is there is nothing to say which columns there are.
    return duckdb.sql(f"select * from read_parquet({files}, {dated})").to_arrow_table() if files else by_pyarrow(table, version)


def by_duckdb_alone(table, version):
    """Its own extension for Delta."""
    connection = extensions.connect()
    connection.execute("load delta")
    connection.execute(f"attach '{lakes.uri(LAKE, table)}' as pinned (type delta, version {version})")
    return connection.sql("select * from pinned").to_arrow_table()


READERS = [by_deltalake, by_pyarrow, by_polars, by_duckdb, by_duckdb_alone]


def read(reader, version, last):
    """All sealed tables at a version: a line a table."""
    for table in sealed.TABLES:
        rows = sealed.digest(sealed.connect(reader(table, version)))
        yield json.dumps({"reader": reader.__name__, "version": version, "last": last, "table": table, "rows": rows})


def count(version, last, expected):
    """All other tables have as many rows as the commits say."""
    for table in [*lakes.RAW, "dead_letters", *(f"{table}_changes" for table in sealed.TABLES), "commits"]:
        rows = sealed.connect(lakes.table(LAKE, table, version).to_pyarrow_dataset().to_table(["seq"]))
        found, latest = rows.execute("select count(*), coalesce(max(seq), 0) from rows").fetchone()
        wanted = last + 1 if table == "commits" else expected.get(table, 0)
        if found != wanted or latest > last:
            raise SystemExit(f"{table} at version {version}: {found} rows up to commit {latest}; its commits up to {last} say {wanted}")


def fail(reader, version, table):
    """Reads a table that lacks a file: what the reader says."""
    try:
        rows = reader(table, version)
    except Exception as error:  # each reader has its own
        said = str(error)
    else:
        raise SystemExit(f"{reader.__name__} finds {len(rows)} rows of {table} at version {version}, which lacks files")
    if ".parquet" not in said or not any(what in said for what in MISSING):
        raise SystemExit(f"{reader.__name__} of {table} at version {version}, which lacks files: {said}")
    return said


def main():
    history, newest, counts, failed = History(), lakes.table(LAKE, "commits"), collections.Counter(), {}
    began, n = time.monotonic(), 0
    with open(FILE, "w") as out:
        while n < READS:
            reader = READERS[n % len(READERS)]
            newest.update_incremental()
            history.read_on(newest.version())
            earlier = history.within_grace() if n % 3 == 2 else []
            version = random.choice(earlier) if earlier else newest.version()
            end = history.ends[version]
            try:
                lines = list(read(reader, version, end))
                if n % 5 == 0:
                    count(version, end, history.rows[version])
            except Exception:
                newest.update_incremental()
                history.read_on(newest.version())
                if history.left_ms(version) > 0:
                    raise
                counts["took longer than the grace"] += 1
                continue
            print(*lines, sep="\n", file=out)
            counts["earlier" if earlier else "newest"] += 1
            beyond = history.beyond() if n % 4 == 3 else []
            for old, table in random.sample(beyond, min(1, len(beyond))):
                reader = READERS[counts["beyond the grace"] % len(READERS)]
                failed[reader.__name__] = f"{table} at version {old}: {fail(reader, old, table)[:300]}"
                counts["beyond the grace"] += 1
            n += 1
            print("read", n, flush=True)
    print(json.dumps({"reads": counts, "seconds": round(time.monotonic() - began, 1), "last": newest.version(), **failed}))
    if not counts["earlier"] or not counts["beyond the grace"]:
        raise SystemExit("no version was old enough")


main()
lakes.finish()
