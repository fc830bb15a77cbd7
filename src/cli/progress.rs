//! What a run shows while it goes on: a line that is drawn again on a terminal, lines with a time elsewhere.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar};
use jiff::Timestamp;

use serde_json::{Value, json};

use super::out::{self, note, stay_above};
use crate::config::{Config, SourceConfig};
use crate::process::metrics::Metrics;
use crate::units::about_size;

/// Shown at most this often on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(500);
/// And this often elsewhere.
const IN_A_LOG: Duration = Duration::from_secs(10);
/// A rate is mostly of so long.
const SMOOTH_S: f64 = 5.0;

/// Live progress on standard error.
pub struct Progress {
    metrics: Arc<Metrics>,
    /// Commits are made, and shown, by process 0.
    process: usize,
    /// Whether offsets are bytes, as those of a directory are.
    is_bytes: bool,
    line: Option<ProgressBar>,
    shown: Instant,
    /// Whether a commit with records has been shown.
    has_landed: bool,
    /// The last commit and what had been read, as last shown elsewhere than on a terminal.
    noted: Option<(u64, u64)>,
    committed: Rate,
    read: Rate,
    passed: Rate,
}

/// Events a second, smoothed.
#[derive(Default)]
struct Rate {
    count: u64,
    per_second: Option<f64>,
}

impl Rate {
    fn update(&mut self, count: u64, elapsed: Duration) -> f64 {
        let seconds = elapsed.as_secs_f64().max(0.001);
        let now = (count - std::mem::replace(&mut self.count, count)) as f64 / seconds;
        let weight = 1.0 - (-seconds / SMOOTH_S).exp();
        let smooth = self.per_second.map_or(now, |before| before + weight * (now - before));
        *self.per_second.insert(smooth)
    }
}

impl Progress {
    /// Nothing shown yet.
    pub fn new(metrics: Arc<Metrics>, config: &Config) -> Self {
        Progress {
            metrics,
            process: config.process,
            is_bytes: matches!(config.source, SourceConfig::Dir { .. }),
            line: out::draw(),
            shown: Instant::now(),
            has_landed: false,
            noted: None,
            committed: Rate::default(),
            read: Rate::default(),
            passed: Rate::default(),
        }
    }

    /// Shows where it stands, if it is time and something has moved; the first commit at once, by which `launch` sees that the
    /// processes are of use.
    pub fn show(&mut self) {
        let due = if self.line.is_some() { ON_TERMINAL } else { IN_A_LOG };
        let is_first = !self.has_landed && self.metrics.committed_records() > 0;
        self.has_landed |= is_first;
        if is_first || self.shown.elapsed() >= due {
            let stand = self.stand();
            match &self.line {
                Some(line) => line.set_message(stand.to_string()),
                None => self.note(&stand),
            }
        }
    }

    /// Leaves the last line standing.
    pub fn end(&mut self) {
        let stand = self.stand();
        stay_above(None);
        match &self.line {
            Some(line) => line.abandon_with_message(stand.to_string()),
            None => self.note(&stand),
        }
    }

    fn note(&mut self, stand: &Stand) {
        let now = Some((stand.commit, stand.read));
        if now == self.noted {
            return;
        }
        self.noted = now;
        if out::manner().json {
            out::object("INFO", stand.members());
        } else {
            log(stand);
        }
    }

    fn stand(&mut self) -> Stand {
        let elapsed = std::mem::replace(&mut self.shown, Instant::now()).elapsed();
        let m = &self.metrics;
        let (committed, passed) = (m.committed_records(), m.passed());
        Stand {
            process: self.process,
            commit: m.seq(),
            committed,
            rate: self.committed.update(committed, elapsed),
            read: m.read.get(),
            reading: self.read.update(m.read.get(), elapsed),
            horizon: m.horizon().and_then(|h| Timestamp::from_microsecond(h).ok()),
            outcomes: OUTCOMES.map(|(outcome, _)| m.outcome(outcome)),
            backlog: Backlog::new(passed, m.left(), self.passed.update(passed, elapsed)),
            is_bytes: self.is_bytes,
        }
    }
}

/// What else than on time a record can be: as a label, and in the line.
const OUTCOMES: [(&str, &str); 4] =
    [("late", "late"), ("expired", "expired"), ("duplicate", "duplicate"), ("dead_letter", "dead")];

/// Where a run stands.
struct Stand {
    process: usize,
    commit: u64,
    committed: u64,
    /// Records committed a second.
    rate: f64,
    read: u64,
    /// Records read a second.
    reading: f64,
    horizon: Option<Timestamp>,
    outcomes: [u64; 4],
    backlog: Option<Backlog>,
    is_bytes: bool,
}

/// What is left to read, in offsets.
struct Backlog {
    percent: u64,
    left: u64,
    time: Duration,
}

impl Backlog {
    /// None where that is no more than the next second.
    fn new(passed: u64, left: u64, per_second: f64) -> Option<Self> {
        if left == 0 || per_second < 1.0 || (left as f64) < per_second {
            return None;
        }
        let percent = (100 * u128::from(passed) / (u128::from(passed) + u128::from(left))) as u64;
        Some(Backlog { percent, left, time: Duration::from_secs_f64(left as f64 / per_second) })
    }
}

/// Writes where a run stands, with the time.
pub fn log(stand: impl fmt::Display) {
    #[allow(clippy::disallowed_methods)] // Reason: of the line, not of a row.
    let time = Timestamp::now();
    note!("{}  {stand}", time.strftime("%FT%TZ"));
}

