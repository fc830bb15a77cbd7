//! Both ways of reading a record's JSON against `serde_json`.
//!
//! The first byte chooses the topic (`0` to `4`), the rest is the text. The reference is an object as `serde_json` reads it,
//! member by member; where that refuses the text, the text with its `NaN`, `Infinity` and `-Infinity` as texts. Asserted:
//! - the whole way accepts what the reference accepts, and nothing else;
//! - a field is the last member of its name or of an alias, byte for byte; a literal that is a field stands for itself;
//! - all other members are in `extra`, in their order, repeated ones too;
//! - the fast way reads nothing else than the whole way does, and reads all plain JSON: an object of scalars with at least
//!   one member, without escapes and exponents.

use citystream::parts::raw_members;
use citystream_wire::relaxed::Relaxed;
use citystream_wire::{Field, Topic};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Asserts it of an input.
pub fn check_input(input: &[u8]) {
    let Some((first, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let chosen = usize::from(first.wrapping_sub(b'0')) % Topic::count();
    let topic = Topic::all().nth(chosen).expect("there are as many");
    let (whole, fast) = (raw_members(topic, text, false), raw_members(topic, text, true));
    let fields = topic.declaration().fields;

    let plain: Option<Members<'_>> = serde_json::from_str(text).ok();
    let mut relaxed = Relaxed::default();
    let expected = match &plain {
        Some(members) => Some(members.split(fields, |value| value)),
        None if relaxed.read(text) => {
            let members: Option<Members<'_>> = serde_json::from_str(relaxed.text()).ok();
            members.map(|members| members.split(fields, |value| relaxed.original(value)))
        }
        None => None,
    };
    let read = whole.as_ref().map(|(values, extra)| (values.clone(), kept(extra.as_deref())));
    assert_eq!(read, expected, "{text}");
    assert!(fast.is_none() || fast == whole, "{fast:?} and {whole:?} of {text}");
    let is_plain = plain.is_some_and(|members| members.are_plain()) && !text.contains('\\');
    assert!(fast.is_some() || !is_plain, "not read the fast way: {text}");
}

/// The members of an object in their order.
struct Members<'a>(Vec<(String, &'a str)>);

/// The text of each field, and all other members.
type Split = (Vec<String>, Vec<(String, String)>);

impl<'a> Members<'a> {
    fn split(&self, fields: &[Field], original: impl Fn(&'a str) -> &'a str) -> Split {
        let (mut values, mut others) = (vec![String::new(); fields.len()], Vec::new());
        for (name, value) in &self.0 {
            match fields.iter().position(|field| field.is_called(name)) {
                Some(index) => values[index] = original(value).to_owned(),
                None => others.push((name.clone(), (*value).to_owned())),
            }
        }
        (values, others)
    }

    /// Whether there are some, all of them scalars without exponents.
    fn are_plain(&self) -> bool {
        let is_plain = |value: &str| match value.as_bytes() {
            [b'[' | b'{', ..] => false,
            [b'-' | b'0'..=b'9', ..] => !value.contains(['e', 'E']),
            _ => true,
        };
        !self.0.is_empty() && self.0.iter().all(|(_, value)| is_plain(value))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Members<'a>, D::Error> {
        deserializer.deserialize_map(Object).map(Members)
    }
}

struct Object;

impl<'de> Visitor<'de> for Object {
    type Value = Vec<(String, &'de str)>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut members = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            members.push((name, value.get()));
        }
        Ok(members)
    }
}

/// The members that `extra` keeps.
fn kept(extra: Option<&str>) -> Vec<(String, String)> {
    let members: Members<'_> = extra.map_or(Members(Vec::new()), |text| serde_json::from_str(text).expect("JSON"));
    members.0.into_iter().map(|(name, value)| (name, value.to_owned())).collect()
}
