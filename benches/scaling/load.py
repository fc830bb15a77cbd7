"""How much of the machine others have used meanwhile.

/proc/stat is not enough where hosts are throttled: many kernels count there by ticks, and what runs at the start of each
10 ms meets always the same ticks: one host of 1/8 core then counts as anything from nothing to 1/5. So cgroups are asked,
which count nanoseconds, and /proc/stat only where those show less than the whole machine, and for steal.
"""
import os
import pathlib
import resource

import groups

TICK = os.sysconf("SC_CLK_TCK")


def stat():
    """Seconds of CPU so far: busy, and stolen by the hypervisor."""
    fields = [int(field) / TICK for field in pathlib.Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]]
    user, nice, system, _idle, _wait, irq, softirq, steal = fields[:8]
    return user + nice + system + irq + softirq, steal


def used():
    """Seconds of CPU that all processes have used."""
    old, new = groups.v1("cpuacct"), groups.v2()
    if old and (old / "release_agent").exists():  # the root of the machine, not of a container
        return int((old / "cpuacct.usage").read_text(encoding="utf-8")) / 1e9
    if new and not (new / "cgroup.events").exists():
        return sum(int(file.read_text(encoding="utf-8").split()[1]) for file in new.glob("*/cpu.stat")) / 1e6
    return stat()[0]


def own():
    """Seconds of CPU of this process and of those that it has waited for."""
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def of(pid):
    """Seconds of CPU of a process so far."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICK


def others(broker):
    """Seconds of CPU that others have used, or that were stolen; a broker that is measured with the rest is none of them."""
    return used() - own() + stat()[1] - (of(broker) if broker else 0)
