"""What a cluster costs that has nothing to do: CPU, and bytes between its processes."""
import pathlib
import signal
import tempfile
import time

import load
from cluster import Failed, kill, wait
from logs import TOPICS

SETTLE = 15  # seconds until all have met, and epochs are as long as they get


def empty(folder):
    """A log of all topics in which nothing has arrived yet."""
    for number, topic in enumerate(TOPICS):
        place = folder / "empty" / f"{topic}_data"
        place.mkdir(parents=True, exist_ok=True)
        (place / "0.jsonl").write_text(f'{{"topic_id": "{number:032x}"}}\n', encoding="utf-8")
    return folder / "empty"


def idle(cluster, program, count, seconds):
    """Cores that all processes use together, and bytes and packets a second between them."""
    with tempfile.TemporaryDirectory(prefix="idle-", dir=cluster.options.directory) as folder:
        place = pathlib.Path(folder)
        command = cluster.command(place, program, "all", count, [f"--source=dir:{empty(place)}"])
        processes = []
        try:
            processes += (cluster.start(place, command, index) for index in range(count))
            time.sleep(SETTLE)
            if any(process.poll() is not None for process in processes):
                raise Failed("a process has ended")
            before, sent, began = sum(load.of(process.pid) for process in processes), cluster.network.traffic(), time.monotonic()
            time.sleep(seconds)
            passed = time.monotonic() - began
            used = sum(load.of(process.pid) for process in processes) - before
            traffic = sent and [(now - then) / passed for then, now in zip(sent, cluster.network.traffic())]
            for process in processes:
                process.send_signal(signal.SIGTERM)
            wait(processes, 60)
        finally:
            kill(processes)
    return used / passed, traffic


def report(cluster, binaries, counts, seconds):
    """Prints a line for each binary and number of processes."""
    for count in counts:
        for name, program in binaries.items():
            cores, traffic = idle(cluster, program, count, seconds)
            sent = f", {traffic[0] / 1e3:,.1f} kB and {traffic[1]:,.0f} packets a second between them" if traffic else ""
            print(f"{name}, {count} idle processes: {cores:.1%} of a core in all{sent}", flush=True)
