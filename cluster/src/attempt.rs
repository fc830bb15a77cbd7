//! One attempt to bring all processes together.
//!
//! Process 0 mints its generation; each other process calls process 0 first and adopts it. Then each has two links to every
//! other one, all of that generation, says *ready* to process 0, and waits for its *go*, which comes when all are ready (G1).
//! Whoever sees a link end, a second one of a process, or a later generation closes all of its links. Process 0 sees that,
//! and mints anew: so all begin again, and none computes with one that was left over.

use std::cell::Cell;
use std::io;
use std::net::TcpStream;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crate::accept::Acceptor;
use crate::control::Said;
use crate::dial::{Answered, Calls};
use crate::end::End;
use crate::error::{ClusterError, List, Missing};
use crate::frame::{FrameError, Kind};
use crate::generation::Generation;
use crate::handshake::{Link, Me};
use crate::known::Known;
use crate::pulse::{Liveness, Pulse};
use crate::slots::Slots;
use crate::topology::Topology;

/// The pause between two looks at what has come.
const ROUND: Duration = Duration::from_millis(5);

/// How often it is said who is missing.
const NAMED: Duration = Duration::from_secs(30);

/// What lasts over all attempts of a start.
pub(crate) struct Start<'a> {
    pub(crate) topology: &'a Topology,
    pub(crate) me: Arc<Me>,
    /// `None` where the start has no end.
    pub(crate) deadline: Option<Instant>,
    pub(crate) waited: Duration,
    pub(crate) liveness: Liveness,
    pub(crate) known: Arc<Known>,
    /// When it was last said who is missing.
    pub(crate) named: Cell<Instant>,
}

/// One attempt.
struct Attempt<'a> {
    start: &'a Start<'a>,
    generation: Generation,
    slots: Slots,
    calls: Calls,
    pulse: Pulse,
}

impl Start<'_> {
    /// Brings all processes together, or fails with why not this time; `told` is the last generation that was known.
    pub(crate) fn attempt(&self, acceptor: &mut Acceptor, told: &mut Generation) -> Result<Slots, End> {
        let index = self.topology.index();
        let mut attempt = Attempt {
            start: self,
            generation: Generation::NONE,
            slots: Slots::new(self.topology.processes()),
            calls: Calls::new(),
            pulse: Pulse::new(self.liveness, self.topology.processes(), Instant::now()),
        };
        if index == 0 {
            attempt.generation = Generation::mint(*told).map_err(system)?;
            *told = attempt.generation;
        } else {
            attempt.call(0, Link::Control, *told)?;
        }
        let met = attempt.meet(acceptor, told);
        if let Err(End::Never(error)) = &met {
            let why = format!("it gave up: {error}");
            attempt.slots.say_all(Kind::Refuse, &why.as_bytes()[..why.floor_char_boundary(1024)]);
        }
        met.map(|()| attempt.slots)
    }
}

