"""Watches a run as two hundred do at once, of whom one does not read.

watchers.py ADDRESS PID SECONDS    all that read get the same frames, none is left out; who does not read is hung up on
"""

import os
import pathlib
import selectors
import socket
import sys
import time
import zlib

ADDRESS, PID, SECONDS = sys.argv[1], sys.argv[2], float(sys.argv[3])
READERS = 199
HOST, PORT = ADDRESS.split(":")


def subscribe(views, receive=None):
    """A stream of changes, not framed by HTTP; with so many bytes for what was not read."""
    stream = socket.socket()
    if receive:
        stream.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    stream.connect((HOST, int(PORT)))
    stream.sendall(f"GET /api/views/{views}/changes HTTP/1.0\r\nHost: {ADDRESS}\r\n\r\n".encode())
    return stream


class Reader:
    def __init__(self):
        self.stream, self.rest, self.frames = subscribe("cells,worst"), b"", {}

    def read(self):
        """Takes in what has come; whether the stream goes on."""
        part = self.stream.recv(1 << 20)
        *events, self.rest = (self.rest + part).split(b"\n\n")
        for event in events:
            fields = dict(line.split(b": ", 1) for line in event.splitlines() if line.startswith((b"event", b"id", b"data")))
            if fields.get(b"event") == b"changes":
                self.frames[tuple(map(int, fields[b"id"].split(b".")))] = zlib.crc32(fields[b"data"])
        return bool(part)


def resident():
    status = pathlib.Path(f"/proc/{PID}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


def cpu():
    fields = pathlib.Path(f"/proc/{PID}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def ends(stream):
    """Whether a stream is over once all of it that is here was read."""
    stream.settimeout(5)
    until = time.monotonic() + 20
    try:
        while stream.recv(1 << 20):
            if time.monotonic() > until:
                return False
        return True
    except TimeoutError:
        return False
    except ConnectionError:
        return True


def watch(readers, seconds):
    """Reads what comes; gives the most that the run has resident meanwhile, in KiB, and its CPU time a second."""
    waiting, most, until, spent = selectors.DefaultSelector(), 0, time.monotonic() + seconds, cpu()
    for reader in readers:
        waiting.register(reader.stream, selectors.EVENT_READ, reader)
    while time.monotonic() < until:
        for key, _ in waiting.select(1):
            if not key.data.read():
                sys.exit("a stream that was read has ended")
        most = max(most, resident())
    return most, (cpu() - spent) / seconds


stalled, readers, wrong = subscribe("vehicles,cells,worst", 4096), [Reader()], []
one = watch(readers, 8)
readers += [Reader() for _ in range(1, READERS)]
all_ = watch(readers, 20)
# Of the rest no memory is told: a run holds more after some minutes, whoever watches.
watch(readers, SECONDS - 28)
frames = {}
for reader in readers:
    for place, text in reader.frames.items():
        if frames.setdefault(place, text) != text:
            wrong.append(f"{place}: two texts")
for reader in readers:
    # Those between its first and its last.
    lacking = [place for place in frames if min(reader.frames, default=place) < place < max(reader.frames, default=place) and place not in reader.frames]
    wrong += [f"a reader lacks {place}" for place in lacking]
least = min(len(reader.frames) for reader in readers)
if least < SECONDS:
    wrong.append(f"{len(frames)} frames, of which one reader has {least}")
if not ends(stalled):
    wrong.append("who does not read is still connected")
# Frames that are held, and a tenth of a MiB for each reader more.
if all_[0] > one[0] + (16 << 10) + READERS * 102:
    wrong.append("memory grows with those who watch")
said = [f"{most >> 10} MiB and {cpu:.2f} s of CPU a second" for most, cpu in (one, all_)]
print(f"{len(frames)} frames, {least} to each of {READERS} readers at least; {said[0]} with one, {said[1]} with all")
print("\n".join(wrong[:5]) or "all had the same")
sys.exit(bool(wrong))
