//! Records that nobody can read, each in a way that happens: all of them become dead letters.

/// How many ways there are.
pub(super) const WAYS: u64 = 8;

/// Spoils a good record. `way` is below [`WAYS`].
pub(super) fn spoil(record: &mut Vec<u8>, way: u64) {
    match way {
        // Torn in the middle.
        0 => record.truncate(record.len() / 2),
        // Not JSON at all.
        1 => replace(record, b"sensor offline"),
        // No device, time or position.
        2 => replace(record, br#"{"id": "5f0e0000-0000-4000-8000-000000000000"}"#),
        // An array instead of an object.
        3 => replace(record, b"[]"),
        // The header of a schema registry before the record.
        4 => drop(record.splice(..0, [0, 0, 0, 0, 7])),
        // Not UTF-8.
        5 => replace(record, b"{\"id\": \"\xff\xfe\"}"),
        // No time.
        6 => swap(record, b"\"timestamp\": \"20", b"\"timestamp\": \"xx"),
        // Nowhere on Earth.
        _ => {
            swap(record, b"\"location\": \"(5", b"\"location\": \"(9");
            swap(record, b"\"coordinates\": \"5", b"\"coordinates\": \"9");
        }
    }
}

fn replace(record: &mut Vec<u8>, with: &[u8]) {
    record.clear();
    record.extend_from_slice(with);
}

/// Overwrites the first occurrence, if any; both are equally long.
fn swap(record: &mut [u8], from: &[u8], to: &[u8]) {
    if let Some(at) = record.windows(from.len()).position(|window| window == from) {
        record[at..at + to.len()].copy_from_slice(to);
    }
}
