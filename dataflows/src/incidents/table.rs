//! The rows of incidents: what a life's statuses say, and who was near.

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::{Exchange, Pipeline};
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{LifeEvent, LifeId};
use crate::changes::{Change, Exposure, IncidentRow, Life};
use crate::hash::{IdMap, IdSet, spread};
use crate::records::{Phase, Text};
use crate::stage::{Inbox, Input, Open, Outputs, Stage, conduct};
use crate::time::Epoch;
use crate::turns::{Close, Turn};
use crate::windows::counts::Sum;

/// What one worker's pings add to the exposure of a life.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Near {
    /// The life.
    pub life: LifeId,
    /// While it was active, or in the quarter of an hour before.
    pub during: bool,
    /// Pings.
    pub pings: i64,
    /// Their speeds.
    pub speed: Sum,
    /// Pings of each vehicle.
    pub vehicles: Vec<(Text, i64)>,
}

/// The changes of incidents; see the module.
pub fn incidents<'scope>(
    turns: StreamVec<'scope, Epoch, Turn>,
    lives: StreamVec<'scope, Epoch, LifeEvent>,
    near: StreamVec<'scope, Epoch, Near>,
) -> StreamVec<'scope, Epoch, Change<IncidentRow>> {
    let mut builder = OperatorBuilder::new("incidents".to_owned(), turns.scope());
    let lives = Inbox::new(&mut builder, lives, Pipeline);
    let near = Inbox::new(&mut builder, near, Exchange::new(|near: &Near| spread(near.life.incident.0)));
    let stage = Incidents { lives, near, rows: IdMap::default(), touched: IdSet::default() };
    conduct(builder, turns, stage).0
}

struct Incidents {
    lives: Inbox<LifeEvent>,
    near: Inbox<Near>,
    rows: IdMap<LifeId, Slot>,
    touched: IdSet<LifeId>,
}

#[derive(Default)]
struct Slot {
    life: Option<Life>,
    /// What stands, whatever was counted.
    exposure: Option<Exposure>,
    vehicles: IdMap<Text, i64>,
    during: Group,
    before: Group,
    written: Option<IncidentRow>,
    is_final: bool,
}

#[derive(Default)]
struct Group {
    pings: i64,
    speed: Sum,
}

impl Stage for Incidents {
    type Row = Change<IncidentRow>;
    type Side = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.lives, &mut self.near]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize) {
        for event in self.lives.take(epoch, fuel) {
            let slot = self.rows.entry(event.id).or_default();
            if event.is_final {
                slot.is_final = true;
            } else {
                slot.life = event.life;
                slot.exposure = event.exposure;
            }
            self.touched.insert(event.id);
        }
        for near in self.near.take(epoch, fuel) {
            self.touched.insert(near.life);
            self.rows.entry(near.life).or_default().add(near);
        }
    }

    fn close(&mut self, turn: &Turn, fuel: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        if turn.close == Close::Open {
            return true;
        }
        for id in self.touched.drain() {
            *fuel = fuel.saturating_sub(1);
            let Some(slot) = self.rows.get_mut(&id) else { continue };
            let row = slot.row();
            let old = std::mem::replace(&mut slot.written, row);
            if old != row && turn.close == Close::Seal {
                out.rows.extend(old.map(|row| Change { row, diff: -1 }));
                out.rows.extend(row.map(|row| Change { row, diff: 1 }));
            }
            if slot.is_final || row.is_none() {
                self.rows.remove(&id);
            }
        }
        true
    }
}

impl Slot {
    fn add(&mut self, near: Near) {
        let group = if near.during { &mut self.during } else { &mut self.before };
        group.pings += near.pings;
        group.speed.merge(&near.speed);
        for (vehicle, pings) in near.vehicles {
            let held = self.vehicles.entry(vehicle).or_default();
            *held += pings;
            if *held == 0 {
                self.vehicles.remove(&vehicle);
            }
        }
    }

    fn row(&self) -> Option<IncidentRow> {
        let life = self.life?;
        let mean = |group: &Group| (group.pings as u64, group.speed.mean());
        let counted = || match life.since(Phase::Active) {
            None => Exposure::default(),
            Some(_) => Exposure {
                vehicles: Some(self.vehicles.len() as u64),
                during: mean(&self.during),
                before: mean(&self.before),
            },
        };
        Some(IncidentRow { life, exposure: self.exposure.unwrap_or_else(counted) })
    }
}
