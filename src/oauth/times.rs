//! Times and lifetimes as providers write them.

use super::Value;
use crate::model::{LATEST, Timestamp};

/// A lifetime in seconds: a number, a float, an exponent, or any of them as a text with white space around. 0 and
/// less, and what is no number, is not stated.
pub(super) fn lifetime(value: &Value) -> Option<u64> {
    match whole(value) {
        Some(seconds) => Some(seconds).filter(|seconds| *seconds > 0).map(sane),
        None => duration(value.as_str()?),
    }
}

/// A duration in words or as ISO 8601 writes it: `PT1H`, `3600s`, `60 minutes`, `01:00:00`.
fn duration(text: &str) -> Option<u64> {
    let span: jiff::Span = text.trim().parse().ok()?;
    let days = jiff::SpanRelativeTo::days_are_24_hours();
    let seconds = span.total((jiff::Unit::Second, days)).ok()?;
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    (seconds >= 1.0).then_some(sane(seconds as u64))
}

/// A duration that is counted in something else, `factor` seconds each; less than a second is one.
pub(super) fn in_seconds(value: &Value, factor: f64) -> Option<u64> {
    let count = match value {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    };
    let count = count.filter(|count: &f64| count.is_finite() && *count > 0.0)?;
    // The cast saturates: `sane` cuts what is too large.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    let seconds = (count * factor) as u64;
    Some(sane(seconds.max(1)))
}

/// A moment as a lifetime in seconds from `now`: epoch seconds, epoch milliseconds, RFC 3339 (also with `+0000`), or a
/// date as HTTP writes it. A moment that has passed is 1, as 0 says "not stated".
pub(super) fn lifetime_until(value: &Value, now: Timestamp) -> Option<u64> {
    let at = moment(value)?;
    Some(u64::try_from(at.duration_since(now).as_secs()).unwrap_or(0).max(1))
}

/// As [`lifetime_until`], for a name that providers use in both meanings (`expires`): what is too small for a date of
/// our time is a lifetime.
pub(super) fn lifetime_or_until(value: &Value, now: Timestamp) -> Option<u64> {
    match whole(value) {
        Some(seconds) if seconds < EARLIEST_EPOCH => lifetime(value),
        Some(_) => lifetime_until(value, now),
        None => lifetime_until(value, now).or_else(|| lifetime(value)),
    }
}

/// A moment, as [`lifetime_until`] reads it.
pub(crate) fn moment(value: &Value) -> Option<Timestamp> {
    // A moment past the last that a timestamp holds stands for "never".
    let or_latest = |at: Result<Timestamp, jiff::Error>| Some(at.unwrap_or(LATEST));
    let signed = |number| i64::try_from(number).unwrap_or(i64::MAX);
    match whole(value) {
        Some(number) if number >= EARLIEST_EPOCH_MILLIS => or_latest(Timestamp::from_millisecond(signed(number))),
        Some(number) if number >= EARLIEST_EPOCH => or_latest(Timestamp::from_second(signed(number))),
        Some(_) => None,
        None => {
            let text = value.as_str()?.trim();
            let never = || text.starts_with("9999-12-31").then_some(LATEST);
            text.parse().ok().or_else(|| http_date(text)).or_else(|| without_zone(text)).or_else(never)
        }
    }
}

/// `Retry-After` in seconds: a number or a date (RFC 9110 section 10.2.3), at most a day.
pub(super) fn retry_after(text: &str, now: Timestamp) -> Option<u64> {
    let text = text.trim();
    let seconds = match text.parse::<u64>() {
        Ok(seconds) => seconds,
        Err(_) => u64::try_from(http_date(text)?.duration_since(now).as_secs()).unwrap_or(0),
    };
    Some(seconds.min(LONGEST_RETRY_AFTER))
}

/// A date and time that names no zone is taken for UTC.
fn without_zone(text: &str) -> Option<Timestamp> {
    let civil: jiff::civil::DateTime = text.parse().ok()?;
    Some(civil.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp())
}

fn http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()
}

/// A number that is not negative, without its fraction.
fn whole(value: &Value) -> Option<u64> {
    let float = |number: f64| {
        // The cast saturates, and that is meant: `sane` cuts what is too large.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        (number.is_finite() && number >= 0.0).then_some(number as u64)
    };
    match value {
        Value::Number(number) => number.as_u64().or_else(|| number.as_f64().and_then(float)),
        Value::String(text) => {
            let text = text.trim();
            text.parse().ok().or_else(|| text.parse().ok().and_then(float))
        }
        _ => None,
    }
}

