"""What is left of a vehicle in a lake, by readers that know nothing of citystream; and whether all else is what a lake holds that erased nothing.

erased.py LAKE WHOLE VEHICLE CUT     CUT: a time; rows of the vehicle before it are gone, those from it on are there

Every object is read: Parquet files of tables row by row, all their columns; all others by their bytes, those that are compressed
decompressed. Then each table is compared by all columns but `epoch` and `seq`; a change log by what it adds up to.
"""

import re
import sys

import duckdb
import pyarrow as pa
import pyarrow.fs
import pyarrow.parquet as pq

import lakes

DERIVED = ["enriched_pings", "traffic_5m", "vehicle_15m", "environment_15m", "incidents", "data_quality_15m",
           "congestion_1h", "incident_exposures"]
TABLES = [*lakes.RAW, "dead_letters", *DERIVED, *(f"{table}_changes" for table in DERIVED)]
# The time of a row, by table.
TIME = {"enriched_pings": "event_time", "incident_exposures": "first_time", "incidents": "first_time", "dead_letters": "log_time"}


def time_of(table):
    name = table.removesuffix("_changes")
    return "event_time" if name in lakes.RAW else TIME.get(name, "window_start")


def texts(value):
    if isinstance(value, (list, tuple)):
        for member in value:
            yield from texts(member)
    elif isinstance(value, str):
        yield value.encode()
    elif isinstance(value, bytes):
        yield value


def scan(lake, vehicle, cut):
    """All places that name it, but for rows of it from the cut on."""
    word = re.compile(rb"(?<![A-Za-z0-9_\-\x80-\xff])" + re.escape(vehicle.encode()) + rb"(?![A-Za-z0-9_\-\x80-\xff])")
    files, root = lakes.store(lake)
    found, objects, later = [], 0, 0
    for info in files.get_file_info(pyarrow.fs.FileSelector(root, recursive=True)):
        if info.type != pyarrow.fs.FileType.File:
            continue
        objects += 1
        path = info.path[len(root) :].lstrip("/")
        with files.open_input_stream(info.path) as stream:
            data = stream.readall()
        if path.endswith(".zst"):
            data = pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
        if not path.endswith(".parquet"):
            if word.search(data):
                found.append(path)
            continue
        rows = pq.read_table(pa.BufferReader(data), partitioning=None)
        time = time_of(path.split("/")[1]) if path.startswith("tables/") and "=" in path else None
        is_any = False
        for row in rows.to_pylist():
            if any(word.search(text) for value in row.values() for text in texts(value)):
                is_any = True
                if time is None or row[time].isoformat() < cut:
                    found.append(f"{path}: {row}")
                else:
                    later += 1
        if not is_any and word.search(data):
            found.append(f"{path}: its ranges or dictionaries")
    return found, objects, later


def view(connection, lake, table):
    connection.register(table, lakes.table(lake, table).to_pyarrow_table())


def of_vehicle(table, columns, vehicle, cut):
    """SQL for the rows that are to be gone."""
    old = f"{time_of(table)} < '{cut}'"
    if table in lakes.RAW:
        return f"{old} and (device_id = '{vehicle}' or key = '{vehicle}' or contains(extra, '\"{vehicle}\"'))"
    if table == "dead_letters":
        word = rf"(^|[^A-Za-z0-9_-]){vehicle}($|[^A-Za-z0-9_-])"
        return f"{old} and (key = '{vehicle}' or regexp_matches(coalesce(decode(payload), ''), '{word}'))"
    if "vehicle_id" in columns:
        return f"{old} and vehicle_id = '{vehicle}'"
    if "vehicles" in columns:
        length = "interval 5 minutes" if table.startswith("traffic_5m") else "interval 1 hour"
        name = table.removesuffix("_changes")
        # How many vehicles the window has had in the end.
        return f"""row_key in (select w.row_key from {name} w where w.vehicles = 1 and exists (select 1 from raw_gps p
            where p.device_id = '{vehicle}' and p.disposition = 'on_time' and p.event_time < '{cut}' and p.h3_8 = w.h3_8
            and p.event_time >= w.window_start and p.event_time < w.window_start + {length}))"""
    return "false"


def rows(connection, table, but):
    columns = {row[0] for row in connection.execute(f"describe {table}").fetchall()}
    diff = "diff" if "diff" in columns else "1"
    chosen = ", ".join(f'"{column}"::varchar' for column in sorted(columns - {"epoch", "seq", "diff"}))
    where = but(columns)
    return connection.execute(
        f"select {chosen}, sum({diff}) from {table} where not coalesce({where}, false) group by all having sum({diff}) <> 0 order by all"
    ).fetchall()


def main():
    lake, whole, vehicle, cut = sys.argv[1:]
    found, objects, later = scan(lake, vehicle, cut)
    if found:
        raise SystemExit(f"{len(found)} places still name it: {found[:5]}")
    print(f"{objects} objects: none names it, but for {later} later rows")
    left, all_of_it = duckdb.connect(), duckdb.connect()
    for connection, of in [(left, lake), (all_of_it, whole)]:
        connection.execute("SET TimeZone = 'UTC'")
        for table in TABLES:
            view(connection, of, table)
    gone = 0
    for table in TABLES:
        found = rows(left, table, lambda _: "false")
        wanted = rows(all_of_it, table, lambda columns: of_vehicle(table, columns, vehicle, cut))
        before = rows(all_of_it, table, lambda _: "false")
        if found != wanted:
            missing, more = [r for r in wanted if r not in set(found)], [r for r in found if r not in set(wanted)]
            raise SystemExit(f"{table}: {len(found)} rows, {len(wanted)} are to be left of {len(before)}; lacks {missing[:2]}, too many {more[:2]}")
        gone += len(before) - len(wanted)
        print(f"{table}: {len(found)} rows of {len(before)}")
    if gone < 20:
        raise SystemExit(f"only {gone} rows were to go")


main()
lakes.finish()
