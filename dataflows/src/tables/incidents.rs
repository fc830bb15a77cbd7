//! `incidents`: one row a life of an incident: what its statuses say, and who was near.
//!
//! ```text
//! lives ---- pipeline (by incident already) --+-> incidents
//! exposed -- pipeline (by incident already) --+
//! ```

use serde::{Deserialize, Serialize};
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Pipeline;
use timely::dataflow::operators::generic::builder_rc::OperatorBuilder;

use super::{Block, Columns, Declaration, Fields, Intern, Needs, Recovery, Resume, Rows, Sealing, Select, Subject};
use crate::city::City;
use crate::held::{Amount, Balance, Kind};
use crate::operators::enrich::is_near;
use crate::operators::incidents::{
    BEFORE, EXPOSURE, Exposed, LIFE, LifeEvent, LifeId, Pings, STEP, Seed, exposed_until,
};
use crate::operators::stage::{Inbox, Input, Open, OutputsOf, Stage, conduct};
use crate::records::changes::{Change, Exposure, Life};
use crate::records::hash::{IdMap, IdSet};
use crate::records::{Phase, Reading, Stamp};
use crate::time::bindings::Topic;
use crate::time::closes::{CloseKind, EpochClose};
use crate::time::{Epoch, Micros, window};

/// The table.
pub static TABLE: Declaration = Declaration {
    name: NAME,
    about: ABOUT,
    key: &["incident_id", "partition", "offset"],
    time: "first_time",
    columns: || columns().describe(),
    build,
    sealing: Sealing { step: STEP, lasts: LIFE + EXPOSURE },
    lookback,
    recovery: Some(Recovery { from: known_from, seed }),
    behind,
    key_of: |_, _| None,
    record_columns: &[
        (Topic::EMERGENCY, ""),
        (Topic::EMERGENCY, "active_"),
        (Topic::EMERGENCY, "responding_"),
        (Topic::EMERGENCY, "resolved_"),
    ],
    totals: &[],
    subject: Subject::Nobody,
};

const NAME: &str = "incidents";

const ABOUT: &str = "\
One row a life of an incident: its statuses (`has_incident`; those of one `incident_id`, or of one record where that is
absent: its `incident_id` here is that record's id), cut greedily into lives: each holds the statuses less than 24 h after
its first one. Place: the first status's. Type and severity: the latest that say one. Exposed: distinct vehicles with a ping
within 1,500 m in [first Active, the lesser of first Resolved and first Active + 60 min); `pings_during` counts all pings of
that circle then, `speed_during_kmh` is the mean of those with a speed, `..._before...` the same of the 15 minutes before
first Active. Which vehicles these are, `incident_exposures` says: as many rows as `exposed_vehicles`.";

/// A life of an incident.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct IncidentRow {
    /// What its statuses say.
    pub life: Life,
    /// Who was near.
    pub exposure: Exposure,
}

/// The columns.
pub fn columns() -> Columns<IncidentRow> {
    let mut all = Columns::new();
    all.text("incident_id").from(|row: &IncidentRow| row.life.incident);
    all.time("first_time").from(|row| row.life.first.time);
    all.time("last_time").from(|row| row.life.last);
    all.count("statuses").from(|row| row.life.statuses);
    all.place(|row| row.life.at);
    all.int("partition", "").from(|row| row.life.first.partition);
    all.long("offset").from(|row| row.life.first.offset);
    all.word("type").null_when("no status has one").from(|row| row.life.kind.map(|kind| kind.word()));
    all.word("severity").null_when("no status has one").from(|row| row.life.severity.map(|severity| severity.word()));
    phases(&mut all);
    exposure(&mut all);
    all
}

