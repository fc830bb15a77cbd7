"""Commits that pack change no row: at each of these versions a table holds what it held before, and what the commit brought.

packs.py LAKE VERSION...     ends with 1 at the first table that differs; all columns count, `epoch` and `seq` too
"""

import sys

import duckdb

import lakes


def rows(lake, table, version, before):
    """The rows of commits before `before` at a version: how many, and a sum over hashes that no order shows in."""
    connection = duckdb.connect()
    connection.register("delta", lakes.table(lake, table, version).to_pyarrow_table())
    columns = sorted(row[0] for row in connection.execute("describe delta").fetchall())
    chosen = ", ".join(f'"{column}"' for column in columns)
    return connection.execute(
        f"select count(*), coalesce(sum(hash({chosen})::hugeint), 0)::varchar from delta where seq < {before}"
    ).fetchall()[0]


def main():
    lake, *versions = sys.argv[1:]
    for version in map(int, versions):
        packed = {tidy["table"] for tidy in lakes.commit(lake, version)["tidy"]}
        for table in sorted(packed):
            was, now = (rows(lake, table, at, version) for at in (version - 1, version))
            if was != now or not was[0]:
                raise SystemExit(f"{table}: {was} at version {version - 1}, {now} at {version}")
            files = [len(lakes.table(lake, table, at).file_uris()) for at in (version - 1, version)]
            print(f"version {version}: {table}: {was[0]} rows, {files[0]} files -> {files[1]}")


if __name__ == "__main__":
    main()
