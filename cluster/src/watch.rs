//! Who was lost, known once and told once.

use std::mem;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A process that was connected is gone: the run of all others ends (exit code 4).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("peer lost: process {process} at {address}: {cause}")]
pub struct PeerLost {
    /// Which one.
    pub process: usize,
    /// Where it was.
    pub address: String,
    /// What was seen of it last.
    pub cause: String,
}

/// What to do when a peer is lost.
type OnLost = Box<dyn FnOnce(&PeerLost) + Send>;

/// What is known of the peers of one mesh.
pub(crate) struct Watch {
    state: Mutex<State>,
    /// By process: whether it has said goodbye.
    parted: Vec<AtomicBool>,
}

enum State {
    /// All are there, and nobody has asked to be told.
    Unheard,
    /// All are there, and this is to be done when one is not.
    Heard(OnLost),
    /// The first that was lost.
    Lost(PeerLost),
    /// This process ends the run itself: what is seen of the peers then is no news.
    Closed,
}

impl Watch {
    /// All of these processes are there.
    pub(crate) fn new(processes: usize) -> Arc<Self> {
        let parted = (0..processes).map(|_| AtomicBool::new(false)).collect();
        Arc::new(Watch { state: Mutex::new(State::Unheard), parted })
    }

    /// A process has said goodbye: its end is no loss.
    pub(crate) fn part(&self, process: usize) {
        self.parted[process].store(true, Ordering::Release);
    }

    /// Whether a process has said goodbye.
    pub(crate) fn has_parted(&self, process: usize) -> bool {
        self.parted[process].load(Ordering::Acquire)
    }

    /// Calls `on_lost`, once, when the first peer is lost; at once if one is already.
    pub(crate) fn tell(&self, on_lost: impl FnOnce(&PeerLost) + Send + 'static) {
        let mut state = self.lock();
        match &*state {
            State::Lost(lost) => {
                let lost = lost.clone();
                drop(state);
                on_lost(&lost);
            }
            _ => *state = State::Heard(Box::new(on_lost)),
        }
    }

    /// A peer is lost.
    pub(crate) fn report(&self, lost: &PeerLost) {
        let mut state = self.lock();
        if matches!(*state, State::Unheard | State::Heard(_))
            && let State::Heard(on_lost) = mem::replace(&mut *state, State::Lost(lost.clone()))
        {
            drop(state);
            on_lost(lost);
        }
    }

    /// From now on nothing counts as a loss.
    pub(crate) fn close(&self) {
        *self.lock() = State::Closed;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Watch")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;

    fn lost(process: usize) -> PeerLost {
        PeerLost { process, address: String::new(), cause: String::new() }
    }

    #[test]
    fn the_first_loss_is_told_once_before_and_after_somebody_listens() {
        for early in [true, false] {
            let (watch, (tell, told)) = (Watch::new(2), channel());
            if early {
                watch.report(&lost(1));
            }
            watch.tell(move |lost| {
                let _ = tell.send(lost.process);
            });
            watch.report(&lost(if early { 2 } else { 1 }));
            watch.report(&lost(3));
            assert_eq!(told.iter().collect::<Vec<_>>(), [1]);
        }
    }

    #[test]
    fn the_end_of_a_run_is_no_loss() {
        let (watch, (tell, told)) = (Watch::new(2), channel());
        watch.tell(move |lost| {
            let _ = tell.send(lost.process);
        });
        watch.close();
        watch.report(&lost(1));
        assert!(told.iter().next().is_none());
    }
}
