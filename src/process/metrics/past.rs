//! What the metrics were: in bins of five seconds for twenty minutes, and of a minute for a day. Fixed rings, on process 0.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use citystream_dataflows::held::Kind;
use citystream_dataflows::time::bindings::Topic;
use serde_json::{Map, Value, json};

use super::{Metrics, OUTCOMES, machine};

/// How often the metrics are looked at: the shortest bin.
pub const EVERY: Duration = Duration::from_secs(5);

/// The rings: how many looks a bin is, and how many bins there are.
const RINGS: [(usize, usize); 2] = [(1, 240), (12, 1440)];

/// See the module.
#[derive(Debug, Default)]
pub struct Past(Mutex<[Ring; RINGS.len()]>);

#[derive(Debug, Default)]
struct Ring {
    bins: VecDeque<Bin>,
    /// The look at the end of the last bin.
    before: Option<Look>,
    looks: usize,
}

/// What was counted since the process began, and what is there, at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Seconds since 1970.
    time: f64,
    /// By topic and outcome.
    records: Vec<[f64; OUTCOMES.len()]>,
    corrections: f64,
    /// How many there were, and how many seconds they took.
    commits: (u64, f64),
    epochs: (u64, f64),
    /// Seconds of CPU, by worker.
    busy: BTreeMap<usize, f64>,
    lag: f64,
    resident: f64,
    state: Vec<f64>,
}

/// Rates and means between two looks, and what was there at the end of them.
#[derive(Clone, Debug)]
struct Bin {
    at: Look,
    records: Vec<[f64; OUTCOMES.len()]>,
    corrections: f64,
    commit: Option<f64>,
    epoch: Option<f64>,
    busy: BTreeMap<usize, f64>,
}

impl Past {
    /// Takes another look.
    pub fn look(&self, look: &Look) {
        for (ring, (looks, most)) in self.rings().iter_mut().zip(RINGS) {
            ring.take(look, looks, most);
        }
    }

    /// All bins of a minute, or of five seconds, a list a series.
    pub fn told(&self, is_short: bool) -> Value {
        let ring = usize::from(!is_short);
        let seconds = EVERY.as_secs() as usize * RINGS[ring].0;
        let rings = self.rings();
        let bins = &rings[ring].bins;
        let series = |of: &dyn Fn(&Bin) -> Option<f64>| bins.iter().map(|bin| rounded(of(bin))).collect::<Value>();
        let by_topic = |index: usize| series(&|bin| Some(bin.records.get(index)?.iter().sum()));
        let outcome = |name: &str| {
            let index = OUTCOMES.iter().position(|outcome| *outcome == name);
            series(&|bin| index.map(|index| bin.records.iter().map(|topic| topic[index]).sum()))
        };
        let records: Map<String, Value> =
            Topic::all().map(|topic| (topic.name().to_owned(), by_topic(topic.index()))).collect();
        let state = Kind::ALL
            .iter()
            .enumerate()
            .map(|(index, kind)| (kind.word().to_owned(), series(&|bin| bin.at.state.get(index).copied())));
        let resident = ("resident".to_owned(), series(&|bin| Some(bin.at.resident)));
        let workers = bins.back().map(|bin| bin.busy.keys().copied().collect::<Vec<_>>()).unwrap_or_default();
        let busy = workers.iter().map(|worker| (worker.to_string(), series(&|bin| bin.busy.get(worker).copied())));
        let memory: Map<String, Value> = std::iter::once(resident).chain(state).collect();
        let busy: Map<String, Value> = busy.collect();
        json!({
            "bin_seconds": seconds,
            "times": series(&|bin| Some(bin.at.time)),
            "records": records,
            "late": outcome("late"),
            "expired": outcome("expired"),
            "dead_letters": outcome("dead_letter"),
            "corrections": series(&|bin| Some(bin.corrections)),
            "lag": series(&|bin| Some(bin.at.lag)),
            "commit_seconds": series(&|bin| bin.commit),
            "epoch_seconds": series(&|bin| bin.epoch),
            "memory": memory,
            "busy": busy,
        })
    }

