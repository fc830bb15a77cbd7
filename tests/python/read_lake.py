"""What a lake's tables hold, through deltalake and DuckDB, as JSON (tests/common/lake.rs reads it).

read_lake.py LAKE [--ids FILE]     FILE: lines `table<TAB>id`, the multiset of ids that is to be there
"""

import argparse
import json

import duckdb

import lakes

arguments = argparse.ArgumentParser()
arguments.add_argument("lake")
arguments.add_argument("--ids")
arguments = arguments.parse_args()

connection = duckdb.connect()
versions, tables, dispositions = {}, {}, {}
for name in lakes.TABLES:
    delta = lakes.table(arguments.lake, name)
    versions[name] = delta.version()
    connection.register(name, delta.to_pyarrow_table())
    columns = {row[0] for row in connection.execute(f"describe {name}").fetchall()}
    # A change log by what it adds up to: how often a row was corrected on the way depends on where commits were cut.
    chosen = ", ".join(f'"{column}"' for column in sorted(columns - {"epoch", "seq", "diff"}))
    diff = "diff" if "diff" in columns else "1"
    rows, digest = connection.execute(
        f"select coalesce(sum({diff}), 0)::bigint, coalesce(sum(hash({chosen or 1})::hugeint * {diff}), 0)::varchar from {name}"
    ).fetchall()[0]
    tables[name] = [rows, digest]
    if "disposition" in columns:
        found = connection.execute(f"select disposition, count(*) from {name} group by 1").fetchall()
        if found:
            dispositions[name] = dict(found)
if len(set(versions.values())) != 1:
    raise SystemExit(f"tables of one lake at different versions: {versions}")

places = " union all ".join(f"select '{t}' t, partition p, \"offset\" o from {t}" for t in lakes.RAW)
dead = 'select topic t, partition p, "offset" o from dead_letters'
doubled = sum(
    connection.execute(f"select coalesce(sum(n - 1), 0) from (select count(*) n from ({q}) group by t, p, o)").fetchall()[0][0]
    for q in (places, dead)
)

missing = extra = 0
if arguments.ids:
    connection.execute(
        "create table made as select * from read_csv(?, delim='\t', header=false, columns={'t': 'varchar', 'id': 'varchar'})",
        [arguments.ids],
    )
    rows = " union all ".join(f"select '{t}' t, id from {t}" for t in lakes.RAW)
    connection.execute(f"create table there as {rows}")
    count = "select count(*) from (select t, id from {} except all select t, id from {})"
    missing = connection.execute(count.format("made", "there")).fetchall()[0][0]
    extra = connection.execute(count.format("there", "made")).fetchall()[0][0]

print(json.dumps({
    "version": next(iter(versions.values())),
    "tables": tables,
    "dispositions": dispositions,
    "doubled": int(doubled),
    "missing": missing,
    "extra": extra,
}))
lakes.finish()
