//! ISO 8601 to microseconds.
//!
//! The usual forms (`2026-11-23T10:15:30`, with or without a fraction, `Z` or an offset) are read here in a few
//! nanoseconds; anything else is jiff's to accept or refuse. Digits after the microseconds are dropped.

use citystream_dataflows::time::Micros;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

const SECOND: i64 = 1_000_000;

/// The zone of naive timestamps.
#[derive(Clone, Debug)]
pub struct Zone {
    timezone: TimeZone,
    /// Microseconds east of UTC, for zones that have but one offset: no look-up then.
    fixed: Option<i64>,
}

/// What a timestamp says of its offset.
enum Suffix {
    Naive,
    /// Microseconds east of UTC.
    Offset(i64),
}

impl Zone {
    /// This zone.
    pub fn new(timezone: TimeZone) -> Zone {
        let fixed = timezone.to_fixed_offset().ok().map(|offset| i64::from(offset.seconds()) * SECOND);
        Zone { timezone, fixed }
    }

    /// Reads a timestamp; `None` if it is none. A naive one that is ambiguous has the earlier offset; one that the
    /// clocks skipped has the offset from before.
    pub fn read(&self, text: &str) -> Option<Micros> {
        match (usual(text.as_bytes()), self.fixed) {
            (Some((local, Suffix::Offset(offset))), _) => Some(local - offset),
            (Some((local, Suffix::Naive)), Some(offset)) => Some(local - offset),
            _ => self.other(text),
        }
    }

    fn other(&self, text: &str) -> Option<Micros> {
        if let Ok(timestamp) = text.parse::<Timestamp>() {
            return Some(timestamp.as_microsecond());
        }
        let civil = text.parse::<DateTime>().ok()?;
        let timestamp = self.timezone.to_ambiguous_timestamp(civil).compatible().ok()?;
        Some(timestamp.as_microsecond())
    }
}

/// `YYYY-MM-DDThh:mm:ss[.f][Z|+hh:mm|+hhmm|+hh]` to microseconds of local time; `None` for any other form.
fn usual(b: &[u8]) -> Option<(Micros, Suffix)> {
    if b.len() < 19 || b[4] != b'-' || b[7] != b'-' || b[13] != b':' || b[16] != b':' {
        return None;
    }
    if !matches!(b[10], b'T' | b't' | b' ') {
        return None;
    }
    let year = two(b, 0)? * 100 + two(b, 2)?;
    let (month, day) = (two(b, 5)?, two(b, 8)?);
    let (hour, minute, second) = (two(b, 11)?, two(b, 14)?, two(b, 17)?);
    let valid = (1..=12).contains(&month) && day >= 1 && day <= days_of(year, month);
    if !valid || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let (fraction, rest) = fraction(&b[19..])?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    Some((seconds * SECOND + fraction, suffix(rest)?))
}

fn two(b: &[u8], at: usize) -> Option<i64> {
    let (tens, ones) = (b.get(at)?.wrapping_sub(b'0'), b.get(at + 1)?.wrapping_sub(b'0'));
    (tens < 10 && ones < 10).then(|| i64::from(tens) * 10 + i64::from(ones))
}

/// Microseconds of a fraction, if there is one, and what follows it.
fn fraction(b: &[u8]) -> Option<(i64, &[u8])> {
    if !matches!(b.first(), Some(b'.' | b',')) {
        return Some((0, b));
    }
    let digits = b[1..].iter().take_while(|c| c.is_ascii_digit()).count();
    if digits == 0 {
        return None;
    }
    let mut micros = 0;
    for place in 0..6 {
        let digit = if place < digits { b[1 + place] - b'0' } else { 0 };
        micros = micros * 10 + i64::from(digit);
    }
    Some((micros, &b[1 + digits..]))
}

fn suffix(b: &[u8]) -> Option<Suffix> {
    let sign = match b {
        [] => return Some(Suffix::Naive),
        [b'Z' | b'z'] => return Some(Suffix::Offset(0)),
        [b'+', ..] => 1,
        [b'-', ..] => -1,
        _ => return None,
    };
    let hours = two(b, 1)?;
    let minutes = match b.len() {
        3 => 0,
        5 => two(b, 3)?,
        6 if b[3] == b':' => two(b, 4)?,
        _ => return None,
    };
    (hours <= 23 && minutes <= 59).then(|| Suffix::Offset(sign * (hours * 3600 + minutes * 60) * SECOND))
}

