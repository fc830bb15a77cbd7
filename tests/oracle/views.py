"""Compares the live views of a run at rest with SQL over the raw tables of its lake.

views.py LAKE SNAPSHOT [SNAPSHOT ...]     a lake in a directory, answers of /api/views/vehicles,cells,incidents,clusters,worst

Each snapshot is of a run that has read and committed all there is. What a view keeps of the past (`since` of a level, and with it
the head and the tail of a cluster) depends on how epochs cut the log, and is no function of the lake: it is left out.
"""

import json
import pathlib
import sys

import duckdb
import h3.api.basic_str as h3

from lake import Lake

HERE = pathlib.Path(__file__).parent
FLOOR = "(SELECT floor_to(horizon, 60000000::BIGINT) FROM rest)"
VEHICLES = f"""SELECT device_id, epoch_us(event_time), partition, "offset", round(lon, 6), round(lat, 6), round(q(speed_kmh) / 1e5) / 10,
    printf('%x', h3_8) FROM raw_gps WHERE disposition = 'on_time' AND epoch_us(event_time) >= {FLOOR}
    QUALIFY row_number() OVER (PARTITION BY device_id ORDER BY event_time DESC, partition DESC, "offset" DESC) = 1"""
FLOWS = f"""SELECT printf('%x', h3_8), current_speed_kmh, free_flow_speed_kmh, coalesce(road_closure, false) FROM raw_traffic
    WHERE disposition = 'on_time' AND epoch_us(event_time) >= {FLOOR}
    QUALIFY row_number() OVER (PARTITION BY h3_8 ORDER BY event_time DESC, partition DESC, "offset" DESC) = 1"""
INCIDENTS = f"""SELECT incident, first_t, type, severity, responding.t, last_t, statuses FROM lives()
    WHERE resolved IS NULL AND least(last_t + 6::BIGINT * 3600000000, first_t + 24::BIGINT * 3600000000) > {FLOOR}"""


def micros(connection, text):
    return connection.execute("SELECT epoch_us($1::TIMESTAMPTZ)", [text]).fetchone()[0] if text else None


def vehicles(connection, view):
    want = {row[0]: row[1:] for row in connection.execute(VEHICLES).fetchall()}
    time = lambda row: micros(connection, row["time"])
    have = {key: (time(row), *row["source"], *row["at"], row["speed_kmh"], row["cell"]) for key, row in view.items()}
    return want, have


def flows(connection):
    """Level and ratio in thousandths by cell."""
    found = {}
    for cell, current, free, is_closed in connection.execute(FLOWS).fetchall():
        measured = current is not None and free is not None and free > 0
        ratio = 0 if is_closed else round(current * 1e6) * 1000 // round(free * 1e6)
        ratio = ratio if measured else None
        level = "HEAVY" if is_closed or measured and ratio < 500 else "MODERATE" if measured and ratio < 800 else "LIGHT"
        found[cell] = (level if measured or is_closed else None, ratio, is_closed)
    return found


def cells(connection, view, flows_, vehicles_):
    counts = {}
    for _, _, _, _, _, _, cell in vehicles_.values():
        counts[cell] = counts.get(cell, 0) + 1
    none = (None, None, False)
    want = {cell: (counts.get(cell, 0), *flows_.get(cell, none)) for cell in counts.keys() | flows_.keys()}
    share = lambda ratio: None if ratio is None else round(ratio * 1000)
    have = {cell: (row["vehicles"], row["level"], share(row["ratio"]), row["closed"]) for cell, row in view.items()}
    return want, have


def incidents(connection, view):
    want = {(row[0], row[1]): row[2:] for row in connection.execute(INCIDENTS).fetchall()}
    time = lambda row, name: micros(connection, row[name])
    have = {(row["incident"], time(row, "since")): (row["kind"], row["severity"], time(row, "responded"), time(row, "last"), row["statuses"])
            for row in view.values()}
    return want, have


def clusters(view, flows_):
    """The sets of congested cells that touch, by their least cell."""
    left = {cell for cell, (level, _, _) in flows_.items() if level in ("MODERATE", "HEAVY")}
    want = {}
    while left:
        found, edge = set(), {left.pop()}
        while edge:
            found |= edge
            left -= edge
            edge = {near for cell in edge for near in h3.grid_disk(cell, 1)} & left
        want[min(found, key=lambda cell: int(cell, 16))] = len(found)
    return want, {key: row["cells"] for key, row in view.items()}


def worst(view, flows_):
    ranked = sorted((ratio, int(cell, 16)) for cell, (_, ratio, _) in flows_.items() if ratio is not None)[:20]
    want = {str(rank): (f"{cell:x}", ratio) for rank, (ratio, cell) in enumerate(ranked, 1)}
    return want, {rank: (row["cell"], round(row["ratio"] * 1000)) for rank, row in view.items()}


def differing(connection, snapshot):
    connection.execute("CREATE OR REPLACE TABLE rest AS SELECT epoch_us($1::TIMESTAMPTZ) AS horizon", [snapshot["horizon"]])
    views, flows_ = snapshot["views"], flows(connection)
    of_vehicles = vehicles(connection, views["vehicles"])
    pairs = {
        "vehicles": of_vehicles,
        "cells": cells(connection, views["cells"], flows_, of_vehicles[0]),
        "incidents": incidents(connection, views["incidents"]),
        "clusters": clusters(views["clusters"], flows_),
        "worst": worst(views["worst"], flows_),
    }
    for name, (want, have) in pairs.items():
        print(f"{name}: {len(want)} rows")
        if not want:
            yield f"{name}: the log has none, so nothing is compared"
        for key in sorted(want.keys() | have.keys(), key=str):
            if want.get(key) != have.get(key):
                yield f"{name} {key}: {have.get(key)}, and not {want.get(key)}"


def main():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    Lake(sys.argv[1]).load(connection)
    connection.execute((HERE / "macros.sql").read_text())
    found = []
    for path in sys.argv[2:]:
        found += list(differing(connection, json.loads(pathlib.Path(path).read_text())))
    print("\n".join(found[:20]) or "all views are what the lake says")
    sys.exit(bool(found))


main()
