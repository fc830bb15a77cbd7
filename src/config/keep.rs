//! How long tables keep their rows (`--keep`).

use std::collections::BTreeMap;
use std::time::Duration;

use crate::columns::tables::Table;
use crate::units;

/// All change logs.
const CHANGES: &str = "changes";
/// All tables of records: raw ones and dead letters.
const RAW: &str = "raw";
/// The history: commits are no table's.
const COMMITS: &str = "commits";
/// An age that nothing reaches.
const EVER: &str = "ever";
/// The shortest age: a start reads two days back, and the horizon may stand for a while.
const SHORTEST: Duration = Duration::from_secs(3 * 86_400);
/// That of commits: roots and Delta versions go back so far.
const SHORTEST_HISTORY: Duration = Duration::from_secs(7 * 86_400);

/// See the module. What is in none of them stays for ever.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    tables: BTreeMap<Table, Duration>,
    commits: Option<Duration>,
}

impl Keep {
    /// Rules such as `changes=7d`, `raw=90d` or `traffic_5m=ever`: a table by its name counts for more than with others.
    ///
    /// # Errors
    /// A rule that is none, and what to do.
    pub fn parse<'a>(rules: impl Iterator<Item = &'a str> + Clone) -> Result<Keep, String> {
        let mut keep = Keep::default();
        for of_one in [false, true] {
            for rule in rules.clone() {
                let (tables, age) = parse(rule).map_err(|why| format!("{rule}: {why}"))?;
                if tables.is_empty() {
                    keep.commits = age;
                }
                for table in tables.iter().filter(|_| of_one == (tables.len() == 1)) {
                    match age {
                        Some(age) => keep.tables.insert(*table, age),
                        None => keep.tables.remove(table),
                    };
                }
            }
        }
        Ok(keep)
    }

    /// How old rows of a table may become; `None`: they stay for ever. No change log outlives its table.
    pub fn age(&self, table: Table) -> Option<Duration> {
        let own = self.tables.get(&table).copied();
        let Table::Changes(derived) = table else { return own };
        own.into_iter().chain(self.tables.get(&Table::Sealed(derived)).copied()).min()
    }

    /// How old commits may become; `None`: they stay for ever.
    pub fn commits(&self) -> Option<Duration> {
        self.commits
    }
}

/// The tables that a rule is about, or none where it is about commits; and their age.
fn parse(rule: &str) -> Result<(Vec<Table>, Option<Duration>), String> {
    let (name, age) = rule.split_once('=').ok_or("expected TABLE=AGE, such as changes=7d or raw=90d")?;
    let tables: Vec<Table> = match name.trim() {
        CHANGES => Table::all().filter(|table| matches!(table, Table::Changes(_))).collect(),
        RAW => Table::records().collect(),
        COMMITS => Vec::new(),
        name => Table::from_name(name).into_iter().collect(),
    };
    let is_history = name.trim() == COMMITS;
    if tables.is_empty() && !is_history {
        let known = Table::all().map(Table::name).collect::<Vec<_>>().join(", ");
        return Err(format!("no such table; there are {CHANGES}, {RAW}, {COMMITS}, {known}"));
    }
    if age.trim() == EVER {
        return Ok((tables, None));
    }
    let age = units::time(age).map_err(|why| format!("{why}, or {EVER}"))?;
    let (shortest, why) = match is_history {
        false => (SHORTEST, "a start reads back two days"),
        true => (SHORTEST_HISTORY, "versions and snapshots go back a week"),
    };
    if age < shortest {
        let shortest = units::show_time(shortest);
        return Err(format!("the shortest age is {shortest}, as {why}: say {name}={shortest}"));
    }
    Ok((tables, Some(age)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn keep(rules: &str) -> Result<Keep, String> {
        Keep::parse(rules.split_whitespace())
    }

    fn days(rules: &str, table: &str) -> Option<u64> {
        keep(rules).unwrap().age(Table::from_name(table).unwrap()).map(|age| age.as_secs() / DAY.as_secs())
    }

    #[test]
    fn a_table_by_its_name_counts_for_more_and_no_log_outlives_its_table() {
        let rules = "raw_gps=30d traffic_5m_changes=ever raw=90d changes=7d incidents=4d";
        for (table, expected) in [
            ("raw_gps", Some(30)),
            ("raw_weather", Some(90)),
            ("dead_letters", Some(90)),
            ("vehicle_15m_changes", Some(7)),
            ("traffic_5m_changes", None),
            ("traffic_5m", None),
            ("incidents", Some(4)),
            ("incidents_changes", Some(4)),
        ] {
            assert_eq!(days(rules, table), expected, "{table}");
        }
        assert_eq!(days("changes=7d changes=9d", "incidents_changes"), Some(9), "the last one counts");
        for (rules, expected) in
            [("raw=90d", None), ("commits=90d raw=9d", Some(90)), ("commits=9d commits=ever", None)]
        {
            assert_eq!(keep(rules).unwrap().commits().map(|age| age.as_secs() / DAY.as_secs()), expected, "{rules}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_in_one_line() {
        for (rule, expected) in [
            ("raw", "raw: expected TABLE=AGE"),
            ("row=7d", "row=7d: no such table; there are changes, raw, commits, raw_vehicle"),
            ("commits=6d", "the shortest age is 7d, as versions and snapshots go back a week: say commits=7d"),
            ("raw=soon", "raw=soon: expected a time such as"),
            ("raw=2d", "raw=2d: the shortest age is 3d, as a start reads back two days: say raw=3d"),
            ("incidents=71h", "say incidents=3d"),
        ] {
            let error = keep(rule).unwrap_err();
            assert!(error.contains(expected) && error.lines().count() == 1, "{error}");
        }
    }
}
