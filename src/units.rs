//! Numbers with units, as people write them: times, sizes, counts; and times and sizes as people read them.

use std::time::Duration;

use indicatif::HumanDuration;

/// The longest time: added to any clock, twice too, it is a time.
const LONGEST: Duration = Duration::from_secs(36_500 * 86_400);

/// In nanoseconds. Where a time is shown, the first that divides it is taken.
const TIMES: [(&str, u64); 8] = [
    ("d", 86_400_000_000_000),
    ("h", 3_600_000_000_000),
    ("m", 60_000_000_000),
    ("min", 60_000_000_000),
    ("s", 1_000_000_000),
    ("ms", 1_000_000),
    ("us", 1_000),
    ("ns", 1),
];

/// In bytes; the first of a size in which a size is shown.
const SIZES: [(&str, u64); 4] = [("Ti", 1 << 40), ("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)];

/// In the manner of SI.
const POWERS: [(&str, u64); 6] =
    [("", 1), ("k", 1_000), ("K", 1_000), ("M", 1_000_000), ("G", 1_000_000_000), ("T", 1_000_000_000_000)];

/// A time such as `250ms`, `2s`, `10m`, `1h30m` or `7d`; at most a hundred years.
///
/// # Errors
/// What was expected.
pub fn time(text: &str) -> Result<Duration, &'static str> {
    const EXPECTED: &str = "expected a time such as 250ms, 2s, 10m, 1h30m or 7d, at most 36500d";
    let (mut rest, mut nanos) = (text.trim(), 0_u64);
    loop {
        let (number, behind) = split(rest).ok_or(EXPECTED)?;
        let end = behind.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(behind.len());
        let unit = unit_of(&behind[..end], &TIMES).ok_or(EXPECTED)?;
        nanos = scaled(number, unit).and_then(|part| nanos.checked_add(part)).ok_or(EXPECTED)?;
        rest = behind[end..].trim_start();
        if rest.is_empty() {
            return Some(Duration::from_nanos(nanos)).filter(|time| *time <= LONGEST).ok_or(EXPECTED);
        }
    }
}

/// A size such as `64KiB`, `512M`, `1.5GiB` or `1000000`, in bytes.
///
/// # Errors
/// What was expected.
pub fn size(text: &str) -> Result<u64, &'static str> {
    let read = || {
        let (number, unit) = split(text.trim())?;
        let unit = unit.strip_suffix(['B', 'b']).unwrap_or(unit);
        let binary = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).map(|(_, bytes)| *bytes);
        scaled(number, binary.or_else(|| unit_of(unit, &POWERS))?)
    };
    read().ok_or("expected a size such as 64KiB, 256MiB or 1GB")
}

/// A count such as `500`, `10k`, `2.5M` or `1_000_000`.
///
/// # Errors
/// What was expected.
pub fn count<N: TryFrom<u64>>(text: &str) -> Result<N, &'static str> {
    let read = || {
        let (number, unit) = split(text.trim())?;
        N::try_from(scaled(number, unit_of(unit, &POWERS)?)?).ok()
    };
    read().ok_or("expected a number such as 500, 10k or 2M")
}

/// A number above zero such as `0.5`, `60` or `20k`.
///
/// # Errors
/// What was expected.
pub fn positive(text: &str) -> Result<f64, &'static str> {
    let read = || {
        let (number, unit) = split(text.trim())?;
        let number: f64 = number.replace('_', "").parse().ok()?;
        Some(number * unit_of(unit, &POWERS)? as f64).filter(|number| number.is_finite() && *number > 0.0)
    };
    read().ok_or("expected a number above zero such as 0.5, 60 or 20k")
}

/// The number and what stands behind it.
fn split(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '_').unwrap_or(text.len());
    (end > 0).then(|| (&text[..end], text[end..].trim_start()))
}

fn unit_of(name: &str, units: &[(&str, u64)]) -> Option<u64> {
    units.iter().find(|(known, _)| *known == name).map(|(_, unit)| *unit)
}

/// A number of units, exact where it is whole.
fn scaled(number: &str, unit: u64) -> Option<u64> {
    let plain = number.replace('_', "");
    if !plain.contains('.') {
        return plain.parse::<u64>().ok()?.checked_mul(unit);
    }
    let product = (plain.parse::<f64>().ok()? * unit as f64).round();
    (product < u64::MAX as f64).then_some(product as u64)
}

