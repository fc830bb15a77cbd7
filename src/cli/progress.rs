//! The line that a run shows on a terminal: rows/s, epoch, horizon, last commit, what was late or unreadable.

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;

use super::out::{hint, note};
use crate::process::metrics::Metrics;

/// Shown at most this often on a terminal.
const ON_TERMINAL: Duration = Duration::from_millis(500);
/// And this often elsewhere, one line each time.
const IN_A_LOG: Duration = Duration::from_secs(10);

/// Live progress on standard error.
pub struct Progress {
    metrics: Arc<Metrics>,
    /// Commits are made, and shown, by process 0.
    process: usize,
    terminal: bool,
    shown: Instant,
    rows: u64,
    seq: u64,
}

impl Progress {
    /// Nothing shown yet.
    pub fn new(metrics: Arc<Metrics>, process: usize) -> Self {
        Progress { metrics, process, terminal: std::io::stderr().is_terminal(), shown: Instant::now(), rows: 0, seq: 0 }
    }

    /// Shows the line if it is time.
    pub fn show(&mut self) {
        let elapsed = self.shown.elapsed();
        let due = if self.terminal { ON_TERMINAL } else { IN_A_LOG };
        if elapsed >= due && (self.terminal || self.metrics.seq() != self.seq) {
            let line = self.line(elapsed);
            if self.terminal { hint(format_args!("\r\x1b[K{line}")) } else { note!("{line}") }
        }
    }

    /// Leaves the last line standing.
    pub fn end(&mut self) {
        let line = self.line(self.shown.elapsed());
        if self.terminal { note!("\r\x1b[K{line}") } else { note!("{line}") }
    }

    fn line(&mut self, elapsed: Duration) -> String {
        let m = &self.metrics;
        if self.process > 0 {
            self.shown = Instant::now();
            return format!("process {}  epoch {:>6}  {:>9} records read", self.process, m.epoch.get(), m.read.get());
        }
        let rows = m.committed_records();
        let rate = (rows - self.rows) as f64 / elapsed.as_secs_f64().max(0.001);
        (self.rows, self.seq, self.shown) = (rows, m.seq(), Instant::now());
        let horizon = m.horizon().and_then(|h| Timestamp::from_microsecond(h).ok());
        let horizon = horizon.map_or_else(|| "-".to_owned(), |h| h.strftime("%F %T").to_string());
        format!(
            "commit {:>5}  epoch {:>6}  {rows:>9} rows  {rate:>8.0} rows/s  horizon {horizon}  late {}  expired {}  \
             duplicate {}  dead {}",
            m.seq(),
            m.epoch.get(),
            m.outcome("late"),
            m.outcome("expired"),
            m.outcome("duplicate"),
            m.outcome("dead_letter"),
        )
    }
}
