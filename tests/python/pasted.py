"""What DuckDB answers once what `lake sql` prints was pasted: `pasted.py FILE SQL` prints the one value of a query."""

import sys

import duckdb

statements, question = sys.argv[1:]
connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
connection.execute(open(statements).read())
print(connection.execute(question).fetchone()[0])
