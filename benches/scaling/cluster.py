"""One run of a cluster, from its start to its end, and what it took."""
import ctypes
import os
import pathlib
import select
import shutil
import signal
import subprocess
import tempfile
import time

import lake
import load

PR_SET_PDEATHSIG = 1


class Failed(Exception):
    """A run that did not end well."""


def prepare(group):
    """What a process does before it becomes citystream: it enters its group, and dies with the benchmark."""
    libc = ctypes.CDLL(None)

    def enter():
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if group:
            (group / "cgroup.procs").write_text("0", encoding="utf-8")

    return enter


def wait(processes, seconds):
    """What each process used, once all have ended well."""
    usages, poll, until = {}, select.poll(), time.monotonic() + seconds
    numbers = {os.pidfd_open(process.pid): index for index, process in enumerate(processes)}
    try:
        for number in numbers:
            poll.register(number, select.POLLIN)
        while len(usages) < len(processes):
            ready = poll.poll(max(0, until - time.monotonic()) * 1000)
            if not ready:
                raise Failed(f"the run did not end within {seconds} s")
            for number, _ in ready:
                poll.unregister(number)
                index = numbers[number]
                _, status, usages[index] = os.wait4(processes[index].pid, 0)
                processes[index].returncode = os.waitstatus_to_exitcode(status)
                if status:
                    raise Failed(f"process {index} ended with {processes[index].returncode}")
    finally:
        for number in numbers:
            os.close(number)
    return [usages[index] for index in range(len(processes))]


def kill(processes):
    """Ends those that have not ended."""
    for process in processes:
        if process.returncode is None:
            process.kill()
            process.wait()


class Cluster:
    """Hosts, and how citystream runs on them."""

    def __init__(self, network, groups, options):
        self.network, self.groups, self.options = network, groups, options

    def run(self, program, tables, count, source):
        """A whole run on so many hosts: seconds, bytes, counts."""
        place = pathlib.Path(tempfile.mkdtemp(prefix="run-", dir=self.options.directory))
        try:
            return self.measured(place, program, tables, count, source)
        except Failed as why:
            said = {file.stem: file.read_text(errors="replace")[-600:] for file in sorted(place.glob("*.stderr"))}
            raise Failed("\n".join([str(why), *(f"process {name}: {text}" for name, text in said.items() if text)])) from None
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def command(self, place, program, tables, count, source):
        """What each host runs, in this folder."""
        (place / "hosts.txt").write_text("\n".join(self.network.addresses(count)), encoding="utf-8")
        return [program, "run", f"--processes={count}", f"--workers={self.options.workers}", "--hostfile=hosts.txt", "--lake=lake",
                f"--tables={tables}", "--listen=none", "--quiet", *source, *self.options.flag]

    def measured(self, place, program, tables, count, source):
        command = [*self.command(place, program, tables, count, source), "--until-drained"]
        traffic, others, began = self.network.traffic(), load.others(self.options.broker_pid), time.monotonic()
        processes = []
        try:
            for index in range(count):
                processes.append(self.start(place, command, index))
            usages = wait(processes, self.options.timeout)
        finally:
            kill(processes)
        wall = time.monotonic() - began
        cpu = [usage.ru_utime + usage.ru_stime for usage in usages]
        sent = traffic and [after - before for before, after in zip(traffic, self.network.traffic())]
        return {
            "wall": wall,
            "user": sum(usage.ru_utime for usage in usages),
            "system": sum(usage.ru_stime for usage in usages),
            "cpu": sum(cpu),
            "skew": max(cpu) * count / sum(cpu),
            "peak": max(usage.ru_maxrss for usage in usages) / 1024,
            "bytes": sent and sent[0],
            "packets": sent and sent[1],
            "others": max(0.0, load.others(self.options.broker_pid) - others) / (wall * os.cpu_count()),
            **lake.counts(place / "lake"),
        }

    def start(self, place, command, index):
        """Starts a process of the cluster. It has no settings but the flags and a secret, and no part in the terminal's signals."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CITYSTREAM_")}
        # As a variable: a program that is compared may be of a release without a secret.
        environment["CITYSTREAM_CLUSTER_SECRET"] = "a secret of simulated hosts"
        prefix = self.network.command(index)
        with (place / f"{index:02}.stderr").open("wb") as errors:
            return subprocess.Popen([*prefix, *command, f"--process={index}"], cwd=place, env=environment, stdin=subprocess.DEVNULL,
                                    stdout=subprocess.DEVNULL, stderr=errors, start_new_session=True,
                                    preexec_fn=prepare(self.groups and self.groups[index]))
