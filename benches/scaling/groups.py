"""CPU of simulated hosts: a cgroup each, all with the same quota. cgroup v1 and v2."""
import contextlib
import os
import pathlib
import signal
import time

NAME = "citystream-scaling-"  # followed by the id of the process that made it
LEAST = 1000  # microseconds: the kernel takes no quota below


class Unavailable(Exception):
    """This machine, or this user, cannot have simulated hosts."""


def mounts(kind):
    """Mount points of a file system, with their options."""
    for line in pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines():
        left, right = line.split(" - ", 1)
        found, _, options = right.split(" ", 2)
        if found == kind:
            yield pathlib.Path(left.split()[4]), options.split(",")


def v1(controller):
    """Where the hierarchy of a v1 controller is mounted."""
    return next((place for place, options in mounts("cgroup") if controller in options), None)


def v2():
    """Where cgroup v2 is mounted, if CPU is shared out there."""
    found = (place for place, _ in mounts("cgroup2") if "cpu" in (place / "cgroup.controllers").read_text(encoding="utf-8").split())
    return next(found, None)


def share(cores):
    """Quota and period in microseconds: 10 ms, or longer where the quota would be too small."""
    period = max(10_000, round(LEAST / cores))
    return max(LEAST, int(period * cores)), period


def remove(group):
    """Ends what is left in a group and the groups below it, then removes them."""
    for below in [each for each in group.iterdir() if each.is_dir()] if group.is_dir() else []:
        remove(below)
    for _ in range(200):
        try:
            for pid in (group / "cgroup.procs").read_text(encoding="utf-8").split():
                os.kill(int(pid), signal.SIGKILL)
            return group.rmdir()
        except FileNotFoundError:
            return None
        except OSError:  # it is busy until the last of its processes is gone
            time.sleep(0.01)
    raise Unavailable(f"{group} cannot be removed")


def sweep(root):
    """Removes what benchmarks left that were killed. Their processes ended with them; a group that has any is let alone."""
    for group in root.glob(f"{NAME}*"):
        if not pathlib.Path("/proc", group.name.removeprefix(NAME)).exists():
            for each in [*group.glob("*/"), group]:
                with contextlib.suppress(OSError):
                    each.rmdir()


@contextlib.contextmanager
def enabled(group):
    """Lets the groups below a v2 group have CPU quotas; takes that back if it was so."""
    control = group / "cgroup.subtree_control"
    had = "cpu" in control.read_text(encoding="utf-8").split()
    if not had:
        control.write_text("+cpu", encoding="utf-8")
    try:
        yield
    finally:
        if not had:
            with contextlib.suppress(OSError):  # another has come to need it
                control.write_text("-cpu", encoding="utf-8")


@contextlib.contextmanager
def groups(count, cores):
    """The groups of so many hosts with so many cores each; a process that writes 0 to `cgroup.procs` is in."""
    unified = v2()
    root = unified or v1("cpu")
    if not root:
        raise Unavailable("there are no CPU cgroups here (--real needs none)")
    quota, period = share(cores)
    sweep(root)
    own = root / f"{NAME}{os.getpid()}"
    with contextlib.ExitStack() as undo:
        if unified:
            undo.enter_context(enabled(root))
        undo.callback(remove, own)
        own.mkdir()
        # Hosts come before what else runs on the machine.
        (own / ("cpu.weight" if unified else "cpu.shares")).write_text("10000" if unified else "262144", encoding="utf-8")
        if unified:
            (own / "cgroup.subtree_control").write_text("+cpu", encoding="utf-8")
        made = [own / str(index) for index in range(count)]
        for group in made:
            group.mkdir()
            settings = {"cpu.max": f"{quota} {period}"} if unified else {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": quota}
            for name, value in settings.items():
                (group / name).write_text(str(value), encoding="utf-8")
        yield made
