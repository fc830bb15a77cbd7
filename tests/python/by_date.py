"""Filters all tables of a lake by date, as queries do: every reader must find all rows of each date, and no others.

by_date.py LAKE    ends with 1 at the first count that is wrong

The rows of a date are those of the files that the commits added for it and did not remove. Readers: deltalake, Polars, DuckDB over
deltalake's files, and its own extension for Delta.
"""

import collections
import datetime
import itertools
import json
import sys

import deltalake
import duckdb
import polars

import extensions
import lakes

LAKE = sys.argv[1]


def rows_by_date(version):
    """What the commits up to a version say: table -> (partition column, date -> rows)."""
    columns, rows = {}, collections.defaultdict(collections.Counter)
    for table, files in lakes.live(LAKE, version).items():
        for file in files:
            columns[table] = file["path"].split("/")[2].split("=")[0]
            rows[table][datetime.date.fromisoformat(file["date"])] += file["rows"]
    return {table: (columns[table], rows[table]) for table in rows}


def by_deltalake(name, column, date):
    sql = f"select count(*) as n from t where {column} = date '{date}'"
    found = deltalake.QueryBuilder().register("t", lakes.table(LAKE, name)).execute(sql)
    return found.read_all().column("n")[0].as_py()


def by_polars(name, column, date):
    frame = polars.scan_delta(lakes.uri(LAKE, name))
    return frame.filter(polars.col(column) == date).select(polars.len()).collect().item()


def by_duckdb(name, column, date):
    connection = duckdb.connect()
    connection.register("t", lakes.table(LAKE, name).to_pyarrow_dataset())
    return connection.execute(f"select count(*) from t where {column} = ?", [date]).fetchone()[0]


def by_duckdb_alone(name, column, date):
    connection = extensions.connect()
    connection.execute("load delta")
    found = connection.execute(f"select count(*) from delta_scan('{lakes.uri(LAKE, name)}') where {column} = ?", [date])
    return found.fetchone()[0]


version = lakes.table(LAKE, "commits").version()
expected = rows_by_date(version)
readers = [by_deltalake, by_polars, by_duckdb, by_duckdb_alone]
wrong = [
    f"{name} where {column} = {date}: {found} rows {reader.__name__}, the commits have {rows}"
    for name, (column, dates) in expected.items()
    for (date, rows), reader in itertools.product(dates.items(), readers)
    if (found := reader(name, column, date)) != rows
]
if wrong:
    raise SystemExit("\n".join(wrong))
rows = {name: sum(dates.values()) for name, (_, dates) in expected.items()}
print(json.dumps({"version": version, "readers": len(readers), "rows": rows,
                  "dates": max(len(dates) for _, dates in expected.values())}))
lakes.finish()
