//! One JSON object to the raw text of its known fields; all others are collected as the text of `extra`.
//!
//! `serde_json` checks the syntax of everything; values stay slices of the payload, so nothing is copied, and a
//! number can be read exactly (serde_json's own reading may be off by one unit in the last place).

use std::fmt;

use citystream_wire::relaxed::Relaxed;
use citystream_wire::{Field, MAX_FIELDS};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::members::{RawFields, find, push_name};
use super::reason::Rejection;
use super::scan;
use crate::columns::tables::Reason;

/// Reads one object and nothing after it. Of a repeated name the last value counts. `NaN` and its like stand for themselves.
pub(super) fn object<'a>(
    text: &'a str,
    fields: &'static [Field],
    extra: &mut String,
    relaxed: &'a mut Relaxed,
) -> Result<RawFields<'a>, Rejection> {
    if let Some(raw) = scan::object(text, fields, extra) {
        return Ok(raw);
    }
    match any_object(text, fields, extra) {
        Err(error) if error.reason == Reason::NotJson && relaxed.read(text) => {
            extra.clear();
            let relaxed: &Relaxed = relaxed;
            let raw = any_object(relaxed.text(), fields, extra)?;
            Ok(raw.map(|value| relaxed.original(value)))
        }
        read => read,
    }
}

/// As [`object`], for whatever JSON there is.
pub(super) fn any_object<'a>(
    text: &'a str,
    fields: &'static [Field],
    extra: &mut String,
) -> Result<RawFields<'a>, Rejection> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    let object = deserializer.deserialize_map(ObjectVisitor { fields, extra });
    object.and_then(|raw| deserializer.end().map(|()| raw)).map_err(rejection)
}

fn rejection(error: serde_json::Error) -> Rejection {
    let reason = match error.classify() {
        Category::Data => Reason::WrongType,
        Category::Io | Category::Syntax | Category::Eof => Reason::NotJson,
    };
    Rejection::new(reason, error.to_string())
}

struct ObjectVisitor<'s> {
    fields: &'static [Field],
    extra: &'s mut String,
}

impl<'de> Visitor<'de> for ObjectVisitor<'_> {
    type Value = RawFields<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<RawFields<'de>, A::Error> {
        let mut raw = [""; MAX_FIELDS];
        let mut next = 0;
        while let Some(found) = map.next_key_seed(NameSeed { fields: self.fields, next, extra: &mut *self.extra })? {
            let value = map.next_value::<&'de RawValue>()?.get();
            match found {
                Some(index) => {
                    *raw.get_mut(index).ok_or_else(|| A::Error::custom("too many fields"))? = value;
                    next = index + 1;
                }
                None => self.extra.push_str(value),
            }
        }
        Ok(raw)
    }
}

/// Finds a name among the fields; writes an unknown one to `extra`.
struct NameSeed<'s> {
    fields: &'static [Field],
    next: usize,
    extra: &'s mut String,
}

impl<'de> DeserializeSeed<'de> for NameSeed<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Option<usize>, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameSeed<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Option<usize>, E> {
        let found = find(self.fields, self.next, name);
        if found.is_none() {
            push_name(self.extra, name);
        }
        Ok(found)
    }
}
