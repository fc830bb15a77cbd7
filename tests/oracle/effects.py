"""Estimates from a lake's tables how much rain and incidents slow vehicles, and compares that with what was configured.

effects.py LAKE TRUTH [--of rain,incident] [--seed N]     TRUTH is from `citystream simulate --truth`; ends with 1 if an effect
                                                          is not recovered

Rain, from `environment_15m`: in each hour, each cell's pings in rain are compared with those on a dry road, so it is the same
roads and much the same vehicles. The cells of London and Birmingham, where vehicles are parked, are left out.

Incidents, from `traffic_5m`: each cell wholly within the reach of an incident is compared with itself, in the windows in which
the incident held it up and in those shortly before and after in which no incident did. From `incidents`: the speed in
the circle of each during it and before it, of those that were reported as soon as they happened and as soon as they were
resolved, on a road of one speed limit (a queue that grows changes how many are where), with no other near.

Each is a ratio of weighted sums over independent pieces (hours of a cell; incidents), and its interval comes from drawing the
pieces again, with replacement. An interval of 99.9 % is to hold what was configured, to be narrow, and not to hold 1 where
that is not what was configured.
"""

import argparse
import json
import math
import random

import duckdb

from compare import LATEST
from lake import Lake

ROUNDS = 4000
OUTSIDE = 0.0005  # on either side: 99.9 %
WIDEST = 0.05  # half of an interval, as a share of the estimate
ENDS, ENDS_M = [(51.5074, -0.1278), (52.4862, -1.8904)], 15_000  # within this of an end vehicles may be parked in a cell
REACH_M, CELL_M = 2_000, 600  # an incident's reach, and more than from a cell's centre to its corners (resolution 8)
AROUND_MS = 45 * 60_000  # how long before and after an incident a cell is compared with itself
PROMPT_MS = 30_000  # of the table `incidents`, those whose first report came this soon
APART_M, APART_MS = 4_000, 17 * 60_000  # and that nothing happened near in the time that is looked at
FEWEST = 10  # comparisons, for an interval to mean anything
CLEARING_MS, WINDOW_MS = 120_000, 300_000


def metres(a, b):
    """Between two (lat, lon), on a flat Earth."""
    east = (b[1] - a[1]) * math.cos(math.radians(a[0]))
    return math.hypot(b[0] - a[0], east) * 111_195


def harmonic(n, m):
    """The weight of a comparison of a mean of n with a mean of m: both must be many."""
    return n * m / (n + m)


def ratio(pieces):
    return sum(piece[0] for piece in pieces) / sum(piece[1] for piece in pieces)


def interval(pieces, rng):
    """The 99.9 % interval of the ratio of sums over pieces (part, whole), by bootstrap."""
    drawn = sorted(ratio(rng.choices(pieces, k=len(pieces))) for _ in range(ROUNDS))
    return drawn[int(ROUNDS * OUTSIDE)], drawn[int(ROUNDS * (1 - OUTSIDE)) - 1]


def rain(connection, _):
    """For each hour of a cell that has both: the weighted speeds in rain and dry."""
    rows = connection.execute("""SELECT lat, lon, sum(pings_rain), sum(pings_rain * speed_rain_kmh), sum(pings_dry),
                                 sum(pings_dry * speed_dry_kmh) FROM have
                                 GROUP BY lat, lon, date_trunc('hour', window_start) ORDER BY ALL""").fetchall()
    both = [row for row in rows if row[2] and row[4] and all(metres(row[:2], end) > ENDS_M for end in ENDS)]
    return [(harmonic(n, m) * wet / n, harmonic(n, m) * dry / m) for _, _, n, wet, m, dry in both]


def overlap(incident, low, high):
    return incident["active_ms"] < high and low < incident["resolved_ms"] + CLEARING_MS


