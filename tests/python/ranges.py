"""Questions that people ask of a lake's tables, each a range of one column, and their answers from the commits alone.

The answer to a question is the number of rows that the files of the commits up to a version hold.
"""

import collections
import datetime
import functools

import pyarrow.compute as compute
import pyarrow.parquet

import lakes

UTC = datetime.timezone.utc
HOUR = (datetime.datetime(2026, 1, 6, 0, 0, tzinfo=UTC), datetime.datetime(2026, 1, 6, 0, 15, tzinfo=UTC))
TIMES = {
    "raw_gps": "event_time",
    "raw_weather": "log_time",
    "dead_letters": "log_time",
    "enriched_pings_changes": "event_time",
    "traffic_5m_changes": "window_start",
    "vehicle_15m_changes": "window_start",
    "enriched_pings": "event_time",
    "traffic_5m": "window_start",
}

# A column of a table, from and until which value.
Question = collections.namedtuple("Question", "table column low high")


def questions(last):
    """By a time, and by commits: the last tenth of those up to `last`."""
    commits = (last - last // 10, last)
    for table, column in TIMES.items():
        yield Question(table, column, *HOUR)
        yield Question(table, "seq", *commits)
    yield Question("commits", "seq", *commits)
    # Has no statistics: nothing can be left out, and no row may be lost.
    yield Question("raw_gps", "epoch", 1, 1 << 40)


def leaves_out(question):
    """Whether files can be left out."""
    return question.column != "epoch"


def sql(question):
    """The question as SQL, with the sum of a column that only the rows themselves tell."""
    (table, column, low, high) = question
    value = (lambda v: str(v)) if isinstance(low, int) else (lambda v: f"TIMESTAMP '{v:%Y-%m-%d %H:%M:%S}+00:00'")
    return f"SELECT count(*), sum(epoch) FROM {table} WHERE {column} >= {value(low)} AND {column} < {value(high)}"


class Truth:
    """The rows of the commits up to a version."""

    def __init__(self, lake, version):
        self.files, self.version = collections.defaultdict(list), version
        for table, files in lakes.live(lake, version).items():
            self.files[table] = [f"{lake}/{file['path']}" for file in files]
        self.files["commits"] = [f"{lake}/tables/commits/{seq:020d}.parquet" for seq in range(version + 1)]

    def answer(self, question):
        """How many rows, and the sum of their epochs."""
        rows = self.rows(question.table, question.column)
        column = rows[question.column]
        low, high = (pyarrow.scalar(value, column.type) for value in question[2:])
        found = rows.filter(compute.and_(compute.greater_equal(column, low), compute.less(column, high)))
        return found.num_rows, compute.sum(found["epoch"]).as_py()

    def holding(self, question):
        """How many files hold values about the range: statistics of times are in milliseconds."""
        count = 0
        for part in self.parts(question.table, question.column):
            ends = compute.min_max(part[question.column]).as_py()
            margin = datetime.timedelta(milliseconds=1) if isinstance(ends["min"], datetime.datetime) else 0
            count += ends["min"] - margin < question.high and ends["max"] + margin >= question.low
        return count

    def rows(self, table, column):
        return pyarrow.concat_tables(self.parts(table, column))

    @functools.cache
    def parts(self, table, column):
        return [pyarrow.parquet.ParquetFile(path).read([*{column, "epoch"}]) for path in self.files[table]]
