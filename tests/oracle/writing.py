"""The directory format of logs: `<dir>/<topic>/<partition>.jsonl`, a header, then a line a record.

What a file already holds is not written again: a log that is made again, longer, grows.
"""

import json

PARTITIONS = 2


class Log:
    """Files of all partitions of all topics, to append to."""

    def __init__(self, directory, topics, rng):
        self.files, self.lines = {}, 0
        for topic in topics:
            (directory / topic).mkdir(parents=True, exist_ok=True)
            header = json.dumps({"topic_id": f"{rng.getrandbits(128):032x}"}).encode() + b"\n"
            for partition in range(PARTITIONS):
                self.files[topic, partition] = PartitionFile(directory / topic / f"{partition}.jsonl", header)

    def append(self, ts_ms, topic, partition, key, value):
        """A value is a dict, JSON text, or bytes that stand for the whole line."""
        if not isinstance(value, bytes):
            text = value if isinstance(value, str) else json.dumps(value)
            value = f'{{"ts": {ts_ms}, "key": {json.dumps(key)}, "value": {text}}}'.encode()
        self.files[topic, partition].write(value + b"\n")
        self.lines += 1

    def close(self):
        for partition in self.files.values():
            partition.file.close()


class PartitionFile:
    """One file, of which the first `there` bytes were written before."""

    def __init__(self, path, header):
        if path.exists() and not path.read_bytes().startswith(header):
            raise SystemExit(f"{path} is of another log")
        self.file = path.open("ab")
        self.there, self.at = self.file.tell(), 0
        self.write(header)

    def write(self, line):
        if self.at >= self.there:
            self.file.write(line)
        self.at += len(line)
