//! Texts, from the workers that meet them to every process that may show them.
//!
//! ```text
//! told -- exchange by id --> home -- exchange, one worker of each process --> intern -> its frontier
//! ```
//!
//! Many workers meet the same text. Each tells its home, which passes it on once: so V texts, P workers and N processes
//! make V x (P + N) messages. Whoever shows rows of an epoch waits for the texts of that epoch only; so home drops what it
//! has passed on at this epoch or at one before it, and nothing else.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use citystream_dataflows::held::{Amount, Balance, Held, Kind};
use citystream_dataflows::records::TextId;
use citystream_dataflows::records::hash::IdMap;
use citystream_dataflows::time::{Epoch, Micros};
use timely::container::CapacityContainerBuilder;
use timely::dataflow::StreamVec;
use timely::dataflow::channels::pact::Exchange;
use timely::dataflow::operators::generic::operator::Operator;

use crate::columns::names::{Names, TOLD_AGAIN, Told};

/// What was passed on: the record's event time, and the epoch.
type Passed = IdMap<TextId, (Micros, Epoch)>;

/// Has every process intern every text; who sees the frontier pass an epoch knows that its texts are there.
pub fn intern<'scope>(
    names: Arc<Names>,
    held: &Arc<Held>,
    workers: usize,
    told: StreamVec<'scope, Epoch, Told>,
) -> StreamVec<'scope, Epoch, ()> {
    let one_of_each_process = Exchange::new(move |(process, told): &(u64, Told)| {
        process * workers as u64 + told.id.0 as u64 % workers as u64
    });
    at_home(Arc::clone(&names), held, workers, told).unary::<CapacityContainerBuilder<Vec<()>>, _, _, _>(
        one_of_each_process,
        "intern texts",
        move |_, _| {
            move |input, _| {
                input.for_each(|_, told| names.intern(told.drain(..).map(|(_, told)| told)));
            }
        },
    )
}

/// Each text for each process.
fn at_home<'scope>(
    names: Arc<Names>,
    held: &Arc<Held>,
    workers: usize,
    told: StreamVec<'scope, Epoch, Told>,
) -> StreamVec<'scope, Epoch, (u64, Told)> {
    let processes = (told.scope().peers() / workers) as u64;
    let mut balance = Balance::new(held);
    let (mut passed, mut freed) = (Passed::default(), None);
    told.unary(Exchange::new(|told: &Told| told.id.0 as u64), "texts at home", move |_, _| {
        move |input, output| {
            if freed != names.freed() {
                freed = names.freed();
                passed.retain(|_, (time, _)| Some(*time) >= freed);
                passed.shrink_to_fit();
            }
            input.for_each(|time, batch| {
                let Some(epoch) = time.least().copied() else { return };
                let mut session = output.session(&time);
                for told in batch.drain(..).filter(|told| is_new(&mut passed, told, epoch)) {
                    (0..processes).for_each(|process| session.give((process, told.clone())));
                }
            });
            balance.set(Kind::Names, Amount::in_map::<(TextId, (Micros, Epoch))>(passed.len()));
        }
    })
}

/// Whether a text is to be passed on; remembers it.
fn is_new(passed: &mut Passed, told: &Told, epoch: Epoch) -> bool {
    match passed.entry(told.id) {
        Entry::Vacant(entry) => {
            entry.insert((told.time, epoch));
            true
        }
        Entry::Occupied(mut entry) => {
            let (time, at) = *entry.get();
            let known = at <= epoch && told.time <= time.saturating_add(TOLD_AGAIN);
            if !known {
                entry.insert((time.max(told.time), epoch));
            }
            !known
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use citystream_dataflows::time::HOUR;

    fn told(time: Micros) -> Told {
        Told { id: TextId(7), text: "bus".to_owned(), time }
    }

    #[test]
    fn a_text_is_passed_on_once_an_hour_and_before_whoever_waits_for_it() {
        let mut passed = Passed::default();
        assert!(is_new(&mut passed, &told(HOUR), 5));
        assert!(!is_new(&mut passed, &told(2 * HOUR), 5), "within the hour, at the same epoch");
        assert!(!is_new(&mut passed, &told(0), 6));
        assert!(is_new(&mut passed, &told(2 * HOUR), 4), "who waits for epoch 4 does not wait for 5");
        assert!(!is_new(&mut passed, &told(3 * HOUR), 4), "known for the time of the latest record");
        assert!(is_new(&mut passed, &told(3 * HOUR + 1), 6));
    }
}
