//! Which rows a commit makes final, as F1 says: by the horizons of the commits alone.

use citystream_dataflows::records::Phase;
use citystream_dataflows::records::changes::{Life, LifeId};
use citystream_dataflows::time::Micros;

use crate::harness::Cut;
use crate::reference::{Row, Tables};
use crate::world::{HOUR, MINUTE};

/// The live rows that a commit seals, by the horizon of the commit before and its own.
pub fn sealed(tables: &Tables, before: Option<Micros>, horizon: Option<Micros>) -> Tables {
    let is_due = |row: &&Row| {
        let (step, last) = last_doubt(row, tables);
        let final_before = |horizon: Option<Micros>| horizon.is_some_and(|h| last < h.div_euclid(step) * step);
        !final_before(before) && final_before(horizon)
    };
    tables.values().filter(is_due).map(|row| (row.key(), row.clone())).collect()
}

/// The step of a row's table, and the last time at which something may happen that changes the row.
fn last_doubt(row: &Row, tables: &Tables) -> (Micros, Micros) {
    match row {
        Row::Ping(row) => (MINUTE, row.ping.stamp.time),
        Row::Traffic(row) => (5 * MINUTE, row.start),
        Row::Vehicle(row) => (15 * MINUTE, row.start),
        Row::Environment(row) => (15 * MINUTE, row.start),
        Row::Quality(row) => (15 * MINUTE, row.start),
        Row::Incident(row) => {
            let exposed = end_of_exposure(&row.life).unwrap_or(Micros::MIN);
            (15 * MINUTE, exposed.max(row.life.first.time + 24 * HOUR) - 1)
        }
        Row::Exposure(row) => {
            let of = |life: &Life| LifeId { incident: life.incident, first: life.first } == row.life;
            let life = tables.values().find_map(|other| match other {
                Row::Incident(incident) if of(&incident.life) => Some(incident.life),
                _ => None,
            });
            (15 * MINUTE, life.as_ref().and_then(end_of_exposure).expect("who was near a life that has one") - 1)
        }
    }
}

fn end_of_exposure(life: &Life) -> Option<Micros> {
    let active = life.phases[Phase::Active as usize]?.time;
    let hour = active + 60 * MINUTE;
    Some(life.phases[Phase::Resolved as usize].map_or(hour, |resolved| resolved.time.clamp(active, hour)))
}

/// The horizon of the last commit before an epoch.
pub fn horizon_before(cuts: &[Cut], epoch: u64) -> Option<Micros> {
    use citystream_dataflows::time::closes::CloseKind::Open;
    let mut commits = cuts.iter().map(|cut| cut.close).filter(|close| close.kind != Open && close.epoch < epoch);
    commits.next_back().and_then(|close| close.horizon)
}
