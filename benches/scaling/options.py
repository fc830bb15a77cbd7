"""What is asked for: flags, and whether this machine can do it."""
import argparse
import os
import pathlib
import sys

import network

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUSIEST = 0.9  # of the cores, at most: the rest is for the kernel and for this program
EXAMPLES = """\
Examples:
  python3 benches/scaling                                            strong scaling, all tables, n = 1 to 16
  python3 benches/scaling --tables raw,all --scaling strong,weak --records 12000000 --plot scaling.svg --json scaling.json
  python3 benches/scaling --processes 1,4 --binary before=/tmp/citystream --binary after=target/release/citystream
  python3 benches/scaling --network 100mbit                          each host behind a link of 100 Mbit/s
  python3 benches/scaling --real --processes 1,2,4                   on real cores
  python3 benches/scaling --idle 60 --processes 4,16                 what a cluster costs that has nothing to do
  python3 benches/scaling --check                                    a quick round: counts that do not drift

From Kafka, where there are cores for a broker, too (fill the topics first):
  citystream topics create --simulated --partitions 16 && citystream simulate --vehicles 2000 --records 12000000
  python3 benches/scaling --real --kafka 127.0.0.1:9092 --broker-pid PID
"""


def numbers(given):
    """Ascending numbers of processes."""
    found = sorted({int(each) for each in given.split(",")})
    if found[0] < 1:
        raise ValueError
    return found


def among(*names):
    """A list of some of these names."""

    def read(given):
        found = given.split(",")
        if set(found) - set(names):
            raise ValueError
        return found

    read.__name__ = "list"
    return read


def parser_of(description):
    parser = argparse.ArgumentParser(prog="python3 benches/scaling", description=description, epilog=EXAMPLES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    add = parser.add_argument
    add("--processes", type=numbers, default=numbers("1,2,4,8,16"), metavar="N,..", help="numbers of processes [1,2,4,8,16]")
    add("--workers", type=int, default=1, metavar="W", help="workers of each process [1]")
    add("--tables", type=among("raw", "all"), default=["all"], metavar="raw,all", help="tables that are written [all]")
    add("--scaling", type=among("strong", "weak"), default=["strong"], metavar="strong,weak",
        help="strong: the same log for all; weak: the log grows with n, up to --records [strong]")
    add("--records", type=int, default=3_000_000, help="records of the log [3000000]")
    add("--vehicles", type=int, default=2000, help="vehicles of the simulated city [2000]")
    add("--partitions", type=int, default=16, help="partitions of each topic [16]")
    add("--runs", type=int, default=3, help="runs of each, in turn; figures are medians [3]")
    add("--binary", action="append", metavar="[NAME=]PATH", help="citystream; several are compared [target/release/citystream]")
    add("--flag", action="append", default=[], help="a flag more for `citystream run`, such as --flag=--epoch=1s")
    add("--quota", type=float, metavar="CORES", help="cores of a host [1/8, or less where all would use more than 0.9 of the cores]")
    add("--network", metavar="RATE", help="each host in a network namespace behind a link of such a rate, such as 100mbit")
    add("--real", action="store_true", help="on real cores, without cgroups")
    add("--kafka", metavar="BROKERS", help="read Kafka's topics; bytes between processes are not counted then")
    add("--broker-pid", type=int, metavar="PID", help="of a broker on this machine: what it uses is not other load")
    add("--prefix", default="", help="of Kafka's topics")
    add("--other-load", type=float, default=0.02, metavar="SHARE", help="runs are thrown away where others used more of the machine [0.02]")
    add("--timeout", type=int, default=900, metavar="SECONDS", help="longest run [900]")
    add("--directory", metavar="DIR", help="for logs, which stay there, and lakes [a temporary one]")
    add("--json", metavar="FILE", help="write all runs and figures")
    add("--plot", metavar="FILE", help="write a plot as SVG")
    add("--idle", type=int, metavar="SECONDS", help="measure clusters that have nothing to do, for so long, and nothing else")
    add("--check", action="store_true", help="a quick round: 300,000 records, n = 1 and 4, medians of three; ends with 1 beyond a limit")
    return parser


def complete(parser, given):
    """Completes the options, or says what is wrong with them."""
    if given.check:
        given.processes, given.records, given.runs, given.other_load = [1, 4], 300_000, 3, float("inf")
        given.tables, given.scaling = ["all"], ["strong"]
    most, cores = given.processes[-1], os.cpu_count()
    fair = BUSIEST * cores / most
    if given.real:
        given.quota = given.workers  # what a process can use
    elif os.geteuid() != 0:
        sys.exit("scaling: cgroups need root; run it as root, or with --real on real cores")
    given.quota = given.quota or min(1 / 8, fair)
    if not given.real and not 0 < given.quota <= fair:
        parser.error(f"--quota {given.quota:g}: {most} hosts on {cores} cores can have {fair:g} each at most")
    if given.network and (given.kafka or network.bits(given.network) is None or os.geteuid() != 0):
        parser.error("--network wants a rate such as 100mbit, root, and no --kafka")
    if given.kafka and given.scaling != ["strong"]:
        parser.error("--kafka: the topics hold one log, so it is strong scaling")
    if given.runs < 1 or given.records < most:
        parser.error("there must be a run at least, and records for all")
    named = [each.rpartition("=")[::2] for each in given.binary or [str(ROOT / "target/release/citystream")]]
    given.binaries = {name or pathlib.Path(path).name: str(pathlib.Path(path).resolve()) for name, path in named}
    for path in given.binaries.values():
        if not os.access(path, os.X_OK):
            parser.error(f"{path} is no program (cargo build --release --bin citystream)")
    if len(given.binaries) < len(named):
        parser.error("--binary: two have the same name; give them as NAME=PATH")


def options(description):
    """The options of the command line, complete."""
    parser = parser_of(description)
    given = parser.parse_args()
    complete(parser, given)
    return given