/// A lifetime that would end past the year 9999 is a mistake for "very long", and becomes 68 years: what clients that
/// count in 32 bits make of it.
fn sane(seconds: u64) -> u64 {
    if seconds > LAST_EPOCH { VERY_LONG } else { seconds }
}

/// 9 September 2001 as epoch seconds. A smaller number is no date that a token of today ends at.
const EARLIEST_EPOCH: u64 = 1_000_000_000;
/// The same as epoch milliseconds; as epoch seconds it is the year 33658.
const EARLIEST_EPOCH_MILLIS: u64 = 1_000_000_000_000;
/// The end of the year 9999 as epoch seconds.
const LAST_EPOCH: u64 = 253_402_300_799;
/// 2^31 - 1 seconds: 68 years.
const VERY_LONG: u64 = 2_147_483_647;
/// A day: a provider, or somebody between, must not put a connection to sleep for longer.
const LONGEST_RETRY_AFTER: u64 = 86_400;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    #[test]
    fn durations_in_words_and_dates_without_a_zone_are_read() {
        for text in ["PT1H", "3600s", "3600 seconds", "60 minutes", "1h"] {
            assert_eq!(lifetime(&json!(text)), Some(3600), "{text}");
            assert_eq!(lifetime_or_until(&json!(text), now()), Some(3600), "{text}");
        }
        assert_eq!(lifetime_until(&json!("2023-11-14 22:14:20"), now()), Some(60));
        for text in ["soon", "", "PT", "-1h", "0s"] {
            assert_eq!(lifetime(&json!(text)), None, "{text}");
        }
    }

    #[test]
    fn a_lifetime_is_read_however_it_is_written() {
        for (value, seconds) in [
            (json!(3600), Some(3600)),
            (json!("3600"), Some(3600)),
            (json!(" 3600 "), Some(3600)),
            (json!(3599.9), Some(3599)),
            (json!("3600.0"), Some(3600)),
            (json!(3.6e3), Some(3600)),
            (json!("3.6e3"), Some(3600)),
            (json!(1e23), Some(2_147_483_647)),
            (json!("99999999999999999999999"), Some(2_147_483_647)),
            (json!(u64::MAX), Some(2_147_483_647)),
            (json!(3_118_450_857_u64), Some(3_118_450_857)),
            (json!(0), None),
            (json!("0"), None),
            (json!(-1), None),
            (json!("NaN"), None),
            (json!("inf"), None),
            (json!("never"), None),
            (json!(null), None),
            (json!([3600]), None),
        ] {
            assert_eq!(lifetime(&value), seconds, "{value}");
        }
    }

    #[test]
    fn a_moment_is_read_however_it_is_written() {
        for value in [
            json!(1_700_003_600),
            json!("1700003600"),
            json!(1_700_003_600_000_u64),
            json!("1700003600000"),
            json!(1_700_003_600.5),
            json!("2023-11-14T23:13:20Z"),
            json!("2023-11-14T23:13:20+0000"),
            json!("2023-11-15T00:13:20+01:00"),
            json!("Tue, 14 Nov 2023 23:13:20 GMT"),
        ] {
            assert_eq!(lifetime_until(&value, now()), Some(3600), "{value}");
        }
        assert_eq!(lifetime_until(&json!(1_600_000_000), now()), Some(1), "passed");
        assert_eq!(lifetime_until(&json!("soon"), now()), None);
        assert_eq!(lifetime_until(&json!(3600), now()), None);
        for never in [json!(u64::MAX), json!("9999-12-31T23:59:59Z"), json!(253_402_300_799_u64)] {
            let until = lifetime_until(&never, now()).unwrap();
            assert_eq!(crate::model::later(now(), until).as_second(), LATEST.as_second(), "{never}");
        }
    }

    #[test]
    fn expires_is_a_lifetime_when_it_is_small() {
        assert_eq!(lifetime_or_until(&json!("5183999"), now()), Some(5_183_999));
        assert_eq!(lifetime_or_until(&json!(1_700_000_060), now()), Some(60));
        assert_eq!(lifetime_or_until(&json!("2023-11-14T22:14:20Z"), now()), Some(60));
        assert_eq!(lifetime_or_until(&json!(0), now()), None);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_and_at_most_a_day() {
        for (text, seconds) in [
            ("120", Some(120)),
            (" 7 ", Some(7)),
            ("Tue, 14 Nov 2023 22:14:20 GMT", Some(60)),
            ("Tue, 14 Nov 2023 22:00:00 GMT", Some(0)),
            ("99999999", Some(86_400)),
            ("Thu, 30 Dec 9999 12:00:00 GMT", Some(86_400)),
            ("soon", None),
            ("-5", None),
        ] {
            assert_eq!(retry_after(text, now()), seconds, "{text}");
        }
    }
}
