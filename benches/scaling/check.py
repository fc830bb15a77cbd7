"""The quick round: counts that do not drift with the machine, against limits."""

# By count and number of processes, the most that is allowed; of so few records process 0 has a part that tells. Seen: 1.0 and
# 0.4; 168; 1.05 to 1.10.
LIMITS = {
    "epochs_minute": {1: 2.5, 4: 1.2},
    "bytes_record": {4: 220},
    "skew": {4: 1.2},
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
            if name == "epochs_minute":
                limit = round(max(limit, each["wall"] / each["log_minutes"]), 2)  # one a second: a slow machine's end by time
            within = value is not None and value <= limit
            print(f"n={each['count']} {each['tables']} tables: {TITLES[name]}: {'-' if value is None else format(value, ',.2f')}, "
                  f"at most {limit}: {'good' if within else 'TOO MANY'}")
            good = good and within
    return good
