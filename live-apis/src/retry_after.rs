//! The `Retry-After` of an answer: seconds, or an HTTP date.

use crate::moment::Moment;
use std::time::Duration;

/// The time before which the API is not to be asked again.
pub fn retry_after(header: &str, now: Moment) -> Option<Moment> {
    let header = header.trim();
    if let Ok(seconds) = header.parse::<u64>() {
        return Some(now + Duration::from_secs(seconds));
    }
    httpdate::parse_http_date(header).ok().map(Moment::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_understood() {
        let now = Moment::from_millis(1_000);
        assert_eq!(retry_after(" 120 ", now), Some(Moment::from_millis(121_000)));
        // 784111777 is the number of seconds that RFC 9110's example date has.
        assert_eq!(retry_after("Sun, 06 Nov 1994 08:49:37 GMT", now), Some(Moment::from_millis(784_111_777_000)));
        for nonsense in ["", "soon", "-1", "1.5"] {
            assert_eq!(retry_after(nonsense, now), None, "{nonsense}");
        }
        assert_eq!(retry_after(&u64::MAX.to_string(), now), Some(Moment::NEVER));
    }
}
