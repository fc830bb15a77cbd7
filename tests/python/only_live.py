"""A lake whose garbage was collected has no other data files than those of the newest version of its tables, and each of them.

only_live.py LAKE     a lake in a directory; ends with 1 at the first table that has others
"""

import pathlib
import sys

import lakes

LAKE = pathlib.Path(sys.argv[1])
count = 0
for table in sorted(path.name for path in (LAKE / "tables").iterdir()):
    named = {pathlib.Path(uri.removeprefix("file://")) for uri in lakes.table(str(LAKE), table).file_uris()}
    there = set((LAKE / "tables" / table).glob("*=*/*.parquet")) if table != "commits" else named
    if named != there:
        raise SystemExit(f"{table}: {len(there - named)} files that nobody names, {len(named - there)} that are gone")
    count += len(there)
print(f"{count} data files, each of the newest version")
lakes.finish()
