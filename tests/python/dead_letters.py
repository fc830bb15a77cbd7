"""The dead letters of a lake as JSON: topic, partition, offset, reason, payload as hex, by offset."""

import json
import sys

import lakes

rows = lakes.table(sys.argv[1], "dead_letters").to_pyarrow_table().to_pylist()
rows.sort(key=lambda row: (row["topic"], row["partition"], row["offset"]))
print(json.dumps([
    {
        "topic": row["topic"],
        "partition": row["partition"],
        "offset": row["offset"],
        "reason": row["reason"],
        "payload": None if row["payload"] is None else row["payload"].hex(),
    }
    for row in rows
]))
lakes.finish()
