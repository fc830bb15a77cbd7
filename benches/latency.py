#!/usr/bin/env python3
"""From when a ping is due, and sent, to the frame that shows it: an open loop on a real Kafka, beside a load.

    python3 benches/latency.py BROKERS [--load 0.25] [--seconds 60] [--epoch 100ms] [--workers 2] [--canvas CHROMIUM]

First all that is there is read once, which gives the most that this machine can do; the load is a share of that, a simulated city in real
time. Every 20 ms a vehicle of its own reports from a place where nobody else is; a subscriber watches that place. The topics are made, and
filled. With `--canvas` a browser shows that place, too, and it is told when each vehicle is drawn (no more than 2,000, above which the page
shows cells). Needs confluent-kafka, and for the browser what `.ci/page` installs.
"""
import argparse
import functools
import http.client
import json
import math
import os
import shutil
import socket
import subprocess
import tempfile
import threading
import time

from compare import program
from confluent_kafka import Producer

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
FILLED = 2_000_000
EVERY = 0.02
MOST = 2000
STEP = 2  # seconds between two reports of a vehicle of the load, of five records each
PATIENCE = 60  # seconds for the last to be seen
PLACE = "60.0,10.0"
BOX = "9.9,59.9,10.1,60.1"


binary = functools.cache(program)


def citystream(*words):
    return subprocess.Popen([binary(), *map(str, words)], stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT)


def done(*words):
    began = time.monotonic()
    process = citystream(*words)
    if process.wait() != 0:
        raise SystemExit(f"citystream {' '.join(map(str, words))} ended with {process.returncode}")
    return time.monotonic() - began


def fresh_port():
    with socket.socket() as any_port:
        any_port.bind(("127.0.0.1", 0))
        return any_port.getsockname()[1]


def frames(port, seen, ready):
    """Notes when each vehicle of the box was seen first."""
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", f"/api/views/vehicles/changes?bbox={BOX}")
    answer = connection.getresponse()
    while line := answer.readline():
        ready.set()
        if line.startswith(b"data:"):
            now = time.monotonic()
            for vehicle in json.loads(line[5:])["views"].get("vehicles", {}):
                seen.setdefault(vehicle, now)


def canvas(chromium, port):
    """A page of the box in a browser, once it follows."""
    folder = os.path.join(ROOT, "target/page")
    os.makedirs(folder, exist_ok=True)
    shutil.copy(os.path.join(ROOT, "benches/canvas.mjs"), folder)
    page = subprocess.Popen(["node", "canvas.mjs", str(port), chromium, BOX], cwd=folder, text=True,
                            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if page.stdout.readline() != "ready\n":
        raise SystemExit("the page did not come up: .ci/page installs what it needs")
    return page


def drawn(page):
    """When each vehicle was drawn, by this process's clock."""
    shift = time.time() - time.monotonic()
    return {vehicle: at - shift for vehicle, at in json.loads(page.communicate("\n")[0]).items()}


def probe(brokers, topic, seconds):
    """Sends pings at fixed times, whatever becomes of them; when each was due."""
    producer = Producer({"bootstrap.servers": brokers, "linger.ms": 0})
    sent, begin = {}, time.monotonic()
    for n in range(int(seconds / EVERY)):
        due = begin + n * EVERY
        time.sleep(max(due - time.monotonic(), 0))
        value = {"id": f"probe-{begin}-{n}", "deviceId": f"probe-{n}", "coordinates": PLACE, "speed": 30.0,
                 "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())}
        producer.produce(topic, json.dumps(value).encode(), partition=0)
        producer.poll(0)
        sent[f"probe-{n}"] = due
    producer.flush()
    return sent


def serve(port):
    """Waits until the views are there."""
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", "/api/views")
            if connection.getresponse().status == 200:
                return
        except OSError:
            pass
        time.sleep(0.1)


def measured(args, folder):
    """The most a run can do, the load, when each ping was due, and when it was seen."""
    topics = {name: f"latency-{int(time.time())}-{name}" for name in ("vehicle", "gps", "traffic", "weather", "emergency")}
    named = [word for name, topic in topics.items() for word in (f"--{name}-topic", topic)]
    kafka = ["--bootstrap-servers", args.brokers, *named]
    done("topics", "create", "--simulated", *kafka)
    done("simulate", *kafka, "--records", FILLED, "--vehicles", 2000, "-q")
    reading = ["run", *kafka, "-w", args.workers, "--epoch", args.epoch, "--live", "on", "-q"]
    most = FILLED / done(*reading, "--lake", os.path.join(folder, "all"), "--until-drained", "--listen", "none")
    rate = args.load * most
    port = fresh_port()
    run = citystream(*reading, "--lake", os.path.join(folder, "lake"), "--from", "latest", "--listen", f"127.0.0.1:{port}")
    load = page = None
    try:
        serve(port)
        load = citystream("simulate", *kafka, "--vehicles", int(rate * STEP / 5), "--step", f"{STEP}s", "--time-scale", 1, "-q")
        seen, ready = {}, threading.Event()
        threading.Thread(target=frames, args=(port, seen, ready), daemon=True).start()
        ready.wait()
        page = canvas(args.canvas, port) if args.canvas else None
        time.sleep(10)
        sent = probe(args.brokers, topics["gps"], args.seconds)
        until = time.monotonic() + PATIENCE
        while len(seen) < len(sent) and time.monotonic() < until:
            time.sleep(0.1)
        time.sleep(5 if page else 0)
        shown = {"frame": seen, "canvas": drawn(page)} if page else {"frame": seen}
    finally:
        for process in filter(None, (page, load, run)):
            process.terminate()
            process.wait()
    return most, rate, sent, shown


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("brokers")
    parser.add_argument("--load", type=float, default=0.25)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--epoch", default="100ms")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--canvas", metavar="CHROMIUM")
    args = parser.parse_args()
    if args.canvas and args.seconds / EVERY > MOST:
        parser.error(f"with --canvas no more than --seconds {MOST * EVERY:.0f}: the page shows no more than {MOST} vehicles")
    with tempfile.TemporaryDirectory() as folder:
        most, rate, sent, shown = measured(args, folder)
    print(f"at most {most:,.0f} records/s; load {rate:,.0f} records/s, {args.workers} workers, epochs of {args.epoch}")
    for where, seen in shown.items():
        took = sorted((seen.get(vehicle, math.inf) - due) * 1000 for vehicle, due in sent.items())
        at = lambda share: took[min(int(share * len(took)), len(took) - 1)]
        print(f"{len(sent)} pings, {took.count(math.inf)} not seen; ms from when one was due to the {where}: "
              f"p50 {at(0.5):.0f}, p99 {at(0.99):.0f}, max {took[-1]:.0f}")


if __name__ == "__main__":
    main()
