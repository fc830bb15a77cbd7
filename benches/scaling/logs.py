"""Logs of the simulated city in directories, as sources."""
import os
import pathlib
import shutil
import subprocess

TOPICS = ("vehicle", "gps", "traffic", "weather", "emergency")

class Logs:
    """Each log is made once, and stays in its folder: the same options make the same log."""

    def __init__(self, program, folder, vehicles, partitions):
        self.program, self.folder, self.vehicles, self.partitions = program, pathlib.Path(folder), vehicles, partitions

    def of(self, records):
        """The log of so many records; it is in memory (the page cache), if there is room."""
        log = self.folder / f"log-{records}-{self.vehicles}-{self.partitions}"
        if not log.exists():
            self.make(log, records)
        for file in log.rglob("*.jsonl"):
            with file.open("rb", buffering=0) as bytes_of:
                while bytes_of.read(1 << 22):
                    pass
        return log

    def make(self, log, records):
        part = log.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        command = [self.program, "simulate", f"--to=dir:{part}", f"--records={records}", f"--vehicles={self.vehicles}",
                   f"--partitions={self.partitions}", "--quiet"]
        made = subprocess.run(command, stdout=subprocess.DEVNULL, cwd=self.folder, check=False)
        if made.returncode:
            raise SystemExit(f"{' '.join(command)} ended with {made.returncode}")
        os.sync()  # else it is written while the first runs are measured
        part.rename(log)
