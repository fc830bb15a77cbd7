"""Spark reads the sealed tables of a lake, and with `--now` the views of now, through what `lake sql --for spark` prints.

spark_sealed.py LAKE JARS SQL DUCKDB FILE [--now]     JARS: a folder; what it finds goes into FILE, a line a table, for `sealed.py`

The views of now must have the rows that those have which `lake sql` prints for DuckDB: nobody writes then.
"""

import json
import pathlib
import re
import sys

import duckdb

import lakes
import sealed
from spark_session import session

LAKE, JARS, SQL, DUCKDB, FILE, *NOW = sys.argv[1:]


def present(table):
    """The same, by DuckDB."""
    connection = duckdb.connect()
    connection.execute(pathlib.Path(DUCKDB).read_text())
    connection.execute(f"CREATE TEMP VIEW rows AS SELECT * FROM {table}_now")
    return sealed.digest(connection)


def main():
    spark = session(JARS)
    text = pathlib.Path(SQL).read_text()
    for statement in filter(str.strip, text.split(";\n")):
        spark.sql(statement)
    version = int(re.search(r"VERSION AS OF (\d+)", text)[1])
    last = spark.sql("SELECT max(seq) FROM commits").collect()[0][0]
    with open(FILE, "w") as out:
        for table in sealed.TABLES:
            rows = sealed.digest(sealed.connect(spark.sql(f"SELECT * FROM {table}").toArrow()))
            print(json.dumps({"reader": "spark", "version": version, "last": last, "table": table, "rows": rows}), file=out)
    now = {}
    for table in sealed.TABLES if NOW else []:
        now[table] = sealed.digest(sealed.connect(spark.sql(f"SELECT * FROM {table}_now").toArrow()))
        if now[table] != present(table):
            raise SystemExit(f"{table}_now: Spark finds {now[table]}, DuckDB {present(table)}")
    print(json.dumps({"version": version, "last": last, "now": now}))
    spark.stop()


main()
lakes.finish()
