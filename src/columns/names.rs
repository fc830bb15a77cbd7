//! Texts by id, shared by the workers of a process: the dataflow moves [`TextId`]s, tables show the texts.

use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use citystream_dataflows::records::TextId;
use citystream_dataflows::records::hash::IdMap;

type Known = IdMap<TextId, Box<str>>;

/// The texts of a process.
#[derive(Debug, Default)]
pub struct Names(RwLock<Known>);

impl Names {
    /// Keeps texts. Those known already cost a look.
    pub fn intern(&self, told: &[(TextId, String)]) {
        let known = self.read();
        let new: Vec<_> = told.iter().filter(|(id, _)| known.get(*id).is_none()).collect();
        drop(known);
        if new.is_empty() {
            return;
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (id, text) in new {
            let held = known.entry(*id).or_insert_with(|| text.as_str().into());
            debug_assert_eq!(**held, **text, "D5");
        }
    }

    /// For looking up many.
    pub fn read(&self) -> Reader<'_> {
        Reader(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The texts, while none is added.
#[derive(Debug)]
pub struct Reader<'a>(RwLockReadGuard<'a, Known>);

impl Reader<'_> {
    /// The text of an id.
    pub fn get(&self, id: TextId) -> Option<&str> {
        self.0.get(&id).map(AsRef::as_ref)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::columns::text_hash::testing::text;

    fn told(texts: &[&str]) -> Vec<(TextId, String)> {
        texts.iter().map(|t| (text(t.as_bytes()), (*t).to_owned())).collect()
    }

    #[test]
    fn texts_come_back_by_id() {
        let names = Names::default();
        names.intern(&told(&["a", "b", "", "a"]));
        names.intern(&told(&["a", "c"]));
        let read = names.read();
        for known in ["a", "b", "c", ""] {
            assert_eq!(read.get(text(known.as_bytes())), Some(known));
        }
        assert_eq!((read.get(text(b"d")), read.get(TextId::NONE)), (None, None));
    }

    #[test]
    fn workers_may_tell_the_same_at_once() {
        let names = Names::default();
        let all: Vec<String> = (0..1000).map(|n| format!("vehicle-{n}")).collect();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (names, all) = (&names, &all);
                scope.spawn(move || {
                    for part in all.rchunks(10 + worker) {
                        let part: Vec<&str> = part.iter().map(String::as_str).collect();
                        names.intern(&told(&part));
                    }
                });
            }
        });
        assert!(all.iter().all(|t| names.read().get(text(t.as_bytes())) == Some(t)));
    }
}
