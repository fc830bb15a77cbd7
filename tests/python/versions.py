"""Versions of a lake whose commits do not each end one: dense, and at each all tables together are exactly one commit.

versions.py LAKE    ends with 1 at the first version that is wrong

What a table has to hold at a version are the files that the commits up to its last one have added and not removed. Readers:
deltalake, Polars, and DuckDB over deltalake's files.
"""

import collections
import itertools
import json
import pathlib
import sys

import duckdb
import polars

import lakes

LAKE = sys.argv[1]


def rows_after_each():
    """What the commits say: for each version its last commit, and how many rows each table has of each commit."""
    live, ends, states = collections.defaultdict(dict), [], []
    for seq in itertools.count():
        if not pathlib.Path(LAKE, f"commits/{seq:020d}.json").exists():
            return ends, states
        commit = lakes.commit(LAKE, seq)
        for table, files in commit["removed"].items():
            for file in files:
                del live[table][file["path"]]
        for table, files in commit["added"].items():
            for file in files:
                live[table][file["path"]] = (file["rows"], file["seqs"])
        if commit.get("version") is not None:
            assert commit["version"] == len(ends), f"commit {seq} ends version {commit['version']} after {len(ends)}"
            ends.append(commit)
            states.append({table: summed(files) for table, files in live.items()})


def summed(files):
    """Rows, and the last commit that one of them may be of."""
    return sum(rows for rows, _ in files.values()), max((last for _, (_, last) in files.values()), default=None)


def by_deltalake(name, version):
    seqs = lakes.table(LAKE, name, version).to_pyarrow_table(columns=["seq"]).column("seq").to_pylist()
    return len(seqs), max(seqs, default=None)


def by_polars(name, version):
    frame = polars.read_delta(lakes.uri(LAKE, name), version=version, columns=["seq"])
    return len(frame), frame["seq"].max()


def by_duckdb(name, version):
    connection = duckdb.connect()
    connection.register("t", lakes.table(LAKE, name, version).to_pyarrow_dataset())
    return connection.execute("select count(*), max(seq) from t").fetchone()


def check(version, end, state, names):
    readers = [by_deltalake, [by_polars, by_duckdb][version % 2]]
    for name, reader in itertools.product(names, readers):
        found, expected = reader(name, version), state.get(name, (0, None))
        if found != expected:
            raise SystemExit(f"{name} at version {version}: {reader.__name__} finds {found}, its commits say {expected}")
    commits = lakes.table(LAKE, "commits", version).to_pyarrow_table()
    if sorted(commits.column("seq").to_pylist()) != list(range(end["seq"] + 1)):
        raise SystemExit(f"commits at version {version}: {commits.column('seq')}, up to {end['seq']} there should be")
    check_sealed(version, end, commits)


def check_sealed(version, end, commits):
    """How far tables are sealed, as each reader shows it: the horizon, down to the table's step."""
    for name, (_, minutes) in lakes.SEALED.items():
        step = minutes * 60_000_000
        expected = end["horizon"] // step * step if end["horizon"] is not None else None
        connection = duckdb.connect()
        connection.register("c", commits)
        sql = f"select epoch_us(sealed_through.{name}) from c where seq = {end['seq']}"
        frame = polars.read_delta(lakes.uri(LAKE, "commits"), version=version).filter(polars.col("seq") == end["seq"])
        shown = frame["sealed_through"].struct.field(name).dt.epoch("us").item()
        for found in [connection.execute(sql).fetchone()[0], shown]:
            if found != expected:
                raise SystemExit(f"{name} at version {version} is sealed through {found}, not {expected}")


ends, states = rows_after_each()
names = [name.name for name in pathlib.Path(LAKE, "tables").iterdir() if name.name != "commits"]
last = {name: lakes.table(LAKE, name).version() for name in [*names, "commits"]}
if set(last.values()) != {len(ends) - 1}:
    raise SystemExit(f"{len(ends)} versions, but tables are at {last}")
# All of the last ones; of long histories some of those before.
for version in sorted({*range(max(0, len(ends) - 30), len(ends)), *range(0, len(ends), max(1, len(ends) // 30))}):
    check(version, ends[version], states[version], names)
print(json.dumps({"versions": len(ends), "commits": ends[-1]["seq"] + 1, "tables": len(names)}))
lakes.finish()
