//! The members of a record: known ones as raw text by field, all others collected as the text of `extra`.

use citystream_wire::{Field, MAX_FIELDS};

/// The raw text of each field, by its place among the topic's fields; empty where absent.
pub(super) type RawFields<'a> = [&'a str; MAX_FIELDS];

/// Adds a member to an unclosed object in `extra`.
pub(super) fn keep(extra: &mut String, name: &str, raw: &str) {
    push_name(extra, name);
    extra.push_str(raw);
}

/// Closes the object, if there is one, and returns it.
pub(super) fn closed(extra: &mut String) -> Option<&str> {
    if extra.is_empty() {
        return None;
    }
    extra.push('}');
    Some(extra)
}

/// Adds a name to an unclosed object in `extra`; its value is to follow.
pub(super) fn push_name(extra: &mut String, name: &str) {
    extra.push(if extra.is_empty() { '{' } else { ',' });
    if name.bytes().any(|b| b < b' ' || b == b'"' || b == b'\\') {
        extra.push_str(&serde_json::Value::from(name).to_string());
    } else {
        extra.push('"');
        extra.push_str(name);
        extra.push('"');
    }
    extra.push(':');
}

/// The field of that name; looks first where the order of the fields says.
pub(super) fn find(fields: &[Field], next: usize, name: &str) -> Option<usize> {
    if fields.get(next).is_some_and(|field| field.json == name) {
        return Some(next);
    }
    fields.iter().position(|field| field.is_called(name))
}
