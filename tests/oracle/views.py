"""Compares the live views of a run with SQL over the raw tables of its lake.

views.py LAKE FILE [FILE ...]     a lake in a directory, and files, each of one of these:
    DEFINITIONS.json   the answer of /api/standing: what the standing views of the files after it ask
    SNAPSHOT.json      an answer of /api/views/vehicles,cells,incidents,clusters,worst,.. of a run that has read and committed all
    CHANGES.sse        what /api/views/vehicles,cells,incidents,clusters,worst,../changes has sent: compared at some commits

A standing view has those rows of a built-in one that its condition says, which stands here once more, in SQL. What a view keeps of the past (`since` of a level, and with it
the head and the tail of a cluster) depends on how epochs cut the log, and is no function of the lake: it is left out.
"""

import json
import math
import os
import pathlib
import sys
from datetime import UTC, datetime, timedelta

import duckdb
import h3.api.basic_str as h3

from lake import RAW, Lake

EPOCH = datetime.fromtimestamp(0, UTC)
HERE = pathlib.Path(__file__).parent
MOST = 70 if "CITYSTREAM_FULL" in os.environ else 8  # commits of a stream at which views are compared
FLOOR = "(SELECT floor_to(horizon, 60000000::BIGINT) FROM rest)"
VEHICLES = f"""SELECT device_id, epoch_us(event_time), partition, "offset", round(lon, 6), round(lat, 6), round(q(speed_kmh) / 1e5) / 10,
    printf('%x', h3_8) FROM raw_gps WHERE disposition = 'on_time' AND epoch_us(event_time) >= {FLOOR}
    QUALIFY row_number() OVER (PARTITION BY device_id ORDER BY event_time DESC, partition DESC, "offset" DESC) = 1"""
FLOWS = f"""SELECT printf('%x', h3_8), current_speed_kmh, free_flow_speed_kmh, coalesce(road_closure, false) FROM raw_traffic
    WHERE disposition = 'on_time' AND epoch_us(event_time) >= {FLOOR}
    QUALIFY row_number() OVER (PARTITION BY h3_8 ORDER BY event_time DESC, partition DESC, "offset" DESC) = 1"""
INCIDENTS = f"""SELECT incident, first_t, type, severity, responding.t, last_t, statuses FROM lives()
    WHERE resolved IS NULL AND least(last_t + 6::BIGINT * 3600000000, first_t + 24::BIGINT * 3600000000) > {FLOOR}"""


def micros(text):
    return (datetime.fromisoformat(text) - EPOCH) // timedelta(microseconds=1) if text else None


def vehicles(connection, view):
    want = {row[0]: row[1:] for row in connection.execute(VEHICLES).fetchall()}
    time = lambda row: micros(row["time"])
    have = {key: (time(row), *row["source"], *row["at"], row["speed_kmh"], row["cell"]) for key, row in view.items()}
    return want, have


def flows(connection):
    """By cell: level, ratio in thousandths, whether it is closed, speed to a tenth."""
    found = {}
    for cell, current, free, is_closed in connection.execute(FLOWS).fetchall():
        measured = current is not None and free is not None and free > 0
        ratio = 0 if is_closed else round(current * 1e6) * 1000 // round(free * 1e6)
        ratio = ratio if measured else None
        level = "HEAVY" if is_closed or measured and ratio < 500 else "MODERATE" if measured and ratio < 800 else "LIGHT"
        speed = None if current is None else math.floor(round(current * 1e6) / 1e5 + 0.5) / 10
        found[cell] = (level if measured or is_closed else None, ratio, is_closed, speed)
    return found


def cells(connection, view, flows_, vehicles_):
    counts = {}
    for _, _, _, _, _, _, cell in vehicles_.values():
        counts[cell] = counts.get(cell, 0) + 1
    none = (None, None, False, None)
    want = {cell: (counts.get(cell, 0), *flows_.get(cell, none)) for cell in counts.keys() | flows_.keys()}
    share = lambda ratio: None if ratio is None else round(ratio * 1000)
    have = {cell: (row["vehicles"], row["level"], share(row["ratio"]), row["closed"], row["speed_kmh"]) for cell, row in view.items()}
    return want, have


