//! Texts by id, shared by the workers of a process: the dataflow moves [`TextId`]s, tables show the texts.
//!
//! **Invariant:** an id has one text. Two texts with one id would be shown as one vehicle: that ends the run (D5, P3).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::{PoisonError, RwLock, RwLockReadGuard};

use citystream_dataflows::records::TextId;
use xxhash_rust::xxh3::xxh3_64;

/// The id of a text: never [`TextId::NONE`].
pub fn text(bytes: &[u8]) -> TextId {
    TextId(xxh3_64(bytes).max(1))
}

/// Ids are hashes already.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = xxh3_64(bytes);
    }

    fn write_u64(&mut self, id: u64) {
        self.0 = id;
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

type Known = HashMap<TextId, Box<str>, BuildHasherDefault<Identity>>;

/// Two texts with one id.
#[derive(Debug, thiserror::Error)]
#[error("P3: {one:?} and {other:?} have one id, {id:016x}")]
pub struct NameClash {
    one: String,
    other: String,
    id: u64,
}

/// The texts of a process.
#[derive(Debug, Default)]
pub struct Names(RwLock<Known>);

impl Names {
    /// Keeps texts. Those known already cost a look.
    ///
    /// # Errors
    /// An id that stands for another text.
    pub fn intern(&self, told: &[(TextId, String)]) -> Result<(), NameClash> {
        let known = self.read();
        let mut new = Vec::new();
        for (id, text) in told {
            match known.get(*id) {
                Some(there) => same(*id, there, text)?,
                None => new.push((*id, text)),
            }
        }
        drop(known);
        if new.is_empty() {
            return Ok(());
        }
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        for (id, text) in new {
            let there = known.entry(id).or_insert_with(|| text.as_str().into());
            same(id, there, text)?;
        }
        Ok(())
    }

    /// For looking up many.
    pub fn read(&self) -> Reader<'_> {
        Reader(self.0.read().unwrap_or_else(PoisonError::into_inner))
    }
}

fn same(id: TextId, there: &str, text: &str) -> Result<(), NameClash> {
    if there == text {
        return Ok(());
    }
    Err(NameClash { one: there.to_owned(), other: text.to_owned(), id: id.0 })
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
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn told(texts: &[&str]) -> Vec<(TextId, String)> {
        texts.iter().map(|t| (text(t.as_bytes()), (*t).to_owned())).collect()
    }

    #[test]
    fn texts_come_back_by_id() {
        let names = Names::default();
        names.intern(&told(&["a", "b", "", "a"])).unwrap();
        names.intern(&told(&["a", "c"])).unwrap();
        let read = names.read();
        for known in ["a", "b", "c", ""] {
            assert_eq!(read.get(text(known.as_bytes())), Some(known));
        }
        assert_eq!((read.get(text(b"d")), read.get(TextId::NONE)), (None, None));
    }

    #[test]
    fn p3_two_texts_with_one_id_end_the_run() {
        for both_at_once in [true, false] {
            let names = Names::default();
            let (one, two) = ((TextId(7), "one".to_owned()), (TextId(7), "two".to_owned()));
            let clash = if both_at_once {
                names.intern(&[one, two])
            } else {
                names.intern(&[one]).unwrap();
                names.intern(&[two])
            };
            assert_eq!(crate::error::RunError::from(clash.unwrap_err()).exit_code(), 5);
            assert_eq!(names.read().get(TextId(7)), Some("one"));
        }
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
                        names.intern(&told(&part)).unwrap();
                    }
                });
            }
        });
        assert!(all.iter().all(|t| names.read().get(text(t.as_bytes())) == Some(t)));
    }
}
