"""The sealed rows of a lake as its readers find them, held against what the lake has in the end: they only ever grow, so at a
version there are those of its commits, as they are in the end.

sealed.py check LAKE READS...     READS: files of lines as `sealed_reads.py` and `spark_sealed.py` print them; ends with 1 at the first that is wrong
"""

import collections
import json
import pathlib
import sys

import duckdb
import pyarrow

import lakes

TABLES = ["enriched_pings", "traffic_5m", "vehicle_15m", "environment_15m", "incidents", "data_quality_15m",
          "congestion_1h", "incident_exposures"]


def connect(rows):
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    connection.register("rows", pyarrow.table(rows))
    return connection


def digest(connection, last=None):
    """Of rows up to a commit: how many, the last commit, and a sum over hashes of all columns that no order shows in."""
    columns = sorted(row[0] for row in connection.execute("describe rows").fetchall())
    chosen = ", ".join(f'"{column}"' for column in columns)
    where = "" if last is None else f"where seq <= {last}"
    sql = f"select count(*), max(seq), coalesce(sum(hash({chosen})::hugeint), 0)::varchar from rows {where}"
    return list(connection.execute(sql).fetchone())


def check(lake, files):
    reads = [json.loads(line) for file in files for line in pathlib.Path(file).read_text().splitlines()]
    final = {table: connect(lakes.table(lake, table).to_pyarrow_table()) for table in TABLES}
    expected, counts = {}, collections.Counter()
    for read in reads:
        place = read["table"], read["last"]
        if place not in expected:
            expected[place] = digest(final[read["table"]], read["last"])
        if read["rows"] != expected[place]:
            raise SystemExit(f"{read}: at that commit there are {expected[place]}")
        counts[read["reader"]] += 1
    rows = {table: digest(final[table])[0] for table in TABLES}
    if not all(rows.values()):
        raise SystemExit(f"a table is empty: {rows}")
    print(json.dumps({"tables read": counts, "versions": len({read["version"] for read in reads}), "rows": rows}))


if __name__ == "__main__":
    check(sys.argv[2], sys.argv[3:])
    lakes.finish()
