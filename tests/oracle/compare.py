"""Compares a lake's derived tables with what their definitions, as SQL over its raw tables, say they hold.

compare.py LAKE [--tables a,b]     a lake in a directory; ends with 1 if anything differs

The oracle of a table is `<table>.sql`. Keys, integers, text, times and copied doubles are compared exactly, quotients to
a relative 1e-9, cell centres to 1e-9 degrees. Of each change log: at every commit a row_key is there or not (0 or 1
times), a commit has at most one -1 and one +1 of it and they differ, and what is taken back is what was there. Of each
sealed table: it has the rows that are final by the horizons of the commits, each once and as the change log leaves it, in
the first commit whose horizon makes it final. The raw tables' cells are compared with those of the `h3` package.
"""

import argparse
import pathlib

import duckdb

from lake import Lake

MINUTE = 60_000_000
HERE = pathlib.Path(__file__).parent
TABLES = sorted(path.stem for path in HERE.glob("*.sql") if path.stem != "macros")
SHOWN = 5
COPIED = {"lat", "lon", "speed_kmh", "precipitation_mm"}  # doubles that are no quotient
PLACES = {"enriched_pings", "incidents"}  # lat and lon are those of a record; elsewhere a cell's centre
ON_TIME = "(SELECT count(*) FROM raw_gps WHERE disposition = 'on_time')"
TOTALS = {"enriched_pings": "count(*)", "traffic_5m": "coalesce(sum(pings), 0)"}  # each is the number of on-time pings
LATEST = """CREATE OR REPLACE TEMP TABLE have AS SELECT * EXCLUDE (n, diff, seq, epoch) FROM
  (SELECT *, row_number() OVER (PARTITION BY row_key ORDER BY seq DESC, diff DESC) AS n FROM changes)
  WHERE n = 1 AND diff = 1"""
STEPS = {"enriched_pings": 1, "traffic_5m": 5, "congestion_1h": 60}  # minutes; all others 15
# The last microsecond at which something may change a row.
EXPOSED = """CASE WHEN resolved_time IS NULL THEN epoch_us(active_time) + 3600000000
  ELSE least(greatest(epoch_us(resolved_time), epoch_us(active_time)), epoch_us(active_time) + 3600000000) END"""
DOUBT = {
    "enriched_pings": "epoch_us(event_time)",
    "incidents": f"greatest(epoch_us(first_time) + 86400000000, coalesce({EXPOSED}, 0)) - 1",
    "incident_exposures": "(SELECT over - 1 FROM lives WHERE lives.partition = have.partition AND lives.offset = have.offset)",
}
LOG_CHECKS = {
    "a diff that is neither 1 nor -1": "SELECT row_key, seq FROM changes WHERE coalesce(diff NOT IN (1, -1), true)",
    "more than one -1, or +1, in a commit": "SELECT row_key, seq FROM changes GROUP BY row_key, seq, diff HAVING count(*) > 1",
    "sum(diff) is not 0 or 1": """SELECT row_key, seq FROM
        (SELECT row_key, seq, sum(sum(diff)) OVER (PARTITION BY row_key ORDER BY seq) AS n FROM changes GROUP BY row_key, seq)
        WHERE n NOT IN (0, 1)""",
    "the same row taken back and put": "SELECT row_key, seq FROM changes GROUP BY {columns}, seq HAVING count(*) > 1",
    "what is taken back was not there": """SELECT row_key, min(seq) AS seq FROM
        (SELECT *, sum(diff) OVER (PARTITION BY {columns} ORDER BY seq) AS n FROM changes) WHERE n NOT IN (0, 1) GROUP BY row_key""",
}


def check(connection, table, has_changes):
    """What is wrong with a table, given `want` and, if the lake has it, `changes`."""
    wanted = count(connection, "want")
    if count(connection, "(SELECT row_key FROM want GROUP BY ALL HAVING count(*) > 1)"):
        return ["the oracle has a row_key twice"]
    if not has_changes:
        return [f"the lake has no {table}_changes; {wanted} rows are missing"] if wanted else []
    want, have = columns_of(connection, "want"), columns_of(connection, "changes")
    odd = {"row_key", "diff", "seq", "epoch"} - set(have)
    odd |= {f"{c}: {want.get(c)} here, {have.get(c)} there" for c in want.keys() | have.keys() - {"diff", "seq", "epoch"}
            if want.get(c) != have.get(c)}
    if odd:
        return [f"column {what}" for what in sorted(odd)]
    return of_log(connection, want) + of_rows(connection, table, want)


def of_log(connection, columns):
    """What is wrong with a change log as such."""
    names, found = ", ".join(f'"{c}"' for c in columns), []
    for what, sql in LOG_CHECKS.items():
        rows = connection.execute(f"SELECT * FROM ({sql.format(columns=names)}) ORDER BY seq, row_key").fetchall()
        found += [f"{what}: {key} in commit {seq}" for key, seq in rows[:SHOWN]]
        found += [f"{what}: {len(rows) - SHOWN} more"] if len(rows) > SHOWN else []
    return found


