"""Reads every record of a log with the schema of the original producer's consumers, and what has been added since.

wire_format.py LOG     LOG is a directory as `citystream simulate --to dir:LOG` makes it, without malformed records

Types are explicit, and a field that the schema does not have is an error, so a missing, renamed or mistyped field is found.
"""

import io
import pathlib
import re
import sys

import pyarrow
import pyarrow.json

TEXT, DOUBLE, INTEGER, FLAG, TIME = pyarrow.string(), pyarrow.float64(), pyarrow.int32(), pyarrow.bool_(), pyarrow.timestamp("us")
COMMON = {"id": TEXT, "deviceId": TEXT, "timestamp": TIME, "source": TEXT}
PLACED = COMMON | {"location": TEXT}
SCHEMAS = {
    "vehicle_data": PLACED | {
        "speed": DOUBLE, "direction": TEXT, "make": TEXT, "model": TEXT, "year": INTEGER, "fuelType": TEXT,
        "fuelLevel": DOUBLE, "engineStatus": TEXT, "odometer": DOUBLE},
    "gps_data": COMMON | {"speed": DOUBLE, "direction": TEXT, "vehicleType": TEXT, "coordinates": TEXT},
    "traffic_data": PLACED | {
        "cameraId": TEXT, "snapshot": TEXT, "trafficLevel": TEXT, "currentSpeed": DOUBLE, "freeFlowSpeed": DOUBLE,
        "confidence": DOUBLE, "roadClosure": FLAG},
    "weather_data": PLACED | {
        "temperature": DOUBLE, "weatherCondition": TEXT, "precipitation": DOUBLE, "windSpeed": DOUBLE, "humidity": INTEGER,
        "airQualityIndex": DOUBLE, "pressure": DOUBLE, "visibility": DOUBLE},
    "emergency_data": PLACED | {
        "hasIncident": FLAG, "incidentId": TEXT, "type": TEXT, "status": TEXT, "description": TEXT, "nearbyServices": INTEGER,
        "serviceTypes": pyarrow.list_(TEXT), "severity": TEXT, "responseTime": DOUBLE},
}
OPTIONAL = {"incidentId", "nearbyServices", "serviceTypes", "severity", "responseTime"}  # there where an incident is
WORDS = {
    "engineStatus": {"Running", "Idle", "Off"}, "fuelType": {"Petrol", "Diesel", "Hybrid", "Electric"},
    "trafficLevel": {"LIGHT", "MODERATE", "HEAVY"}, "type": {"Accident", "Medical", "Fire", "Police", "None"},
    "status": {"Active", "Responding", "Resolved", "None"}, "severity": {"Low", "Medium", "High", None},
    "source": {"live", "cached", "synthetic"},
    "direction": {"North", "North-East", "East", "South-East", "South", "South-West", "West", "North-West"},
}
PLACES = {"location": r"\(-?\d+\.\d+, -?\d+\.\d+\)", "coordinates": r"-?\d+\.\d+,-?\d+\.\d+"}


def records(folder):
    """The values of all lines of a topic, as they stand."""
    for path in sorted(folder.glob("*.jsonl")):
        for line in path.read_bytes().splitlines()[1:]:
            yield line[line.index(b',"value":') + len(b',"value":'):-1]


def read(folder, fields):
    """The records as a table, or an error."""
    text = b"\n".join(records(folder))
    options = pyarrow.json.ParseOptions(explicit_schema=pyarrow.schema(fields.items()), unexpected_field_behavior="error")
    return pyarrow.json.read_json(io.BytesIO(text), parse_options=options)


def check(topic, table):
    """What is wrong with a topic's records."""
    for name in SCHEMAS[topic].keys() - OPTIONAL:
        if table[name].null_count:
            yield f"{topic}: {table[name].null_count} records without {name}"
    for name, words in WORDS.items():
        if name in table.column_names and (odd := set(table[name].unique().to_pylist()) - words):
            yield f"{topic}: {name} is {odd}"
    for name, pattern in PLACES.items():
        if name in table.column_names and (odd := [p for p in table[name].to_pylist() if not re.fullmatch(pattern, p)]):
            yield f"{topic}: {name} is {odd[:3]}"
    if topic == "emergency_data":
        for name in OPTIONAL:
            there = [value is not None for value in table[name].to_pylist()]
            if there != table["hasIncident"].to_pylist():
                yield f"{topic}: {name} is not there just where an incident is"


def main():
    root, complaints = pathlib.Path(sys.argv[1]), []
    for topic, fields in SCHEMAS.items():
        table = read(root / topic, fields)
        complaints += check(topic, table)
        print(f"{topic}: {table.num_rows} records")
        if not table.num_rows:
            complaints.append(f"{topic}: no records")
    print(*complaints, sep="\n")
    raise SystemExit(bool(complaints))


if __name__ == "__main__":
    main()
