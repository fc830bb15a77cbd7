//! Runs of the city dataflow over logs cut into epochs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use citystream_dataflows::city::{City, Records};
use citystream_dataflows::operators::incidents::Seed;
use citystream_dataflows::records::changes::LifeId;
use citystream_dataflows::tables::incidents::IncidentRow;
use citystream_dataflows::tables::{Rows, data_quality_15m, environment_15m, incidents, traffic_5m, vehicle_15m};
use citystream_dataflows::time::Epoch;
use citystream_dataflows::time::closes::{CloseKind, EpochClose};
use timely::dataflow::operators::{Input, Inspect};
use timely::dataflow::{InputHandleVec, StreamVec};

use crate::finality;
use crate::reference::{Key, Kinds, Row, Tables};
use crate::world::{MINUTE, Random, Record};

/// An epoch: what it holds, and its close.
#[derive(Clone, Debug)]
pub struct Cut {
    pub records: Vec<Record>,
    pub seeds: Vec<Seed>,
    pub close: EpochClose,
}

/// Cuts a log into epochs: after each record none or some of them end, whatever the other records are. The horizon is as
/// far as it may be, or somewhat behind; the last epoch seals.
pub fn cut(log: &[Record], seed: u64) -> Vec<Cut> {
    let length = 2 + Random(seed).below(40);
    let mut cuts: Vec<Cut> = Vec::new();
    let mut close = |records: &[Record], later: &[Record], mut random: Random| {
        let held = cuts.last().and_then(|cut| cut.close.horizon);
        let bound = later.iter().map(Record::time).min().unwrap_or_else(|| held.unwrap_or(0) + 50 * MINUTE);
        let horizon = held.max((!random.one_in(8)).then_some(bound - random.pick(&[0, 0, 1, 20 * MINUTE])));
        let epoch = cuts.last().map_or(seed % 3 * 17, |cut| cut.close.epoch + 1);
        let close = match (epoch, cuts.len()) {
            (_, 0) => EpochClose { epoch, horizon: None, kind: CloseKind::Recovery, last: false },
            _ if random.one_in(3) => EpochClose { epoch, horizon, kind: CloseKind::Seal, last: false },
            _ => EpochClose { epoch, horizon, kind: CloseKind::Open, last: false },
        };
        cuts.push(Cut { records: records.to_vec(), seeds: Vec::new(), close });
    };
    close(&[], log, Random(seed));
    let mut start = 0;
    for (end, record) in (1..).zip(log) {
        let mut random = Random(seed ^ record.tag());
        let ends = if random.one_in(length) { random.pick(&[1, 1, 1, 2, 3]) } else { 0 };
        for _ in 0..ends {
            close(&log[start..end], &log[end..], random.clone());
            start = end;
            random.below(2);
        }
    }
    close(&log[start..], &[], Random(!seed));
    let close = cuts.last_mut().map(|cut| &mut cut.close).expect("an epoch");
    (close.kind, close.last) = (CloseKind::Seal, true);
    cuts
}

/// What a seal wrote.
#[derive(Clone, Debug, Default)]
pub struct Seal {
    pub changes: Vec<(Row, i8)>,
    pub sealed: Vec<Row>,
}

/// What each seal wrote.
pub type Seals = BTreeMap<Epoch, Seal>;

type Collected = Arc<Mutex<Seals>>;

/// One worker's inputs.
#[derive(Default)]
struct Handles {
    closes: InputHandleVec<Epoch, EpochClose>,
    vehicles: InputHandleVec<Epoch, citystream_dataflows::records::VehicleRecord>,
    pings: InputHandleVec<Epoch, citystream_dataflows::records::Ping>,
    traffic: InputHandleVec<Epoch, citystream_dataflows::records::Traffic>,
    weather: InputHandleVec<Epoch, citystream_dataflows::records::Weather>,
    statuses: InputHandleVec<Epoch, citystream_dataflows::records::Status>,
    deliveries: InputHandleVec<Epoch, citystream_dataflows::records::Delivery>,
    seeds: InputHandleVec<Epoch, Seed>,
}

