#!/usr/bin/env python3
"""The pipeline against the roofline program, on the same topics: alternating runs, the median of their ratios.

    cargo bench --bench fill -- BROKERS 3000000             for the raw tables; or for all tables the simulated city:
    citystream topics create --simulated && citystream simulate --vehicles 2000 --records 3000000
    python3 benches/compare.py BROKERS [--tables raw|all] [--workers 1] [--runs 5] [--broker-pid PID] [--at-least 0.85]
                               [--prefix PREFIX]

The roofline writes the raw tables alone, whatever the pipeline makes.

Both are measured as whole processes, from start to exit: the pipeline's claim, recovery, last commit and Delta logs
count against it. Exits with 1 if the median ratio is below --at-least.
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
import time


def roofline():
    """The path of the roofline program, built if need be."""
    command = ["cargo", "bench", "--bench", "roofline", "--no-run", "--profile", "release", "--message-format=json"]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "roofline"][0]


def program():
    """The path of citystream, built if need be."""
    command = ["cargo", "build", "--release", "--bin", "citystream", "--message-format=json"]
    built = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    messages = [json.loads(line) for line in built.splitlines() if line.startswith("{")]
    return [m["executable"] for m in messages if m.get("executable") and m["target"]["name"] == "citystream"][0]


def cpu_of(pid):
    """CPU seconds of a process so far."""
    if not pid:
        return 0.0
    fields = open(f"/proc/{pid}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def timed(command, broker):
    """Wall seconds, CPU seconds and peak memory of a command, and the broker's CPU seconds meanwhile."""
    before, began = cpu_of(broker), time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status != 0:
        raise SystemExit(f"{command[0]} ended with status {status}")
    wall = time.monotonic() - began
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024, cpu_of(broker) - before


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("brokers")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--broker-pid", type=int)
    parser.add_argument("--at-least", type=float, default=0.0)
    parser.add_argument("--prefix", default="")
    parser.add_argument("--tables", default="raw")
    given = parser.parse_args()
    loop, pipeline, ratios = roofline(), program(), []
    topics = [f"--{t}-topic={given.prefix}{t}_data" for t in ("vehicle", "gps", "traffic", "weather", "emergency")]
    for run in range(given.runs):
        place = tempfile.mkdtemp()
        try:
            bound = timed([loop, given.brokers, f"{place}/loop", str(given.workers), given.prefix], given.broker_pid)
            ours = timed([pipeline, "run", f"--bootstrap-servers={given.brokers}", f"--lake={place}/lake", *topics,
                          f"--tables={given.tables}", f"--workers={given.workers}", "--until-drained", "--listen=none"], given.broker_pid)
        finally:
            shutil.rmtree(place)
        ratios.append(bound[0] / ours[0])
        for name, (wall, cpu, peak, broker) in (("roofline", bound), ("pipeline", ours)):
            print(f"run {run + 1}  {name}  {wall:6.2f} s  cpu {cpu:6.2f} s  peak {peak:5.0f} MiB  broker cpu {broker:5.2f} s")
        print(f"run {run + 1}  ratio {ratios[-1]:.3f}", flush=True)
    median = statistics.median(ratios)
    print(f"{given.workers} workers: median ratio {median:.3f}, {min(ratios):.3f} to {max(ratios):.3f}")
    raise SystemExit(0 if median >= given.at_least else 1)


if __name__ == "__main__":
    main()