def incidents(connection, view):
    want = {(row[0], row[1]): row[2:] for row in connection.execute(INCIDENTS).fetchall()}
    time = lambda row, name: micros(row[name])
    have = {(row["incident"], time(row, "since")): (row["kind"], row["severity"], time(row, "responded"), time(row, "last"), row["statuses"])
            for row in view.values()}
    return want, have


def clusters(view, flows_):
    """The sets of congested cells that touch, by their least cell."""
    left = {cell for cell, (level, *_) in flows_.items() if level in ("MODERATE", "HEAVY")}
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
    ranked = sorted((ratio, int(cell, 16), *more) for cell, (_, ratio, *more) in flows_.items() if ratio is not None)[:20]
    want = {str(rank): (f"{cell:x}", ratio, *more) for rank, (ratio, cell, *more) in enumerate(ranked, 1)}
    return want, {rank: (row["cell"], round(row["ratio"] * 1000), row["closed"], row["speed_kmh"]) for rank, row in view.items()}


# Whether a place is within the polygon of the table `edges`, lower ends first: by the parity of the edges to its east.
WITHIN = """(SELECT count(*) % 2 = 1 FROM edges WHERE y1 <= q(lat) AND q(lat) < y2
    AND (x2 - x1) * (q(lat) - y1) - (y2 - y1) * (q(lon) - x1) > 0)"""


def edges(connection, polygon):
    millionths = lambda ring: [(round(lon * 1e6), round(lat * 1e6)) for lon, lat in ring]
    pairs = [pair for ring in polygon["coordinates"] for pair in zip(millionths(ring), millionths(ring)[1:])]
    rows = [(*min(pair, key=lambda it: it[1]), *max(pair, key=lambda it: it[1])) for pair in pairs if pair[0][1] != pair[1][1]]
    connection.execute("CREATE OR REPLACE TEMP TABLE edges (x1 HUGEINT, y1 HUGEINT, x2 HUGEINT, y2 HUGEINT)")
    connection.execute("INSERT INTO edges SELECT unnest($1), unnest($2), unnest($3), unnest($4)", [list(column) for column in zip(*rows)])


def materialise(connection):
    """What standing views choose from, once for all of them."""
    ping = "SELECT device_id, lat, lon, speed_kmh FROM raw_gps"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE latest AS {ping} {VEHICLES[VEHICLES.index('WHERE'):]}")
    life = "SELECT incident, first_t, place.lat AS lat, place.lon AS lon FROM lives()"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE open_lives AS {life} {INCIDENTS[INCIDENTS.index('WHERE'):]}")


def asked_for(connection, asks, flows_, of_clusters):
    """The built-in view that a definition is about, and the keys that it asks for."""
    keys = lambda sql, *values: {row[0] for row in connection.execute(sql, values).fetchall()}
    match asks:
        case {"kind": "vehicles", "ids": ids}:
            return "vehicles", keys("SELECT device_id FROM latest WHERE list_contains($1, device_id)", ids)
        case {"kind": "vehicles", "speed_above_kmh": kmh}:
            return "vehicles", keys("SELECT device_id FROM latest WHERE q(speed_kmh) > q($1)", kmh)
        case {"kind": "vehicles", "area": area}:
            edges(connection, area)
            return "vehicles", keys(f"SELECT device_id FROM latest WHERE {WITHIN}")
        case {"kind": "incidents", "area": area}:
            edges(connection, area)
            shown = connection.execute(f"SELECT incident, first_t FROM open_lives WHERE {WITHIN}").fetchall()
            return "incidents", set(shown)
        case {"kind": "cells", "ratio_below": share}:
            return "cells", {cell for cell, (_, ratio, *_) in flows_.items() if ratio is not None and ratio < round(share * 1000)}
        case {"kind": "worst", "k": k}:
            return "worst", {str(rank) for rank in range(1, 1 + min(k, len([1 for _, ratio, *_ in flows_.values() if ratio is not None])))}
        case {"kind": "clusters", "cells_at_least": least}:
            return "clusters", {cell for cell, count in of_clusters.items() if count >= least}


def standing(connection, name, asks, views, flows_, of_clusters):
    """What a standing view should hold, as rows of the built-in one, and what it holds."""
    about, keys = asked_for(connection, asks, flows_, of_clusters)
    named = lambda row: (row["incident"], micros(row["since"])) if about == "incidents" else None
    want = {key: row for key, row in views[about].items() if (named(row) or key) in keys}
    if len(want) != len(keys):
        print(f"{name}: {len(keys)} asked for, and {len(want)} in {about}")
    return want, views[name]


