"""Holds docs/monitoring/alerts.yml against Prometheus's own evaluation: each alert is quiet as long as all is well, and fires.

alerts.py PROMTOOL                         on made-up series, each alert (the table below)
alerts.py PROMTOOL ALERT BEFORE THEN NOW   on what a run has told before and, twice, during a fault: files of /metrics

Ends with 1 at the first alert that does not do so.
"""

import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

RULES = pathlib.Path(__file__).parents[2] / "docs/monitoring/alerts.yml"
AT = 'job="citystream",instance="a"'
GPS = 'job="citystream",instance="a",topic="gps"'
DAY = 24 * 60

# Alert: its series, a value a minute; the minute in which it is still quiet, and the one in which it fires.
CASES = {
    "CitystreamDown": ({f"up{{{AT}}}": "1x4 0x10"}, 4, 8),
    "CitystreamNotReady": ({f"citystream_ready{{{AT}}}": "1x4 0x10"}, 4, 8),
    "CitystreamRestarts": ({f"citystream_restarts_total{{{AT}}}": "0x15 1 2 3 4 4x10"}, 15, 20),
    "CitystreamNoCommit": (
        {f"citystream_commit_age_seconds{{{AT}}}": "2x4 60+60x15", f"citystream_lag_offsets{{{GPS}}}": "9x30"}, 9, 14),
    "CitystreamLagGrows": ({f"citystream_lag_offsets{{{GPS}}}": "500x20 10000+10000x60"}, 30, 55),
    "CitystreamHorizonStands": (
        {f"citystream_horizon_seconds{{{AT}}}": "0+60x20 1200x40", f"citystream_read_total{{{AT}}}": "0+500x60"}, 30, 45),
    "CitystreamHorizonHeld": ({f"citystream_horizon_lag_seconds{{{AT}}}": "700x10 4000x30"}, 20, 30),
    "CitystreamRecordsExpire": ({f'citystream_records_total{{{GPS},outcome="expired"}}': "0x10 7x10"}, 9, 12),
    "CitystreamRecordsMissed": ({f"citystream_missed_total{{{GPS}}}": "0x10 7x10"}, 9, 12),
    "CitystreamManyLate": (
        {f'citystream_records_total{{{GPS},outcome="late"}}': "0x20 100+100x50",
         f'citystream_records_total{{{GPS},outcome="on_time"}}': "0+900x70"}, 20, 60),
    "CitystreamManyDeadLetters": (
        {f'citystream_records_total{{{GPS},outcome="dead_letter"}}': "0x20 100+100x50",
         f'citystream_records_total{{{GPS},outcome="on_time"}}': "0+900x70"}, 20, 60),
    "CitystreamCommitsSlow": (
        {f'citystream_commit_seconds_bucket{{{AT},le="10"}}': "0+60x20 1200x50",
         f'citystream_commit_seconds_bucket{{{AT},le="30"}}': "0+60x70",
         f'citystream_commit_seconds_bucket{{{AT},le="+Inf"}}': "0+60x70"}, 20, 60),
    "CitystreamStateGrows": (
        {f'citystream_state_bytes{{{AT},kind="pings"}}': f"1000000000x{DAY} 3000000000x{DAY}"}, DAY, DAY + 60),
    "CitystreamStoreFails": (
        {f'citystream_store_errors_total{{{AT},operation="put"}}': "0x20 10+10x40",
         f'citystream_store_request_seconds_count{{{AT},operation="put"}}': "0+100x60"}, 20, 40),
    "CitystreamKafkaAway": (
        {f'citystream_kafka_errors_total{{{AT},code="AllBrokersDown"}}': "0x10 1+1x20"}, 10, 25),
    "CitystreamHeldBack": (
        {f'citystream_backpressure_seconds_total{{{AT},cause="store"}}': "0x20 60+60x60"}, 25, 60),
    "CitystreamDeltaBehind": ({f"citystream_delta_lag_commits{{{AT}}}": "0x10 5x30"}, 15, 25),
    "CitystreamOpenFiles": (
        {f"process_open_fds{{{AT}}}": "100x10 900x20", f"process_max_fds{{{AT}}}": "1024x30"}, 12, 20),
}


def rules():
    """The rules without their texts, which `promtool check rules` looks at: what is compared is whether an alert fires."""
    groups = yaml.safe_load(RULES.read_text())
    for group in groups["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations")
            rule["labels"] = {}
    return groups


def evaluate(promtool, alert, series, quiet, fires):
    """Whether the alert is quiet in one minute, and fires in another, with whatever labels; the complaint if not so."""
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        expression = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}}) or vector(0)'
        (folder / "rules.yml").write_text(yaml.safe_dump(rules()))
        at = lambda minute, ok: {"expr": f"({expression}) {ok}", "eval_time": f"{minute}m", "exp_samples": [{"labels": "{}", "value": 1}]}
        (folder / "test.yml").write_text(yaml.safe_dump({
            "rule_files": ["rules.yml"],
            "evaluation_interval": "1m",
            "tests": [{
                "interval": "1m",
                "input_series": [{"series": name, "values": values} for name, values in series.items()],
                "promql_expr_test": [at(quiet, "== bool 0"), at(fires, "> bool 0")],
            }],
        }))
        done = subprocess.run([promtool, "test", "rules", "test.yml"], cwd=folder, capture_output=True, text=True)
        return None if done.returncode == 0 else done.stdout + done.stderr


def scrape(path):
    """Series -> value, and the names of those that only grow."""
    text = pathlib.Path(path).read_text()
    growing = set(re.findall(r"^# TYPE (\w+) (?:counter|histogram)$", text, re.MULTILINE))
    samples = re.findall(r"^(\w+)(?:\{(.*)\})? (\S+)$", text, re.MULTILINE)
    values = {f"{name}{{{AT}{',' + labels if labels else ''}}}": float(value) for name, labels, value in samples}
    return values, lambda series: re.sub("_(bucket|sum|count)$", "", series.split("{")[0]) in growing or series.split("{")[0] in growing


def of_a_fault(before, then, now):
    """Series in which all is well for half an hour, and then goes on for an hour as it went from `then` to `now`."""
    (well, _), (first, _), (last, grows) = scrape(before), scrape(then), scrape(now)
    minutes = (pathlib.Path(now).stat().st_mtime - pathlib.Path(then).stat().st_mtime) / 60
    series = {}
    for name, value in last.items():
        start = well.get(name, value)
        if grows(name):
            series[name] = f"{start}x30 {value}+{(value - first.get(name, value)) / minutes}x60"
        else:
            series[name] = f"{start}x30 {value}x60"
    return series


if __name__ == "__main__":
    named = {rule["alert"] for group in rules()["groups"] for rule in group["rules"]}
    assert named == set(CASES), f"without a test: {named - set(CASES)}, without a rule: {set(CASES) - named}"
    promtool, *fault = sys.argv[1:]
    if fault:
        alert, *scrapes = fault
        assert alert in named, f"there is no alert {alert}"
        wrong = {alert: evaluate(promtool, alert, of_a_fault(*scrapes), 30, 90)}
    else:
        wrong = {alert: evaluate(promtool, alert, *case) for alert, case in CASES.items()}
    for alert, complaint in wrong.items():
        assert complaint is None, f"{alert}: {complaint}"
    print(f"{len(wrong)} alerts fire, and only when they should")