/// Runs the dataflow; records go to workers as `seed` says.
pub fn run(cuts: &[Cut], workers: usize, seed: u64) -> Result<Seals, String> {
    let collected = Collected::default();
    let (shared, input) = (Arc::clone(&collected), Arc::new(cuts.to_vec()));
    let guards = timely::execute(timely::Config::process(workers), move |worker| {
        let (index, peers) = (worker.index(), worker.peers() as u64);
        let mut handles = Handles::default();
        worker.dataflow(|scope| {
            let records = Records {
                vehicles: scope.input_from(&mut handles.vehicles),
                pings: scope.input_from(&mut handles.pings),
                traffic: scope.input_from(&mut handles.traffic),
                weather: scope.input_from(&mut handles.weather),
                statuses: scope.input_from(&mut handles.statuses),
                deliveries: scope.input_from(&mut handles.deliveries),
                seeds: scope.input_from(&mut handles.seeds),
            };
            let closes = scope.input_from(&mut handles.closes);
            collect_all(&City::new(closes, records), &shared);
        });
        let mut random = Random(seed);
        // Workers go their own pace.
        let mut pace = Random(seed + 1 + index as u64);
        for cut in input.iter() {
            let mut mine = |_: &&Record| random.below(peers) as usize == index;
            handles.feed(cut, cut.records.iter().filter(&mut mine), index);
            (0..pace.below(4)).for_each(|_| {
                worker.step();
            });
        }
    });
    for result in guards?.join() {
        result?;
    }
    Arc::into_inner(collected).expect("all workers are done").into_inner().map_err(|e| e.to_string())
}

impl Handles {
    /// Gives a worker its part of an epoch.
    fn feed<'a>(&mut self, cut: &Cut, records: impl Iterator<Item = &'a Record>, index: usize) {
        let epoch = cut.close.epoch;
        self.closes.advance_to(epoch);
        self.vehicles.advance_to(epoch);
        self.pings.advance_to(epoch);
        self.traffic.advance_to(epoch);
        self.weather.advance_to(epoch);
        self.statuses.advance_to(epoch);
        self.deliveries.advance_to(epoch);
        self.seeds.advance_to(epoch);
        let mut kinds = Kinds::of(records);
        self.vehicles.send_batch(&mut kinds.vehicles);
        self.pings.send_batch(&mut kinds.pings);
        self.traffic.send_batch(&mut kinds.traffic);
        self.weather.send_batch(&mut kinds.weather);
        self.statuses.send_batch(&mut kinds.statuses);
        self.deliveries.send_batch(&mut kinds.deliveries);
        if index == 0 {
            cut.seeds.iter().for_each(|seed| self.seeds.send(*seed));
        }
        self.closes.send(cut.close);
    }
}

fn collect_all(city: &City<'_>, to: &Collected) {
    let (changes, sealed) = (city.enriched_changes.clone(), city.enriched_sealed.clone());
    collect(Rows { changes, sealed }, Row::Ping, to);
    collect(traffic_5m::rows(city), Row::Traffic, to);
    collect(vehicle_15m::rows(city), Row::Vehicle, to);
    collect(environment_15m::rows(city), Row::Environment, to);
    collect(incidents::rows(city), Row::Incident, to);
    collect(data_quality_15m::rows(city), Row::Quality, to);
    let (changes, sealed) = (city.exposures.clone(), city.exposures_sealed.clone());
    collect(Rows { changes, sealed }, Row::Exposure, to);
}

fn collect<R: Clone + 'static>(Rows { changes, sealed }: Rows<'_, R>, row: fn(R) -> Row, to: &Collected) {
    each(changes, to, move |seal, change| seal.changes.push((row(change.row.clone()), change.diff)));
    each(sealed, to, move |seal, sealed| seal.sealed.push(row(sealed.clone())));
}

fn each<T: Clone + 'static>(stream: StreamVec<'_, Epoch, T>, to: &Collected, keep: impl Fn(&mut Seal, &T) + 'static) {
    let to = Arc::clone(to);
    stream.inspect_core(move |event| {
        let Ok((time, all)) = event else { return };
        let epoch = *time.least().expect("what is written has an epoch");
        let mut seals = to.lock().expect("no worker panics here");
        let seal = seals.entry(epoch).or_default();
        all.iter().for_each(|one| keep(seal, one));
    });
}