def around(connection, incidents):
    """For each incident: the weighted speeds of its cells while it held them up and shortly before and after."""
    rows = connection.execute("""SELECT lat, lon, epoch_ms(window_start), pings, speed_mean_kmh FROM have
                                 WHERE speed_mean_kmh IS NOT NULL ORDER BY ALL""").fetchall()
    cells = {}
    for lat, lon, start, pings, speed in rows:
        cells.setdefault((lat, lon), []).append((start, pings, speed))
    pieces = {}
    for cell, windows in cells.items():
        near = [(metres((i["lat"], i["lon"]), cell), i) for i in incidents]
        touching = [i for distance, i in near if distance < REACH_M + CELL_M]
        free = [w for w in windows if not any(overlap(i, w[0], w[0] + WINDOW_MS) for i in touching)]
        for incident in [i for distance, i in near if distance < REACH_M - CELL_M]:
            active, resolved = incident["active_ms"], incident["resolved_ms"]
            held_up = [w for w in windows if active <= w[0] and w[0] + WINDOW_MS <= resolved]
            others = [w for w in free if active - AROUND_MS <= w[0] < resolved + AROUND_MS]
            n, m = sum(w[1] for w in held_up), sum(w[1] for w in others)
            if n and m:
                piece = pieces.setdefault(incident["id"], [0, 0])
                piece[0] += harmonic(n, m) * sum(w[1] * w[2] for w in held_up) / n
                piece[1] += harmonic(n, m) * sum(w[1] * w[2] for w in others) / m
    return list(pieces.values())


def alone(incidents):
    """The incidents that have no other near."""
    def near(a, b):
        together = overlap(b, a["active_ms"] - APART_MS, a["resolved_ms"] + CLEARING_MS)
        return a is not b and together and metres((a["lat"], a["lon"]), (b["lat"], b["lon"])) < APART_M
    return {a["id"]: a for a in incidents if not any(near(a, b) for b in incidents)}


def reported(connection, incidents):
    """For each incident that was reported at once: the weighted speeds in its circle during it and before it."""
    rows = connection.execute("""SELECT incident_id, epoch_ms(active_time),
                                 epoch_ms(least(resolved_time, active_time + INTERVAL 60 MINUTE)), pings_during,
                                 speed_during_kmh, pings_before, speed_before_kmh,
                                 (SELECT count(DISTINCT limit_kmh) FROM limits AS l
                                  WHERE abs(l.lat - have.lat) < 0.0136 AND abs(l.lon - have.lon) < 0.0222) AS limits
                                 FROM have WHERE pings_during > 0 AND pings_before > 0 ORDER BY ALL""").fetchall()
    known, pieces = alone(incidents), []
    for incident, active, end, n, during, m, before, limits in rows:
        if incident in known and limits == 1 and is_prompt(known[incident], active, end):
            pieces.append((harmonic(n, m) * during, harmonic(n, m) * before))
    return pieces


def is_prompt(incident, active, end):
    """Whether the table's times of an incident are its own: it holds up the road from the first to the last of them."""
    return active - incident["active_ms"] <= PROMPT_MS and end <= incident["resolved_ms"] + CLEARING_MS


ESTIMATES = [("environment_15m", "rain", rain), ("traffic_5m", "incident", around), ("incidents", "incident", reported)]


def check(table, effect, pieces, configured, rng):
    """Whether an effect is recovered; says so."""
    what = f"{effect}, by {table}"
    if len(pieces) < FEWEST:
        print(f"WRONG {what}: only {len(pieces)} comparisons")
        return False
    low, high = interval(pieces, rng)
    estimate = ratio(pieces)
    holds = low <= configured <= high and high - low <= 2 * WIDEST * estimate and (configured == 1 or not low <= 1 <= high)
    print(f"{'ok' if holds else 'WRONG'} {what}: {estimate:.4f} in {low:.4f} .. {high:.4f} (99.9 %, {len(pieces)} comparisons), "
          f"configured {configured}")
    return holds


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("lake")
    arguments.add_argument("truth")
    arguments.add_argument("--of", default="rain,incident")
    arguments.add_argument("--seed", type=int, default=1)
    arguments = arguments.parse_args()
    print(f"seed {arguments.seed}")
    rng = random.Random(arguments.seed)
    with open(arguments.truth, encoding="utf-8") as file:
        truth = json.load(file)
    lake, connection, holds = Lake(arguments.lake), duckdb.connect(), []
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("""CREATE TABLE limits AS SELECT DISTINCT round(lat, 3) AS lat, round(lon, 3) AS lon,
                          free_flow_speed_kmh AS limit_kmh FROM read_parquet($files, hive_partitioning = false)""",
                       {"files": lake.files["raw_traffic"]})
    for table, effect, estimate in ESTIMATES:
        if effect in arguments.of.split(",") and lake.changes(connection, table):
            connection.execute(LATEST)
            pieces = estimate(connection, truth["incidents"])
            holds.append(check(table, effect, pieces, truth["options"]["effects"][effect], rng))
    raise SystemExit(not (holds and all(holds)))


if __name__ == "__main__":
    main()
