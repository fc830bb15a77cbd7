"""Networks of simulated hosts: a network namespace of the benchmark's own, and if wanted one a host, behind a bridge.

All of it is in namespaces that end with the last process in them, so nothing of it can be left behind.
"""
import ctypes
import os
import pathlib
import re
import socket
import subprocess

CLONE_NEWNS, CLONE_NEWNET = 0x00020000, 0x40000000
FIRST_PORT = 2101
NETWORK = "10.77.0."


def unshare(flags):
    """This process goes into new namespaces."""
    if ctypes.CDLL(None, use_errno=True).unshare(flags):
        raise OSError(ctypes.get_errno(), "unshare")


def sh(*commands):
    for command in commands:
        subprocess.run(command.split(), check=True)


def counters():
    """By interface of this namespace: bytes and packets received."""
    lines = (line.split(":", 1) for line in pathlib.Path("/proc/net/dev").read_text(encoding="utf-8").splitlines()[2:])
    return {name.strip(): tuple(int(field) for field in fields.split()[:2]) for name, fields in lines}


def free_ports(count):
    """Free ports of the loopback interface, below those that the kernel gives to connections."""
    found, port = [], FIRST_PORT
    while len(found) < count:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
                found.append(port)
            except OSError:
                pass
        port += 1
    return found


class Shared:
    """The machine's own loopback interface: what else passes there cannot be told apart, so nothing is counted."""

    def addresses(self, count):
        """Where so many processes listen."""
        return [f"127.0.0.1:{port}" for port in free_ports(count)]

    def command(self, _index):
        """What stands before a host's command."""
        return []

    def traffic(self):
        """Bytes and packets between hosts so far."""
        return None


class Loopback(Shared):
    """A loopback interface that the hosts share, and nobody else."""

    def __init__(self):
        unshare(CLONE_NEWNET)
        sh("ip link set lo up")

    def traffic(self):
        return counters()["lo"]


class Bridged(Shared):
    """A namespace a host, each behind a link with a rate."""

    def __init__(self, count, rate):
        unshare(CLONE_NEWNET | CLONE_NEWNS)
        pathlib.Path("/run/netns").mkdir(exist_ok=True)
        sh("mount --make-rprivate /", "mount -t tmpfs tmpfs /run/netns")
        sh("ip link set lo up", "ip link add bridge type bridge", "ip link set bridge up")
        self.hosts = [f"host{index}" for index in range(count)]
        shape = f"root tbf rate {rate} burst {burst(rate)} latency 50ms"
        for index, host in enumerate(self.hosts):
            sh(
                f"ip netns add {host}",
                f"ip link add {host} type veth peer name eth0 netns {host}",
                f"ip link set {host} master bridge up",
                f"ip -n {host} address add {NETWORK}{index + 1}/24 dev eth0",
                f"ip -n {host} link set eth0 up",
                f"ip -n {host} link set lo up",
                f"tc qdisc add dev {host} {shape}",
                f"tc -n {host} qdisc add dev eth0 {shape}",
            )

    def addresses(self, count):
        return [f"{NETWORK}{index + 1}:{FIRST_PORT}" for index in range(count)]

    def command(self, index):
        return ["nsenter", f"--net=/run/netns/{self.hosts[index]}", "--"]

    def traffic(self):
        now = counters()
        return tuple(sum(now[host][which] for host in self.hosts) for which in (0, 1))


def bits(rate):
    """Bits a second of a rate such as 100mbit; None if it is no such rate."""
    found = re.fullmatch(r"([1-9]\d*)([kmg])bit", rate)
    return found and int(found[1]) * {"k": 10**3, "m": 10**6, "g": 10**9}[found[2]]


def burst(rate):
    """What may pass at once, in bytes: two ticks of a slow kernel, and a whole segment at least."""
    return max(65_536, bits(rate) // 8 // 50)


def network(count, rate, real, kafka):
    """What the hosts are connected by. A broker is in the machine's own namespace, so the hosts are, too."""
    if kafka or (real and os.geteuid() != 0):
        return Shared()
    return Bridged(count, rate) if rate else Loopback()
