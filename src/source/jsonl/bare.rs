//! The time of a bare record, the one member that is read of it here: without allocating, unless the time has escapes.

use std::borrow::Cow;
use std::fmt;

use citystream_wire::Field;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, Visitor};

/// The text of an object's member that `field` names; `None` if there is not exactly one, or no text.
pub(super) fn text<'a>(line: &'a [u8], field: &Field) -> Option<Cow<'a, str>> {
    let mut deserializer = serde_json::Deserializer::from_slice(line);
    let found = deserializer.deserialize_map(Object(field)).ok()?;
    deserializer.end().ok().and(found)
}

/// An object with that member.
struct Object<'f>(&'f Field);

/// A text as it stands in the line.
#[derive(Deserialize)]
#[serde(transparent)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Visitor<'de> for Object<'_> {
    type Value = Option<Cow<'de, str>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = None;
        while let Some(wanted) = map.next_key_seed(Name(self.0))? {
            if !wanted {
                map.next_value::<IgnoredAny>()?;
            } else if found.replace(map.next_value::<Text<'de>>()?.0).is_some() {
                return Err(A::Error::custom("two times"));
            }
        }
        Ok(found)
    }
}

/// Whether a name is the field's.
struct Name<'f>(&'f Field);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a name")
    }

    fn visit_str<E>(self, name: &str) -> Result<bool, E> {
        Ok(self.0.is_called(name))
    }
}
