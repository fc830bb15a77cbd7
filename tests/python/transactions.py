"""A transactional producer, told what to do by lines on standard input; answers each with `done`.

transactions.py BOOTSTRAP TOPIC PARTITION TRANSACTIONAL_ID
begin | send FILE (lines `time_ms<TAB>key<TAB>json`) | flush | commit | abort | quit
"""

import sys

from confluent_kafka import Producer

import lakes

BOOTSTRAP, TOPIC, PARTITION, ID = sys.argv[1:]
producer = Producer({"bootstrap.servers": BOOTSTRAP, "transactional.id": ID, "transaction.timeout.ms": 300000})
producer.init_transactions(60)


def send(path):
    with open(path) as file:
        for line in file:
            time, key, text = line.rstrip("\n").split("\t")
            producer.produce(TOPIC, partition=int(PARTITION), timestamp=int(time), key=key, value=text)


def abort():
    # What is aborted is to be in the log; and the broker refuses the end of a transaction that it has not seen begin.
    producer.flush(60)
    producer.abort_transaction(60)


COMMANDS = {
    "begin": producer.begin_transaction,
    "send": send,
    "flush": lambda: producer.flush(60),
    "commit": lambda: producer.commit_transaction(60),
    "abort": abort,
    "quit": lakes.finish,
}
print("done", flush=True)
for line in sys.stdin:
    word, *rest = line.split()
    COMMANDS[word](*rest)
    print("done", flush=True)
