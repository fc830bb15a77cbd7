"""Compares topics with a directory of JSON lines, as they stand: keys, timestamps and values, partition by partition.

same_log.py BROKERS LOG TOPIC...     the topics in the order vehicle, gps, traffic, weather, emergency; LOG is a directory as
                                     `citystream simulate --to dir:LOG` makes it; ends with 1 if anything differs
"""

import pathlib
import re
import sys

from confluent_kafka import Consumer, TopicPartition

FOLDERS = ["vehicle_data", "gps_data", "traffic_data", "weather_data", "emergency_data"]
LINE = re.compile(rb'\{"ts":(\d+),"key":"([^"]*)","value":(.*)\}')


def lines(path):
    """What a partition of the directory holds."""
    for line in path.read_bytes().splitlines()[1:]:
        ts, key, value = LINE.fullmatch(line).groups()
        yield int(ts), key, value


def messages(consumer, topic, partition):
    """What a partition of the topic holds."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=30)
    consumer.assign([TopicPartition(topic, partition, low)])
    found = []
    while len(found) < high - low:
        # It waits for as many as it is asked for.
        for message in consumer.consume(min(1000, high - low - len(found)), timeout=30):
            if message.error():
                raise SystemExit(message.error())
            found.append((message.timestamp()[1], message.key(), message.value()))
    return found


def main():
    brokers, log, *topics = sys.argv[1:]
    consumer = Consumer({"bootstrap.servers": brokers, "group.id": "same-log", "enable.auto.commit": False})
    compared = 0
    for topic, folder in zip(topics, FOLDERS, strict=True):
        for path in sorted(pathlib.Path(log, folder).glob("*.jsonl")):
            here, there = list(lines(path)), messages(consumer, topic, int(path.stem))
            if here != there:
                first = next((n for n, (a, b) in enumerate(zip(here, there)) if a != b), min(len(here), len(there)))
                raise SystemExit(f"{folder} {path.stem}: {len(here)} lines, {len(there)} messages; the first that differs is {first}")
            compared += len(here)
    consumer.close()
    print(f"ok {compared} records are the same")
    raise SystemExit(compared == 0)


main()
