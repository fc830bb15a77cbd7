//! From what people have to what is explained: a name, a vehicle at a time; and for what is not there, the nearest that is.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use citystream_dataflows::tables::{Derived, Fields, Kind, record_key};
use citystream_dataflows::time::{DAY, Micros};
use citystream_wire::{Becomes, Topic};

use super::report::{Explanation, MANY, Question, counts_in};
use super::target::{FORMS, row_name};
use crate::columns::row::Row;
use crate::columns::tables::{EVENT_TIME, ROW_KEY, Table};
use crate::error::RunError;
use crate::lake::history::commit::File;
use crate::lake::inspect::scan::{overlaps, rows, scan};
use crate::spelling;

/// A ping: its time, its topic, its place, the rows that it may count in.
type Ping = (Micros, Topic, String, Vec<(Derived, String)>);

impl Question<'_> {
    /// The row about a name, or the latest of them.
    pub(super) async fn about(&self, name: &str) -> Result<Explanation, RunError> {
        let others = RefCell::new(BTreeSet::new());
        let mut found: Vec<(Micros, Derived, String)> = Vec::new();
        for table in self.derived() {
            let columns = names(table);
            let is_it = |row: Row<'_>| {
                let named: Vec<&str> = columns.iter().filter_map(|column| row.text(column)).collect();
                let mut others = others.borrow_mut();
                for other in &named {
                    if !others.contains(*other) {
                        others.insert((*other).to_owned());
                    }
                }
                named.contains(&name)
            };
            if !columns.is_empty() {
                found.extend(self.standing(table, is_it).await?.into_iter().map(|(key, time)| (time, table, key)));
            }
        }
        found.sort_by_key(|(time, ..)| Reverse(*time));
        let Some((_, table, key)) = found.first() else { return Err(self.unknown(name, &others.into_inner())) };
        let mut explanation = self.row(*table, key).await?;
        explanation.see = found.iter().skip(1).take(MANY).map(|(_, table, key)| row_name(*table, key)).collect();
        if found.len() > 1 {
            let text = format!(
                "the latest of {} rows about {name}; with a time behind it a vehicle's ping is shown",
                found.len()
            );
            explanation.says = Some(text);
        }
        Ok(explanation)
    }

    /// The ping of a vehicle nearest to a time, and what it became.
    pub(super) async fn at(&self, vehicle: &str, time: Micros) -> Result<Explanation, RunError> {
        let mut nearest: Option<Ping> = None;
        for topic in Topic::all().filter(|topic| topic.declaration().becomes == Becomes::Pings) {
            let Some(device) = device(topic) else { continue };
            let is_it = |row: Row<'_>| row.text(device) == Some(vehicle) && row.text("disposition") == Some("on_time");
            for row in rows(&scan(self.lake, self.state, Table::Raw(topic), |_| true, is_it).await?) {
                let (Some(at), Some(place)) = (row.long(EVENT_TIME), record_key(&row)) else { continue };
                if nearest.as_ref().is_none_or(|(least, ..)| at.abs_diff(time) < least.abs_diff(time)) {
                    nearest = Some((at, topic, place, counts_in(topic, row)));
                }
            }
        }
        // It may be no vehicle.
        let Some((at, topic, place, counts_in)) = nearest else { return self.about(vehicle).await };
        let own = counts_in.iter().find(|(_, key)| *key == place).map(|(table, _)| *table);
        let mut explanation = match own {
            Some(table) => self.row(table, &place).await?,
            None => self.record(topic, &place).await?,
        };
        let mut see = self.there(counts_in, Some(at)).await?;
        see.retain(|row| *row != explanation.target);
        see.insert(0, format!("{}/{place}", topic.name()));
        let away = at.abs_diff(time) / 1_000_000;
        explanation.see = see;
        explanation.says = Some(format!("the ping of {vehicle} nearest to that time: {away} s away"));
        Ok(explanation)
    }

    /// Those of some rows that the lake has, or had, about a time.
    pub(super) async fn there(
        &self,
        rows: Vec<(Derived, String)>,
        time: Option<Micros>,
    ) -> Result<Vec<String>, RunError> {
        let mut there = Vec::new();
        for (table, key) in rows {
            let near = |file: &File| time.is_none_or(|time| overlaps(file, time - DAY, time + DAY));
            let is_it = |row: Row<'_>| row.text(ROW_KEY) == Some(key.as_str());
            let is_beyond = self.beyond(table);
            let near_and_beyond = |file: &File| near(file) && is_beyond(file);
            if !scan(self.lake, self.state, Table::Changes(table), near, is_it).await?.is_empty()
                || !scan(self.lake, self.state, Table::Sealed(table), near_and_beyond, is_it).await?.is_empty()
            {
                there.push(row_name(table, &key));
            }
        }
        Ok(there)
    }

    /// The key of a table that is most like one that it does not have, as what to ask for.
    pub(super) async fn nearest_key(&self, table: Derived, key: &str) -> Result<Option<String>, RunError> {
        let best: RefCell<Option<(Vec<u64>, String)>> = RefCell::new(None);
        let look = |row: Row<'_>| {
            let mut best = best.borrow_mut();
            if let Some(other) = row.text(ROW_KEY) {
                let apart = apart(key, other);
                if best.as_ref().is_none_or(|(least, _)| apart < *least) {
                    *best = Some((apart, other.to_owned()));
                }
            }
            false
        };
        scan(self.lake, self.state, Table::Changes(table), |_| true, look).await?;
        scan(self.lake, self.state, Table::Sealed(table), self.beyond(table), look).await?;
        Ok(best.into_inner().map(|(_, key)| row_name(table, &key)))
    }

    /// The rows of a table that are wanted and stand, with their times.
    async fn standing(
        &self,
        table: Derived,
        wanted: impl Fn(Row<'_>) -> bool,
    ) -> Result<BTreeMap<String, Micros>, RunError> {
        let changes = scan(self.lake, self.state, Table::Changes(table), |_| true, &wanted).await?;
        let sealed = scan(self.lake, self.state, Table::Sealed(table), self.beyond(table), &wanted).await?;
        let mut changes: Vec<Row<'_>> = rows(&changes).collect();
        changes.sort_by_key(|row| (row.long("seq"), row.int("diff")));
        let mut standing = BTreeMap::new();
        for row in changes.into_iter().chain(rows(&sealed)) {
            let key = row.text(ROW_KEY).unwrap_or_default().to_owned();
            match row.int("diff") {
                Some(-1) => standing.remove(&key),
                _ => standing.insert(key, row.long(table.time).unwrap_or_default()),
            };
        }
        Ok(standing)
    }

    /// Whether sealed rows may be all that is left of rows whose changes are kept no longer.
    fn beyond(&self, table: Derived) -> impl Fn(&File) -> bool + Sync {
        let through = self.state.gone.get(table.changes()).map(|gone| &gone.sum.date);
        move |file| through.is_some_and(|through| file.date <= *through)
    }

    /// The derived tables of the lake.
    fn derived(&self) -> impl Iterator<Item = Derived> {
        let tables = self.state.files.tables();
        Derived::all().filter(move |table| tables.contains(table.changes()))
    }

    fn unknown(&self, text: &str, names: &BTreeSet<String>) -> RunError {
        let tables = Table::all().map(|table| match table {
            Table::Changes(derived) => derived.name(),
            other => other.name(),
        });
        let nearest = match text.split_once(':') {
            Some((table, key)) => alike(table, tables).map(|table| format!("{table}:{key}")),
            None => alike(text, names.iter().map(String::as_str)).map(str::to_owned),
        };
        let nearest = nearest.map(|target| format!("; the nearest: {}", self.proposal(&target))).unwrap_or_default();
        RunError::Usage(format!("the lake has nothing called {text:?}{nearest}. To be explained: {FORMS}"))
    }
}

