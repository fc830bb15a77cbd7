//! Wakes an operator after a while.

use std::time::{Duration, Instant};

use timely::scheduling::Activator;

/// One timer of an operator. Timely keeps each that is asked for; an operator that asks for one whenever it is scheduled,
/// by whatever, would have ever more of them.
pub struct Alarm {
    activator: Activator,
    due: Option<Instant>,
}

impl Alarm {
    /// Not set.
    pub fn new(activator: Activator) -> Alarm {
        Alarm { activator, due: None }
    }

    /// Has the operator scheduled again at once.
    pub fn now(&self) {
        self.activator.activate();
    }

    /// Has it scheduled again after so long at the latest.
    pub fn within(&mut self, delay: Duration) {
        let now = Instant::now();
        let is_soon_enough = |due: Instant| due > now && due <= now + delay;
        if !self.due.is_some_and(is_soon_enough) {
            self.due = Some(now + delay);
            self.activator.activate_after(delay);
        }
    }
}
