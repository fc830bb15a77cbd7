//! The dead letters of a lake, by reason.

use std::cmp::Reverse;
use std::collections::{BTreeMap, VecDeque};

use arrow::array::{Array, BinaryArray};
use citystream_dataflows::tables::Fields;
use citystream_dataflows::time::Micros;
use serde::Serialize;

use super::scan::{read, rows};
use crate::columns::row::{Row, column};
use crate::columns::show::{text_of, time};
use crate::columns::tables::{DEAD_LETTERS, LOG_TIME, Reason};
use crate::lake::history::read::ReadError;
use crate::lake::history::{State, roots};
use crate::lake::store::Lake;

/// Dead letters of one reason.
#[derive(Debug, Default, Serialize)]
pub struct OfReason {
    /// The reason.
    pub reason: String,
    /// What a record is that has it.
    pub meaning: &'static str,
    /// How many.
    pub count: u64,
    /// How many of each topic.
    pub by_topic: BTreeMap<String, u64>,
    /// The last of them in the log, the last one at the end.
    pub examples: VecDeque<DeadLetter>,
}

/// A record that could not be read.
#[derive(Clone, Debug, Serialize)]
pub struct DeadLetter {
    /// `topic/partition/offset`.
    pub at: String,
    /// Its log time.
    pub log_time: serde_json::Value,
    /// What is wrong with it.
    pub detail: Option<String>,
    /// Its bytes as text; those that are none as `\xff`.
    pub payload: Option<String>,
    #[serde(skip)]
    order: Option<Micros>,
}

/// All reasons that a lake has dead letters of, the most frequent first, with so many examples each.
///
/// # Errors
/// A file that is missing or cannot be read.
pub async fn by_reason(lake: &Lake, state: &State, examples: usize) -> Result<Vec<OfReason>, ReadError> {
    let mut reasons: BTreeMap<String, OfReason> = BTreeMap::new();
    for file in roots::files(lake, &state.files, DEAD_LETTERS, |_| true).await? {
        for row in rows(&read(lake, &file.path).await?) {
            let reason = row.text("reason").unwrap_or_default();
            if !reasons.contains_key(reason) {
                let meaning = Reason::from_name(reason).map_or("", Reason::meaning);
                reasons.insert(reason.into(), OfReason { reason: reason.into(), meaning, ..OfReason::default() });
            }
            let Some(of_reason) = reasons.get_mut(reason) else { continue };
            let topic = row.text("topic").unwrap_or_default();
            of_reason.count += 1;
            *of_reason.by_topic.entry(topic.to_owned()).or_default() += 1;
            of_reason.keep(row, topic, examples);
        }
    }
    let mut reasons: Vec<OfReason> = reasons.into_values().collect();
    reasons.sort_by_key(|reason| Reverse(reason.count));
    Ok(reasons)
}

impl OfReason {
    /// Keeps a row among the last ones in the log.
    fn keep(&mut self, row: Row<'_>, topic: &str, most: usize) {
        let order = row.long(LOG_TIME);
        let place = self.examples.partition_point(|kept| kept.order <= order);
        if place == 0 && self.examples.len() >= most {
            return;
        }
        let payload = column::<BinaryArray>(row.batch, "payload").filter(|all| all.is_valid(row.row));
        let example = DeadLetter {
            at: format!(
                "{topic}/{}/{}",
                row.int("partition").unwrap_or_default(),
                row.long("offset").unwrap_or_default()
            ),
            log_time: order.map(time).unwrap_or_default(),
            detail: row.text("detail").map(str::to_owned),
            payload: payload.map(|all| text_of(all.value(row.row))),
            order,
        };
        self.examples.insert(place, example);
        if self.examples.len() > most {
            self.examples.pop_front();
        }
    }
}
