"""What a lake's commits say about a run."""
import json
import pathlib


def steady(commits):
    """Records a second from the second commit to the last but one: without start and end. None where commits are few."""
    if len(commits) < 4:
        return None
    records = sum(read(commit) for commit in commits[2:-1])
    millis = commits[-2]["time_ms"] - commits[1]["time_ms"]
    return records * 1000 / millis if millis > 0 else None


def read(commit):
    """Records read in a commit."""
    return sum(ledger["read"] for ledger in commit["ledger"].values())


def counts(lake):
    """Counts of a lake that one run has made."""
    texts = (path.read_text(encoding="utf-8") for path in sorted(pathlib.Path(lake, "commits").glob("*.json")))
    commits = [commit for commit in map(json.loads, texts) if commit["kind"] == "data"]
    files = [file for commit in commits for added in commit["added"].values() for file in added]
    spans = [file["log_time"] for file in files if file["log_time"]]
    return {
        "records": sum(read(commit) for commit in commits),
        "commits": len(commits),
        "epochs": commits[-1]["epoch"] if commits else 0,
        "files": len(files),
        "log_minutes": (max(last for _, last in spans) - min(first for first, _ in spans)) / 60e6 if spans else 0,
        "steady": steady(commits),
    }