/// The columns of a table's key that are names.
fn names(table: Derived) -> Vec<&'static str> {
    let is_text = |name: &&str| table.columns().iter().any(|c| c.name == **name && c.kind == Kind::Text);
    table.key.iter().copied().filter(is_text).collect()
}

/// The column of a topic's device.
fn device(topic: Topic) -> Option<&'static str> {
    let declared = topic.declaration();
    declared.fields.iter().find(|field| Some(field.json) == declared.device).map(|field| field.column)
}

/// How far two keys are apart, part by part: numbers by their difference, texts by their letters.
fn apart(one: &str, other: &str) -> Vec<u64> {
    let (one, other): (Vec<&str>, Vec<&str>) = (one.split('/').collect(), other.split('/').collect());
    let part = |(one, other): (&&str, &&str)| match (one.parse::<i64>(), other.parse::<i64>()) {
        (Ok(one), Ok(other)) => one.abs_diff(other),
        _ => strsim::damerau_levenshtein(one, other) as u64,
    };
    std::iter::once(one.len().abs_diff(other.len()) as u64).chain(one.iter().zip(&other).map(part)).collect()
}

/// The text that may have been meant.
fn alike<'a>(text: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    spelling::nearest(text, known, text.chars().count() / 3 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_key_agrees_in_its_first_parts_and_is_near_in_the_next() {
        let keys = ["613/600", "613/900", "614/610", "7"];
        let nearest = |key: &str| keys.into_iter().min_by_key(|other| apart(key, other));
        assert_eq!(nearest("613/610"), Some("613/600"));
        assert_eq!(nearest("614/900"), Some("614/610"));
        assert_eq!(alike("trafic_5m", ["traffic_5m", "incidents"].into_iter()), Some("traffic_5m"));
        assert_eq!(alike("nothing", ["traffic_5m", "incidents"].into_iter()), None);
    }
}
