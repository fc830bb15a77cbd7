#!/usr/bin/env python3
"""How long a start takes that has many pings in reach: a log of pings is read into a lake, then a second run starts,
rebuilds what is in reach, finds nothing new and ends.

    python3 benches/recovery.py [--pings 10000000] [--history 24] [--workers 2] [--runs 3] [--at-most 20]

The pings in reach are spread over the last 27 minutes of the log, 5 % of the devices run 12 hours ahead, and before
them lie `--history` hours with a ping a second. Prints the wall time of each start from its beginning to its end, its
CPU time and its peak memory. Exits with 1 if the median is above --at-most seconds.
"""
import argparse
import os
import pathlib
import random
import statistics
import subprocess
import sys
import tempfile

from compare import program, timed

PARTITIONS = 4
END = 1_795_428_930_000_000  # 2026-11-23T10:15:30Z
HOUR, SECOND = 3_600_000_000, 1_000_000
AHEAD = 12 * HOUR


def stamp(micros):
    """Micros of that day as ISO 8601; the days before and after are all that is needed."""
    day, rest = divmod(micros, 24 * HOUR)
    second, micro = divmod(rest, SECOND)
    date = {20779: "2026-11-22", 20780: "2026-11-23", 20781: "2026-11-24"}[day]
    return f"{date}T{second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}.{micro:06}"


def times(pings, history):
    """Event times in order: the history, then what is in reach."""
    reach = 27 * 60 * SECOND
    yield from range(END - reach - history * HOUR, END - reach, SECOND)
    yield from (END - reach + reach * number // pings for number in range(pings))


def write(folder, pings, history):
    """The log; the other topics are empty."""
    rng = random.Random(1)
    for topic in ("vehicle_data", "gps_data", "traffic_data", "weather_data", "emergency_data"):
        (folder / topic).mkdir(parents=True)
    header = f'{{"topic_id": "{rng.getrandbits(128):032x}"}}\n'
    files = [(folder / "gps_data" / f"{p}.jsonl").open("w", buffering=1 << 20) for p in range(PARTITIONS)]
    for file in files:
        file.write(header)
    for number, time in enumerate(times(pings, history)):
        device = rng.randrange(2000)
        event = time + AHEAD if device % 20 == 0 else time
        lat, lon = 51.4 + rng.random() * 1.2, -1.9 + rng.random() * 1.8
        files[device % PARTITIONS].write(
            f'{{"ts":{time // 1000},"key":"{number}","value":{{"id":"{number:032x}","deviceId":"vehicle-{device:05}",'
            f'"timestamp":"{stamp(event)}","speed":{rng.randrange(7000) / 100},"coordinates":"{lat:.6f},{lon:.6f}"}}}}\n')
    for file in files:
        file.close()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--pings", type=int, default=10_000_000)
    parser.add_argument("--history", type=int, default=24)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--at-most", type=float, default=float("inf"))
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        write(folder / "log", given.pings, given.history)
        run = [program(), "run", f"--source=dir:{folder}/log", f"--lake={folder}/lake", "--until-drained", "--listen=none",
               f"--workers={given.workers}"]
        wall, cpu, peak, _ = timed(run, None)
        size = sum(file.stat().st_size for file in (folder / "lake").rglob("*.parquet"))
        print(f"read: {wall:.1f} s, cpu {cpu:.1f} s, peak {peak:.0f} MiB; the lake has {size >> 20} MiB", flush=True)
        walls = []
        for _ in range(given.runs):
            wall, cpu, peak, _ = timed(run, None)
            walls.append(wall)
            print(f"start: {wall:.2f} s, cpu {cpu:.1f} s, peak {peak:.0f} MiB", flush=True)
    median = statistics.median(walls)
    print(f"{given.pings} pings in reach, {given.workers} workers: median {median:.2f} s")
    sys.exit(0 if median <= given.at_most else 1)


if __name__ == "__main__":
    os.environ.setdefault("CITYSTREAM_LOG", "error")
    main()
