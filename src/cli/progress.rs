//! What a run shows while it goes on: a line that is drawn again on a terminal, lines with a time elsewhere.

use std::fmt;
use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use indicatif::{HumanCount, HumanDuration, ProgressBar, ProgressStyle};
use jiff::Timestamp;

use super::out::{note, stay_above};
use crate::process::metrics::Metrics;

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
    line: Option<ProgressBar>,
    shown: Instant,
    /// The last commit and what had been read, as last shown elsewhere than on a terminal.
    noted: Option<(u64, u64)>,
    committed: Rate,
    read: Rate,
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
    pub fn new(metrics: Arc<Metrics>, process: usize) -> Self {
        let line = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{wide_msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
            ProgressBar::new_spinner().with_style(style)
        });
        stay_above(line.clone());
        let (committed, read) = (Rate::default(), Rate::default());
        Progress { metrics, process, line, shown: Instant::now(), noted: None, committed, read }
    }

    /// Shows where it stands, if it is time and something has moved.
    pub fn show(&mut self) {
        let due = if self.line.is_some() { ON_TERMINAL } else { IN_A_LOG };
        if self.shown.elapsed() >= due {
            let text = self.stand().to_string();
            match &self.line {
                Some(line) => line.set_message(text),
                None => self.note(&text),
            }
        }
    }

    /// Leaves the last line standing.
    pub fn end(&mut self) {
        let text = self.stand().to_string();
        stay_above(None);
        match &self.line {
            Some(line) => line.abandon_with_message(text),
            None => self.note(&text),
        }
    }

    fn note(&mut self, text: &str) {
        let now = Some((self.metrics.seq(), self.metrics.read.get()));
        if now != self.noted {
            self.noted = now;
            #[allow(clippy::disallowed_methods)] // Reason: of the line, not of a row.
            let time = Timestamp::now();
            note!("{}  {text}", time.strftime("%FT%TZ"));
        }
    }

    fn stand(&mut self) -> Stand<'_> {
        let elapsed = std::mem::replace(&mut self.shown, Instant::now()).elapsed();
        let rate = self.committed.update(self.metrics.committed_records(), elapsed);
        let reading = self.read.update(self.metrics.read.get(), elapsed);
        Stand { metrics: &self.metrics, process: self.process, rate, reading }
    }
}

/// Where a run stands.
struct Stand<'a> {
    metrics: &'a Metrics,
    process: usize,
    /// Records committed a second.
    rate: f64,
    /// Records read a second.
    reading: f64,
}

impl fmt::Display for Stand<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let m = self.metrics;
        if self.process > 0 {
            write!(f, "process {}  {} records read  {:.0}/s", self.process, HumanCount(m.read.get()), self.reading)?;
            return self.backlog(f);
        }
        let horizon = m.horizon().and_then(|h| Timestamp::from_microsecond(h).ok());
        let horizon = horizon.map_or_else(|| "-".to_owned(), |h| h.strftime("%F %TZ").to_string());
        let committed = HumanCount(m.committed_records());
        write!(f, "commit {}  {committed} records  {:.0}/s  horizon {horizon}", m.seq(), self.rate)?;
        self.backlog(f)?;
        for (outcome, name) in
            [("late", "late"), ("expired", "expired"), ("duplicate", "duplicate"), ("dead_letter", "dead")]
        {
            write!(f, "  {name} {}", m.outcome(outcome))?;
        }
        Ok(())
    }
}

impl Stand<'_> {
    /// What is left to read, where that is more than the next second.
    fn backlog(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (left, read) = (self.metrics.left(), self.metrics.read.get());
        if left == 0 || self.reading < 1.0 || (left as f64) < self.reading {
            return Ok(());
        }
        let share = 100 * read / (read + left);
        let time = HumanDuration(Duration::from_secs_f64(left as f64 / self.reading));
        write!(f, "  {share} %, {} to read, {time:#}", HumanCount(left))
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
}
