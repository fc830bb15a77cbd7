//! How long to wait before all processes start again: at once, 1, 2, 4 .. 30 s, growing only over attempts that came to nothing.

use std::time::Duration;

/// The longest pause.
const LONGEST: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug, Default)]
pub struct Backoff {
    /// Attempts that came to nothing, one after the other.
    in_vain: u32,
}

impl Backoff {
    /// The pause after an attempt that landed a commit, or did not.
    pub fn after(&mut self, landed: bool) -> Duration {
        if landed {
            self.in_vain = 0;
        }
        let pause = match self.in_vain {
            0 => Duration::ZERO,
            times => LONGEST.min(Duration::from_secs(1 << (times - 1).min(5))),
        };
        self.in_vain = self.in_vain.saturating_add(1);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_grows_while_nothing_lands_and_begins_anew_after_a_commit() {
        let mut backoff = Backoff::default();
        let mut seconds = |landed| backoff.after(landed).as_secs();
        let in_vain: Vec<u64> = (0..9).map(|_| seconds(false)).collect();
        assert_eq!(in_vain, [0, 1, 2, 4, 8, 16, 30, 30, 30]);
        assert_eq!([seconds(true), seconds(false), seconds(false), seconds(true)], [0, 1, 2, 0]);
        (0..100).for_each(|_| assert!(seconds(false) <= 30));
    }
}
