"""What it costs to look at a lake: `age.py CITYSTREAM LAKE` prints seconds, memory and sizes as JSON."""

import json
import pathlib
import resource
import subprocess
import sys
import time

import duckdb

program, lake = sys.argv[1:]
began = time.monotonic()
status = json.loads(subprocess.run([program, "lake", "status", "--lake", lake, "--json"], capture_output=True, check=True).stdout)
status_s = time.monotonic() - began
status_mib = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024

began = time.monotonic()
sql = subprocess.run([program, "lake", "sql", "--lake", lake], capture_output=True, check=True, text=True).stdout
# The files of this lake are told of, and are not there: what makes them known is all that can be run.
known = sql[: sql.index("SET VARIABLE raw_")] + sql[sql.index("CREATE OR REPLACE TEMP VIEW commits "):]
connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
connection.execute(known)
files = [connection.execute("SELECT len(lake_files(?))", [table]).fetchone()[0] or 0 for table in status["tables"]]
rows = connection.execute("SELECT count(*), min(seq), max(seq) FROM commits").fetchone()
sql_s = time.monotonic() - began
if rows != (status["seq"] + 1, 0, status["seq"]):
    raise SystemExit(f"commits has {rows}, the lake ends with {status['seq']}")

roots = sorted(pathlib.Path(lake, "snapshots").glob("*.json"))
parts = [pathlib.Path(lake, part["sum"]["path"]) for of in json.loads(roots[-1].read_bytes())["files"]["parts"].values() for part in of]
print(json.dumps({
    "status_s": round(status_s, 3),
    "status_mib": round(status_mib, 1),
    "sql_s": round(sql_s, 3),
    "files_by_status": sum(table["files"] for table in status["tables"].values()),
    "files_by_duckdb": sum(files),
    "rows_files": connection.execute("SELECT len(getvariable('commits_files'))").fetchone()[0],
    "root_bytes": roots[-1].stat().st_size,
    "parts_bytes": sum(part.stat().st_size for part in parts),
    "snapshots": sum(1 for _ in pathlib.Path(lake, "snapshots").rglob("*.*")),
}))
