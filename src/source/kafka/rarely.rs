//! What is said again and again while a broker is away, seldom.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// At first nothing is said again for so long; twice as long each time it is.
const FIRST: Duration = Duration::from_secs(5);
/// But no longer than this.
const LONGEST: Duration = Duration::from_secs(60);

/// Says a line at most once in a while, for all clients that share it.
#[derive(Clone, Debug, Default)]
pub struct Rarely(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    /// When a line was said last, and for how long none is said after it.
    said: Option<(Instant, Duration)>,
    unsaid: u64,
}

impl Rarely {
    /// Logs a line, or counts it where one was logged just now.
    pub fn warn(&self, text: &str) {
        if let Some(line) = self.line(text, Instant::now()) {
            tracing::warn!(target: "kafka", "{line}");
        }
    }

    fn line(&self, text: &str, now: Instant) -> Option<String> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let pause = match state.said {
            Some((said, pause)) if now.duration_since(said) < pause => {
                state.unsaid += 1;
                return None;
            }
            Some((said, pause)) if now.duration_since(said) < 2 * pause => (2 * pause).min(LONGEST),
            _ => FIRST,
        };
        state.said = Some((now, pause));
        Some(match std::mem::take(&mut state.unsaid) {
            0 => text.to_owned(),
            unsaid => format!("{text} ({unsaid} more like it before)"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_without_a_broker_is_some_lines() {
        let (rarely, start) = (Rarely::default(), Instant::now());
        let said = |ms| rarely.line("away", start + Duration::from_millis(ms));
        let lines: Vec<String> = (0..36_000).filter_map(|tenth| said(tenth * 100)).collect();
        assert!((50..70).contains(&lines.len()), "{}", lines.len());
        assert_eq!(lines[..2], ["away", "away (49 more like it before)"]);
        // Back for a while, and away again: said at once, and soon again.
        assert!(said(4_000_000).is_some_and(|line| line.starts_with("away")));
        assert!(said(4_000_100).is_none() && said(4_005_000).is_some());
    }
}
