"""The quick round: counts that do not drift with the machine, against limits."""

# By count and number of processes, the most that is allowed; None: it is printed only.
LIMITS = {
    "epochs_minute": {1: None, 4: None},
    "bytes_record": {4: None},
    "skew": {4: None},
}
TITLES = {
    "epochs_minute": "epochs a log minute",
    "bytes_record": "bytes between processes a record",
    "skew": "CPU of the busiest process / mean",
}


def check(found):
    """Prints the counts of rows; whether all are within their limits."""
    good = True
    for name, limits in LIMITS.items():
        for each in found:
            if each["count"] not in limits:
                continue
            limit, value = limits[each["count"]], each[name]
            within = limit is None or (value is not None and value <= limit)
            said = "" if limit is None else f", at most {limit}: {'good' if within else 'TOO MANY'}"
            print(f"n={each['count']} {each['tables']} tables: {TITLES[name]}: {'-' if value is None else format(value, ',.2f')}{said}")
            good = good and within
    return good
