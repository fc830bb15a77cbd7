"""A wrong event time changes only the rows of the time it claims (P1).

ahead.py blank LOG OUT          copies a log, with every record that is more than an hour ahead of its log time made a
                                null payload of the same length, so that all offsets stay; prints the least time blanked
ahead.py compare LAKE LAKE TIME the lakes' derived tables differ, and only in rows that reach beyond TIME, in microseconds
"""

import datetime
import json
import pathlib
import re
import sys

import duckdb

from compare import LATEST, TABLES
from lake import Lake

AHEAD = 3_600_000_000
MINUTE = 60_000_000
# Up to when a row looks; a window's length stands in its table's name.
REACHES = {
    "enriched_pings": "epoch_us(event_time)",
    "incident_exposures": f"epoch_us(first_time) + {60 * MINUTE}",
    "incidents": f"greatest(epoch_us(last_time), coalesce(epoch_us(active_time), 0) + {60 * MINUTE})",
}
UNITS = {"m": MINUTE, "h": 60 * MINUTE}
WINDOW = re.compile(r"_(\d+)([mh])$")
for name in set(TABLES) - REACHES.keys() - {"data_quality_15m"}:  # that one goes by log time
    length, unit = WINDOW.search(name).groups()
    REACHES[name] = f"epoch_us(window_start) + {int(length) * UNITS[unit]}"


def claimed(line):
    """The event time of a line that is ahead, or None."""
    try:
        record = json.loads(line)
        time = datetime.datetime.fromisoformat(record["value"]["timestamp"])
        time = time.replace(tzinfo=time.tzinfo or datetime.timezone.utc)
        micros = (time - datetime.datetime.fromtimestamp(0, datetime.timezone.utc)) // datetime.timedelta(microseconds=1)
        return micros if micros > record["ts"] * 1000 + AHEAD else None
    except (ValueError, TypeError, KeyError):
        return None


def blank(log, out):
    least = None
    for path in pathlib.Path(log).rglob("*.jsonl"):
        lines = path.read_bytes().splitlines(keepends=True)
        for number, line in enumerate(lines[1:], start=1):
            time = claimed(line)
            if time is not None:
                least = min(time, least or time)
                empty = b'{"ts": %d, "key": null, "value": null' % json.loads(line)["ts"]
                lines[number] = empty + b" " * (len(line) - len(empty) - 2) + b"}\n"
        target = pathlib.Path(out) / path.relative_to(log)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(b"".join(lines))
    print(least)


def compare(one, other, time):
    differing = 0
    for table, reach in REACHES.items():
        connection = duckdb.connect()
        for name, root in (("one", one), ("other", other)):
            Lake(root).changes(connection, table)
            connection.execute(LATEST)
            connection.execute(f"CREATE TABLE {name} AS SELECT * FROM have")
        both = "((FROM one EXCEPT FROM other) UNION ALL (FROM other EXCEPT FROM one))"
        rows, least = connection.execute(f"SELECT count(*), min({reach}) FROM {both}").fetchone()
        if rows and least < time:
            raise SystemExit(f"{table}: {rows} rows differ, one of which reaches to {least} only")
        print(f"{table}: {rows} rows differ, none before the time claimed")
        differing += rows
    if not differing:
        raise SystemExit("nothing differs: the log has no record ahead")


if __name__ == "__main__":
    if sys.argv[1] == "blank":
        blank(*sys.argv[2:])
    else:
        compare(sys.argv[2], sys.argv[3], int(sys.argv[4]))
