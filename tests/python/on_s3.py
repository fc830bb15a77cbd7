"""What DuckDB finds in a lake on S3, with its extensions: by what `lake sql` prints, and by its own reader of Delta tables.

on_s3.py LAKE FILE    ends with 1 where a table has other rows than the commits say; FILE holds the statements
"""

import json
import sys

import extensions
import lakes

LAKE, STATEMENTS = sys.argv[1:]


def rows_by_commits(last):
    """What the commits up to the last one say; the table of commits has a row for each."""
    live = {table: sum(file["rows"] for file in files) for table, files in lakes.live(LAKE, last).items()}
    return live | {"commits": last + 1}


def differences(name, connection, source):
    """Tables in which a way to read them finds other rows."""
    for table, rows in EXPECTED.items():
        found = connection.execute(f"select count(*) from {source(table)}").fetchone()[0]
        if found != rows:
            yield f"{table} by {name}: {found} rows, the commits have {rows}"


connection = extensions.connect()
connection.execute(open(STATEMENTS).read())
last = connection.execute("select max(seq) from commits").fetchone()[0]
EXPECTED = rows_by_commits(last)
connection.execute("load delta")
wrong = [
    *differences("lake sql", connection, lambda table: table),
    *differences("its extension for Delta", connection, lambda table: f"delta_scan('{lakes.uri(LAKE, table)}')"),
]
if wrong:
    raise SystemExit("\n".join(wrong))
print(json.dumps({"commits": last + 1, "rows": sum(EXPECTED.values())}))
lakes.finish()