    fn rings(&self) -> MutexGuard<'_, [Ring; RINGS.len()]> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// To four digits behind the point: nobody sees more.
fn rounded(value: Option<f64>) -> Value {
    value.map_or(Value::Null, |value| json!((value * 1e4).round() / 1e4))
}

impl Ring {
    fn take(&mut self, look: &Look, looks: usize, most: usize) {
        self.looks += 1;
        let Some(before) = &self.before else {
            self.before = Some(look.clone());
            self.looks = 0;
            return;
        };
        if self.looks >= looks {
            self.bins.push_back(Bin::between(before, look));
            self.before = Some(look.clone());
            self.looks = 0;
        }
        if self.bins.len() > most {
            self.bins.pop_front();
        }
    }
}

impl Bin {
    fn between(before: &Look, after: &Look) -> Bin {
        let seconds = (after.time - before.time).max(0.001);
        let rate = |before: f64, after: f64| (after - before).max(0.0) / seconds;
        let mean = |(few, less): (u64, f64), (many, more): (u64, f64)| {
            (many > few).then(|| (more - less) / (many - few) as f64)
        };
        let records = before.records.iter().zip(&after.records);
        let busy = after.busy.iter();
        Bin {
            records: records.map(|(b, a)| std::array::from_fn(|index| rate(b[index], a[index]))).collect(),
            corrections: rate(before.corrections, after.corrections),
            commit: mean(before.commits, after.commits),
            epoch: mean(before.epochs, after.epochs),
            busy: busy.map(|(w, cpu)| (*w, rate(before.busy.get(w).copied().unwrap_or(*cpu), *cpu))).collect(),
            at: after.clone(),
        }
    }
}

impl Metrics {
    /// How things are now.
    #[allow(clippy::disallowed_methods)] // Reason: it is shown, and decides nothing.
    pub fn look(&self) -> Look {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |time| time.as_secs_f64());
        let counted = |topic: Topic| {
            OUTCOMES.map(|outcome| self.records.with_label_values(&[topic.name(), outcome]).get() as f64)
        };
        let took = (self.commit_seconds.get_sample_count(), self.commit_seconds.get_sample_sum());
        Look {
            time: now,
            records: Topic::all().map(counted).collect(),
            corrections: self.corrections.get() as f64,
            commits: took,
            epochs: self.health.epochs.sums(),
            busy: machine::busy(&self.identity.workers()),
            lag: self.left() as f64,
            resident: machine::resident().unwrap_or(0.0),
            state: Kind::ALL.map(|kind| self.held.of(kind).bytes as f64).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(time: f64) -> Look {
        let count = time as u64;
        Look {
            time,
            records: Topic::all().map(|_| [10.0 * time, time, 0.0, 0.0, 0.5 * time]).collect(),
            corrections: 3.0 * time,
            commits: (count / 10, 0.2 * (count / 10) as f64),
            epochs: (4 * count, 0.1 * 4.0 * time),
            busy: BTreeMap::from([(0, 0.25 * time)]),
            lag: time,
            resident: 1e6,
            state: vec![7.0; Kind::ALL.len()],
        }
    }

    #[test]
    fn bins_hold_rates_and_means_and_the_oldest_go() {
        let past = Past::default();
        (0..=12 * 1500).for_each(|at| past.look(&look(f64::from(at) * 5.0)));
        let short = past.told(true);
        assert_eq!((&short["bin_seconds"], short["times"].as_array().map(Vec::len)), (&json!(5), Some(240)));
        let day = past.told(false);
        assert_eq!((&day["bin_seconds"], day["times"].as_array().map(Vec::len)), (&json!(60), Some(1440)));
        assert_eq!(day["times"][1439], json!(90_000.0));
        assert_eq!(day["records"]["gps"][1439], json!(11.5), "all outcomes together");
        assert_eq!((&day["late"][3], &day["dead_letters"][3]), (&json!(5.0), &json!(2.5)), "of all topics");
        assert_eq!((&day["corrections"][3], &day["lag"][1439]), (&json!(3.0), &json!(90_000.0)));
        assert_eq!((&day["commit_seconds"][3], &day["epoch_seconds"][3]), (&json!(0.2), &json!(0.1)));
        assert_eq!((&day["memory"]["pings"][0], &day["busy"]["0"][3]), (&json!(7.0), &json!(0.25)));
        assert_eq!(short["commit_seconds"][0], Value::Null, "no commit in these five seconds");
    }
}
