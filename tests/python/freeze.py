"""Stops one thread of a process, where others go on: freeze.py PID THREAD. Says `frozen`, or why not, and lets go when it is told anything.

Where Yama restricts ptrace it takes root, or kernel.yama.ptrace_scope=0."""

import ctypes
import os
import pathlib
import sys

SEIZE, INTERRUPT, DETACH = 0x4206, 0x4207, 17
libc = ctypes.CDLL(None, use_errno=True)
libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]


def ptrace(request, thread):
    if libc.ptrace(request, thread, None, None) != 0:
        print(f"ptrace: {os.strerror(ctypes.get_errno())}", flush=True)
        sys.exit(1)


pid, name = sys.argv[1:]
of_name = [task for task in pathlib.Path(f"/proc/{pid}/task").iterdir() if (task / "comm").read_text().strip() == name]
thread = int(of_name[0].name)
ptrace(SEIZE, thread)
ptrace(INTERRUPT, thread)
os.waitpid(thread, 0x40000000)  # __WALL: it is a thread
print("frozen", flush=True)
sys.stdin.readline()
ptrace(DETACH, thread)
print("done", flush=True)
