"""Live views as Arrow: PyArrow, Polars and DuckDB read what the JSON of the same moment says.

arrow_views.py SNAPSHOT FOLDER    SNAPSHOT: all views as JSON; FOLDER: of each view a file <view>.arrows
"""

import json
import pathlib
import sys

import duckdb
import polars
import pyarrow.ipc

KEYS = {
    "vehicles": lambda row: row["vehicle_id"],
    "cells": lambda row: f"{row['h3_8']:x}",
    "incidents": lambda row: (row["incident_id"], row["partition"], row["offset"]),
    "clusters": lambda row: f"{row['h3_8']:x}",
    "worst": lambda row: str(row["rank"]),
}
# Column -> what the JSON calls it.
SAME = {
    "vehicles": {"speed_kmh": "speed_kmh", "bearing_deg": "bearing"},
    "cells": {"vehicles": "vehicles", "speed_ratio": "ratio", "congestion_level": "level", "road_closure": "closed"},
    "incidents": {"incident_type": "kind", "severity": "severity", "statuses": "statuses"},
    "clusters": {"cells": "cells"},
    "worst": {"speed_ratio": "ratio"},
}

snapshot, folder = json.loads(pathlib.Path(sys.argv[1]).read_text()), pathlib.Path(sys.argv[2])
counts = {}
for view, said in snapshot["views"].items():
    path = folder / f"{view}.arrows"
    table = pyarrow.ipc.open_stream(path.read_bytes()).read_all()
    known = {name.decode(): value.decode() for name, value in table.schema.metadata.items()}
    assert int(known["epoch"]) >= snapshot["epoch"] and known["horizon"] == snapshot["horizon"], known
    rows = table.to_pylist()
    if view == "incidents":
        said = {(row["incident"], *row["source"]): row for row in said.values()}
    assert {KEYS[view](row) for row in rows} == set(said), f"{view} has other rows"
    for row in rows:
        expected = said[KEYS[view](row)]
        for column, name in SAME[view].items():
            assert row[column] == expected[name], f"{view}: {row} is not {expected}"
        if view == "vehicles":
            assert [row["lon"], row["lat"]] == expected["at"], f"{row} is not {expected}"
    frame = polars.read_ipc_stream(path)
    assert frame.height == len(rows) and frame.columns == table.column_names, f"Polars reads {frame}"
    assert duckdb.from_arrow(table).aggregate("count(*)").fetchall() == [(len(rows),)]
    counts[view] = len(rows)
assert min(counts[view] for view in ("vehicles", "cells", "worst")) > 0, counts
print(f"Arrow: {counts}")
