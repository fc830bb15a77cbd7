//! What all operators of the derived tables have in common.
//!
//! A [`Stage`] takes records in any order and closes epochs in their order; its state must be a function of the set of
//! records taken, so that neither batching nor arrival order shows (D1, P3). [`conduct`] drives it in short portions of work:
//! records of the open epoch are taken as they come, the epoch is closed once every input is past it, and what the
//! close emits is sent at that epoch before the capability moves on.

use std::any::TypeId;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use timely::container::CapacityContainerBuilder;
use timely::dataflow::channels::pact::{ParallelizationContract, Pipeline};
use timely::dataflow::operators::Capability;
use timely::dataflow::operators::generic::OutputBuilder;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::generic::operator::empty;
use timely::dataflow::{Scope, StreamVec};

use crate::held::{Balance, Held, Work};
use crate::time::Epoch;
use crate::time::closes::EpochClose;

/// Before it is looked again whether what was told has been written.
const PAUSE: Duration = Duration::from_millis(1);
/// How much work one activation of an operator does, in updates: some milliseconds.
pub const FUEL: usize = 4 * 1024;
/// One unit of fuel pays for so many records: taken together they are sorted, and find what they need side by side.
const TAKEN: usize = 8;

/// One input: what has come and is not yet taken, by epoch.
pub struct Inbox<T> {
    read: Read<T>,
    waiting: Waiting<T>,
}

type Waiting<T> = BTreeMap<Epoch, VecDeque<Vec<T>>>;
type Read<T> = Box<dyn FnMut(&mut Waiting<T>)>;

impl<T: Clone + 'static> Inbox<T> {
    /// Makes an input of the operator that is being built.
    pub fn new<'scope, P>(
        builder: &mut OperatorBuilder<'scope, Epoch>,
        stream: StreamVec<'scope, Epoch, T>,
        pact: P,
    ) -> Self
    where
        P: ParallelizationContract<Epoch, Vec<T>> + 'static,
    {
        let mut input = builder.new_input_connection(stream, pact, []);
        let read = move |waiting: &mut Waiting<T>| {
            input.for_each(|time, batch| {
                if let Some(epoch) = time.least() {
                    waiting.entry(*epoch).or_default().push_back(std::mem::take(batch));
                }
            });
        };
        Inbox { read: Box::new(read), waiting: BTreeMap::new() }
    }

    fn read(&mut self) {
        (self.read)(&mut self.waiting);
    }

    /// Takes whole batches of the open epoch as they came, while there is fuel.
    pub fn take(&mut self, open: Epoch, fuel: &mut usize) -> Vec<T> {
        let (mut taken, mut more) = (Vec::new(), Vec::new());
        while let Some(mut entry) = self.waiting.first_entry().filter(|entry| *entry.key() <= open && *fuel > 0) {
            let Some(batch) = entry.get_mut().pop_front() else {
                entry.remove();
                continue;
            };
            *fuel = fuel.saturating_sub(batch.len().div_ceil(TAKEN));
            if taken.is_empty() { taken = batch } else { more.push(batch) }
        }
        // Grown once.
        taken.reserve_exact(more.iter().map(Vec::len).sum());
        more.into_iter().for_each(|mut batch| taken.append(&mut batch));
        taken
    }

    /// The first of all records that wait.
    fn first(&self) -> Option<T> {
        self.waiting.first_key_value()?.1.front()?.first().cloned()
    }

    fn is_done(&self, open: Epoch) -> bool {
        self.waiting.range(..=open).all(|(_, batches)| batches.is_empty())
    }
}

/// Something that reads and waits.
pub trait Input {
    /// Takes in what has arrived.
    fn read(&mut self);
    /// Whether nothing of the open epoch waits.
    fn is_done(&self, open: Epoch) -> bool;
}

impl<T: Clone + 'static> Input for Inbox<T> {
    fn read(&mut self) {
        Inbox::read(self);
    }

    fn is_done(&self, open: Epoch) -> bool {
        Inbox::is_done(self, open)
    }
}

/// The epoch that is open.
#[derive(Clone, Copy, Debug)]
pub struct Open {
    /// The epoch.
    pub epoch: Epoch,
    /// Whether all of its records are here.
    pub is_complete: bool,
}

/// What an operator does; see the module. `Row`, `Side` and `Sealed` are what its outputs carry; `()` where it has none.
pub trait Stage: 'static {
    /// What it is called where somebody asks what takes so long.
    const NAME: &'static str;
    /// Of the first output.
    type Row: Clone + 'static;
    /// Of the second output.
    type Side: Clone + 'static;
    /// Of the third output: rows that are final.
    type Sealed: Clone + 'static;

    /// Its inputs.
    fn inputs(&mut self) -> Vec<&mut dyn Input>;

    /// Takes records of the open epoch while there is fuel; once it is complete, all of them. What it emits is sent at that
    /// epoch.
    fn absorb(&mut self, open: Open, fuel: &mut usize, out: &mut OutputsOf<Self>);

    /// Goes on closing the epoch while there is fuel; true once it is closed. All of its records have been taken.
    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool;

    /// Tells what it holds, without looking at all of it.
    fn tell(&self, balance: &mut Balance);
}

/// What drives the stages of a worker, and where they tell what they hold.
#[derive(Clone)]
pub struct Closes<'scope> {
    /// How epochs close.
    pub stream: StreamVec<'scope, Epoch, EpochClose>,
    /// What the process holds.
    pub held: Arc<Held>,
}

impl<'scope> Closes<'scope> {
    /// Where operators are built.
    pub fn scope(&self) -> Scope<'scope, Epoch> {
        self.stream.scope()
    }
}

