//! The operators around the encoder threads.
//!
//! ```text
//! batches ---- pipeline -> write -> written (to worker 0)
//! ticks ---- broadcast -->       -> few (to a writer a table) -> gather -> written (to worker 0)
//!                                   ticks --------------------->
//! ```
//!
//! Both hold a capability for the first epoch that is not yet durable. Once their input is complete up to a sealing
//! epoch they ask their encoder to seal; when it answers, every file is durable, its description is sent at the sealing
//! epoch, and only then does the capability move past it. Its error is raised and the capability kept.

use std::collections::BTreeMap;
use std::sync::mpsc;

use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::bindings::Topic;
use citystream_dataflows::time::by_epoch::{ByEpoch, first_open};
use citystream_dataflows::time::ticks::Tick;
use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::progress::frontier::MutableAntichain;
use timely::scheduling::SyncActivator;

use super::complete::complete;
use super::encoder::Remainder;
use super::encoder_thread::{EncoderThread, Job, Sealed};
use crate::columns::tables::{Batch, Table};
use crate::error::RunError;
use crate::lake::history::commit::{File, Ledger};
use crate::process::{LakeAccess, Mailbox};

/// What one worker made durable for one commit.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Written {
    /// Files, by table.
    pub files: Vec<(Table, File)>,
    /// Rows written by topic, counted row by row; `read` is left at 0.
    pub counts: BTreeMap<Topic, Ledger>,
}

/// With so many workers worker 0, which keeps time and commits, gathers nothing.
const CROWD: usize = 8;

/// Where it goes, and what.
type Few = (u64, Remainder);

type Capabilities = Option<Vec<Capability<Epoch>>>;

/// Writes what this worker has plenty of; see the module.
pub fn write<'scope>(
    access: LakeAccess,
    rows: StreamVec<'scope, Epoch, Batch>,
    ticks: StreamVec<'scope, Epoch, Tick>,
) -> (StreamVec<'scope, Epoch, Written>, StreamVec<'scope, Epoch, Few>) {
    let scope = rows.scope();
    let mut builder = OperatorBuilder::new("write".to_owned(), scope);
    let mut rows = builder.new_input_connection(rows, Pipeline, []);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let (written, written_stream) = builder.new_output_connection::<Vec<Written>, _>([]);
    let (few, few_stream) = builder.new_output_connection::<Vec<Few>, _>([]);
    let (mut written, mut few) = (OutputBuilder::from(written), OutputBuilder::from(few));
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    let encoder = scope.index();
    let peers = scope.peers();
    // A worker alone has nobody to send it to.
    let send_few = peers > 1;

    builder.build(move |capabilities| {
        let mut held: Capabilities = Some(capabilities);
        let mut stage = Stage::new(access, encoder, wake);
        let mut waiting: ByEpoch<Vec<Batch>> = ByEpoch::default();
        let mut counts = Counts::default();
        move |frontiers| {
            // Read.
            rows.for_each(|time, batch| {
                if let Some(epoch) = time.least() {
                    waiting.at(*epoch).append(batch);
                }
            });
            ticks.for_each(|_, batch| stage.learn(batch));
            // Plan and act: hand over epochs in order, and the rows of the open one as they come.
            while let Some(tick) = stage.next(frontiers) {
                stage.write(tick.epoch, waiting.take(tick.epoch), &mut counts);
                if stage.seal(&tick, send_few) {
                    counts.seal(tick.epoch);
                }
            }
            if let Some(open) = stage.open {
                stage.write(open, waiting.take(open), &mut counts);
            }
            // Emit and downgrade.
            for sealed in stage.sealed() {
                let Some(caps) = &mut held else { return };
                let counts = counts.take(sealed.epoch);
                let (at, few_at) = (caps[0].delayed(&sealed.epoch), caps[1].delayed(&sealed.epoch));
                written.activate().session(&at).give(Written { files: sealed.files, counts });
                let addressed = |few: Remainder| (writer(few.table(), sealed.seq, peers), few);
                few.activate().session(&few_at).give_iterator(sealed.few.into_iter().map(addressed));
                pass(&mut held, sealed.epoch, stage.last);
            }
        }
    });
    (written_stream, few_stream)
}

/// The worker that gathers a table's files of a commit: in turn, and not where the clock is as soon as there are enough others.
fn writer(table: Table, seq: u64, peers: usize) -> u64 {
    let spared = usize::from(peers >= CROWD);
    let turn = (seq as usize).wrapping_mul(Table::all().count()).wrapping_add(table.index());
    (spared + turn % (peers - spared)) as u64
}

/// Writes what no worker had plenty of, all of a table on one worker; see the module.
pub fn gather<'scope>(
    access: LakeAccess,
    few: StreamVec<'scope, Epoch, Few>,
    ticks: StreamVec<'scope, Epoch, Tick>,
) -> StreamVec<'scope, Epoch, Written> {
    let scope = few.scope();
    let mut builder = OperatorBuilder::new("gather".to_owned(), scope);
    let mut few = builder.new_input_connection(few, Exchange::new(|(writer, _): &Few| *writer), []);
    let mut ticks = builder.new_input_connection(ticks, Pipeline, []);
    let (written, stream) = builder.new_output_connection::<Vec<Written>, _>([]);
    let mut written = OutputBuilder::from(written);
    let wake = scope.worker().sync_activator_for(builder.operator_info().address.to_vec());
    let encoder = scope.peers() + scope.index();

    builder.build(move |capabilities| {
        let mut held: Capabilities = Some(capabilities);
        let mut stage = Stage::new(access, encoder, wake);
        let mut waiting: ByEpoch<Vec<Few>> = ByEpoch::default();
        move |frontiers| {
            // Read.
            few.for_each(|time, batch| {
                if let Some(epoch) = time.least() {
                    waiting.at(*epoch).append(batch);
                }
            });
            ticks.for_each(|_, batch| stage.learn(batch));
            // Plan and act.
            while let Some(tick) = stage.next(frontiers) {
                for (_, few) in waiting.take(tick.epoch) {
                    stage.hand_over(Ok::<_, RunError>(Job::Few(few)));
                }
                stage.seal(&tick, false);
            }
            // Emit and downgrade.
            for Sealed { epoch, files, .. } in stage.sealed() {
                let Some(caps) = &mut held else { return };
                if !files.is_empty() {
                    let at = caps[0].delayed(&epoch);
                    written.activate().session(&at).give(Written { files, ..Written::default() });
                }
                pass(&mut held, epoch, stage.last);
            }
        }
    });
    stream
}

