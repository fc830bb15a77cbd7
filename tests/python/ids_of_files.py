"""The ids of all records in a directory of JSON lines: lines `table<TAB>id`. Records without an id are left out."""

import json
import pathlib
import sys

TABLES = {
    "vehicle_data": "raw_vehicle",
    "gps_data": "raw_gps",
    "traffic_data": "raw_traffic",
    "weather_data": "raw_weather",
    "emergency_data": "raw_emergency",
}

for path in sorted(pathlib.Path(sys.argv[1]).glob("*/*.jsonl")):
    for line in path.read_bytes().split(b"\n")[1:]:
        try:
            value = json.loads(line)["value"]
            print(TABLES[path.parent.name], value["id"], sep="\t")
        except (ValueError, KeyError, TypeError):
            continue
