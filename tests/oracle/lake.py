"""A lake's tables in DuckDB, from its commits and Parquet files alone.

`load` makes a table of each raw table, and `cells` (cell, lat, lon), and checks the H3 columns of the raw tables against
the `h3` package. `changes` makes a view of a change log.
"""

import json
import pathlib

import h3.api.basic_int as h3
import pyarrow

SAMPLE = 20_000  # positions a table and resolution whose cell is checked
ROW = ("topic VARCHAR, partition INTEGER, \"offset\" BIGINT, key VARCHAR, log_time TIMESTAMPTZ, event_time TIMESTAMPTZ, "
       "epoch BIGINT, seq BIGINT, disposition VARCHAR, quality_window TIMESTAMPTZ")
RECORD = f"id VARCHAR, device_id VARCHAR, lat DOUBLE, lon DOUBLE, source VARCHAR, {ROW}"
RAW = {  # the columns that the definitions are about
    "raw_vehicle": f"{RECORD}, fuel_level_pct DOUBLE, odometer_km DOUBLE",
    "raw_gps": f"{RECORD}, speed_kmh DOUBLE",
    "raw_traffic": f"{RECORD}, traffic_level VARCHAR, current_speed_kmh DOUBLE, free_flow_speed_kmh DOUBLE, "
                   "road_closure BOOLEAN",
    "raw_weather": f"{RECORD}, weather_condition VARCHAR, temperature_c DOUBLE, precipitation_mm DOUBLE, "
                   "wind_speed_ms DOUBLE, humidity_pct INTEGER, air_quality_index DOUBLE, pressure_hpa DOUBLE, "
                   "visibility_m DOUBLE",
    "raw_emergency": f"{RECORD}, has_incident BOOLEAN, incident_id VARCHAR, type VARCHAR, status VARCHAR, severity VARCHAR",
    "dead_letters": "topic VARCHAR, partition INTEGER, \"offset\" BIGINT, log_time TIMESTAMPTZ, seq BIGINT, reason VARCHAR, quality_window TIMESTAMPTZ",
}
CELLS = {"raw_gps": (8, 5), "raw_traffic": (8,), "raw_weather": (5,)}


class Lake:
    """The live files by table, of all commits that are there at once."""

    def __init__(self, root):
        self.root = pathlib.Path(root)
        added, removed, self.horizons = {}, {}, []
        for path in sorted((self.root / "commits").glob("*.json")):
            commit = json.loads(path.read_bytes())
            self.horizons.append((commit["seq"], commit["horizon"]))
            for table, files in commit["added"].items():
                added.setdefault(table, []).extend(file["path"] for file in files)
            for table, files in commit["removed"].items():
                removed.setdefault(table, set()).update(file["path"] for file in files)
        if not added:
            raise SystemExit(f"{root} is no lake with data")
        self.files = {t: [str(self.root / p) for p in paths if p not in removed.get(t, ())] for t, paths in added.items()}

    def load(self, connection):
        """Makes the raw tables; the complaints about their H3 columns."""
        complaints = []
        for table, columns in RAW.items():
            complaints += self._load_table(connection, table, columns)
        cells = " UNION ".join(f"SELECT h3_{r} FROM {table}" for table, rs in CELLS.items() for r in rs)
        cells = [cell for (cell,) in connection.execute(cells).fetchall() if cell and h3.is_valid_cell(cell)]
        centres = [h3.cell_to_latlng(cell) for cell in cells]
        store(connection, "cells", pyarrow.table({
            "cell": pyarrow.array(cells, pyarrow.int64()),
            "lat": pyarrow.array([lat for lat, _ in centres], pyarrow.float64()),
            "lon": pyarrow.array([lon for _, lon in centres], pyarrow.float64()),
        }))
        return complaints

    def _load_table(self, connection, table, columns):
        files = self.files.get(table)
        resolutions = CELLS.get(table, ())
        if not files:
            cells = "".join(f", h3_{r} BIGINT" for r in resolutions)
            connection.execute(f"CREATE TABLE {table} ({columns}{cells})")
            return []
        read = "read_parquet($files, hive_partitioning = false)"
        names = [column.split()[0] for column in columns.split(", ")] + [f"h3_{r}" for r in resolutions]
        connection.execute(f"CREATE TABLE {table} AS SELECT {', '.join(names)} FROM {read}", {"files": files})
        return [complaint for r in resolutions for complaint in wrong_cells(connection, table, r)]

    def changes(self, connection, table):
        """A view `changes` of a change log; whether the lake has one."""
        return self.rows(connection, f"{table}_changes", "changes")

    def rows(self, connection, table, name):
        """A table `name` of the rows of a table's files; whether the lake has any."""
        files = self.files.get(table)
        if files:
            store(connection, "its_files", pyarrow.table({"path": files}))
            connection.execute("SET VARIABLE its_files = (SELECT list(path) FROM its_files)")
            connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS "
                               "SELECT * FROM read_parquet(getvariable('its_files'), hive_partitioning = false)")
        return bool(files)


def store(connection, name, table):
    connection.register("passing", table)
    connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM passing")
    connection.unregister("passing")


def wrong_cells(connection, table, resolution):
    """What is wrong with a sample of the cells in a raw table."""
    rows = connection.execute(
        f"SELECT DISTINCT lat, lon, h3_{resolution} FROM {table} ORDER BY hash(lat, lon) LIMIT {SAMPLE}").fetchall()
    wrong = [(lat, lon, cell, right) for lat, lon, cell in rows if (right := h3.latlng_to_cell(lat, lon, resolution)) != cell]
    return [f"{table}.h3_{resolution} of ({lat}, {lon}): {cell}, but it is {right}" for lat, lon, cell, right in wrong[:5]]
