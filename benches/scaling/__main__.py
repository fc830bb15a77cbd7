#!/usr/bin/env python3
"""Scaling across workers, on simulated hosts: each process in a CPU cgroup of its own, all with the same quota, so that one
machine shows what more hosts bring. It needs root for the cgroups.

It shows growth of CPU, messages, skew, barriers and bandwidth. It shows neither caches nor memory bandwidth, network cards or
parallel disks: all hosts have the same.
"""
import collections
import contextlib
import json
import os
import pathlib
import platform
import shutil
import signal
import subprocess
import sys
import tempfile

import groups
import idle
import network
from check import check
from cluster import Cluster, Failed
from logs import TOPICS, Logs
from options import options
from plot import svg
from report import LEGEND, Point, changes, rows, table

ATTEMPTS = 3  # for each run that is wanted, where others use the machine


def points(given, scaling, tables):
    """What is measured for a kind of scaling; weak scaling ends where strong scaling does."""
    for count in given.processes:
        records = None if given.kafka else given.records if scaling == "strong" else given.records * count // given.processes[-1]
        yield from (Point(binary, tables, count, records) for binary in given.binaries)


def source(given, logs, point):
    """Where a point's records come from, as flags."""
    if given.kafka:
        return [f"--bootstrap-servers={given.kafka}", *(f"--{topic}-topic={given.prefix}{topic}_data" for topic in TOPICS)]
    return [f"--source=dir:{logs.of(point.records)}"]


def measure(given, cluster, wanted, kept):
    """Fills `kept` with the runs of each point, all points in turn, without those where others used the machine."""
    logs = Logs(next(iter(given.binaries.values())), given.directory, given.vehicles, given.partitions)
    sources = {point: source(given, logs, point) for point in wanted}
    thrown = collections.Counter()
    for _ in range(given.runs * ATTEMPTS):
        for point in [point for point in wanted if len(kept[point]) < given.runs]:
            run = cluster.run(given.binaries[point.binary], point.tables, point.count, sources[point])
            if point.records not in (None, run["records"]):
                raise Failed(f"{run['records']} of {point.records} records are in the lake")
            quiet = run["others"] <= given.other_load
            if quiet:
                kept[point].append(run)
            thrown[point] += not quiet
            print(f"{point.binary}, {point.tables} tables, n={point.count}, {run['records']:,} records: {run['wall']:.1f} s, "
                  f"CPU {run['cpu']:.1f} s, others {run['others']:.1%}{'' if quiet else ': thrown away'}", file=sys.stderr, flush=True)
    if sum(thrown.values()):
        print(f"{sum(thrown.values())} runs were thrown away: others used more than {given.other_load:.0%} of the machine")
    missing = [point for point in wanted if len(kept[point]) < given.runs]
    if missing:
        print(f"{len(missing)} of {len(wanted)} points have fewer runs than wanted: too much other load (--other-load)")


def conditions(given):
    """On what it was measured, as two lines."""
    hosts = "real cores" if given.real else "hosts of {:g} core ({:,} of every {:,} us)".format(given.quota, *groups.share(given.quota))
    link = f", links of {given.network}" if given.network else ""
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.release()}"
    log = f"the simulated city in directories, {given.vehicles:,} vehicles, {given.partitions} partitions a topic"
    return f"{hosts}{link}, workers a process: {given.workers}; machine: {machine}", f"Kafka at {given.kafka}" if given.kafka else log


def versions(given):
    """What each binary says that it is."""
    for name, path in given.binaries.items():
        said = subprocess.run([path, "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout
        yield f"{name}: {', '.join(said.splitlines()[:2])}"


def report(given, kept):
    """Prints the tables, writes what is wanted; whether the counts are within their limits."""
    about = conditions(given)
    print(*about, *versions(given), sep="\n")
    kinds = [(scaling, tables) for scaling in given.scaling for tables in given.tables]
    found = {kind: rows(list(points(given, *kind)), kept, given.quota) for kind in kinds}
    found = {kind: each for kind, each in found.items() if each}
    for (scaling, tables), each in found.items():
        sizes = sorted({row["records"] for row in each})
        print(f"\n{scaling} scaling, {tables} tables: {' to '.join(f'{size:,.0f}' for size in sizes[:1] + sizes[1:][-1:])} records")
        print(table(each), *changes(each), sep="\n")
    print(f"\n{LEGEND}")
    if given.json:
        runs = [{"binary": point.binary, "tables": point.tables, "count": point.count, **run} for point, each in kept.items() for run in each]
        tables = [{"scaling": scaling, "rows": each} for (scaling, _), each in found.items()]
        pathlib.Path(given.json).write_text(json.dumps({"conditions": about, "tables": tables, "runs": runs}, indent=1), encoding="utf-8")
    if given.plot and found:
        pathlib.Path(given.plot).write_text(svg(found, about[0]), encoding="utf-8")
    return not given.check or check([row for each in found.values() for row in each])


def hosts(given, undo):
    """The groups of simulated hosts; counts can be checked without."""
    try:
        return undo.enter_context(groups.groups(given.processes[-1], given.quota))
    except (groups.Unavailable, OSError) as why:
        if not given.check:
            raise
        print(f"scaling: on real cores: {why}", file=sys.stderr)
        return None


def interrupted(number, _frame):
    """The first signal ends the benchmark in order; what it cleans up then no other one cuts short."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt(number)


def main():
    given = options(__doc__)
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, interrupted)
    code, kept = 0, collections.defaultdict(list)
    wanted = list(dict.fromkeys(point for scaling in given.scaling for tables in given.tables for point in points(given, scaling, tables)))
    with contextlib.ExitStack() as undo:
        try:
            if not given.directory:
                given.directory = tempfile.mkdtemp(prefix="citystream-scaling-")
                undo.callback(shutil.rmtree, given.directory, True)
            pathlib.Path(given.directory).mkdir(parents=True, exist_ok=True)
            given.directory = os.path.abspath(given.directory)
            net = network.network(given.processes[-1], given.network, given.real, given.kafka)
            quotas = None if given.real else hosts(given, undo)
            cluster = Cluster(net, quotas, given)
            if given.idle:
                idle.report(cluster, given.binaries, given.processes, given.idle)
            else:
                measure(given, cluster, wanted, kept)
        except KeyboardInterrupt as signalled:
            print("scaling: interrupted", file=sys.stderr)
            code = 128 + signalled.args[0]
        except (Failed, groups.Unavailable, OSError, subprocess.CalledProcessError) as why:
            print(f"scaling: {why}", file=sys.stderr)
            code = 1
    if any(kept.values()) and not report(given, kept):
        code = 1
    sys.exit(code)


if __name__ == "__main__":
    main()
