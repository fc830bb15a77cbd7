"""A producer that knows citystream only by its wire format: one vehicle from London to Birmingham.

foreign_producer.py BOOTSTRAP STEPS IDS TOPIC...    TOPIC: vehicle, gps, traffic, weather, emergency

Each step makes one record a topic with the same time and place; its key is the record's id. Event time advances 30 to
60 s a step while hardly any time passes, so it runs ahead of the broker's clock. IDS gets lines `table<TAB>id`.
"""

import datetime
import json
import random
import sys
import uuid

from confluent_kafka import Producer

import lakes

BOOTSTRAP, STEPS, IDS, *TOPICS = sys.argv[1:]
START, END = (51.5074, -0.1278), (52.4862, -1.8904)
random.seed(42)
device = str(uuid.uuid4())
now = datetime.datetime.now(datetime.timezone.utc).replace(tzinfo=None)
producer = Producer({"bootstrap.servers": BOOTSTRAP})
lines, failures = [], []


def failed(error, _message):
    if error is not None:
        failures.append(str(error))


def records(time, lat, lon):
    """The five records of a step, in the order of TOPICS."""
    common = lambda: {"id": str(uuid.uuid4()), "deviceId": device, "timestamp": time}
    place = f"({lat}, {lon})"
    speed = random.uniform(5, 30) if lat < 51.8 else random.uniform(40, 70)
    yield {**common(), "location": place, "speed": speed, "direction": "North-West", "make": "BMW", "model": "C500",
           "year": 2024, "fuelType": "Hybrid", "fuelLevel": random.uniform(20, 90), "engineStatus": "Running",
           "odometer": 12000 + lat}
    yield {**common(), "speed": speed, "direction": "North-West", "vehicleType": "private", "coordinates": f"{lat},{lon}"}
    yield {**common(), "cameraId": "UK-CAM-001", "location": place, "snapshot": f"camera_UK-CAM-001_{time}",
           "trafficLevel": random.choice(["LIGHT", "MODERATE", "HEAVY"]), "currentSpeed": speed, "freeFlowSpeed": 96.0,
           "confidence": 0.93, "roadClosure": False}
    yield {**common(), "location": place, "temperature": 7.4, "weatherCondition": random.choice(["Clear", "Rain", "Haze"]),
           "precipitation": 0.0, "windSpeed": 4.1, "humidity": 81, "airQualityIndex": 30.5, "pressure": 1012,
           "visibility": 10000}
    if random.random() < 0.05:
        yield {**common(), "incidentId": str(uuid.uuid4()), "location": place, "hasIncident": True, "type": "Accident",
               "status": "Active", "description": "Accident near the road", "nearbyServices": 2,
               "serviceTypes": ["hospital", "police"], "severity": "High", "responseTime": 7}
    else:
        yield {**common(), "location": place, "hasIncident": False, "type": "None", "status": "None",
               "description": "No incidents reported"}


for step in range(int(STEPS)):
    now += datetime.timedelta(seconds=random.randint(30, 60))
    share = (step % 100) / 100
    lat = START[0] + (END[0] - START[0]) * share + random.uniform(-0.0005, 0.0005)
    lon = START[1] + (END[1] - START[1]) * share + random.uniform(-0.0005, 0.0005)
    tables = ["raw_vehicle", "raw_gps", "raw_traffic", "raw_weather", "raw_emergency"]
    for topic, table, record in zip(TOPICS, tables, records(now.isoformat(), lat, lon)):
        producer.produce(topic, key=record["id"], value=json.dumps(record).encode(), on_delivery=failed)
        lines.append(f"{table}\t{record['id']}\n")
    producer.poll(0)
left = producer.flush(60)
if left or failures:
    raise SystemExit(f"{left} records not sent, {failures[:3]}")
with open(IDS, "w") as file:
    file.writelines(lines)
lakes.finish()
