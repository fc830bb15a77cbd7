"""Writes a log as a directory of JSON lines, to try the derived tables on: all that a seed decides, and nothing else.

logs.py DIR [--scenario NAME] [--seed N] [--records N] [--stop N]     --stop: only so many lines of it, for now
logs.py --list                                                         the scenarios

Made again in the same directory with a later --stop, a log grows: so a run sees it in parts, and corrects what it said.

Some vehicles drive through a few square kilometres where three H3 cells of resolution 5 meet. Records come in bursts
with gaps of minutes to hours between them, so that some thousand cover all windows, more than a day in all. What a
vehicle meets is reported close by, in place and time; many times are equal, or exactly a window apart.
"""

import argparse
import json
import pathlib
import random
import zlib
from dataclasses import dataclass

from records import City, TOPICS, iso, micros
from writing import Log

START_MS = 1_780_272_000_000  # 2026-06-01T00:00Z
BURSTS = 40
GAPS_S = [1, 60, 300, 599, 900, 1500, 1800, 2400, 3600, 5400, 7200, 10_000, 21_000]
LATENESS_US = 600_000_000
SLOW_MS = 1_200_000


@dataclass(frozen=True)
class Scenario:
    """Shares of records to which something happens, and what else is the case."""

    in_order: bool = False  # event times never go back
    edges: bool = True  # pings exactly a window after a record, or at the start of one
    disorder: float = 0.0  # event time up to 2 min back
    delayed: float = 0.0  # up to the 10 min that are allowed
    late: float = 0.0  # more than that
    duplicates: float = 0.0
    future_devices: int = 0  # their clocks are 12 h ahead
    idle_partition: bool = False  # partition 1 of gps and weather pauses
    stirred: bool = False  # what partition 1 of gps does get then is late or cannot be read
    slow_clock: bool = False  # log and event time of partition 1 of gps are 20 min behind
    microseconds: float = 0.0  # log time in microseconds instead of milliseconds
    silent_topic: bool = False  # no weather for more than an hour
    lead_s: int = 0  # how far event time runs ahead in the end
    one_cell: bool = False
    unruly_incidents: bool = False  # out of order, without id, without end, with later lives
    nasty: float = 0.0  # odd values and records that cannot be read


SCENARIOS = {
    "in_order": Scenario(in_order=True, edges=False),
    "disorder": Scenario(disorder=0.2),
    "delayed": Scenario(delayed=0.05),
    "late": Scenario(late=0.01),
    "duplicates": Scenario(duplicates=0.05),
    "future": Scenario(future_devices=2),
    "idle_partition": Scenario(idle_partition=True),
    "stirred": Scenario(idle_partition=True, stirred=True),
    "slow_clock": Scenario(slow_clock=True, disorder=0.1, late=0.01),
    "microseconds": Scenario(microseconds=0.005),
    "silent_topic": Scenario(silent_topic=True),
    "ahead": Scenario(lead_s=20 * 3600),
    "one_cell": Scenario(one_cell=True),
    "incidents": Scenario(unruly_incidents=True, disorder=0.1),
    "nasty": Scenario(nasty=0.1),
}
SCENARIOS["all"] = Scenario(disorder=0.2, delayed=0.05, late=0.01, duplicates=0.03, future_devices=1, idle_partition=True,
                            silent_topic=True, lead_s=2 * 3600, unruly_incidents=True, nasty=0.04)


def write(directory, scenario, seed, records, stop):
    """Writes the first `stop` lines, or a few more, of a log of `records` lines."""
    rng = random.Random(f"{seed}/{scenario}")
    city = City(rng, scenario, START_MS * 1000)
    log = Log(directory, [f"{topic}_data" for topic in TOPICS], rng)
    now_ms, burst = START_MS, max(1, records // BURSTS)
    recent, silent_until = [], None
    while log.lines < min(records, stop):
        progress = log.lines / records
        now_ms += rng.choice([0, 0, 1, 40, 300, 1000, 1000, 2000, 3000])
        if rng.random() < 1 / burst:
            now_ms += rng.choice(GAPS_S) * 1000
        if scenario.silent_topic and silent_until is None and progress > 0.4:
            silent_until = now_ms + 4_000_000
        event_us = event_time(rng, scenario, now_ms * 1000 + int(scenario.lead_s * max(0, 2 * progress - 1) * 1e6))
        for log_us, topic, key, value in [*city.overdue(now_ms * 1000), *city.step(now_ms * 1000, event_us)]:
            if topic == "weather" and silent_until and now_ms < silent_until:
                continue
            line = (f"{topic}_data", place(rng, scenario, topic, key, progress), key, value)
            log.append(*stamped(rng, scenario, log_us // 1000, line))
            recent = [*recent[-50:], line]
        if scenario.stirred and is_idle(progress):
            stir(rng, log, now_ms)
        if recent and rng.random() < scenario.duplicates:
            log.append(now_ms, *rng.choice(recent))
    log.close()


def stamped(rng, scenario, log_ms, line):
    """Log time and line as they reach the log."""
    topic, partition, key, value = line
    if scenario.slow_clock and (topic, partition) == ("gps_data", 1):
        log_ms -= SLOW_MS
        if isinstance(value, dict):
            value = {**value, "timestamp": iso(micros(value["timestamp"]) - SLOW_MS * 1000)}
    if scenario.microseconds and rng.random() < scenario.microseconds:
        log_ms *= 1000
    return log_ms, topic, partition, key, value


def stir(rng, log, now_ms):
    """Now and then something for the idle partition that moves no row."""
    draw = rng.random()
    if draw < 0.05:
        log.append(now_ms, "gps_data", 1, None, json.dumps("no record"))
    elif draw < 0.1:
        late = iso(now_ms * 1000 - LATENESS_US - rng.randrange(1, 10_800_000_000))
        log.append(now_ms, "gps_data", 1, None, {"id": f"late-{log.lines}", "deviceId": "late", "timestamp": late, "coordinates": "52.0,-0.7"})


def is_idle(progress):
    return 0.3 < progress < 0.9


def event_time(rng, scenario, us):
    """The time that a record carries which reaches the log at `us`, or would if event time did not run ahead."""
    us += rng.randrange(-900, 1)
    draw = rng.random()
    if draw < scenario.late:
        us -= LATENESS_US + rng.choice([1, 1000, 60_000_000, rng.randrange(1, 10_800_000_000)])
    elif draw < scenario.late + scenario.delayed:
        us -= rng.choice([LATENESS_US - 900, rng.randrange(LATENESS_US - 900)])
    elif draw < scenario.late + scenario.delayed + scenario.disorder:
        us -= rng.randrange(120_000_000)
    return us


def place(rng, scenario, topic, key, progress):
    """The partition of a record: mostly its key's; statuses of one incident are in both."""
    if scenario.idle_partition and topic in ("gps", "weather") and is_idle(progress):
        return 0
    if key is None or topic == "emergency" or rng.random() < 0.05:
        return rng.randrange(2)
    return zlib.crc32(key.encode()) % 2


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("directory", type=pathlib.Path, nargs="?")
    arguments.add_argument("--scenario", default="all", choices=SCENARIOS)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--records", type=int, default=5000)
    arguments.add_argument("--stop", type=int)
    arguments.add_argument("--list", action="store_true")
    arguments = arguments.parse_args()
    if arguments.list:
        print(*SCENARIOS, sep="\n")
    elif arguments.directory is None:
        raise SystemExit("logs.py: which directory?")
    else:
        records = arguments.records
        write(arguments.directory, SCENARIOS[arguments.scenario], arguments.seed, records, arguments.stop or records)


if __name__ == "__main__":
    main()
