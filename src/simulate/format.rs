//! Numbers, times and ids as text, appended to a reused buffer. All quantities are integers in small units, so the text
//! depends on nothing but them.

use super::random::Random;

/// The longest decimal of an `i64`.
const DIGITS: usize = 20;
const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends text.
pub(super) fn text(to: &mut Vec<u8>, text: &str) {
    to.extend_from_slice(text.as_bytes());
}

/// Appends an integer.
pub(super) fn integer(to: &mut Vec<u8>, value: i64) {
    if value < 0 {
        to.push(b'-');
    }
    padded(to, value.unsigned_abs(), 1);
}

/// Appends `value / 10^places` with all its places.
pub(super) fn decimal(to: &mut Vec<u8>, value: i64, places: usize) {
    if value < 0 {
        to.push(b'-');
    }
    let unit = 10_u64.pow(places as u32);
    padded(to, value.unsigned_abs() / unit, 1);
    to.push(b'.');
    padded(to, value.unsigned_abs() % unit, places);
}

/// Appends at least `width` digits.
pub(super) fn padded(to: &mut Vec<u8>, mut value: u64, width: usize) {
    let mut digits = [b'0'; DIGITS];
    let mut at = DIGITS;
    while value > 0 {
        at -= 1;
        digits[at] = b'0' + (value % 10) as u8;
        value /= 10;
    }
    to.extend_from_slice(&digits[at.min(DIGITS - width)..]);
}

/// A random UUID of version 4, as text.
pub(super) fn uuid(random: &mut Random) -> [u8; 36] {
    let bits = (u128::from(random.next()) << 64) | u128::from(random.next());
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

/// Appends microseconds since 1970 as `2026-11-23T10:15:30.123456`, without a zone, as the original does.
pub(super) fn time(to: &mut Vec<u8>, micros: i64) {
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

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shown(append: impl Fn(&mut Vec<u8>)) -> String {
        let mut to = Vec::new();
        append(&mut to);
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn numbers_keep_their_places() {
        assert_eq!(shown(|to| integer(to, -120)), "-120");
        assert_eq!(shown(|to| integer(to, 0)), "0");
        assert_eq!(shown(|to| decimal(to, 52_012_345, 6)), "52.012345");
        assert_eq!(shown(|to| decimal(to, -120, 6)), "-0.000120");
        assert_eq!(shown(|to| decimal(to, 7, 2)), "0.07");
        assert_eq!(shown(|to| integer(to, i64::MIN)), i64::MIN.to_string());
    }

    #[test]
    fn times_are_the_calendars() {
        let mut random = Random::new(5, 5);
        for _ in 0..10_000 {
            let micros = random.between(0, 4_102_444_800_000_000);
            let wanted =
                jiff::Timestamp::from_microsecond(micros).unwrap().strftime("%Y-%m-%dT%H:%M:%S.%6f").to_string();
            assert_eq!(shown(|to| time(to, micros)), wanted);
        }
        assert_eq!(shown(|to| time(to, 951_782_400_000_000)), "2000-02-29T00:00:00.000000");
    }

    #[test]
    fn ids_are_of_version_4() {
        let mut random = Random::new(1, 2);
        let (a, b) = (uuid(&mut random), uuid(&mut random));
        assert_ne!(a, b);
        for id in [a, b] {
            assert_eq!(id[14], b'4');
            assert!(matches!(id[19], b'8' | b'9' | b'a' | b'b'));
            assert_eq!(id.iter().filter(|c| **c == b'-').count(), 4);
        }
    }
}
