"""Runs the queries of docs/questions.md over a lake, and holds some answers against others found another way.

questions.py LAKE SQL QUESTIONS     SQL: a file with what `citystream lake sql` prints; ends with 1 at what is not right
"""

import json
import math
import pathlib
import re
import sys

import duckdb

BLOCK = re.compile(r"^### (\d+)\. (.*?)$.*?^```sql\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COUNT, SHOWN = 20, 3
NEAR_M, EARTH_M = 1500, 6_371_008.8


def questions(path):
    """Number -> (question, query), of the queries for DuckDB."""
    found = {int(n): (question, sql) for n, question, sql in BLOCK.findall(pathlib.Path(path).read_text())}
    assert list(found) == list(range(1, COUNT + 1)), list(found)
    return found


def metres(lat, lon, other_lat, other_lon):
    """Haversine."""
    half_lat, half_lon = math.radians(other_lat - lat) / 2, math.radians(other_lon - lon) / 2
    h = math.sin(half_lat) ** 2 + math.cos(math.radians(lat)) * math.cos(math.radians(other_lat)) * math.sin(half_lon) ** 2
    return 2 * EARTH_M * math.asin(min(1, math.sqrt(h)))


def rows(connection, sql):
    """Times as microseconds."""
    result = connection.execute(f"SELECT * FROM ({sql})")
    shown = [f'epoch_us("{name}") AS "{name}"' if str(kind).startswith("TIMESTAMP") else f'"{name}"'
             for name, kind, *_ in result.description]
    names = [name for name, *_ in result.description]
    return [dict(zip(names, row)) for row in connection.execute(f"SELECT {', '.join(shown)} FROM ({sql})").fetchall()]


def passers(connection, incident):
    """Vehicle -> pings near the life of an incident, by the raw pings alone."""
    lat, lon, since, until = connection.execute(
        """SELECT lat, lon, epoch_us(active_time), epoch_us(least(resolved_time, active_time + INTERVAL 60 MINUTE))
           FROM incidents_now WHERE incident_id = ? ORDER BY exposed_vehicles DESC NULLS LAST LIMIT 1""", [incident]).fetchone()
    pings = connection.execute("""SELECT device_id, lat, lon FROM raw_gps WHERE disposition = 'on_time'
                                  AND epoch_us(event_time) >= ? AND epoch_us(event_time) < ?""", [since, until]).fetchall()
    counts = {}
    for vehicle, *place in pings:
        if metres(lat, lon, *place) <= NEAR_M:
            counts[vehicle] = counts.get(vehicle, 0) + 1
    return counts


def ledgers(lake):
    """Topic -> counts, by the commits themselves; and the last horizon, in microseconds."""
    total, horizon = {}, None
    for path in sorted((pathlib.Path(lake) / "commits").glob("*.json")):
        commit = json.loads(path.read_bytes())
        horizon = commit["horizon"]
        for topic, counts in commit["ledger"].items():
            into = total.setdefault(topic, {})
            for what in ("read", "on_time", "late", "duplicate", "dead"):
                into[what] = into.get(what, 0) + counts[what]
    return total, horizon


def hold(what, is_, want):
    if is_ != want:
        raise SystemExit(f"{what}: {is_}, not {want}")
    print(f"ok {what}")


def compare(connection, lake, answers):
    """Answers against others that were found without the tables they come from."""
    total, horizon = ledgers(lake)
    passing = {row["vehicle_id"]: row["pings"] for row in answers[14]}
    incident = answers[14][0]["incident_id"]
    hold("14, by haversines of the raw pings", passing, passers(connection, incident))
    exposed = connection.execute("SELECT max(exposed_vehicles) FROM incidents_now WHERE incident_id = ?", [incident]).fetchone()[0]
    hold("14, by exposed_vehicles", len(passing), exposed)
    share = {row["topic"]: [row["records"], row["late_pct"], row["duplicate_pct"], row["dead_pct"]] for row in answers[17]}
    by_commits = {t: [n["read"], *(round(100 * n[w] / n["read"], 2) for w in ("late", "duplicate", "dead"))]
                  for t, n in total.items()}
    hold("17, by the ledgers of the commits", share, by_commits)
    hold("19, by the ledgers of the commits", sum(row["records"] for row in answers[19]), sum(n["dead"] for n in total.values()))
    last = answers[20][0]
    hold("20, by the last commit", [last["horizon"], last["records"]],
         [horizon, sum(n["read"] for n in total.values())])
    places = connection.execute("""SELECT device_id, epoch_us(max(event_time)) FROM raw_gps WHERE disposition = 'on_time'
                                   GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 20""").fetchall()
    hold("8, by the raw pings", [(row["vehicle_id"], row["last_time"]) for row in answers[8]], places)
    delays = connection.execute("SELECT max(floor(epoch(log_time - event_time) + 0.5)) FROM raw_gps").fetchone()[0]
    hold("18, by the raw pings", {row["topic"]: row["max_s"] for row in answers[18]}["gps"], delays)


def main():
    lake, views, path = sys.argv[1:]
    connection, answers = duckdb.connect(config={"autoinstall_known_extensions": "false"}), {}
    for statement in filter(str.strip, pathlib.Path(views).read_text().split(";\n")):
        connection.execute(statement).fetchall()
    for number, (question, sql) in questions(path).items():
        answers[number] = rows(connection, sql)
        print(f"{number}. {question} {len(answers[number])} rows", *answers[number][:SHOWN], sep="\n   ")
        if not answers[number]:
            raise SystemExit(f"{number}: no row")
        for name in answers[number][0]:
            if all(row[name] is None for row in answers[number]):
                raise SystemExit(f"{number}: {name} is null in every row")
    compare(connection, lake, answers)


if __name__ == "__main__":
    main()
