"""Asks Spark for parts of tables through the views that `lake sql --for spark` prints: it must find the rows that the commits
have, of the commit that the views are pinned to, and leave files out.

spark.py LAKE JARS SQL..    JARS: a folder; ends with 1 at the first wrong answer
"""

import itertools
import json
import pathlib
import re
import sys

import lakes
from ranges import Truth, leaves_out, questions, sql
from spark_session import session

LAKE, JARS, *SCRIPTS = sys.argv[1:]

spark = session(JARS)


def ask(text):
    """The row that a query gives, and how many files were read for it."""
    frame = spark.sql(text)
    row = tuple(frame.collect()[0])
    leaves = frame._jdf.queryExecution().executedPlan().collectLeaves()
    scans = [leaves.apply(i).metrics() for i in range(leaves.size())]
    return row, sum(scan.apply("numFiles").value() for scan in scans if scan.contains("numFiles"))


answers = []
for script in SCRIPTS:
    text = pathlib.Path(script).read_text()
    for statement in filter(str.strip, text.split(";\n")):
        spark.sql(statement)
    version = int(re.search(r"VERSION AS OF (\d+)", text)[1])
    truth = Truth(LAKE, version)
    read = {"version": version}
    for question in questions(version):
        there = len(truth.files[question.table])
        found, files = ask(sql(question))
        if found != truth.answer(question):
            raise SystemExit(f"{question} at {version}: {found}, the commits have {truth.answer(question)}")
        if leaves_out(question) and files >= there:
            raise SystemExit(f"{question} at {version}: {files} of {there} files are read")
        read[f"{question.table} by {question.column}"] = [files, there]
    # A filter by date or by time goes through the view of a derived table, which reads what is sealed twice.
    for condition in ["event_date = date'2026-01-06'", "window_start >= timestamp'2026-01-06 00:00:00'"]:
        (_, rows, seq), files = ask(f"SELECT count(*), sum(pings), max(seq) FROM traffic_5m_now WHERE {condition}")
        there = len(truth.files["traffic_5m_changes"]) + 2 * len(truth.files["traffic_5m"])
        if seq is not None and seq > version or files >= there:
            raise SystemExit(f"traffic_5m_now where {condition} at {version}: up to commit {seq}, {files} of {there} files")
        read[f"traffic_5m_now where {condition}"] = [files, there]
    answers.append(read)
for one, other in itertools.pairwise(answers):
    assert one["version"] < other["version"], "the second script is of a later commit"
print(json.dumps(answers))
spark.stop()
lakes.finish()
