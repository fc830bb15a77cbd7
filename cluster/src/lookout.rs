//! The thread that gives signs of life to the peers, listens for theirs, and looks whether the workers of this process turn.
//!
//! Whoever is stopped, frozen or cut off without a word gives none, and is lost after a while (L1). The end of a control link
//! by itself says nothing: a process that ends closes the link that timely has, too.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::control::{Control, Said};
use crate::frame::Kind;
use crate::pulse::{Liveness, Pulse};
use crate::topology::Topology;
use crate::vitals::{Sight, Stillness, Vitals};
use crate::watch::{PeerLost, Watch};

/// The thread; dropping this ends it.
#[derive(Debug)]
pub(crate) struct Lookout(Arc<AtomicBool>);

impl Drop for Lookout {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What the thread has.
struct Round {
    topology: Topology,
    liveness: Liveness,
    /// By process; `None` where there is none any more.
    controls: Vec<Option<Control>>,
    pulse: Pulse,
    stillness: Stillness,
    vitals: Arc<Vitals>,
    watch: Arc<Watch>,
}

impl Lookout {
    /// Starts the thread.
    pub(crate) fn start(
        topology: &Topology,
        liveness: Liveness,
        controls: Vec<Option<Control>>,
        vitals: &Arc<Vitals>,
        watch: &Arc<Watch>,
    ) -> io::Result<Lookout> {
        let ended = Arc::new(AtomicBool::new(false));
        let mut round = Round {
            topology: topology.clone(),
            liveness,
            controls,
            pulse: Pulse::new(liveness, topology.processes(), Instant::now()),
            stillness: Stillness::new(topology.workers()),
            vitals: Arc::clone(vitals),
            watch: Arc::clone(watch),
        };
        let has_ended = Arc::clone(&ended);
        thread::Builder::new().name("lookout".to_owned()).spawn(move || {
            while !has_ended.load(Ordering::Relaxed) {
                round.look();
                thread::sleep(liveness.beat / 2);
            }
        })?;
        Ok(Lookout(ended))
    }
}

impl Round {
    fn look(&mut self) {
        let (passed, is_due) = self.pulse.pass(Instant::now());
        for process in 0..self.controls.len() {
            self.listen(process);
            if is_due {
                self.beat(process);
            }
            if process == self.topology.index() || self.watch.has_parted(process) {
                continue;
            }
            self.vitals.is_silent(process, self.pulse.silence(process));
            if self.pulse.is_silent(process) {
                let silence = self.liveness.silence.as_secs_f64();
                let epoch = match self.vitals.epoch(process) {
                    0 => String::new(),
                    epoch => format!("; the last epoch that it told to have closed is {epoch}"),
                };
                self.lost(process, format!("no sign of life for {silence} s{epoch}"));
            }
        }
        for sight in self.stillness.look(&self.vitals, passed, self.liveness.silence) {
            match sight {
                Sight::Stands(worker, time) => tracing::warn!(
                    "worker {worker} has not turned for {} s: it waits, or has more to do at once than is right",
                    time.as_secs()
                ),
                Sight::Turns(worker, time) => tracing::warn!("worker {worker} turns again, after {} s", time.as_secs()),
            }
        }
    }

    /// Takes all that a peer has said.
    fn listen(&mut self, process: usize) {
        while let Some(control) = &mut self.controls[process] {
            match control.hear() {
                Ok(None) => return,
                Ok(Some(Said::Beat(epoch))) => {
                    self.pulse.heard(process);
                    self.vitals.note(process, epoch);
                }
                Ok(Some(Said::GaveUp(why))) => return self.lost(process, why),
                Ok(Some(Said::Ready | Said::Go)) | Err(_) => self.controls[process] = None,
            }
        }
    }

    /// Gives a sign of life.
    fn beat(&mut self, process: usize) {
        let epoch = self.vitals.epoch(self.topology.index()).to_be_bytes();
        self.controls[process].take_if(|control| control.say(Kind::Beat, &epoch).is_err());
    }

    fn lost(&self, process: usize, cause: String) {
        let address = self.topology.address(process).to_owned();
        self.watch.report(&PeerLost { process, address, cause });
    }
}
