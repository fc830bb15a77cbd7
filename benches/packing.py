#!/usr/bin/env python3
"""What packing makes of a log that comes in many small commits, and what it costs: the simulated city, sent faster than time,
read by runs that commit often, with --compact auto and off in turn.

    python3 benches/packing.py [--span 2h] [--time-scale 20] [--commit-interval 100ms] [--epoch 25ms] [--vehicles 750] [--start TIME]

Two hours at 20 times real time, committed each 100 ms, are 3,600 commits in six minutes, each of some 170 records. The demo sends 60
times as many: two hours of it are `--span 120h --time-scale 1440 --commit-interval 80ms --epoch 20ms --start 2026-06-01T00:00:00Z`, 36
million records in five minutes, for which 30 GB have to be free. Each pass prints its commits; how long one takes, from its proposal
to its being durable (bounds of the metric's buckets); CPU seconds up to there; the most live files a table had. Then it waits until
for a minute nothing more is packed, and prints how long that took, the live files, their mean size by date, and the bytes written for one that is live.
"""
import argparse
import collections
import json
import os
import pathlib
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

from compare import cpu_of, program

LISTEN = "127.0.0.1:19317"


def quantile(metrics, part):
    """The bound of the bucket that a quantile of the commits is in, in ms."""
    buckets = re.findall(r'citystream_commit_seconds_bucket\{le="([^"]+)"\} (\d+)', metrics)
    total = int(buckets[-1][1])
    return next(float(bound) * 1000 for bound, count in buckets if int(count) >= part * total)


def status(binary, lake):
    """Live files and bytes by table."""
    return json.loads(subprocess.run([binary, "lake", "status", "--json", "--lake", lake], capture_output=True, check=True).stdout)


def metrics():
    """The page of metrics."""
    with urllib.request.urlopen(f"http://{LISTEN}/metrics", timeout=5) as page:
        return page.read().decode()


def settle(binary, lake):
    """Waits until the number of files has not changed for a minute; when it last did."""
    files, changed = None, time.monotonic()
    while time.monotonic() < changed + 60:
        time.sleep(5)
        now = sum(of["files"] for of in status(binary, lake)["tables"].values())
        files, changed = now, changed if now == files else time.monotonic()
    return changed


def written(lake):
    """The files of all commits: bytes by how often they were packed, and what is live by table and date."""
    total, live = collections.Counter(), {}
    for path in sorted(pathlib.Path(lake, "commits").glob("*.json")):
        commit = json.loads(path.read_bytes())
        for of in commit.get("removed", {}).values():
            for file in of:
                live.pop(file["path"], None)
        for table, of in commit["added"].items():
            for file in of:
                total[file.get("level", 0)] += file["bytes"]
                live[file["path"]] = (table, file["date"], file["bytes"])
    return total, live.values()


def one(binary, args, compact, folder):
    """A pass."""
    log, lake = folder / "log", folder / f"lake-{compact}"
    for topic in ("vehicle_data", "gps_data", "traffic_data", "weather_data", "emergency_data"):
        (log / topic).mkdir(parents=True)
    send = [binary, "simulate", "--to", f"dir:{log}", "--span", args.span, "--vehicles", args.vehicles,
            "--time-scale", args.time_scale, "--start", args.start, "--late", "0.01"]
    simulator = subprocess.Popen(send, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    run = subprocess.Popen(
        [binary, "run", "--source", f"dir:{log}", "--lake", lake, "--commit-interval", args.commit_interval,
         "--publish-interval", args.commit_interval, "--epoch", args.epoch, "--compact", compact, "--listen", LISTEN],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    most = collections.Counter()
    while simulator.poll() is None:
        time.sleep(10)
        if (lake / "commits").exists():
            most |= collections.Counter({name: of["files"] for name, of in status(binary, lake)["tables"].items()})
    time.sleep(5)
    told, ended, cpu = metrics(), time.monotonic(), cpu_of(run.pid)
    settled = settle(binary, lake) - ended
    run.send_signal(signal.SIGINT)
    code = run.wait()
    if code != 0:
        raise SystemExit(f"the run ended with {code}")
    total, live = written(lake)
    sizes = collections.defaultdict(list)
    for table, date, size in live:
        sizes[(table, date)].append(size)
    now = status(binary, lake)
    kept = sum(size for _, _, size in live)

    def ratio(size):
        return f"{size / kept:.2f}"

    print(f"{compact}: {now['seq'] + 1} commits of p50 {quantile(told, 0.5):g} ms, p99 {quantile(told, 0.99):g} ms; "
          f"{cpu:.0f} s of CPU; at most {max(most.values())} live files a table; "
          f"{settled:.0f} s later nothing more is packed for a minute; "
          f"{ratio(total.total())} bytes written for one that is live: by level "
          f"{', '.join(ratio(total[level]) for level in sorted(total))}", flush=True)
    for (table, date), of in sorted(sizes.items()):
        print(f"    {table} {date}: {len(of)} files of {sum(of) / len(of) / 1e6:.2f} MB", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--span", default="2h")
    parser.add_argument("--time-scale", default="20")
    parser.add_argument("--commit-interval", default="100ms")
    parser.add_argument("--epoch", default="25ms")
    parser.add_argument("--vehicles", default="750")
    parser.add_argument("--start", default="2026-06-01T23:00:00Z")
    parser.add_argument("--compact", default="auto,off")
    args = parser.parse_args()
    binary = program()
    for compact in args.compact.split(","):
        with tempfile.TemporaryDirectory() as folder:
            one(binary, args, compact, pathlib.Path(folder))


if __name__ == "__main__":
    main()
