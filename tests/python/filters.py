"""Asks the readers that people like for parts of tables, as they would: every one must find the rows that the commits have,
and those that tell which files they open must leave files out.

filters.py LAKE DUCKDB POLARS    the files hold what `lake sql` prints; ends with 1 at the first wrong answer
"""

import json
import pathlib
import re
import shutil
import sys
import tempfile

import deltalake
import duckdb
import polars
import pyarrow.dataset as dataset

import lakes
from ranges import Truth, leaves_out, questions, sql

LAKE, DUCKDB, POLARS = sys.argv[1:]
DOCS = pathlib.Path(__file__).parents[2] / "docs/readers.md"

connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
for statement in filter(str.strip, open(DUCKDB).read().split(";\n")):
    connection.execute(statement)
frames = {}
exec(open(POLARS).read(), frames)  # noqa: S102: what `lake sql` prints is a script


def by_duckdb(question):
    return connection.execute(sql(question)).fetchone()


def by_polars(question):
    (table, column, low, high) = question
    rows = frames[table].filter(polars.col(column) >= low, polars.col(column) < high)
    return rows.select(polars.len(), polars.col("epoch").sum()).collect().row(0)


def by_deltalake(question):
    found = deltalake.QueryBuilder().register(question.table, lakes.table(LAKE, question.table)).execute(sql(question))
    return tuple(column[0].as_py() for column in found.read_all().columns)


def by_pyarrow(question):
    found = lakes.table(LAKE, question.table).to_pyarrow_dataset().to_table(["epoch"], filter=condition(question))
    return found.num_rows, sum(found["epoch"].to_pylist())


def condition(question):
    (_, column, low, high) = question
    return (dataset.field(column) >= low) & (dataset.field(column) < high)


version = lakes.table(LAKE, "commits").version()
truth = Truth(LAKE, version)
read = {}
for question in questions(version):
    expected = truth.answer(question)
    assert expected[0] > 0, f"{question} is no question to ask here"
    for reader in [by_duckdb, by_polars, by_deltalake, by_pyarrow]:
        found = reader(question)
        if tuple(found) != expected:
            raise SystemExit(f"{question}: {found} {reader.__name__}, the commits have {expected}")
    files = lakes.table(LAKE, question.table).to_pyarrow_dataset()
    opened, there = (len(list(files.get_fragments(*filters))) for filters in [[condition(question)], []])
    read[f"{question.table} by {question.column}"] = [opened, there]
    if leaves_out(question) and opened > truth.holding(question):
        raise SystemExit(f"{question}: {opened} of {there} files are opened, {truth.holding(question)} hold such rows")

# The derived tables of now are the same by DuckDB and by Polars.
for name in [name.replace("_changes", "_now") for name in frames["names"] if name.endswith("_changes")]:
    one = connection.execute(f"SELECT count(*), sum(epoch) FROM {name}").fetchone()
    other = frames[name].select(polars.len(), polars.col("epoch").sum()).collect().row(0)
    if one != other:
        raise SystemExit(f"{name}: {one} by DuckDB, {other} by Polars")
# Files that may be left out are not missed when they are gone.
pings = next(questions(version))
with tempfile.TemporaryDirectory() as folder:
    copy = shutil.copytree(lakes.uri(LAKE, pings.table), f"{folder}/{pings.table}")
    files = deltalake.DeltaTable(copy).to_pyarrow_dataset()
    kept = {fragment.path for fragment in files.get_fragments(condition(pings))}
    for path in set(files.files) - kept:
        pathlib.Path(copy, path).unlink()
    rows = polars.scan_delta(copy).filter(polars.col(pings.column) >= pings.low, polars.col(pings.column) < pings.high)
    found = deltalake.QueryBuilder().register(pings.table, deltalake.DeltaTable(copy)).execute(sql(pings)).read_all()
    for count in [rows.select(polars.len()).collect().item(), found.column(0)[0].as_py()]:
        assert count == truth.answer(pings)[0], f"{pings}: {count} rows without the files that hold none"

# What docs/readers.md shows works as it stands.
shown = re.findall("^```python$(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
assert len(shown) == 2, "docs/readers.md has other examples"
for example in shown:
    exec(example.replace("demo/lake", LAKE), {})  # noqa: S102
print(json.dumps({"version": version, "files opened, of": read}))
lakes.finish()
