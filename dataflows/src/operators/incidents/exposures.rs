//! Which vehicles passed which life of an incident: what `incidents` counts, and a row each in `incident_exposures`.
//!
//! ```text
//! circles -- pipeline (by incident already) --+-> exposures -> changed rows
//! near ----- by incident ---------------------+            |-> sealed rows
//!                                                          \-> exposed: what they add to the life
//! ```
//!
//! A row changes with each ping. Who was near is told once a commit, of the circles that it ends with; what that changes
//! is told on, with what was told before. Once the horizon, in whole steps, has passed a circle, its rows are sealed (F1), and
//! all of it is freed.

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::passages::{Merge, Passage, Passages, QUARTER, Total};
use super::{CircleChange, EXPOSURE, LifeId, Near, Pings, STEP};
use crate::held::{Amount, Balance, Kind};
use crate::operators::numbers::Numbers;
use crate::operators::stage::{Closes, Emitted, Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::records::TextId;
use crate::records::changes::{Change, VehicleExposure};
use crate::records::hash::IdMap;
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::every::Every;
use crate::time::seals::Seals;
use crate::time::{Epoch, HOUR, Micros};

/// What a commit adds to the exposure of a life.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Exposed {
    /// The life.
    pub life: LifeId,
    /// So many more vehicles, or fewer.
    pub vehicles: i64,
    /// Pings while it was active.
    pub during: Pings,
    /// Those of the quarter of an hour before.
    pub before: Pings,
}

/// What becomes of those who passed lives.
pub struct Passed<'scope> {
    /// The changes of incident_exposures.
    pub rows: StreamVec<'scope, Epoch, Change<VehicleExposure>>,
    /// Rows that are final, each once.
    pub sealed: StreamVec<'scope, Epoch, VehicleExposure>,
    /// What the changes add to the lives.
    pub exposed: StreamVec<'scope, Epoch, Exposed>,
}

/// Vehicles by the life that they passed; see the module.
pub fn exposures<'scope>(
    closes: Closes<'scope>,
    circles: StreamVec<'scope, Epoch, CircleChange>,
    near: StreamVec<'scope, Epoch, Near>,
) -> Passed<'scope> {
    let mut builder = OperatorBuilder::new(Exposures::NAME.to_owned(), closes.scope());
    let circles = Inbox::new(&mut builder, circles, Pipeline);
    let near = Inbox::new(&mut builder, near, Exchange::new(|near: &Near| near.life.incident.spread()));
    let stage = Exposures {
        circles,
        near,
        lives: IdMap::default(),
        in_commit: IdMap::default(),
        telling: Vec::new(),
        vehicles: Numbers::default(),
        passages: 0,
        seals: Seals::new(STEP),
        sealing: Vec::new(),
        sweeping: Every::new(HOUR),
    };
    let Emitted { rows, side: exposed, sealed } = conduct(builder, closes, stage);
    Passed { rows, sealed, exposed }
}

struct Exposures {
    circles: Inbox<CircleChange>,
    near: Inbox<Near>,
    lives: IdMap<LifeId, Passers>,
    /// What has come since the last commit, and what of it is not told yet.
    in_commit: IdMap<LifeId, InCommit>,
    telling: Vec<(LifeId, InCommit)>,
    /// Numbers of vehicles: each of many thousands at one place is near each of many incidents.
    vehicles: Numbers<TextId>,
    /// Bytes of passages.
    passages: usize,
    seals: Seals,
    /// Lives that are over, with those who passed.
    sealing: Vec<(LifeId, Passers)>,
    /// When numbers are freed.
    sweeping: Every,
}

/// Who passed a life, as it was last told.
#[derive(Default)]
struct Passers {
    /// When its circle holds; `None`: it has none any more.
    circle: Option<Span>,
    /// In order.
    told: Vec<Passage>,
    /// When the circle was active that they passed.
    active: Micros,
}

#[derive(Clone, Copy)]
struct Span {
    active: Micros,
    until: Micros,
}

struct InCommit {
    /// Of what is told, that which begins so long after the circle was active is taken back.
    stands_until: u32,
    passages: Passages,
    during: Pings,
    before: Pings,
}

impl Default for InCommit {
    fn default() -> Self {
        InCommit {
            stands_until: u32::MAX,
            passages: Passages::default(),
            during: Pings::default(),
            before: Pings::default(),
        }
    }
}

impl Exposures {
    /// Goes on telling what the commit has changed; true once all is told.
    fn tell_all(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        self.telling.extend(self.in_commit.drain());
        while *fuel > 0
            && let Some((life, brought)) = self.telling.pop()
        {
            let rows = (close.kind == CloseKind::Seal).then_some(&mut out.rows);
            let Some(passers) = self.lives.get_mut(&life) else { continue };
            let before = passers.bytes() + brought.passages.bytes();
            let naming = Naming { life, vehicles: &self.vehicles };
            let telling = Telling { naming, horizon: close.horizon, rows };
            out.side.push(passers.tell(brought, telling));
            *fuel = fuel.saturating_sub(1 + passers.told.len());
            self.passages = self.passages + passers.bytes() - before;
            if passers.circle.is_none() {
                self.lives.remove(&life);
            }
        }
        self.telling.is_empty()
    }