fn phases(all: &mut Columns<IncidentRow>) {
    const NEVER: &str = "no status of the life is this";
    const NO_RESPONSE: &str = "it was never Active or never Responding, or that came first";
    const NO_CLEARANCE: &str = "it was never Active or never Resolved, or that came first";
    let name = |phase: Phase, what: &str| format!("{}_{what}", phase.word().to_lowercase());
    for phase in Phase::ALL {
        all.time(name(phase, "time")).null_when(NEVER).from(move |row| row.life.since(phase));
    }
    for phase in Phase::ALL {
        let stamp = move |row: &IncidentRow| row.life.phases[phase as usize];
        all.int(name(phase, "partition"), "").null_when(NEVER).from(move |row| stamp(row).map(|stamp| stamp.partition));
        all.long(name(phase, "offset")).null_when(NEVER).from(move |row| stamp(row).map(|stamp| stamp.offset));
    }
    let seconds = |row: &IncidentRow, phase| row.life.until(phase).map(|time| time as f64 / 1e6);
    all.double("response_s", "s").null_when(NO_RESPONSE).from(move |row| seconds(row, Phase::Responding));
    all.double("clearance_s", "s").null_when(NO_CLEARANCE).from(move |row| seconds(row, Phase::Resolved));
}

/// An incident that was never active has no circle to count in.
fn exposure(all: &mut Columns<IncidentRow>) {
    const INACTIVE: &str = "it was never Active";
    const SILENT: &str = "no ping there and then has a speed";
    let counted = |row: &IncidentRow, count: u64| row.exposure.vehicles.map(|_| count);
    all.count("exposed_vehicles").null_when(INACTIVE).from(|row| row.exposure.vehicles);
    all.count("pings_during").null_when(INACTIVE).from(move |row| counted(row, row.exposure.during.0));
    all.double("speed_during_kmh", "km/h").null_when(SILENT).from(|row| row.exposure.during.1);
    all.count("pings_before").null_when(INACTIVE).from(move |row| counted(row, row.exposure.before.0));
    all.double("speed_before_kmh", "km/h").null_when(SILENT).from(|row| row.exposure.before.1);
}

fn build<'scope>(city: &City<'scope>) -> StreamVec<'scope, Epoch, Block> {
    super::block::blocks(NAME, columns(), rows(city))
}

/// A life whose exposure is not final may have begun to count an hour before that was decided.
pub(super) fn lookback(Resume { horizon, is_exposure_open }: Resume) -> Vec<Needs> {
    let final_before = window(horizon, STEP);
    let exposure = if is_exposure_open { EXPOSURE } else { 0 };
    vec![
        Needs::Happened(Topic::GPS, final_before - BEFORE - exposure),
        Needs::Happened(Topic::EMERGENCY, known_from(horizon)),
    ]
}

/// From where on lives are taken from the lake. Statuses are read again from there as well: a life is either known with
/// all of its statuses, or so old that it is final.
fn known_from(horizon: Micros) -> Micros {
    window(horizon, STEP) - 2 * LIFE - EXPOSURE
}

/// A live row as a life to go on from. Statuses alone would not do: where a life begins depends on all statuses before.
fn seed(row: &dyn Fields, horizon: Micros, intern: Intern<'_>) -> Option<Seed> {
    let (time, partition, offset) = (row.long("first_time")?, row.int("partition")?, row.long("offset")?);
    let life = LifeId { incident: intern(row.text("incident_id")?), first: Stamp { time, partition, offset } };
    let until = row.long("active_time").map(|active| exposed_until(active, row.long("resolved_time")));
    let count = |column| row.long(column).unwrap_or(0) as u64;
    let exposure = until.filter(|until| *until <= window(horizon, STEP)).map(|_| Exposure {
        vehicles: row.long("exposed_vehicles").map(|vehicles| vehicles as u64),
        during: (count("pings_during"), Reading::from(row.double("speed_during_kmh"))),
        before: (count("pings_before"), Reading::from(row.double("speed_before_kmh"))),
    });
    Some(Seed { life, exposure })
}

fn behind(key: &[&str]) -> Option<Vec<Select>> {
    // An incident's id may have slashes.
    let [id @ .., partition, offset] = key else { return None };
    Some(vec![life(id.join("/"), (partition.parse().ok()?, offset.parse().ok()?), None)])
}

/// All statuses of an incident, as where a life begins depends on all before it; and the pings that may have passed the life
/// whose first status stands at `first`: all, or a vehicle's.
pub(super) fn life(incident: String, first: (i32, i64), vehicle: Option<String>) -> Select {
    let its = move |row: &dyn Fields| row.incident() == Some(&incident);
    let statuses = Select::on_time(Topic::EMERGENCY, Micros::MIN, Micros::MAX, its);
    statuses.then(move |statuses| {
        let is_first = |row: &&&dyn Fields| row.int("partition").zip(row.long("offset")) == Some(first);
        statuses.iter().find(is_first).and_then(|first| passers(*first, vehicle)).into_iter().collect()
    })
}

