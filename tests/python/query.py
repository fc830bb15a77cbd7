"""Prints the one value of a query over a lake's tables; `<table>_now` is a derived table as it stands.

query.py LAKE SQL
"""

import pathlib
import sys

import duckdb

sys.path.append(str(pathlib.Path(__file__).parent.parent / "oracle"))
from lake import Lake  # noqa: E402

root, sql = sys.argv[1:]
lake, connection = Lake(root), duckdb.connect()
connection.execute("SET TimeZone = 'UTC'")
for table, files in lake.files.items():
    if not files:
        continue
    rows = f"read_parquet({files}, hive_partitioning = false)"
    if table.endswith("_changes"):
        table = f"{table.removesuffix('_changes')}_now"
        rows = f"""(SELECT * EXCLUDE (n, diff) FROM (SELECT *, row_number() OVER
                   (PARTITION BY row_key ORDER BY seq DESC, diff DESC) AS n FROM {rows}) WHERE n = 1 AND diff = 1)"""
    connection.execute(f"CREATE VIEW {table} AS SELECT * FROM {rows}")
print(connection.execute(sql).fetchone()[0])