def differing(connection, snapshot, definitions, compared):
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
    of_clusters = pairs["clusters"][0]
    for name, (want, have) in pairs.items():
        compared[name] = compared.get(name, 0) + len(want)
        yield from different(name, want, have)
    materialise(connection)
    for name in views.keys() & definitions.keys():
        want, have = standing(connection, name, definitions[name], views, flows_, of_clusters)
        compared[name] = compared.get(name, 0) + len(want)
        yield from different(name, want, have)


def different(name, want, have):
    if want != have:
        for key in sorted(want.keys() | have.keys(), key=str):
            if want.get(key) != have.get(key):
                yield f"{name} {key}: {have.get(key)}, and not {want.get(key)}"


def until(connection, seq):
    """The raw tables as of a commit."""
    for table in RAW:
        connection.execute(f"CREATE OR REPLACE VIEW {table} AS SELECT * FROM all_{table} WHERE seq <= {int(seq)}")


def frames(path):
    """Views after each frame of a stream."""
    views, kind = {}, None
    for line in path.read_text().splitlines():
        kind = line[7:] if line.startswith("event: ") else kind
        if line.startswith("data: ") and line.endswith("}"):
            frame = json.loads(line[6:])
            for name, rows in frame["views"].items():
                held = {} if kind == "snapshot" else views.get(name, {})
                views[name] = {key: row for key, row in {**held, **rows}.items() if row is not None}
            yield {"epoch": frame["epoch"], "horizon": frame["horizon"], "views": dict(views)}


def at_commits(connection, path, ends, definitions, compared):
    """Compares at up to MOST of the commits whose last epoch a frame is of."""
    ended = [(ends[frame["epoch"]], frame) for frame in frames(path) if frame["epoch"] in ends and frame["horizon"]]
    chosen = ended[::max(1, -(-len(ended) // MOST))]
    for seq, frame in chosen:
        until(connection, seq)
        yield from (f"commit {seq}: {each}" for each in differing(connection, frame, definitions, compared))
    print(f"{path.name}: compared at {len(chosen)} of {len(ended)} commits")
    if not chosen:
        yield f"{path.name}: no frame is of a commit's last epoch, so nothing is compared"


def main():
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    lake = Lake(sys.argv[1])
    lake.load(connection)
    for table in RAW:
        connection.execute(f"ALTER TABLE {table} RENAME TO all_{table}")
    until(connection, 1 << 60)
    connection.execute((HERE / "macros.sql").read_text())
    commits = [json.loads(path.read_bytes()) for path in (lake.root / "commits").glob("*.json")]
    ends = {commit["seq"]: commit["epoch"] for commit in commits if commit["kind"] == "data"}
    # A snapshot a run, in order: epochs after its last commit are the next run's again.
    later = sorted(commit["seq"] for commit in commits if commit["kind"] == "claim")[1:] + [1 << 60]
    found, compared, definitions, runs = [], {}, {}, 0
    for path in map(pathlib.Path, sys.argv[2:]):
        if ".sse" in path.name:
            of_run = {epoch: seq for seq, epoch in ends.items() if seq < later[runs - 1]}
            found += at_commits(connection, path, of_run, definitions, compared)
            continue
        read = json.loads(path.read_text())
        if "views" not in read:
            definitions = read
            continue
        # All that was committed then; a later run may have read more.
        runs += 1
        committed = (seq for seq, epoch in ends.items() if epoch <= read["epoch"] and seq < later[runs - 1])
        until(connection, max(committed, default=0))
        found += differing(connection, read, definitions, compared)
    for name, rows in compared.items():
        print(f"{name}: {rows} rows")
    # What was drawn at random may ask for what never is.
    drawn = {name for name in compared if name.startswith("drawn-")}
    found += [f"{name}: the log has none, so nothing is compared" for name in compared.keys() - drawn if not compared[name]]
    if sum(compared[name] > 0 for name in drawn) * 2 < len(drawn):
        found.append("most views that were drawn have no row")
    print("\n".join(found[:20]) or "all views are what the lake says")
    sys.exit(bool(found))


main()
