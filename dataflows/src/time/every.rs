//! What visits all of a state is done once in a while of the horizon.

use super::Micros;

/// Says when a while has passed.
#[derive(Clone, Copy, Debug)]
pub struct Every {
    length: Micros,
    last: Option<Micros>,
}

impl Every {
    /// Due at the first horizon, and then each time that it is so much further.
    pub const fn new(length: Micros) -> Every {
        Every { length, last: None }
    }

    /// Whether it is due; then it is taken to be done.
    pub fn is_due(&mut self, horizon: Micros) -> bool {
        let is_due = self.last.is_none_or(|last| horizon >= last + self.length);
        if is_due {
            self.last = Some(horizon);
        }
        is_due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_due_at_first_and_each_time_the_horizon_is_so_much_further() {
        let mut every = Every::new(10);
        let due: Vec<Micros> = [-7, -7, 2, 3, 12, 13, 40, 49].into_iter().filter(|at| every.is_due(*at)).collect();
        assert_eq!(due, [-7, 3, 13, 40]);
    }
}
