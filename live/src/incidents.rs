//! Incidents that are open: not resolved, heard of within some hours, and in a life that is not over.

use std::collections::{BTreeMap, BTreeSet};

use citystream_dataflows::held::{Amount, Balance, Kind};
use citystream_dataflows::operators::incidents::{LIFE, LifeEvent, LifeId};
use citystream_dataflows::operators::stage::{Closes, Inbox, Input, Open, Outputs, Stage, conduct};
use citystream_dataflows::time::closes::EpochClose;
use citystream_dataflows::time::every::Every;
use citystream_dataflows::time::{Epoch, HOUR, MINUTE, window};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use crate::rows::Incident;
use crate::updates::Update;

/// For how long after its last status an incident is open.
pub const OPEN: i64 = 6 * HOUR;

/// Open incidents of lives, which come by incident.
pub fn open<'scope>(
    closes: Closes<'scope>,
    lives: StreamVec<'scope, Epoch, LifeEvent>,
) -> StreamVec<'scope, Epoch, Update<Incident>> {
    let mut builder = OperatorBuilder::new("open incidents".to_owned(), closes.scope());
    let lives = Inbox::new(&mut builder, lives, Pipeline);
    let stage = OpenIncidents {
        lives,
        told: BTreeMap::new(),
        open: BTreeMap::new(),
        shown: BTreeMap::new(),
        due: Every::new(MINUTE),
    };
    conduct(builder, closes, stage).rows
}

struct OpenIncidents {
    lives: Inbox<LifeEvent>,
    /// What was told last of lives since the last close.
    told: BTreeMap<LifeId, Option<Incident>>,
    /// Lives that are not resolved.
    open: BTreeMap<LifeId, Incident>,
    shown: BTreeMap<LifeId, Incident>,
    due: Every,
}

impl Stage for OpenIncidents {
    const NAME: &'static str = "open incidents";
    type Row = Update<Incident>;
    type Side = ();
    type Sealed = ();

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.lives]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut Outputs<Self::Row, ()>) {
        // One that is final goes by the horizon's minute here, as all else does.
        for LifeEvent { id, life, .. } in self.lives.take(epoch, fuel).into_iter().filter(|event| !event.is_final) {
            self.told.insert(id, life.as_ref().and_then(Incident::of));
        }
    }

    fn close(&mut self, close: &EpochClose, _: &mut usize, out: &mut Outputs<Self::Row, ()>) -> bool {
        let mut touched: BTreeSet<LifeId> = self.told.keys().copied().collect();
        for (id, told) in std::mem::take(&mut self.told) {
            match told {
                Some(incident) => drop(self.open.insert(id, incident)),
                None => drop(self.open.remove(&id)),
            }
        }
        let floor = close.horizon.map(|horizon| window(horizon, MINUTE));
        let until = |incident: &Incident| (incident.last + OPEN).min(incident.life.first.time + LIFE);
        let is_over = |incident: &Incident| floor.is_some_and(|floor| until(incident) <= floor);
        if floor.is_some_and(|floor| self.due.is_due(floor)) {
            touched.extend(self.open.iter().filter(|(_, incident)| is_over(incident)).map(|(id, _)| *id));
        }
        for id in touched {
            let now = self.open.get(&id).copied().filter(|incident| !is_over(incident));
            if now.is_none() {
                self.open.remove(&id);
            }
            let was = self.shown.get(&id).copied();
            if was != now {
                out.rows.extend(was.map(|row| (row, close.epoch, -1)));
                out.rows.extend(now.map(|row| (row, close.epoch, 1)));
                match now {
                    Some(row) => drop(self.shown.insert(id, row)),
                    None => drop(self.shown.remove(&id)),
                }
            }
        }
        true
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Live, Amount::of::<(LifeId, Incident)>(2 * self.open.len(), 0));
    }
}
