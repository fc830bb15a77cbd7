//! The raw text of one JSON value to what its column holds.

use std::borrow::Cow;

use citystream_dataflows::time::Micros;
use citystream_wire::{COMPASS, Field, Kind, MAX_ID};

use super::reason::Rejection;
use crate::columns::tables::Reason;
use crate::timestamps::Zone;

/// A value that has been checked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// Absent.
    Null,
    /// There, but its column cannot hold it: null, and kept in `extra`.
    Unfit,
    /// Text without escapes.
    Text(&'a str),
    /// Text with escapes, as raw JSON.
    Escaped(&'a str),
    /// A list of texts, as raw JSON.
    Texts(&'a str),
    Number(f64),
    Integer(i32),
    Flag(bool),
    Time(Micros),
    Place(f64, f64),
}

impl<'a> Value<'a> {
    /// The text of a text; empty for anything else.
    pub(super) fn text(&self) -> Cow<'a, str> {
        match *self {
            Value::Text(text) => Cow::Borrowed(text),
            Value::Escaped(raw) => Cow::Owned(serde_json::from_str(raw).unwrap_or_default()),
            _ => Cow::Borrowed(""),
        }
    }
}

/// Reads the raw text of a value that is there.
pub(super) fn read<'a>(field: &Field, raw: &'a str, zone: &Zone) -> Result<Value<'a>, Rejection> {
    match field.kind {
        Kind::Text => required(field, text(field, raw)?),
        Kind::Id => {
            let value = required(field, text(field, raw)?)?;
            let length = value.text().len();
            if length > MAX_ID {
                let detail = format!("{}: {length} bytes, an id has at most {MAX_ID}", field.json);
                return Err(Rejection::new(Reason::TooLong, detail));
            }
            Ok(value)
        }
        Kind::Words(words) => {
            let value = text(field, raw)?;
            Ok(if words.contains(&value.text().as_ref()) { value } else { Value::Unfit })
        }
        Kind::Number { min, max } => {
            let number = number(field, raw)?;
            Ok(if (min..=max).contains(&number) { Value::Number(number) } else { Value::Unfit })
        }
        Kind::Integer { min, max } => {
            let number = number(field, raw)?;
            let fits = number.fract() == 0.0 && (f64::from(min)..=f64::from(max)).contains(&number);
            Ok(if fits { Value::Integer(number as i32) } else { Value::Unfit })
        }
        Kind::Flag => match raw {
            "true" => Ok(Value::Flag(true)),
            "false" => Ok(Value::Flag(false)),
            _ => Err(wrong_type(field, raw, "true or false")),
        },
        Kind::Texts => match serde_json::from_str::<Vec<Option<String>>>(raw) {
            Ok(_) => Ok(Value::Texts(raw)),
            Err(_) => Err(wrong_type(field, raw, "a list of texts")),
        },
        Kind::Bearing => Ok(bearing(&text(field, raw)?.text()).map_or(Value::Unfit, Value::Number)),
        Kind::Time => {
            let value = text(field, raw)?.text();
            zone.read(&value).map(Value::Time).ok_or_else(|| about(Reason::BadTime, field, raw, "is not ISO 8601"))
        }
        Kind::Place => {
            let (lat, lon) = place(&text(field, raw)?.text())
                .ok_or_else(|| about(Reason::BadPosition, field, raw, "is not two numbers"))?;
            // Written so that NaN is refused too.
            let on_earth = (-90.0..=90.0).contains(&lat) && (-180.0..=180.0).contains(&lon);
            if on_earth {
                Ok(Value::Place(lat, lon))
            } else {
                Err(about(Reason::BadPosition, field, raw, "is not on Earth"))
            }
        }
    }
}

/// A required text is not empty.
fn required<'a>(field: &Field, value: Value<'a>) -> Result<Value<'a>, Rejection> {
    match value {
        Value::Text("") if field.required => {
            Err(Rejection::new(Reason::MissingField, format!("{}: empty", field.json)))
        }
        value => Ok(value),
    }
}

fn text<'a>(field: &Field, raw: &'a str) -> Result<Value<'a>, Rejection> {
    let inner = raw.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    let Some(inner) = inner else { return Err(wrong_type(field, raw, "text")) };
    if !inner.as_bytes().contains(&b'\\') {
        return Ok(Value::Text(inner));
    }
    match serde_json::from_str::<String>(raw) {
        Ok(_) => Ok(Value::Escaped(raw)),
        Err(error) => Err(about(Reason::NotJson, field, raw, &error.to_string())),
    }
}

fn number(field: &Field, raw: &str) -> Result<f64, Rejection> {
    if !raw.starts_with(|c: char| c == '-' || c.is_ascii_digit()) {
        return Err(wrong_type(field, raw, "a number"));
    }
    match raw.parse::<f64>() {
        Ok(number) if number.is_finite() => Ok(number),
        _ => Err(about(Reason::BadNumber, field, raw, "is too great")),
    }
}

/// `(lat, lon)` or `lat,lon`.
fn place(text: &str) -> Option<(f64, f64)> {
    let text = text.trim();
    let inner = match text.strip_prefix('(') {
        Some(rest) => rest.strip_suffix(')')?,
        None => text,
    };
    let (lat, lon) = inner.split_once(',')?;
    Some((lat.trim().parse().ok()?, lon.trim().parse().ok()?))
}

/// Degrees clockwise from north of one of the eight compass words, in any case, with any or no hyphen.
fn bearing(word: &str) -> Option<f64> {
    let letters = || word.bytes().filter(|b| !matches!(b, b'-' | b' ' | b'_')).map(|b| b.to_ascii_lowercase());
    let index = COMPASS.iter().position(|known| letters().eq(known.bytes()))?;
    Some(45.0 * index as f64)
}

fn wrong_type(field: &Field, raw: &str, expected: &str) -> Rejection {
    about(Reason::WrongType, field, raw, &format!("is not {expected}"))
}

pub(super) fn about(reason: Reason, field: &Field, raw: &str, fault: &str) -> Rejection {
    let shown = &raw[..raw.floor_char_boundary(80)];
    Rejection::new(reason, format!("{}: {shown} {fault}", field.json))
}
