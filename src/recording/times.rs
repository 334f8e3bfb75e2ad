//! Lifetimes whose unit nobody tells: what a number, or a text, is most likely to be.

use super::names::Words;
use crate::model::Timestamp;
use crate::oauth::Value;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;

/// How a lifetime is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// A duration, in units of so many seconds: 1, 60, 3,600, 86,400.
    In(u64),
    /// A duration in milliseconds.
    InMilliseconds,
    /// A moment as epoch seconds or milliseconds, RFC 3339, or as HTTP writes dates: what `expires_at` may be.
    At,
    /// A moment as a text that only a script reads: `2023-11-14 22:13:20`, taken as UTC.
    AtCivil,
}

/// A lifetime that was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Read {
    pub(super) when: When,
    /// From the time of the reply.
    pub(super) seconds: u64,
    /// Whether another unit would do too.
    pub(super) doubtful: bool,
}

/// Reads a lifetime under a name. `known` is the lifetime that a JWT of the same reply tells of.
pub(super) fn read(name: &Words, value: &Value, now: Timestamp, known: Option<u64>) -> Option<Read> {
    let Some(number) = whole(value) else {
        let (at, when) = moment(value.as_str()?.trim())?;
        return Some(Read { when, seconds: until(at, now), doubtful: false });
    };
    if number == 0 {
        return None;
    }
    let read = |when, seconds: u64, doubtful| Some(Read { when, seconds, doubtful });
    if let Some(unit) = named_unit(name) {
        return match unit {
            0 => read(When::InMilliseconds, (number / 1000).max(1), false),
            unit => read(When::In(unit), number.saturating_mul(unit), false),
        };
    }
    if let Some(known) = known.filter(|known| *known > 1) {
        // A minute of difference: tokens are made before they are sent.
        let near = |seconds: u64| seconds.abs_diff(known) <= 60;
        if near(number) {
            return read(When::In(1), number, false);
        }
        if near(number / 1000) {
            return read(When::InMilliseconds, number / 1000, false);
        }
    }
    match number {
        EPOCH_MILLIS..=LAST_EPOCH_MILLIS => {
            read(When::At, until(Timestamp::from_millisecond(number.cast_signed()).ok()?, now), false)
        }
        EPOCH..EPOCH_MILLIS if is_round(number / 1000) && number.is_multiple_of(1000) => {
            read(When::InMilliseconds, number / 1000, true)
        }
        EPOCH..=LAST_EPOCH => read(When::At, until(Timestamp::from_second(number.cast_signed()).ok()?, now), false),
        SHORTEST_MILLIS..EPOCH if is_milliseconds(number) => read(When::InMilliseconds, number / 1000, true),
        0..EPOCH => read(When::In(1), number, false),
        // More than a date can be: the default reading says what it makes of such a thing.
        _ => read(When::In(1), number, true),
    }
}

/// Another moment, written as a value writes one; `further` seconds are added.
pub(super) fn like(value: &Value, at: Timestamp, further: u64) -> Value {
    let at = crate::model::later(at, further);
    let text = |text: String| if value.is_string() { Value::from(text) } else { Value::from(at.as_second()) };
    match whole(value) {
        Some(number) if number >= EPOCH_MILLIS => {
            let millis = at.as_millisecond();
            if value.is_string() { millis.to_string().into() } else { millis.into() }
        }
        Some(_) => text(at.as_second().to_string()),
        None => match value.as_str().map(str::trim).and_then(moment) {
            Some((_, When::AtCivil)) => {
                let civil = strtime::format("%Y-%m-%d %H:%M:%S", &at.to_zoned(TimeZone::UTC));
                civil.unwrap_or_default().into()
            }
            _ if value.as_str().is_some_and(|text| text.contains(',')) => {
                rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&at).unwrap_or_default().into()
            }
            _ => at.to_string().into(),
        },
    }
}

/// The unit that a name tells, in seconds; 0 for milliseconds.
fn named_unit(name: &Words) -> Option<u64> {
    name.own()
        .iter()
        .rev()
        .find_map(|word| match word.as_str() {
            "ms" | "msec" | "msecs" | "millis" | "millisecond" | "milliseconds" => Some(0),
            "s" | "sec" | "secs" | "second" | "seconds" => Some(1),
            "minute" | "minutes" | "mins" => Some(60),
            "hour" | "hours" => Some(3600),
            "day" | "days" => Some(86_400),
            _ => None,
        })
        // A moment may be named by its unit too: `expires_at_ms`.
        .filter(|_| !name.own().iter().any(|word| matches!(word.as_str(), "at" | "on" | "timestamp" | "date" | "time")))
}