    /// Takes the lives that no ping to come can change, and seals them; true once all are.
    fn seal(&mut self, end: Micros, fuel: &mut usize, mut out: Option<&mut Vec<VehicleExposure>>) -> bool {
        let is_over = |passers: &Passers| passers.circle.is_none_or(|circle| circle.until <= end);
        self.sealing.extend(self.lives.extract_if(|_, passers| is_over(passers)));
        while *fuel > 0
            && let Some((life, passers)) = self.sealing.pop()
        {
            *fuel = fuel.saturating_sub(1 + passers.told.len());
            self.passages -= passers.bytes();
            let naming = Naming { life, vehicles: &self.vehicles };
            out.iter_mut().for_each(|out| out.extend(passers.rows(naming)));
        }
        self.sealing.is_empty()
    }

    /// Frees the numbers of vehicles that have passed no life here: once an hour, as it visits all who passed.
    fn free_numbers(&mut self, end: Micros) {
        if self.sweeping.is_due(end) {
            let passages = self.lives.values().flat_map(|passers| &passers.told);
            self.vehicles.keep_only(passages.map(|passage| passage.vehicle));
        }
    }
}

impl Stage for Exposures {
    const NAME: &'static str = "exposures";
    type Row = Change<VehicleExposure>;
    type Side = Exposed;
    type Sealed = VehicleExposure;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.circles, &mut self.near]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
        for change in self.circles.take(epoch, fuel) {
            if let Some(circle) = change.new.or(change.old) {
                self.lives.entry(circle.life).or_default().change(&change);
                let in_commit = self.in_commit.entry(circle.life).or_default();
                in_commit.stands_until = in_commit.stands_until.min(change.stands_after());
            }
        }
        for Near { life, during, before, passages } in self.near.take(epoch, fuel) {
            *fuel = fuel.saturating_sub(passages.len());
            self.lives.entry(life).or_default();
            let brought = self.in_commit.entry(life).or_default();
            let held = brought.passages.bytes();
            brought.passages.reserve(passages.len());
            brought.during.merge(&during);
            brought.before.merge(&before);
            for (vehicle, mut passage) in passages {
                passage.vehicle = self.vehicles.of(vehicle);
                brought.passages.add(passage);
            }
            self.passages = self.passages + brought.passages.bytes() - held;
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        if close.kind == CloseKind::Open {
            return true;
        }
        if !self.tell_all(close, fuel, out) {
            return false;
        }
        // Once a step only: it visits every circle.
        let Some(due) = self.seals.due(close) else { return true };
        if !self.seal(due.end, fuel, (close.kind == CloseKind::Seal).then_some(&mut out.sealed)) {
            return false;
        }
        self.seals.pass(due.end);
        self.free_numbers(due.end);
        true
    }

    fn tell(&self, balance: &mut Balance) {
        let mut held = Amount::in_map::<(LifeId, Passers)>(self.lives.len());
        held += Amount::bytes(Amount::in_map::<(LifeId, InCommit)>(self.in_commit.len()).bytes);
        held += Amount::bytes(self.passages + self.vehicles.bytes());
        balance.set(Kind::Incidents, held);
    }
}

/// Whose rows they are.
#[derive(Clone, Copy)]
struct Naming<'a> {
    life: LifeId,
    vehicles: &'a Numbers<TextId>,
}

/// Where the rows of a life are told.
struct Telling<'a> {
    naming: Naming<'a>,
    horizon: Option<Micros>,
    /// `None`: the lake has them.
    rows: Option<&'a mut Vec<Change<VehicleExposure>>>,
}

impl Passers {
    /// Takes another circle.
    fn change(&mut self, change: &CircleChange) {
        self.circle = change.new.map(|circle| Span { active: circle.active, until: circle.until });
    }

    /// Tells the rows that a commit has changed, and what they add to the life.
    fn tell(&mut self, brought: InCommit, mut telling: Telling<'_>) -> Exposed {
        let InCommit { stands_until, passages, during, before } = brought;
        let (old, new) = (self.active, self.circle.map_or(self.active, |circle| circle.active));
        let since = telling.horizon.map_or(0, |horizon| (horizon - new).clamp(0, EXPOSURE)) as u32;
        let merge = Merge { new: &passages.into_sorted(), stands_until, final_before: since / QUARTER * QUARTER };
        let mut vehicles = 0;
        let told = merge.apply(&self.told, |vehicle, was, is| {
            let (was, is) = (Total::of(was, old), Total::of(is, new));
            vehicles += i64::from(is.is_some()) - i64::from(was.is_some());
            if was != is {
                telling.row(vehicle, was, is);
            }
        });
        (self.told, self.active) = (told, new);
        Exposed { life: telling.naming.life, vehicles, during, before }
    }

    /// The rows as they were last told.
    fn rows<'a>(&'a self, naming: Naming<'a>) -> impl Iterator<Item = VehicleExposure> + 'a {
        let of_vehicles = self.told.chunk_by(|one, other| one.vehicle == other.vehicle);
        of_vehicles.filter_map(move |its| Some(naming.row(its[0].vehicle, Total::of(its, self.active)?)))
    }

    fn bytes(&self) -> usize {
        self.told.capacity() * size_of::<Passage>()
    }
}

impl Naming<'_> {
    fn row(&self, vehicle: u32, Total { first, last, distance_mm, pings }: Total) -> VehicleExposure {
        VehicleExposure { life: self.life, vehicle: self.vehicles.value(vehicle), first, last, distance_mm, pings }
    }
}

impl Telling<'_> {
    fn row(&mut self, vehicle: u32, was: Option<Total>, is: Option<Total>) {
        let row = |total| self.naming.row(vehicle, total);
        if let Some(rows) = &mut self.rows {
            rows.extend(was.map(|was| Change { row: row(was), diff: -1 }));
            rows.extend(is.map(|is| Change { row: row(is), diff: 1 }));
        }
    }
}
