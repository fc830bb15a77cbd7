//! The last thing known of each process that is not there, for who waits for it.

use std::sync::{Mutex, PoisonError};

/// By process.
#[derive(Debug)]
pub(crate) struct Known(Vec<Mutex<String>>);

impl Known {
    /// Nothing is known, but that those with greater indices are to call.
    pub(crate) fn new(processes: usize, me: usize) -> Self {
        let first = |process| if process < me { "no answer" } else { "it has not called" };
        Known((0..processes).map(|process| Mutex::new(first(process).to_owned())).collect())
    }

    /// Something is known of a process; of one that there is not, nothing is.
    pub(crate) fn note(&self, process: usize, what: String) {
        if let Some(last) = self.0.get(process) {
            *last.lock().unwrap_or_else(PoisonError::into_inner) = what;
        }
    }

    /// The last thing known of a process.
    pub(crate) fn last(&self, process: usize) -> String {
        self.0[process].lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
