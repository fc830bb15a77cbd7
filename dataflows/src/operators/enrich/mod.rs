//! enriched_pings: every ping with the traffic, the weather and the incidents of its time and place.
//!
//! ```text
//! pings with their weather -- by cell --+
//! traffic ------------------- by cell --+-> enrich -> changed rows (stay with their cell)
//! statuses ------------------ to all ---+          -> recovered rows, for what is computed from rows
//! circles ------------------- to all ---+          -> near: who passed which incident
//!                                         -> sealed rows
//! ```
//!
//! A ping that comes is matched with the references that are here; a reference that comes is given to the pings that
//! it now governs, and to no other: so the matches are a function of the set of records, whatever their order, and the
//! cost follows what changes. Only at the end of a commit are rows written: new ones, and for changed ones the old
//! and the new. What lies before the horizon, in whole minutes, is final: it is sealed (F1), its references are freed, and it
//! itself once no circle to come can hold it.

mod cell_references;
mod correct;
mod disks;
mod interned;
mod pings;
mod state;
mod tallies;

pub use cell_references::{NEAR_MM, is_near};

use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;
use timely::dataflow::operators::vec::{Broadcast, Map};

use crate::held::Balance;
use crate::operators::incidents::{CircleChange, Near};
use crate::operators::stage::{Closes, Emitted, Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::operators::weather_join::Joined;
use crate::records::changes::{Change, EnrichedPing};
use crate::records::hash::spread;
use crate::records::{Status, Traffic};
use crate::time::closes::EpochClose;
use crate::time::{Epoch, MINUTE, Micros};
use correct::Corrections;
use disks::Share;
use state::State;

/// How long a traffic record counts.
pub const TRAFFIC_REACH: Micros = 10 * MINUTE;
/// How long a status counts.
pub const STATUS_REACH: Micros = 6 * 60 * MINUTE;

/// Pings become final in steps of this length.
pub const STEP: Micros = MINUTE;

/// The records that enrich pings.
pub struct Inputs<'scope> {
    /// Pings with their weather, and weather that came later.
    pub joined: StreamVec<'scope, Epoch, Joined>,
    /// Traffic, at the worker of its cell already.
    pub traffic: StreamVec<'scope, Epoch, Traffic>,
    /// Statuses of incidents.
    pub statuses: StreamVec<'scope, Epoch, Status>,
    /// Circles around incidents.
    pub circles: StreamVec<'scope, Epoch, CircleChange>,
}

/// What becomes of pings.
pub struct Enriched<'scope> {
    /// The changes of enriched_pings.
    pub rows: StreamVec<'scope, Epoch, Change<EnrichedPing>>,
    /// Rows that the lake has, at the first epoch of a run only.
    pub recovered: StreamVec<'scope, Epoch, Change<EnrichedPing>>,
    /// Who was near which incident.
    pub near: StreamVec<'scope, Epoch, Near>,
    /// Rows that are final, each once.
    pub sealed: StreamVec<'scope, Epoch, EnrichedPing>,
}

/// What is told besides the changes.
#[derive(Clone, Debug)]
pub enum Aside {
    /// Of [`Enriched::near`].
    Near(Near),
    /// Of [`Enriched::recovered`].
    Recovered(Change<EnrichedPing>),
}

/// The enriched pings; see the module.
pub fn enrich<'scope>(closes: Closes<'scope>, inputs: Inputs<'scope>) -> Enriched<'scope> {
    let worker = closes.scope().worker();
    let share = Share { index: worker.index(), peers: worker.peers() };
    let mut builder = OperatorBuilder::new(Enrich::NAME.to_owned(), closes.scope());
    let stage = Enrich {
        joined: Inbox::new(&mut builder, inputs.joined, Exchange::new(Joined::spread)),
        traffic: Inbox::new(&mut builder, inputs.traffic, Pipeline),
        statuses: Inbox::new(&mut builder, inputs.statuses.broadcast(), Pipeline),
        circles: Inbox::new(&mut builder, inputs.circles.broadcast(), Pipeline),
        state: State::new(share),
        corrections: Corrections::default(),
    };
    let Emitted { rows, side: aside, sealed } = conduct(builder, closes, stage);
    let recovered = aside.clone().flat_map(|aside| match aside {
        Aside::Recovered(change) => Some(change),
        Aside::Near(_) => None,
    });
    let near = aside.flat_map(|aside| match aside {
        Aside::Near(near) => Some(near),
        Aside::Recovered(_) => None,
    });
    Enriched { rows, recovered, near, sealed }
}

/// Brings traffic records to the workers of their cells.
pub fn by_cell<'scope>(traffic: StreamVec<'scope, Epoch, Traffic>) -> StreamVec<'scope, Epoch, Traffic> {
    use timely::dataflow::operators::Exchange as _;
    traffic.exchange(|record| spread(record.c8))
}

struct Enrich {
    joined: Inbox<Joined>,
    traffic: Inbox<Traffic>,
    statuses: Inbox<Status>,
    circles: Inbox<CircleChange>,
    state: State,
    corrections: Corrections,
}

impl Stage for Enrich {
    const NAME: &'static str = "enriched_pings";
    type Row = Change<EnrichedPing>;
    type Side = Aside;
    type Sealed = EnrichedPing;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.joined, &mut self.traffic, &mut self.statuses, &mut self.circles]
    }

    /// Nothing is taken while a correction is under way: the spans it was made of must stay true. Pings wait for the
    /// references of their epoch: a match is cheaper than a correction.
    fn absorb(&mut self, Open { epoch, is_complete }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
        let Enrich { state, corrections, .. } = self;
        state.correct(corrections, fuel);
        if *fuel > 0 {
            state.learn_traffic(self.traffic.take(epoch, fuel), corrections);
            state.learn_statuses(self.statuses.take(epoch, fuel), corrections);
            state.learn_circles(self.circles.take(epoch, fuel), corrections);
            state.correct(corrections, fuel);
        }
        if is_complete && *fuel > 0 && corrections.is_done() {
            state.learn_joined(&self.joined.take(epoch, fuel), corrections);
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        self.state.correct(&mut self.corrections, fuel);
        self.corrections.is_done() && self.state.close(close, fuel, out)
    }

    fn tell(&self, balance: &mut Balance) {
        self.state.tell(balance);
    }
}