fn days_of(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01, counted in years that start in March so that a leap day comes last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leaps = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leaps + (153 * month + 2) / 5 + day - 1 - 719_468
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::columns::decode::tests::Random;

    fn utc() -> Zone {
        Zone::new(TimeZone::UTC)
    }

    #[test]
    fn agrees_with_jiff_on_random_times() {
        let mut random = Random::new();
        for _ in 0..20_000 {
            let micros = random.below(4_102_444_800_000_000 * 2) as i64 - 4_102_444_800_000_000;
            let stamp = Timestamp::from_microsecond(micros).unwrap();
            let offset = jiff::tz::Offset::from_seconds((random.below(95) as i32 - 47) * 1800).unwrap();
            let local = offset.to_datetime(stamp);
            let digits = random.below(10) as u8;
            let zulu = format!("{stamp:.6}");
            let naive = format!("{local:.digits$}", digits = usize::from(digits));
            assert!(usual(zulu.as_bytes()).is_some() && usual(naive.as_bytes()).is_some(), "{zulu} {naive}");
            assert_eq!(utc().read(&zulu), Some(micros), "{zulu}");
            let expected = naive.parse::<DateTime>().unwrap().to_zoned(TimeZone::fixed(offset)).unwrap();
            let expected = expected.timestamp().as_nanosecond().div_euclid(1000) as i64;
            assert_eq!(Zone::new(TimeZone::fixed(offset)).read(&naive), Some(expected), "{naive} {offset}");
            let signed = format!("{naive}{}", hours_and_minutes(offset.seconds()));
            assert_eq!(utc().read(&signed), Some(expected), "{signed}");
        }
    }

    fn hours_and_minutes(seconds: i32) -> String {
        let sign = if seconds < 0 { '-' } else { '+' };
        format!("{sign}{:02}:{:02}", seconds.abs() / 3600, seconds.abs() / 60 % 60)
    }

    #[test]
    fn refuses_what_is_no_time() {
        for text in [
            "",
            "yesterday",
            "2026-02-29T00:00:00",
            "2026-13-01T00:00:00",
            "2026-00-01T00:00:00",
            "2026-01-00T00:00:00",
            "2026-01-01T24:30:00",
            "2026-01-01T00:60:00",
            "2026-01-01T00:00:00+1",
            "2026-01-01T00:00:00+01:99",
            "2026-01-01T00:00:00.",
            "2026-01-01T00:00:00.5x",
            "20x6-01-01T00:00:00",
            "1767225600",
            "\u{661}026-01-01T00:00:00",
        ] {
            assert_eq!(utc().read(text), None, "{text}");
        }
    }

    #[test]
    fn all_usual_forms_mean_the_same() {
        for text in [
            "2026-11-23T10:15:30.5",
            "2026-11-23 10:15:30.500000",
            "2026-11-23T10:15:30,500000999",
            "2026-11-23T10:15:30.500000999999",
            "2026-11-23T10:15:30.5Z",
            "2026-11-23t10:15:30.5z",
            "2026-11-23T11:15:30.5+01:00",
            "2026-11-23T05:45:30.5-0430",
            "2026-11-23T12:15:30.5+02",
            "20261123T101530.5",
            "2026-11-23T11:15:30.5+01:00[Europe/Paris]",
        ] {
            assert_eq!(utc().read(text), Some(1_795_428_930_500_000), "{text}");
        }
        assert_eq!(utc().read("2024-02-29T23:59:60Z"), utc().read("2024-02-29T23:59:59Z"));
    }

    #[test]
    fn an_ambiguous_time_has_the_earlier_offset_and_a_skipped_one_the_offset_before() {
        let london = Zone::new(TimeZone::get("Europe/London").unwrap());
        // 01:30 came twice on 2026-10-25: first at +01:00.
        assert_eq!(london.read("2026-10-25T01:30:00"), utc().read("2026-10-25T00:30:00Z"));
        assert_eq!(london.read("2026-10-25T02:30:00"), utc().read("2026-10-25T02:30:00Z"));
        // 01:30 did not come on 2026-03-29: the clocks went from 01:00 +00:00 to 02:00 +01:00.
        assert_eq!(london.read("2026-03-29T01:30:00"), utc().read("2026-03-29T01:30:00Z"));
        assert_eq!(london.read("2026-07-01T12:00:00.25"), utc().read("2026-07-01T11:00:00.25Z"));
        assert_eq!(london.read("2026-07-01T12:00:00+05:00"), utc().read("2026-07-01T07:00:00Z"));
    }
}