/// The line of a process that told where it stands as JSON; `None` if it is not the one that commits.
pub fn line_of(told: &Value) -> Option<String> {
    Stand::of(told).map(|stand| stand.to_string())
}

impl Stand {
    /// From [`members`](Self::members), of process 0.
    fn of(told: &Value) -> Option<Stand> {
        let number = |name: &str| told[name].as_u64();
        let is_bytes = number("bytes_to_read").is_some();
        let left = number("bytes_to_read").or_else(|| number("records_to_read"));
        let backlog = |left| {
            let time = Duration::from_secs(number("seconds_left")?);
            Some(Backlog { percent: number("percent_read")?, left, time })
        };
        Some(Stand {
            process: 0,
            commit: number("commit")?,
            committed: number("records_committed")?,
            rate: told["committed_per_second"].as_f64()?,
            read: number("records_read")?,
            reading: told["read_per_second"].as_f64()?,
            horizon: told["horizon"].as_str().and_then(|time| time.parse().ok()),
            outcomes: OUTCOMES.map(|(outcome, _)| number(outcome).unwrap_or(0)),
            backlog: left.and_then(backlog),
            is_bytes,
        })
    }

    /// For who reads JSON.
    fn members(&self) -> Value {
        let mut members = json!({
            "message": "progress", "process": self.process, "records_read": self.read,
            "read_per_second": self.reading.round() as u64,
        });
        if self.process == 0 {
            members["commit"] = json!(self.commit);
            members["records_committed"] = json!(self.committed);
            members["committed_per_second"] = json!(self.rate.round() as u64);
            members["horizon"] = json!(self.horizon.map(|h| h.to_string()));
            for ((outcome, _), count) in OUTCOMES.iter().zip(self.outcomes) {
                members[*outcome] = json!(count);
            }
        }
        if let Some(Backlog { percent, left, time }) = &self.backlog {
            members[if self.is_bytes { "bytes_to_read" } else { "records_to_read" }] = json!(left);
            members["percent_read"] = json!(percent);
            members["seconds_left"] = json!(time.as_secs());
        }
        members
    }
}

impl fmt::Display for Stand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.process > 0 {
            write!(f, "process {}  {} records read  {:.0}/s", self.process, HumanCount(self.read), self.reading)?;
            return self.show_backlog(f);
        }
        let horizon = self.horizon.map_or_else(|| "-".to_owned(), |h| h.strftime("%F %TZ").to_string());
        let committed = HumanCount(self.committed);
        // What is left comes first: the line is cut where a terminal is narrow.
        write!(f, "commit {}  {committed} records  {:.0}/s", self.commit, self.rate)?;
        self.show_backlog(f)?;
        write!(f, "  horizon {horizon}")?;
        OUTCOMES.iter().zip(self.outcomes).try_for_each(|((_, name), count)| write!(f, "  {name} {count}"))
    }
}

impl Stand {
    fn show_backlog(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(Backlog { percent, left, time }) = &self.backlog else { return Ok(()) };
        let left = if self.is_bytes { about_size(*left) } else { HumanCount(*left).to_string() };
        write!(f, "  {percent} %, {left} to read, {:#}", HumanDuration(*time))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let (mut rate, second) = (Rate::default(), Duration::from_secs(1));
        assert_eq!(rate.update(100, second), 100.0);
        let after_a_pause = rate.update(100, second);
        assert!((80.0..90.0).contains(&after_a_pause), "{after_a_pause}");
        for _ in 0..30 {
            rate.update(100, second);
        }
        assert!(rate.update(100, second) < 1.0);
    }

    fn stand(backlog: Option<Backlog>, is_bytes: bool) -> Stand {
        let horizon = Timestamp::from_second(1_780_300_800).ok();
        let (process, commit, committed, read) = (0, 4, 39_464, 40_000);
        Stand {
            process,
            commit,
            committed,
            rate: 3942.4,
            read,
            reading: 4000.0,
            horizon,
            outcomes: [1, 0, 2, 3],
            backlog,
            is_bytes,
        }
    }

    #[test]
    fn a_backlog_is_a_share_what_is_left_and_how_long_that_takes() {
        let shown = |left, is_bytes| stand(Backlog::new(3 << 30, left, (1 << 20) as f64), is_bytes).to_string();
        let begin = "commit 4  39,464 records  3942/s";
        let end = "horizon 2026-06-01 08:00:00Z  late 1  expired 0  duplicate 2  dead 3";
        assert_eq!(shown(1 << 30, true), format!("{begin}  75 %, 1.0 GiB to read, 17m  {end}"));
        assert!(shown(1 << 30, false).contains("75 %, 1,073,741,824 to read, 17m"));
        assert_eq!(shown(1 << 19, true), format!("{begin}  {end}"), "half a second");
        assert!(Backlog::new(0, 5, 0.0).is_none(), "nobody knows how long");
        let left = || stand(Backlog::new(3, 1 << 20, 1024.0), true);
        let members = left().members();
        assert_eq!(line_of(&members), Some(left().to_string()));
        assert_eq!((&members["bytes_to_read"], &members["seconds_left"]), (&json!(1 << 20), &json!(1024)));
        assert_eq!((&members["horizon"], &members["dead_letter"]), (&json!("2026-06-01T08:00:00Z"), &json!(3)));
    }
}