/// Moves the capabilities past a durable epoch; drops them after the last.
fn pass(held: &mut Capabilities, epoch: Epoch, last: Option<Epoch>) {
    if last == Some(epoch) {
        *held = None;
    }
    for capability in held.iter_mut().flatten() {
        capability.downgrade(&(epoch + 1));
    }
}

/// What `write` and `gather` have in common: ticks in order, and an encoder thread.
struct Stage {
    access: LakeAccess,
    number: usize,
    ticks: ByEpoch<Option<Tick>>,
    encoder: Option<EncoderThread>,
    mailbox: Mailbox<Result<Sealed, RunError>>,
    letters: mpsc::Receiver<Result<Sealed, RunError>>,
    /// The commit that the rows at hand will be part of.
    seq: u64,
    /// The epoch that is open, once the run has started.
    open: Option<Epoch>,
    last: Option<Epoch>,
}

impl Stage {
    fn new(access: LakeAccess, number: usize, wake: SyncActivator) -> Self {
        let (mailbox, letters) = Mailbox::new(wake);
        Stage {
            access,
            number,
            ticks: ByEpoch::default(),
            encoder: None,
            mailbox,
            letters,
            seq: 0,
            open: None,
            last: None,
        }
    }

    fn learn(&mut self, ticks: &mut Vec<Tick>) {
        ticks.drain(..).for_each(|tick| {
            let epoch = tick.epoch;
            *self.ticks.at(epoch) = Some(tick);
        });
    }

    /// The next tick whose epoch is complete at all inputs.
    fn next(&mut self, frontiers: &[MutableAntichain<Epoch>]) -> Option<Tick> {
        let (epoch, tick) = self.ticks.next_before(first_open(frontiers))?;
        let tick = tick?;
        if let Some(start) = &tick.start {
            self.seq = start.seq + 1;
            let (access, run) = (self.access.clone(), start.run.clone());
            match EncoderThread::start(access, run, self.number, self.mailbox.clone()) {
                Ok(encoder) => self.encoder = Some(encoder),
                Err(error) => self.access.fatal.raise(error),
            }
        }
        if tick.last {
            self.last = Some(epoch);
        }
        self.open = Some(epoch + 1);
        Some(tick)
    }

    /// Hands over rows of an epoch.
    fn write(&self, epoch: Epoch, rows: Vec<Batch>, counts: &mut Counts) {
        for batch in rows {
            counts.add(&batch);
            let rows = complete(&batch, epoch, self.seq);
            self.hand_over(rows.map(|rows| Job::Rows(batch.table, rows, self.seq)));
        }
    }

    fn hand_over(&self, job: Result<Job, impl Into<RunError>>) {
        match (job, &self.encoder) {
            (Ok(job), Some(encoder)) => encoder.send(job),
            (Ok(_), None) => self.access.fatal.raise(RunError::Integrity("P2: rows before the run's start".into())),
            (Err(error), _) => self.access.fatal.raise(error),
        }
    }

    /// Asks the encoder to seal if the tick does.
    fn seal(&mut self, tick: &Tick, send_few: bool) -> bool {
        let Some(seq) = tick.seal else { return false };
        self.hand_over(Ok::<_, RunError>(Job::Seal { epoch: tick.epoch, seq, send_few }));
        self.seq = seq + 1;
        true
    }

    /// What the encoder has made durable since last asked.
    fn sealed(&mut self) -> Vec<Sealed> {
        let mut sealed = Vec::new();
        for letter in self.letters.try_iter() {
            match letter {
                Ok(done) => sealed.push(done),
                Err(error) => self.access.fatal.raise(error),
            }
        }
        sealed
    }
}

/// Rows handed over by topic, a commit at a time.
#[derive(Default)]
struct Counts {
    open: BTreeMap<Topic, Ledger>,
    sealed: BTreeMap<Epoch, BTreeMap<Topic, Ledger>>,
}

impl Counts {
    fn add(&mut self, rows: &Batch) {
        if let Some(topic) = rows.table.topic() {
            let ledger = self.open.entry(topic).or_default();
            let rows = rows.dispositions.iter().zip(&rows.quality_windows);
            rows.for_each(|(disposition, window)| ledger.add(Some(*disposition), window.is_none()));
        }
        for (topic, window) in rows.dead.iter().zip(&rows.quality_windows) {
            self.open.entry(*topic).or_default().add(None, window.is_none());
        }
    }

    fn seal(&mut self, epoch: Epoch) {
        self.sealed.insert(epoch, std::mem::take(&mut self.open));
    }

    fn take(&mut self, epoch: Epoch) -> BTreeMap<Topic, Ledger> {
        self.sealed.remove(&epoch).unwrap_or_default()
    }
}
