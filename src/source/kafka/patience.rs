//! How long a question to a broker may take.

use std::time::Duration;

/// Longer after a question without an answer: a lost broker is noticed soon, and a slow one is waited for in the end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Patience(Duration);

impl Default for Patience {
    fn default() -> Self {
        Patience(Patience::LEAST)
    }
}

impl Patience {
    /// What a broker nearby needs at most.
    pub(super) const LEAST: Duration = Duration::from_millis(400);
    /// No broker is waited for longer.
    const MOST: Duration = Duration::from_secs(10);

    /// How long the next question may take.
    pub(super) fn limit(self) -> Duration {
        self.0
    }

    /// An answer took so long.
    pub(super) fn answered(&mut self, took: Duration) {
        self.0 = (took * 2).clamp(Patience::LEAST, Patience::MOST);
    }

    /// No answer came.
    pub(super) fn unanswered(&mut self) {
        self.0 = (self.0 * 2).min(Patience::MOST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_broker_is_waited_for_in_the_end() {
        let (mut patience, needs) = (Patience::default(), Duration::from_secs(5));
        let mut waited = Duration::ZERO;
        while patience.limit() < needs {
            waited += patience.limit();
            patience.unanswered();
        }
        assert!(waited < Duration::from_secs(7), "{waited:?}");
        patience.answered(needs);
        assert!(patience.limit() > needs);
        patience.answered(Duration::from_millis(3));
        assert_eq!(patience.limit(), Patience::LEAST);
        (0..100).for_each(|_| patience.unanswered());
        assert_eq!(patience.limit(), Patience::MOST);
    }
}
