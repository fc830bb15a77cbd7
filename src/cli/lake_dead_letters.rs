//! `citystream lake dead-letters`: what could not be read, by reason.

use tokio::runtime::Runtime;

use super::out::{put, say, to_json};
use crate::error::RunError;
use crate::escape::{beginning, escaped, shell_word};
use crate::lake::history::roots;
use crate::lake::inspect::dead_letters::{DeadLetter, OfReason, by_reason};
use crate::lake::{Lake, State};

/// Letters of a payload that are shown, at most.
const LONG: usize = 200;

/// Prints the dead letters of a lake with so many examples of each reason. `explain` is the
/// command that explains them, without a target.
pub fn show(runtime: &Runtime, lake: &Lake, explain: &str, examples: usize, json: bool) -> Result<i32, RunError> {
    let state: Option<State> = runtime.block_on(roots::state(lake))?;
    let reasons = match &state {
        Some(state) => runtime.block_on(by_reason(lake, state, examples))?,
        None => Vec::new(),
    };
    if json {
        put!(to_json(&reasons));
        return Ok(0);
    }
    if reasons.is_empty() {
        say!("no dead letters");
        return Ok(0);
    }
    reasons.iter().for_each(of_reason);
    let last = reasons.iter().flat_map(|reason| &reason.examples).next_back();
    if let Some(DeadLetter { at, .. }) = last {
        say!("see also: {explain} {}", shell_word(at));
    }
    Ok(0)
}

fn of_reason(reason: &OfReason) {
    let OfReason { reason, meaning, count, by_topic, examples } = reason;
    let topics: Vec<String> = by_topic.iter().map(|(topic, count)| format!("{topic} {count}")).collect();
    say!("{} {count}: a record that {meaning} ({})", escaped(reason), escaped(&topics.join(", ")));
    for DeadLetter { at, log_time, detail, payload, .. } in examples {
        let time = log_time.as_str().unwrap_or("-");
        say!("  {}  {time}  {}", escaped(at), escaped(detail.as_deref().unwrap_or("")).trim_end());
        if let Some(payload) = payload {
            say!("      {}", beginning(payload, LONG, ""));
        }
    }
}
