"""What a lake keeps is what one keeps that drops nothing, and no more; and versions before a drop have what they had.

retained.py [--now] KEPT SQL WHOLE SQL TABLE=DATE...     SQL: a file with what `citystream lake sql` prints; ends with 1 at the first table that differs; the tables not named are whole

--now     leaves out versions before a drop: their files may be deleted

All columns count but `epoch` and `seq`; a change log by what it adds up to, as commits are cut otherwise.
"""

import pathlib
import sys

import duckdb

import lakes

DERIVED = ["enriched_pings", "traffic_5m", "vehicle_15m", "environment_15m", "incidents", "data_quality_15m",
           "congestion_1h", "incident_exposures"]
TABLES = [*lakes.RAW, "dead_letters", *DERIVED, *(f"{table}_changes" for table in DERIVED)]


def rows(lake, table, cutoff):
    """The rows from a date on, each with how often it is there; and the first date."""
    connection = duckdb.connect()
    connection.register("delta", lakes.table(lake, table).to_pyarrow_table())
    columns = {row[0] for row in connection.execute("describe delta").fetchall()}
    date = "log_date" if "log_date" in columns else "event_date"
    diff = "diff" if "diff" in columns else "1"
    chosen = ", ".join(f'"{column}"::varchar' for column in sorted(columns - {"epoch", "seq", "diff"}))
    found = connection.execute(
        f"select {chosen}, sum({diff}) from delta where {date} >= '{cutoff}' group by all having sum({diff}) <> 0 order by all"
    ).fetchall()
    return found, connection.execute(f"select min({date})::varchar from delta").fetchall()[0][0]


def present(statements, table, cutoff):
    """The rows of a derived table as it is now, from a date on, through DuckDB's views."""
    connection = duckdb.connect()
    connection.execute(pathlib.Path(statements).read_text())
    columns = {row[0] for row in connection.execute(f"describe {table}_now").fetchall()}
    chosen = ", ".join(f'"{column}"::varchar' for column in sorted(columns - {"epoch", "seq"}))
    return connection.execute(f"select {chosen} from {table}_now where event_date >= '{cutoff}' order by all").fetchall()


def before_the_first_drop(lake):
    """Up to the version before raw_gps first lost rows, it has all that its ledgers count; at the next, what was dropped less."""
    counted, seq, dropped = 0, 0, 0
    while not dropped:
        commit = lakes.commit(lake, seq)
        before, ledger = counted, commit["ledger"].get("gps", {})
        counted += sum(ledger.get(what, 0) for what in ["on_time", "late", "expired", "duplicate"])
        tidies = [tidy for tidy in commit.get("tidy", []) if tidy["what"] == "keep" and tidy["table"] == "raw_gps"]
        dropped = sum(tidy["rows_removed"] for tidy in tidies)
        seq += 1
    found = [lakes.table(lake, "raw_gps", version).to_pyarrow_table().num_rows for version in (seq - 2, seq - 1)]
    if found != [before, counted - dropped]:
        raise SystemExit(f"raw_gps: {found} rows at versions {seq - 2} and {seq - 1}, {before} and {counted} counted, {dropped} dropped")
    print(f"raw_gps: {found} rows at versions {seq - 2} and {seq - 1}: {dropped} dropped")


def main():
    is_now = sys.argv[1] == "--now"
    kept, kept_sql, whole, whole_sql, *cutoffs = sys.argv[1 + is_now :]
    cutoffs = dict(cutoff.split("=") for cutoff in cutoffs)
    for table in TABLES:
        cutoff = cutoffs.get(table, "1970-01-01")
        (found, first), (wanted, begins) = rows(kept, table, cutoff), rows(whole, table, cutoff)
        if found != wanted:
            different = [pair for pair in zip(found, wanted) if pair[0] != pair[1]][:3]
            raise SystemExit(f"{table}: {len(found)} rows from {cutoff} on, {len(wanted)} in the whole lake; {different}")
        if first is not None and first < cutoff:
            raise SystemExit(f"{table}: has rows of {first}, is to be kept from {cutoff} on")
        print(f"{table}: {len(found)} rows, from {first}; {begins} in the whole lake")
    for table in DERIVED:
        found, wanted = (present(sql, table, cutoffs.get(table, "1970-01-01")) for sql in (kept_sql, whole_sql))
        if found != wanted:
            raise SystemExit(f"{table}_now: {len(found)} rows, {len(wanted)} in the whole lake")
        print(f"{table}_now: {len(found)} rows")
    if not is_now:
        before_the_first_drop(kept)


if __name__ == "__main__":
    main()
    lakes.finish()