/// A time as it is written: `10m`, `1500ms`.
pub fn show_time(time: Duration) -> String {
    let nanos = time.as_nanos();
    let (name, unit) = TIMES.iter().find(|(_, unit)| nanos.is_multiple_of(u128::from(*unit))).unwrap_or(&("ns", 1));
    if nanos == 0 { "0s".to_owned() } else { format!("{}{name}", nanos / u128::from(*unit)) }
}

/// A size as it is written: `256KiB`, `1000000B`.
pub fn show_size(bytes: u64) -> String {
    let unit = SIZES.iter().find(|(_, unit)| bytes > 0 && bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes}B"), |(name, unit)| format!("{}{name}B", bytes / unit))
}

/// A time to be read in a sentence: seconds while they are few, then minutes, hours or days, rounded.
pub fn about_time(time: Duration) -> String {
    if time < Duration::from_secs(100) { format!("{} s", time.as_secs()) } else { HumanDuration(time).to_string() }
}

/// A size for people, cut to three digits or so: `1.4 GiB`.
pub fn about_size(bytes: u64) -> String {
    match SIZES.iter().find(|(_, unit)| bytes >= *unit) {
        Some((name, unit)) => format!("{:.1} {name}B", bytes as f64 / *unit as f64),
        None => format!("{bytes} B"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_time_in_a_sentence_is_of_few_digits() {
        let said = |seconds: u64| about_time(Duration::from_millis(seconds * 1000 + 900));
        assert_eq!([said(0), said(99), said(119), said(2998)], ["0 s", "99 s", "2 minutes", "50 minutes"]);
    }

    #[test]
    fn times_are_read_as_people_write_them() {
        let seconds = |text| time(text).map(|time| time.as_secs_f64());
        for (text, expected) in [
            ("250ms", 0.25),
            ("2s", 2.0),
            ("10m", 600.0),
            ("10min", 600.0),
            ("1h30m", 5400.0),
            (" 1 h 30 m ", 5400.0),
            ("1.5h", 5400.0),
            ("24h", 86_400.0),
            ("7d", 604_800.0),
            ("0s", 0.0),
            ("36500d", 3_153_600_000.0),
        ] {
            assert_eq!(seconds(text), Ok(expected), "{text}");
        }
        for text in ["", "10", "s", "soon", "-1s", "1x", "1e3s", "1.2.3s", "36501d", "99999999999999999999d", "1h30"] {
            assert!(time(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_and_counts_have_units() {
        for (text, bytes) in [
            ("64KiB", 64 << 10),
            ("256MiB", 256 << 20),
            ("1.5GiB", 3 << 29),
            ("512M", 512_000_000),
            ("512Mi", 512 << 20),
            ("1GB", 1_000_000_000),
            ("10 kB", 10_000),
            ("1mib", 1 << 20),
            ("7", 7),
            ("7B", 7),
        ] {
            assert_eq!(size(text), Ok(bytes), "{text}");
        }
        for (text, number) in
            [("10k", 10_000), ("2.5M", 2_500_000), ("1_000_000", 1_000_000), ("0", 0), ("3G", 3_000_000_000)]
        {
            assert_eq!(count::<u64>(text), Ok(number), "{text}");
        }
        assert_eq!((positive("20k"), positive("0.5")), (Ok(20_000.0), Ok(0.5)));
        for text in ["", "k", "1x", "-1", "1.2.3", "99999999999T", "lots"] {
            assert!(
                count::<u64>(text).is_err()
                    && size(text).is_err()
                    && positive(text).is_err() | (text == "99999999999T"),
                "{text}"
            );
        }
        assert!(count::<u32>("5G").is_err(), "more than the flag can hold");
        assert!(positive("0").is_err() && positive("nan").is_err());
    }

    #[test]
    fn what_is_shown_is_read_as_the_same() {
        for text in ["10m", "20m", "1500ms", "90m", "1d", "1h", "250ms", "1us", "0s"] {
            assert_eq!(show_time(time(text).unwrap()), text);
        }
        for text in ["256KiB", "512MiB", "3GiB", "1000B", "0B"] {
            assert_eq!(show_size(size(text).unwrap()), text);
        }
        assert_eq!((about_size(999), about_size(1_500_000_000)), ("999 B".to_owned(), "1.4 GiB".to_owned()));
    }
}