/// Where nobody asks what is held.
impl<'scope> From<StreamVec<'scope, Epoch, EpochClose>> for Closes<'scope> {
    fn from(stream: StreamVec<'scope, Epoch, EpochClose>) -> Self {
        Closes { stream, held: Arc::default() }
    }
}

/// What a stage emits.
pub struct Outputs<R, S, F = ()> {
    /// For the first output.
    pub rows: Vec<R>,
    /// For the second output.
    pub side: Vec<S>,
    /// For the third output.
    pub sealed: Vec<F>,
}

/// What a stage of this type emits.
pub type OutputsOf<S> = Outputs<<S as Stage>::Row, <S as Stage>::Side, <S as Stage>::Sealed>;

/// The streams of a stage.
pub struct Emitted<'scope, S: Stage> {
    /// Its first output.
    pub rows: StreamVec<'scope, Epoch, S::Row>,
    /// Its second output.
    pub side: StreamVec<'scope, Epoch, S::Side>,
    /// Its third output.
    pub sealed: StreamVec<'scope, Epoch, S::Sealed>,
}

/// One output, if anything is ever said on it: each costs its share of what workers tell each other of their progress.
struct Output<T: Clone + 'static>(Option<(usize, Batches<T>)>);

type Batches<T> = OutputBuilder<Epoch, CapacityContainerBuilder<Vec<T>>>;

/// The outputs of a stage.
struct Channels<S: Stage> {
    rows: Output<S::Row>,
    side: Output<S::Side>,
    sealed: Output<S::Sealed>,
}

impl<S: Stage> Channels<S> {
    fn new<'scope>(
        builder: &mut OperatorBuilder<'scope, Epoch>,
        scope: Scope<'scope, Epoch>,
    ) -> (Self, Emitted<'scope, S>) {
        let (rows, row_stream) = Output::new(builder, scope);
        let (side, side_stream) = Output::new(builder, scope);
        let (sealed, sealed_stream) = Output::new(builder, scope);
        (Channels { rows, side, sealed }, Emitted { rows: row_stream, side: side_stream, sealed: sealed_stream })
    }

    /// Sends what there is at an epoch.
    fn give(&mut self, capabilities: &[Capability<Epoch>], epoch: Epoch, out: &mut OutputsOf<S>) {
        self.rows.give(capabilities, epoch, &mut out.rows);
        self.side.give(capabilities, epoch, &mut out.side);
        self.sealed.give(capabilities, epoch, &mut out.sealed);
    }
}

impl<T: Clone + 'static> Output<T> {
    fn new<'scope>(
        builder: &mut OperatorBuilder<'scope, Epoch>,
        scope: Scope<'scope, Epoch>,
    ) -> (Self, StreamVec<'scope, Epoch, T>) {
        if TypeId::of::<T>() == TypeId::of::<()>() {
            return (Output(None), empty(scope));
        }
        let place = builder.shape().outputs();
        let (output, stream) = builder.new_output_connection::<Vec<T>, _>([]);
        (Output(Some((place, OutputBuilder::from(output)))), stream)
    }

    fn give(&mut self, capabilities: &[Capability<Epoch>], epoch: Epoch, rows: &mut Vec<T>) {
        let Some((place, output)) = self.0.as_mut().filter(|_| !rows.is_empty()) else { return };
        output.activate().session(&capabilities[*place].delayed(&epoch)).give_container(rows);
    }
}

/// Drives a stage; see the module.
pub fn conduct<'scope, S: Stage>(
    mut builder: OperatorBuilder<'scope, Epoch>,
    closes: Closes<'scope>,
    mut stage: S,
) -> Emitted<'scope, S> {
    let scope = closes.scope();
    let process = Arc::clone(&closes.held);
    let mut balance = Balance::new(&process);
    let work = Work::of(&process, S::NAME, scope.index());
    let mut closes = Inbox::new(&mut builder, closes.stream, Pipeline);
    let (mut channels, emitted) = Channels::<S>::new(&mut builder, scope);
    let activator = scope.activator_for(builder.operator_info().address);

    builder.build(move |capabilities| {
        let mut held = Some(capabilities);
        let mut open = None;
        move |frontiers| {
            // Read.
            closes.read();
            stage.inputs().into_iter().for_each(Input::read);
            let Some(capabilities) = &mut held else { return };
            let mut at_work = None;
            let mut fuel = FUEL;
            let mut out = Outputs { rows: Vec::new(), side: Vec::new(), sealed: Vec::new() };
            while fuel > 0 {
                // Plan: the open epoch is the first that is not closed.
                let close = closes.first();
                let Some(epoch) = close.map(|close| close.epoch).or(open) else { break };
                let complete = |close: &EpochClose| !frontiers.iter().any(|frontier| frontier.less_equal(&close.epoch));
                let close = close.filter(complete);
                // Act, emit.
                stage.absorb(Open { epoch, is_complete: close.is_some() }, &mut fuel, &mut out);
                channels.give(capabilities, epoch, &mut out);
                let Some(close) = close else { break };
                at_work = Some(epoch);
                if !stage.inputs().iter().all(|input| input.is_done(epoch)) {
                    continue;
                }
                if process.is_full() {
                    activator.activate_after(PAUSE);
                    break;
                }
                let closed = stage.close(&close, &mut fuel, &mut out);
                channels.give(capabilities, epoch, &mut out);
                // Downgrade.
                if closed {
                    at_work = None;
                    closes.waiting.remove(&epoch);
                    open = Some(epoch + 1);
                    if close.last {
                        work.at(None);
                        held = None;
                        return;
                    }
                    capabilities.iter_mut().for_each(|capability| capability.downgrade(&(epoch + 1)));
                }
            }
            stage.tell(&mut balance);
            work.at(at_work);
            if fuel == 0 {
                activator.activate();
            }
        }
    });
    emitted
}