impl Attempt<'_> {
    fn meet(&mut self, acceptor: &mut Acceptor, told: &mut Generation) -> Result<(), End> {
        let mut said_ready = false;
        loop {
            while let Some(answered) = self.calls.next()? {
                self.answered(answered, told)?;
            }
            acceptor.poll(self.generation, &mut self.slots)?;
            self.beat()?;
            if self.heard()? {
                return Ok(());
            }
            if self.is_complete() {
                if self.start.topology.index() == 0 {
                    if self.all_ready() {
                        self.slots.say_all(Kind::Go, &[]);
                        return Ok(());
                    }
                } else if !said_ready {
                    self.say_ready()?;
                    said_ready = true;
                }
            }
            self.name_missing();
            if self.start.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Err(ClusterError::Unreachable { missing: self.missing(), waited: self.start.waited }.into());
            }
            thread::sleep(ROUND);
        }
    }

    /// Calls a process for a link.
    fn call(&mut self, process: usize, link: Link, generation: Generation) -> Result<(), End> {
        let Start { topology, me, deadline, known, .. } = self.start;
        let address = topology.address(process).to_owned();
        self.calls.start((process, address), link, generation, (me, known), *deadline).map_err(system)
    }

    /// A call has come to a link; the first one to a generation too.
    fn answered(&mut self, answered: Answered, told: &mut Generation) -> Result<(), End> {
        let Answered { process, link, generation, stream } = answered;
        self.put(process, link, stream)?;
        if (process, link) == (0, Link::Control) {
            (self.generation, *told) = (generation, generation);
            self.call(0, Link::Data, generation)?;
            for process in 1..self.start.topology.index() {
                self.call(process, Link::Control, generation)?;
                self.call(process, Link::Data, generation)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, process: usize, link: Link, stream: TcpStream) -> Result<(), End> {
        self.slots.put(process, link, stream).map_err(|error| gone(process, &error.into()))
    }

    /// Gives signs of life; fails if a process that is linked gives none.
    fn beat(&mut self) -> Result<(), End> {
        if self.pulse.pass(Instant::now()).1 {
            self.slots.say_all(Kind::Beat, &0_u64.to_be_bytes());
        }
        for (process, slot) in self.slots.peers(self.start.topology.index()) {
            if slot.control.is_none() {
                self.pulse.heard(process);
            } else if self.pulse.is_silent(process) {
                self.start.known.note(process, "it was connected, and gives no sign of life".to_owned());
                return Err(End::again(format!("process {process} gives no sign of life")));
            }
        }
        Ok(())
    }

    /// Takes what was said; whether process 0 has said *go*.
    fn heard(&mut self) -> Result<bool, End> {
        loop {
            match self.slots.hear() {
                Ok(None) => return Ok(false),
                Ok(Some((process, Said::Beat(_)))) => self.pulse.heard(process),
                Ok(Some((process, Said::Ready))) => self.slots.0[process].ready = true,
                Ok(Some((0, Said::Go))) => return Ok(true),
                Ok(Some((process, Said::Go))) => return Err(gone(process, &FrameError::Stranger)),
                Ok(Some((process, Said::GaveUp(why)))) => {
                    self.start.known.note(process, why.clone());
                    return Err(End::again(format!("process {process}: {why}")));
                }
                Err((process, error)) => {
                    self.start.known.note(process, format!("it was connected, but {error}"));
                    return Err(gone(process, &error));
                }
            }
        }
    }

    fn is_complete(&self) -> bool {
        self.slots.peers(self.start.topology.index()).all(|(_, slot)| slot.control.is_some() && slot.data.is_some())
    }

    fn all_ready(&self) -> bool {
        self.slots.peers(0).all(|(_, slot)| slot.ready)
    }

    fn say_ready(&mut self) -> Result<(), End> {
        let said = self.slots.0[0].control.as_mut().map_or(Ok(()), |control| control.say(Kind::Ready, &[]));
        said.map_err(|error| gone(0, &error.into()))
    }

    /// Says now and then who keeps this process waiting: a start may have no end.
    fn name_missing(&self) {
        if self.start.named.get().elapsed() >= NAMED {
            self.start.named.set(Instant::now());
            tracing::warn!("waiting for other processes: {}", List(&self.missing()));
        }
    }

    /// Who keeps this process waiting, and the last thing known of it.
    fn missing(&self) -> Vec<Missing> {
        let Start { topology, known, .. } = self.start;
        let index = topology.index();
        let waited_for =
            |last: String, process: usize| Missing { process, address: topology.address(process).to_owned(), last };
        if self.is_complete() {
            let is_slow = |(process, slot): (usize, &crate::slots::Slot)| {
                (if index == 0 { !slot.ready } else { process == 0 }).then_some(process)
            };
            let last = "it is connected, but not all of the others are connected to it";
            return self
                .slots
                .peers(index)
                .filter_map(is_slow)
                .map(|process| waited_for(last.to_owned(), process))
                .collect();
        }
        let absent = self.slots.peers(index).filter(|(_, slot)| slot.control.is_none() || slot.data.is_none());
        absent.map(|(process, _)| waited_for(known.last(process), process)).collect()
    }
}

fn gone(process: usize, error: &FrameError) -> End {
    End::again(format!("process {process} has gone: {error}"))
}

fn system(error: io::Error) -> End {
    ClusterError::System(error.to_string()).into()
}
