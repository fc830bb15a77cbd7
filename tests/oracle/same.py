"""Compares lakes of the same log with each other: their derived tables must be the same, bit for bit (P3).

same.py LAKE LAKE...     ends with 1 at the first table that differs; all columns count but `epoch` and `seq`
"""

import sys

import duckdb

from compare import LATEST, TABLES
from lake import Lake


def rows(root, table):
    """The plain table's rows in the order of their keys, doubles as their bits."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    if not Lake(root).changes(connection, table):
        return []
    connection.execute(LATEST)
    columns = connection.execute("SELECT column_name, column_type FROM (DESCRIBE have) ORDER BY column_name").fetchall()
    shown = ", ".join(f'"{c}"::VARCHAR' if kind.startswith("TIMESTAMP") else f'"{c}"' for c, kind in columns)
    found = connection.execute(f"SELECT {shown} FROM have ORDER BY row_key").fetchall()
    return [tuple(v.hex() if isinstance(v, float) else v for v in row) for row in found]


def main():
    first, *others = sys.argv[1:]
    for table in TABLES:
        wanted = rows(first, table)
        for other in others:
            found = rows(other, table)
            if wanted != found:
                different = [pair for pair in zip(wanted, found) if pair[0] != pair[1]][:3]
                raise SystemExit(f"{table}: {len(wanted)} rows in {first}, {len(found)} in {other}; {different}")
        print(f"same {table}: {len(wanted)} rows")


if __name__ == "__main__":
    main()
