"""What can be wrong with a record, or odd about it: every reason of a dead letter, and values that no column holds."""

import json

ODD = {  # fields with values that are read: as null, as text, or at the edge of what is allowed
    "vehicle": {"fuelLevel": [0, 100, -1, 101, 1e-7], "odometer": [0, 1e8, -3], "fuelType": ["Coal"], "year": [1, 2020.5]},
    "gps": {"speed": [-1, 1000, 1000.1, 0.999999, 1, 1e-9, 0.5e-6], "direction": ["Up", "north east"], "vehicleType": [""]},
    "traffic": {"trafficLevel": ["JAM", "light"], "currentSpeed": [0, -1, 1e-6], "freeFlowSpeed": [0.5, 1, 2000],
                "confidence": [7], "roadClosure": [None], "source": ["Live", "dead"]},
    "weather": {"weatherCondition": ["", "Frogs", "rain"], "precipitation": [1e-9, -1], "temperature": [-100, -0.0000005],
                "humidity": [50.5, 120], "airQualityIndex": [-1, 0], "visibility": [1e6, 1e7], "source": ["satellite"]},
    "emergency": {"status": ["Closed", "None"], "type": ["Alien", "None"], "severity": ["Huge"], "hasIncident": [None, True],
                  "incidentId": ["", "incident/1", None, "Zwölf 'n'"], "source": [""]},
}
BROKEN = [  # fields that make a dead letter
    {"id": None}, {"id": ""}, {"deviceId": None}, {"deviceId": 7}, {"timestamp": None}, {"timestamp": "NaN"},
    {"timestamp": "yesterday"}, {"timestamp": "1969-12-31T23:59:59"}, {"timestamp": "2031-01-01T00:00:00"},
    {"timestamp": 1780272000},
]
PLACES = [None, "nan, nan", "(NaN, 0.5)", "91,0", "0,-180.5", "here", "", 5]
LINES = [b"", b"no json", b"\0\0\0\0\1magic", b"\xff\xfe", b'{"ts": 1.5, "value": {}}', b'{"value": NaN}', b"[1]"]


def spoilt(rng, topic, record):
    """The record with something odd or broken about it: a dict, JSON text, or a whole line."""
    where = "coordinates" if topic == "gps" else "location"
    draw = rng.random()
    if draw < 0.5:
        name = rng.choice(sorted(ODD[topic]))
        return record | {name: rng.choice(ODD[topic][name]), "unheard": {"of": [1]}}
    if draw < 0.6:
        return record | {"timestamp": rng.choice([f"{record['timestamp']}Z", f"{record['timestamp']}+00:00"])}
    if draw < 0.75:
        return record | rng.choice(BROKEN)
    if draw < 0.85:
        return record | {where: rng.choice(PLACES)}
    if draw < 0.9:
        text = json.dumps(record | {"description": 0, "speed": "x"})
        return rng.choice(["null", "[]", "7", '"text"', text, text.replace('"x"', '"NaN"'), text.replace('"x"', "1e999")])
    if draw < 0.91:
        return record | {"description": "x" * (256 << 10)}
    return rng.choice(LINES)