/// The pings that may have passed a life with this first status.
fn passers(first: &dyn Fields, vehicle: Option<String>) -> Option<Select> {
    let (place, time) = (first.place()?, first.long("event_time")?);
    let is_of = move |row: &dyn Fields| vehicle.as_ref().is_none_or(|vehicle| row.text("device_id") == Some(vehicle));
    let near = move |row: &dyn Fields| is_of(row) && row.place().is_some_and(|at| is_near(at, place));
    Some(Select::on_time(Topic::GPS, time - BEFORE, time + LIFE + EXPOSURE, near))
}

/// Its rows; see the module.
pub fn rows<'scope>(city: &City<'scope>) -> Rows<'scope, IncidentRow> {
    let mut builder = OperatorBuilder::new(NAME.to_owned(), city.closes.scope());
    let lives = Inbox::new(&mut builder, city.lives.clone(), Pipeline);
    let exposed = Inbox::new(&mut builder, city.exposed.clone(), Pipeline);
    let stage = Incidents { lives, exposed, rows: IdMap::default(), touched: IdSet::default() };
    conduct(builder, city.closes.clone(), stage).into()
}

struct Incidents {
    lives: Inbox<LifeEvent>,
    exposed: Inbox<Exposed>,
    rows: IdMap<LifeId, Slot>,
    touched: IdSet<LifeId>,
}

#[derive(Default)]
struct Slot {
    life: Option<Life>,
    /// What stands, whatever was counted.
    exposure: Option<Exposure>,
    vehicles: u64,
    during: Pings,
    before: Pings,
    written: Option<IncidentRow>,
    is_final: bool,
}

impl Stage for Incidents {
    const NAME: &'static str = NAME;
    type Row = Change<IncidentRow>;
    type Side = ();
    type Sealed = IncidentRow;

    fn inputs(&mut self) -> Vec<&mut dyn Input> {
        vec![&mut self.lives, &mut self.exposed]
    }

    fn absorb(&mut self, Open { epoch, .. }: Open, fuel: &mut usize, _: &mut OutputsOf<Self>) {
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
        for Exposed { life, vehicles, during, before } in self.exposed.take(epoch, fuel) {
            self.touched.insert(life);
            let slot = self.rows.entry(life).or_default();
            slot.vehicles = slot.vehicles.wrapping_add_signed(vehicles);
            slot.during.merge(&during);
            slot.before.merge(&before);
        }
    }

    fn close(&mut self, close: &EpochClose, fuel: &mut usize, out: &mut OutputsOf<Self>) -> bool {
        if close.kind == CloseKind::Open {
            return true;
        }
        for id in self.touched.drain() {
            *fuel = fuel.saturating_sub(1);
            let Some(slot) = self.rows.get_mut(&id) else { continue };
            let row = slot.row();
            let old = std::mem::replace(&mut slot.written, row);
            if close.kind == CloseKind::Seal {
                if old != row {
                    out.rows.extend(old.map(|row| Change { row, diff: -1 }));
                    out.rows.extend(row.map(|row| Change { row, diff: 1 }));
                }
                out.sealed.extend(row.filter(|_| slot.is_final));
            }
            if slot.is_final || row.is_none() {
                self.rows.remove(&id);
            }
        }
        true
    }

    fn tell(&self, balance: &mut Balance) {
        balance.set(Kind::Incidents, Amount::in_map::<(LifeId, Slot)>(self.rows.len()));
    }
}

impl Slot {
    fn row(&self) -> Option<IncidentRow> {
        let life = self.life?;
        let mean = |pings: &Pings| (pings.count as u64, pings.speed.mean());
        let counted = || match life.since(Phase::Active) {
            None => Exposure::default(),
            Some(_) => {
                Exposure { vehicles: Some(self.vehicles), during: mean(&self.during), before: mean(&self.before) }
            }
        };
        Some(IncidentRow { life, exposure: self.exposure.unwrap_or_else(counted) })
    }
}
