//! Texts by id, shared by the workers of a process: the dataflow moves [`TextId`]s, tables show the texts.
//!
//! A text is told with the event time of the record that has it, and again once an hour; its home passes it on once an hour of
//! what it was told. It is needed while a record that has it is in reach, so what was last told longer than that, and two hours,
//! before the horizon of a commit that has landed is freed: no row of a later commit shows it.

use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard};

use citystream_dataflows::held::{Amount, Balance, Held, Kind};
use citystream_dataflows::records::TextId;
use citystream_dataflows::records::hash::IdMap;
use citystream_dataflows::time::{HOUR, Micros};
use serde::{Deserialize, Serialize};

/// How long a text is not told again by who has told it, and not passed on again by its home.
pub const TOLD_AGAIN: Micros = HOUR;

/// A text, and when it was in a record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// Its id.
    pub id: TextId,
    /// The text.
    pub text: String,
    /// The record's event time.
    pub time: Micros,
}

/// The texts of a process.
#[derive(Debug)]
pub struct Names {
    known: RwLock<Known>,
    /// How long before the horizon a record may be in reach.
    reach: Micros,
    held: Mutex<Balance>,
}

#[derive(Debug, Default)]
struct Known {
    texts: IdMap<TextId, Text>,
    /// What was last told before this is gone.
    freed: Option<Micros>,
    /// Bytes of texts.
    bytes: usize,
}

#[derive(Debug)]
struct Text {
    text: Box<str>,
    last: Micros,
}

impl Names {
    /// No texts, of records that may be in reach for so long.
    pub fn new(reach: Micros, held: &Arc<Held>) -> Names {
        Names { known: RwLock::default(), reach, held: Mutex::new(Balance::new(held)) }
    }

    /// Keeps texts.
    pub fn intern(&self, told: impl IntoIterator<Item = Told>) {
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        for Told { id, text, time } in told {
            let Known { texts, bytes, .. } = &mut *known;
            let held = texts.entry(id).or_insert_with(|| {
                *bytes += text.len();
                Text { text: text.as_str().into(), last: time }
            });
            debug_assert_eq!(*held.text, *text, "D5");
            held.last = held.last.max(time);
        }
        self.tell(&known);
    }

    /// Frees what no row after a commit with this horizon can show; once in an hour of it, as it visits all.
    pub fn landed(&self, horizon: Micros) {
        let gone = horizon.saturating_sub(self.reach).saturating_sub(2 * TOLD_AGAIN);
        if self.freed().is_some_and(|freed| gone < freed.saturating_add(HOUR)) {
            return;
        }
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        known.freed = Some(gone);
        known.texts.retain(|_, text| text.last >= gone);
        known.texts.shrink_to_fit();
        known.bytes = known.texts.values().map(|text| text.text.len()).sum();
        self.tell(&known);
    }

    fn tell(&self, known: &Known) {
        let mut held = Amount::in_map::<(TextId, Text)>(known.texts.len());
        held += Amount::bytes(known.bytes);
        self.held.lock().unwrap_or_else(PoisonError::into_inner).set(Kind::Names, held);
    }

    /// What was last told before this is gone.
    pub fn freed(&self) -> Option<Micros> {
        self.read().0.freed
    }

    /// For looking up many.
    pub fn read(&self) -> Reader<'_> {
        Reader(self.known.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The texts, while none is added.
#[derive(Debug)]
pub struct Reader<'a>(RwLockReadGuard<'a, Known>);

impl Reader<'_> {
    /// The text of an id.
    pub fn get(&self, id: TextId) -> Option<&str> {
        self.0.texts.get(&id).map(|text| &*text.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::text_hash::testing::text;

    fn told(texts: &[&str], time: Micros) -> Vec<Told> {
        texts.iter().map(|t| Told { id: text(t.as_bytes()), text: (*t).to_owned(), time }).collect()
    }

    #[test]
    fn texts_come_back_by_id() {
        let names = Names::new(HOUR, &Arc::default());
        names.intern(told(&["a", "b", "", "a"], 0));
        names.intern(told(&["a", "c"], 0));
        let read = names.read();
        for known in ["a", "b", "c", ""] {
            assert_eq!(read.get(text(known.as_bytes())), Some(known));
        }
        assert_eq!((read.get(text(b"d")), read.get(TextId::NONE)), (None, None));
    }

    #[test]
    fn a_text_lives_as_long_as_a_record_in_reach_may_have_it() {
        let names = Names::new(5 * HOUR, &Arc::default());
        names.intern(told(&["once", "often"], 0));
        names.intern(told(&["often"], 3 * HOUR));
        let there = |name: &str| names.read().get(text(name.as_bytes())).is_some();
        names.landed(7 * HOUR);
        assert!(there("once") && there("often"), "told two hours ago at most, by who does not tell it again");
        names.landed(7 * HOUR + 1);
        assert!(there("once"), "not looked at again within the hour");
        names.landed(9 * HOUR);
        assert!(!there("once") && there("often"));
        names.landed(11 * HOUR);
        assert!(!there("often"));
    }

    #[test]
    fn workers_may_tell_the_same_at_once() {
        let names = Names::new(HOUR, &Arc::default());
        let all: Vec<String> = (0..1000).map(|n| format!("vehicle-{n}")).collect();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (names, all) = (&names, &all);
                scope.spawn(move || {
                    for part in all.rchunks(10 + worker) {
                        let part: Vec<&str> = part.iter().map(String::as_str).collect();
                        names.intern(told(&part, 0));
                    }
                });
            }
        });
        assert!(all.iter().all(|t| names.read().get(text(t.as_bytes())) == Some(t)));
    }
}
