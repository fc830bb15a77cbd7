//! What goes, and what waits for what.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;

use citystream_dataflows::tables::Derived;
use citystream_dataflows::time::DAY;
use citystream_wire::Topic;

use super::super::known::Counted;
use super::*;
use crate::columns::whose::{Bound, Name, Whose};

const GPS: Table = Table::Raw(Topic::GPS);
/// 2026-06-01, and the horizon two days later.
const BEGIN: Micros = 1_780_272_000_000_000;
const HORIZON: Option<Micros> = Some(BEGIN + 2 * DAY);

fn derived(name: &str) -> Derived {
    Derived::from_name(name).unwrap()
}

fn known() -> Known {
    Known::new(Whose::new(&Name::new("bus-7"), Bound { seq: 9, time: None }))
}

/// A file of the first day, up to a time on it or after; `found` in it.
fn add(known: &mut Known, table: Table, last: Micros, found: Found) {
    let path = format!("{}-{}", table.name(), known.live.len());
    let file = File {
        path: path.clone(),
        date: "2026-06-01".into(),
        rows: 9,
        event_time: Some((BEGIN, last)),
        ..File::default()
    };
    known.add(table, file, found);
}

fn keys(keys: &[&str]) -> Found {
    Found { keys: keys.iter().map(|key| ((*key).to_owned(), 2)).collect(), ..Found::default() }
}

fn pings(windows: &[&str]) -> Found {
    let windows = windows.iter().map(|name| group(name)).collect();
    Found { records: 3, windows, ..Found::default() }
}

fn group(name: &str) -> Group {
    (derived(name), "2026-06-01".to_owned())
}

/// The windows of a table in which it counts, with how many others do in the end.
fn count(known: &mut Known, name: &str, windows: &[(&str, i64)]) {
    let counted = |(key, vehicles): &(&str, i64)| ((*key).to_owned(), Counted::sealed(*vehicles));
    known.windows.insert(group(name), windows.iter().map(counted).collect::<HashMap<_, _>>());
}

fn due(plan: &Plan) -> Vec<(&'static str, u64)> {
    plan.due.iter().map(|due| (due.table.name(), due.rows)).collect()
}

#[test]
fn windows_that_count_it_alone_go_and_before_the_records_that_tell_so() {
    let mut known = known();
    add(&mut known, GPS, BEGIN, pings(&["traffic_5m"]));
    for part in Table::of(derived("traffic_5m")) {
        add(&mut known, part, BEGIN, keys(&["1", "2", "3"]));
    }
    count(&mut known, "traffic_5m", &[("1", 1), ("2", 2), ("3", 1)]);
    let plan = known.plan(HORIZON, 99, &|_| false);
    assert_eq!(due(&plan), [("traffic_5m_changes", 4), ("traffic_5m", 4), ("raw_gps", 3)]);
    assert_eq!(plan.due[0].keys.as_ref().unwrap().len(), 2);
    // One file of them is open: so all wait, and the records that tell whose they are.
    add(&mut known, Table::Sealed(derived("traffic_5m")), BEGIN + 2 * DAY, keys(&["2"]));
    let plan = known.plan(HORIZON, 99, &|_| false);
    assert_eq!((due(&plan), plan.pending), (Vec::new(), 4));
    assert_eq!(due(&known.plan(None, 99, &|_| false)), [], "without a horizon nothing is final");
}

#[test]
fn rows_of_a_key_go_together_of_all_files_of_a_date() {
    let mut known = known();
    let table = derived("vehicle_15m");
    known.keys.insert(group("vehicle_15m"), ["a".to_owned()].into());
    add(&mut known, Table::Changes(table), BEGIN, keys(&["a", "b"]));
    add(&mut known, Table::Changes(table), BEGIN, keys(&["b"]));
    add(&mut known, Table::Sealed(table), BEGIN, keys(&["a"]));
    assert_eq!(due(&known.plan(HORIZON, 99, &|_| false)), [("vehicle_15m_changes", 2), ("vehicle_15m", 2)]);
    // Somebody is at work on one.
    let is_busy = |(at, _): &Place| *at == Table::Sealed(table);
    let plan = known.plan(HORIZON, 99, &is_busy);
    assert_eq!((due(&plan), plan.pending), (Vec::new(), 2));
    // What a start would read of it, it reads with all of it.
    add(&mut known, Table::Changes(table), BEGIN + 2 * DAY, keys(&["a"]));
    assert_eq!(
        (due(&known.plan(HORIZON, 99, &|_| false)), known.plan(HORIZON, 99, &|_| false).pending),
        (Vec::new(), 3)
    );
}

#[test]
fn so_many_files_go_at_a_time_and_the_others_wait() {
    let mut known = known();
    (0..5).for_each(|_| add(&mut known, GPS, BEGIN, pings(&[])));
    add(&mut known, Table::DeadLetters, BEGIN, Found::default());
    let plan = known.plan(HORIZON, 3, &|_| false);
    assert_eq!((plan.due.len(), plan.pending), (3, 2));
}