def of_rows(connection, table, columns):
    """How the plain table differs from what is wanted."""
    connection.execute(LATEST)
    found = []
    if total := TOTALS.get(table):
        is_, want = connection.execute(f"SELECT {total}, {ON_TIME} FROM have").fetchone()
        found += [f"{total} is {is_}, but {want} pings are on time"] if is_ != want else []
    tests = ", ".join(f"CASE WHEN {differs(table, c, kind)} THEN '{c}' END" for c, kind in columns.items())
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE differing AS SELECT * FROM (
        SELECT coalesce(w.row_key, h.row_key) AS key, w.row_key IS NULL AS extra, h.row_key IS NULL AS missing,
               list_filter([{tests}], lambda c: c IS NOT NULL) AS names
        FROM want w FULL JOIN have h ON w.row_key = h.row_key) WHERE len(names) > 0""")
    for key, extra, missing, names in connection.execute(f"SELECT * FROM differing ORDER BY key LIMIT {SHOWN}").fetchall():
        if extra or missing:
            found.append(f"{key}: {'is not wanted' if extra else 'is missing'}")
            continue
        chosen = ", ".join(f'"{name}"::VARCHAR' for name in names)
        here, there = (connection.execute(f"SELECT {chosen} FROM {t} WHERE row_key = ?", [key]).fetchone() for t in ("have", "want"))
        found.append(f"{key}: " + ", ".join(f"{n} = {a}, not {b}" for n, a, b in zip(names, here, there)))
    more = count(connection, "differing") - SHOWN
    return found + ([f"{more} more rows differ"] if more > 0 else [])


def of_sealed(connection, lake, table):
    """How the sealed rows differ from those that are final, given `have`."""
    if table == "incident_exposures":
        connection.execute("CREATE OR REPLACE TEMP TABLE exposures AS FROM have")
        lake.changes(connection, "incidents")
        connection.execute(LATEST)
        connection.execute(f"CREATE OR REPLACE TEMP TABLE lives AS SELECT partition, \"offset\", {EXPOSED} AS over FROM have")
        connection.execute("CREATE OR REPLACE TEMP TABLE have AS FROM exposures")
    step = STEPS.get(table, 15) * MINUTE
    horizons = [(horizon // step * step, seq) for seq, horizon in lake.horizons if horizon is not None]
    connection.execute("CREATE OR REPLACE TEMP TABLE ends (\"end\" BIGINT, seq BIGINT)")
    if horizons:
        connection.executemany("INSERT INTO ends VALUES (?, ?)", horizons)
    doubt = DOUBT.get(table, "epoch_us(window_start)")
    connection.execute(f"""CREATE OR REPLACE TEMP TABLE final AS SELECT h.* EXCLUDE (doubt), e.seq
        FROM (SELECT *, {doubt} AS doubt FROM have) h
        ASOF JOIN (SELECT "end", min(seq) AS seq FROM ends GROUP BY ALL) e ON h.doubt < e."end\"""")
    if not lake.rows(connection, table, "sealed"):
        missing = count(connection, "final")
        return [f"no row is sealed, but {missing} are final"] if missing else []
    found = []
    for what, one, other in [("final, but not sealed so", "final", "sealed"), ("sealed, but not final so", "sealed", "final")]:
        columns = ", ".join(f'"{column}"' for column in columns_of(connection, "final"))
        rows = f"SELECT {columns} FROM {one} EXCEPT ALL SELECT {columns} FROM {other}"
        odd = connection.execute(f"SELECT row_key, seq FROM ({rows}) ORDER BY seq, row_key").fetchall()
        found += [f"{key} in commit {seq} is {what}" for key, seq in odd[:SHOWN]]
        found += [f"{len(odd) - SHOWN} more are {what}"] if len(odd) > SHOWN else []
    return found


def differs(table, column, kind):
    """The condition that a column of `w` and `h` differs."""
    w, h = f'w."{column}"', f'h."{column}"'
    if column in ("lat", "lon") and table not in PLACES:
        near = f"abs({w} - {h}) <= 1e-9"
    elif kind == "double" and column not in COPIED:
        near = f"abs({w} - {h}) <= 1e-9 * greatest(abs({w}), abs({h}))"
    else:
        return f"{w} IS DISTINCT FROM {h}"
    return f"({w} IS NULL) <> ({h} IS NULL) OR NOT coalesce({near}, true)"


def columns_of(connection, table):
    """The kind of each column: all integers are one."""
    kinds = {name: kind.lower() for name, kind, *_ in connection.execute(f"DESCRIBE {table}").fetchall()}
    return {name: "integer" if kind.endswith("int") else kind for name, kind in kinds.items()}


def count(connection, what):
    return connection.execute(f"SELECT count(*) FROM {what}").fetchone()[0]


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("lake")
    arguments.add_argument("--tables", default=",".join(TABLES))
    arguments = arguments.parse_args()
    lake = Lake(arguments.lake)
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    complaints = [f"WRONG {what}" for what in lake.load(connection)]
    connection.execute((HERE / "macros.sql").read_text())
    for table in arguments.tables.split(","):
        connection.execute(f"CREATE OR REPLACE TEMP TABLE want AS {(HERE / f'{table}.sql').read_text()}")
        has_changes = lake.changes(connection, table)
        found = check(connection, table, has_changes)
        sealed = 0
        if has_changes and not found:
            found = of_sealed(connection, lake, table)
            sealed = count(connection, "final")
        complaints += [f"WRONG {table}: {what}" for what in found]
        if not found:
            print(f"ok {table}: {count(connection, 'want')} rows, {sealed} sealed")
    print(*complaints, sep="\n", end="\n" if complaints else "")
    raise SystemExit(bool(complaints))


if __name__ == "__main__":
    main()