/// Seconds that people choose: whole hours, or few times five minutes.
fn is_round(seconds: u64) -> bool {
    seconds > 0 && (seconds.is_multiple_of(3600) || (seconds <= 7200 && seconds.is_multiple_of(300)))
}

/// Whether a number that could be seconds is rather milliseconds: round as those, and odd or very long as seconds.
fn is_milliseconds(number: u64) -> bool {
    let round = number.is_multiple_of(1000) && is_round(number / 1000);
    let days = number.is_multiple_of(86_400).then_some(number / 86_400);
    round && days.is_none_or(|days| days > 400 && !days.is_multiple_of(365))
}

fn whole(value: &Value) -> Option<u64> {
    match value {
        Value::Number(number) => number.as_u64().or_else(|| {
            let float = number.as_f64().filter(|float| *float >= 0.0 && *float < 1e18)?;
            // In range, as just seen.
            #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
            Some(float as u64)
        }),
        Value::String(text) => text.trim().parse().ok(),
        _ => None,
    }
}

/// A text that is a moment.
fn moment(text: &str) -> Option<(Timestamp, When)> {
    if text.len() > 64 {
        return None;
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        return Some((at, When::At));
    }
    if let Ok(at) = rfc2822::parse(text) {
        return Some((at.timestamp(), When::At));
    }
    if let Ok(at) = strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).and_then(|time| time.to_timestamp()) {
        return Some((at, When::AtCivil));
    }
    let at = text.parse::<DateTime>().ok()?.to_zoned(TimeZone::UTC).ok()?;
    Some((at.timestamp(), When::AtCivil))
}

/// Seconds from the reply to a moment; 1 where it has passed.
fn until(at: Timestamp, now: Timestamp) -> u64 {
    u64::try_from(at.duration_since(now).as_secs()).unwrap_or(0).max(1)
}

/// 9 September 2001 as epoch seconds: a smaller number is no date of today.
const EPOCH: u64 = 1_000_000_000;
/// The end of the year 9999.
const LAST_EPOCH: u64 = 253_402_300_799;
/// The same in milliseconds.
const EPOCH_MILLIS: u64 = 1_000_000_000_000;
const LAST_EPOCH_MILLIS: u64 = 253_402_300_799_000;
/// Five minutes: fewer milliseconds are nobody's lifetime.
const SHORTEST_MILLIS: u64 = 300_000;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn now() -> Timestamp {
        Timestamp::from_second(1_700_000_000).unwrap()
    }

    #[test]
    fn a_lifetime_is_told_by_its_size_its_roundness_and_its_name() {
        for (name, value, when, seconds) in [
            ("expires_in", json!(3600), When::In(1), 3600),
            ("expires_in", json!("5183999"), When::In(1), 5_183_999),
            ("expires_in", json!(315_360_000), When::In(1), 315_360_000),
            ("expires_in", json!(31_536_000), When::In(1), 31_536_000),
            ("expiresIn", json!(86_400_000), When::InMilliseconds, 86_400),
            ("expiresIn", json!(604_800_000), When::InMilliseconds, 604_800),
            ("expiresIn", json!("3600000"), When::InMilliseconds, 3600),
            ("expiresIn", json!(2_592_000_000_u64), When::InMilliseconds, 2_592_000),
            ("expires_in_ms", json!(90_000), When::InMilliseconds, 90),
            ("expiresInMinutes", json!(90), When::In(60), 5400),
            ("access_token_expire_in", json!(1_700_604_800), When::At, 604_800),
            ("refresh_token_expire_in", json!(4_818_450_857_u64), When::At, 3_118_450_857),
            ("expiresAt", json!(1_700_003_600_000_u64), When::At, 3600),
            ("expires_at_ms", json!(1_700_003_600_000_u64), When::At, 3600),
            ("expires_at", json!("2023-11-14T23:13:20Z"), When::At, 3600),
            ("expires", json!("Tue, 14 Nov 2023 23:13:20 GMT"), When::At, 3600),
            ("validTo", json!("2023-11-14 23:13:20"), When::AtCivil, 3600),
        ] {
            let read = read(&Words::of(&[name.to_owned()]), &value, now(), None).unwrap();
            assert_eq!((read.when, read.seconds), (when, seconds), "{name} {value}");
        }
        for value in [json!(0), json!(null), json!("soon"), json!([]), json!(true)] {
            assert_eq!(read(&Words::of(&["expires_in".to_owned()]), &value, now(), None), None, "{value}");
        }
    }

    #[test]
    fn a_jwt_beside_it_settles_the_unit() {
        let words = Words::of(&["expires_in".to_owned()]);
        let read = read(&words, &json!(123_456), now(), Some(123)).unwrap();
        assert_eq!((read.when, read.seconds, read.doubtful), (When::InMilliseconds, 123, false));
    }
}
