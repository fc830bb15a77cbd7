//! JSON as the original producer writes it (a space after `:` and `,`), appended to a buffer without allocating.

use crate::Micros;

/// The longest decimal of an `i64`, and one more.
const DIGITS: usize = 20;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// An object that is being written: one call a member.
pub(crate) struct Object<'a> {
    to: &'a mut Vec<u8>,
    separator: &'static [u8],
}

impl<'a> Object<'a> {
    pub(crate) fn open(to: &'a mut Vec<u8>) -> Self {
        Object { to, separator: b"{\"" }
    }

    pub(crate) fn close(self) {
        self.to.push(b'}');
    }

    /// Writes the name; what is given back takes the value.
    fn name(&mut self, name: &str) -> &mut Vec<u8> {
        self.to.extend_from_slice(self.separator);
        self.to.extend_from_slice(name.as_bytes());
        self.to.extend_from_slice(b"\": ");
        self.separator = b", \"";
        self.to
    }

    /// A text, with escapes where it needs them.
    pub(crate) fn text(&mut self, name: &str, value: &str) {
        quoted(self.name(name), value);
    }

    /// A text that `write` appends and that needs no escapes.
    pub(crate) fn plain(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        let to = self.name(name);
        to.push(b'"');
        write(to);
        to.push(b'"');
    }

    /// A number, rounded to so many places.
    pub(crate) fn number(&mut self, name: &str, value: f64, places: u32) {
        decimal(self.name(name), value, places);
    }

    /// A number where there is one: the member is there in any case.
    pub(crate) fn number_or_null(&mut self, name: &str, value: Option<f64>, places: u32) {
        match value {
            Some(value) => self.number(name, value, places),
            None => self.name(name).extend_from_slice(b"null"),
        }
    }

    pub(crate) fn integer(&mut self, name: &str, value: i64) {
        let to = self.name(name);
        if value < 0 {
            to.push(b'-');
        }
        padded(to, value.unsigned_abs(), 1);
    }

    pub(crate) fn flag(&mut self, name: &str, value: bool) {
        self.name(name).extend_from_slice(if value { b"true" } else { b"false" });
    }

    pub(crate) fn texts(&mut self, name: &str, values: &[&str]) {
        let to = self.name(name);
        to.push(b'[');
        for (i, value) in values.iter().enumerate() {
            if i > 0 {
                to.extend_from_slice(b", ");
            }
            quoted(to, value);
        }
        to.push(b']');
    }
}

/// Appends a JSON string.
pub(crate) fn quoted(to: &mut Vec<u8>, text: &str) {
    to.push(b'"');
    escaped(to, text);
    to.push(b'"');
}

/// Appends the inside of a JSON string.
pub(crate) fn escaped(to: &mut Vec<u8>, text: &str) {
    if text.bytes().all(|b| b >= b' ' && b != b'"' && b != b'\\') {
        return to.extend_from_slice(text.as_bytes());
    }
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => to.extend_from_slice(&[b'\\', byte]),
            0..b' ' => {
                to.extend_from_slice(b"\\u00");
                to.extend_from_slice(&[HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
            }
            _ => to.push(byte),
        }
    }
}

/// Appends a number rounded to so many places, all of them shown; 0 for what is no finite number.
pub(crate) fn decimal(to: &mut Vec<u8>, value: f64, places: u32) {
    let unit = 10_u64.pow(places);
    // A conversion that saturates, and gives 0 for NaN.
    let units = (value * unit as f64).round() as i64;
    let units = if value.is_finite() { units } else { 0 };
    if units < 0 {
        to.push(b'-');
    }
    padded(to, units.unsigned_abs() / unit, 1);
    if places > 0 {
        to.push(b'.');
        padded(to, units.unsigned_abs() % unit, places as usize);
    }
}

/// Appends at least `width` digits.
fn padded(to: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; DIGITS];
    let mut at = DIGITS;
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    to.extend_from_slice(&digits[at.min(DIGITS - width)..]);
}

/// Appends a time as `2026-11-23T10:15:30.123456`, without a zone, as the original does.
pub(crate) fn time(to: &mut Vec<u8>, micros: Micros) {
    let (seconds, fraction) = (micros.div_euclid(1_000_000), micros.rem_euclid(1_000_000));
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    let (year, month, day) = date(days);
    padded(to, year as u64, 4);
    for (separator, value) in
        [(b'-', month), (b'-', day), (b'T', second / 3600), (b':', second / 60 % 60), (b':', second % 60)]
    {
        to.push(separator);
        padded(to, value as u64, 2);
    }
    to.push(b'.');
    padded(to, fraction as u64, 6);
}

/// Year, month and day of days since 1970, counted in years that begin in March, so that a leap day is the last.
fn date(days: i64) -> (i64, i64, i64) {
    const CYCLE: i64 = 146_097;
    let days = days + 719_468;
    let (cycle, day) = (days.div_euclid(CYCLE), days.rem_euclid(CYCLE));
    let year = (day - day / 1460 + day / 36_524 - day / (CYCLE - 1)) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    let (shifted, next_year) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
    (cycle * 400 + year + next_year, shifted, day - first + 1)
}

/// The text of a UUID of version 4 with these random bits.
pub(crate) fn uuid(bits: u128) -> [u8; 36] {
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let mut text = [b'-'; 36];
    let mut at = 0;
    for (i, byte) in bits.to_be_bytes().iter().enumerate() {
        if matches!(i, 4 | 6 | 8 | 10) {
            at += 1;
        }
        text[at] = HEX[usize::from(byte >> 4)];
        text[at + 1] = HEX[usize::from(byte & 15)];
        at += 2;
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(append: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut to = Vec::new();
        append(&mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn numbers_keep_their_places() {
        assert_eq!(shown(|to| decimal(to, 52.012_345, 6)), "52.012345");
        assert_eq!(shown(|to| decimal(to, -0.000_12, 6)), "-0.000120");
        assert_eq!(shown(|to| decimal(to, -0.000_000_1, 6)), "0.000000");
        assert_eq!(shown(|to| decimal(to, 0.07, 2)), "0.07");
        assert_eq!(shown(|to| decimal(to, 0.999, 2)), "1.00");
        assert_eq!(shown(|to| decimal(to, f64::NAN, 1)), "0.0");
        assert_eq!(shown(|to| decimal(to, f64::INFINITY, 1)), "0.0");
    }

    #[test]
    fn times_are_the_calendars() {
        for i in 0..20_000 {
            let micros = i * 205_122_240_123_457 % 4_102_444_800_000_000;
            let wanted =
                jiff::Timestamp::from_microsecond(micros).unwrap().strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string();
            assert_eq!(shown(|to| time(to, micros)), wanted);
        }
        assert_eq!(shown(|to| time(to, 951_782_400_000_000)), "2000-02-29T00:00:00.000000");
    }

    #[test]
    fn texts_are_json_whatever_they_hold() {
        for text in ["plain", "a \"word\"", "back\\slash", "line\nend\u{1}", "K\u{f6}ln", ""] {
            assert_eq!(serde_json::from_str::<String>(&shown(|to| quoted(to, text))).unwrap(), text);
        }
    }

    #[test]
    fn ids_are_of_version_4() {
        let id = String::from_utf8(uuid(u128::MAX).to_vec()).unwrap();
        assert_eq!(id, "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(&uuid(0)[..], b"00000000-0000-4000-8000-000000000000");
    }
}
