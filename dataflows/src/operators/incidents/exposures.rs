//! Which vehicles passed which life of an incident: what `incidents` counts, and a row each in `incident_exposures`.
//!
//! ```text
//! circles -- pipeline (by incident already) --+-> exposures -> changed rows
//! near ----- by incident ---------------------+            \-> exposed: what they add to the life
//! ```
//!
//! A row changes with each ping. Who was near is told once a commit, of the circles that it ends with; what that changes
//! is told on, with what was told before. Once a circle is over, all of it is freed.

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::passages::{Merge, Passage, Passages, QUARTER, Total};
use super::{CircleChange, EXPOSURE, LifeId, Near, Pings};
use crate::held::{Amount, Balance, Kind};
use crate::operators::numbers::Numbers;
use crate::operators::stage::{Closes, Inbox, Input, Open, Outputs, Stage, conduct};
use crate::records::TextId;
use crate::records::changes::{Change, VehicleExposure};
use crate::records::hash::IdMap;
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::every::Every;
use crate::time::{Epoch, HOUR, MINUTE, Micros};

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

/// Vehicles by the life that they passed; see the module.
pub fn exposures<'scope>(
    closes: Closes<'scope>,
    circles: StreamVec<'scope, Epoch, CircleChange>,
    near: StreamVec<'scope, Epoch, Near>,
) -> (StreamVec<'scope, Epoch, Change<VehicleExposure>>, StreamVec<'scope, Epoch, Exposed>) {
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
        freeing: Every::new(MINUTE),
        sweeping: Every::new(HOUR),
    };
    conduct(builder, closes, stage)
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
    /// When circles are freed, and numbers.
    freeing: Every,
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
    fn tell_all(
        &mut self,
        close: &EpochClose,
        fuel: &mut usize,
        out: &mut Outputs<Change<VehicleExposure>, Exposed>,
    ) -> bool {
        self.telling.extend(self.in_commit.drain());
        while *fuel > 0
            && let Some((life, brought)) = self.telling.pop()
        {
            let rows = (close.kind == CloseKind::Seal).then_some(&mut out.rows);
            let Some(passers) = self.lives.get_mut(&life) else { continue };
            let before = passers.bytes() + brought.passages.bytes();
            let telling = Telling { life, horizon: close.horizon, vehicles: &self.vehicles, rows };
            out.side.push(passers.tell(brought, telling));
            *fuel = fuel.saturating_sub(1 + passers.told.len());
            self.passages = self.passages + passers.bytes() - before;
            if passers.circle.is_none() {
                self.lives.remove(&life);
            }
        }
        self.telling.is_empty()
    }

    /// Frees what no ping to come can change.
    fn free_before(&mut self, horizon: Micros) {
        self.lives.retain(|_, passers| {
            let keep = passers.circle.is_some_and(|circle| circle.until > horizon);
            self.passages -= if keep { 0 } else { passers.bytes() };
            keep
        });
        // Once an hour: it visits all who passed.
        if self.sweeping.is_due(horizon) {
            let passages = self.lives.values().flat_map(|passers| &passers.told);
            self.vehicles.keep_only(passages.map(|passage| passage.vehicle));
        }
    }
}

impl Stage for Exposures {
    const NAME: &'static str = "exposures";
    type Row = Change<VehicleExposure>;
    type Side = Exposed;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.circles, &mut self.near]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, Self::Side>) {
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

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut Outputs<Self::Row, Exposed>) -> bool {
        if close.kind == CloseKind::Open {
            return true;
        }
        if !self.tell_all(close, fuel, out) {
            return false;
        }
        // Once a minute is often enough: it visits every circle.
        if let Some(horizon) = close.horizon.filter(|h| self.freeing.is_due(*h)) {
            self.free_before(horizon);
        }
        true
    }

    fn tell(&self, balance: &mut Balance) {
        let mut held = Amount::in_map::<(LifeId, Passers)>(self.lives.len());
        held += Amount::bytes(Amount::in_map::<(LifeId, InCommit)>(self.in_commit.len()).bytes);
        held += Amount::bytes(self.passages + self.vehicles.bytes());
        balance.set(Kind::Incidents, held);
    }
}

/// Where the rows of a life are told.
struct Telling<'a> {
    life: LifeId,
    horizon: Option<Micros>,
    vehicles: &'a Numbers<TextId>,
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
        Exposed { life: telling.life, vehicles, during, before }
    }

    fn bytes(&self) -> usize {
        self.told.capacity() * size_of::<Passage>()
    }
}

impl Telling<'_> {
    fn row(&mut self, vehicle: u32, was: Option<Total>, is: Option<Total>) {
        let (life, vehicle) = (self.life, self.vehicles.value(vehicle));
        let row = |Total { first, last, distance_mm, pings }: Total| VehicleExposure {
            life,
            vehicle,
            first,
            last,
            distance_mm,
            pings,
        };
        if let Some(rows) = &mut self.rows {
            rows.extend(was.map(|was| Change { row: row(was), diff: -1 }));
            rows.extend(is.map(|is| Change { row: row(is), diff: 1 }));
        }
    }
}