/// What a seal writes, by key: the row that goes and the row that comes.
pub type Effects = BTreeMap<Key, (Option<Row>, Option<Row>)>;

/// The effects of a seal: at most one -1 and one +1 a key.
pub fn effects(changes: &[(Row, i8)]) -> Result<Effects, String> {
    let mut effects = Effects::new();
    for (row, diff) in changes {
        let effect = effects.entry(row.key()).or_default();
        let slot = match diff {
            -1 => &mut effect.0,
            1 => &mut effect.1,
            _ => return Err(format!("a diff of {diff}: {row:?}")),
        };
        if let Some(other) = slot.replace(row.clone()) {
            return Err(format!("two changes of {diff} in a seal:\n  {other:?}\n  {row:?}"));
        }
    }
    if let Some((key, _)) = effects.iter().find(|(_, (old, new))| old == new) {
        return Err(format!("{key:?} goes and comes unchanged"));
    }
    Ok(effects)
}

/// Applies seals to tables: what goes must be there exactly, what comes must not, and what is final must be sealed.
pub fn apply(tables: &mut Tables, seals: &Seals, cuts: &[Cut]) -> Result<(), String> {
    let is_seal = |epoch: &Epoch| cuts.iter().any(|cut| cut.close.epoch == *epoch && cut.close.kind == CloseKind::Seal);
    if let Some((epoch, wrote)) = seals.iter().find(|(epoch, _)| !is_seal(epoch)) {
        return Err(format!("epoch {epoch} is no seal, and writes {wrote:?}"));
    }
    let nothing = Seal::default();
    for EpochClose { epoch, horizon, .. } in cuts.iter().map(|cut| &cut.close).filter(|close| is_seal(&close.epoch)) {
        let Seal { changes, sealed } = seals.get(epoch).unwrap_or(&nothing);
        for (key, (old, new)) in effects(changes).map_err(|e| format!("epoch {epoch}: {e}"))? {
            let held = tables.remove(&key);
            if held != old {
                return Err(format!("epoch {epoch}:\n  is     {held:?}\n  went   {old:?}\n  became {new:?}"));
            }
            tables.extend(new.map(|row| (key, row)));
        }
        exposures_agree(tables).map_err(|e| format!("epoch {epoch}: {e}"))?;
        let due = finality::sealed(tables, finality::horizon_before(cuts, *epoch), *horizon);
        let found: Tables = sealed.iter().map(|row| (row.key(), row.clone())).collect();
        if found.len() != sealed.len() {
            return Err(format!("epoch {epoch}: a row is sealed twice"));
        }
        same(&found, &due).map_err(|e| format!("epoch {epoch}: sealed: {e}"))?;
    }
    Ok(())
}

/// Of each life as many vehicles are shown as are counted.
fn exposures_agree(tables: &Tables) -> Result<(), String> {
    let mut shown: BTreeMap<LifeId, u64> = BTreeMap::new();
    for row in tables.values() {
        if let Row::Exposure(row) = row {
            *shown.entry(row.life).or_default() += 1;
        }
    }
    for row in tables.values() {
        let Row::Incident(IncidentRow { life, exposure }) = row else { continue };
        let id = LifeId { incident: life.incident, first: life.first };
        let (shown, counted) = (shown.remove(&id).unwrap_or(0), exposure.vehicles.unwrap_or(0));
        if shown != counted {
            return Err(format!("{life:?}: {counted} vehicles are counted, {shown} shown"));
        }
    }
    shown.pop_first().map_or(Ok(()), |(id, _)| Err(format!("{id:?} is no life, and was passed")))
}

/// Names the first difference only.
pub fn same(found: &Tables, expected: &Tables) -> Result<(), String> {
    for key in found.keys().chain(expected.keys()) {
        let (found, expected) = (found.get(key), expected.get(key));
        if found != expected {
            return Err(format!("{key:?}:\n  found    {found:?}\n  expected {expected:?}"));
        }
    }
    Ok(())
}
