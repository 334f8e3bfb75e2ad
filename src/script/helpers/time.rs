//! Times: `now()`, and what providers write, as seconds since 1970 and back.

use crate::script::call::{Answer, current, error};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::fmt::{rfc2822, strtime};
use jiff::tz::TimeZone;
use rhai::{Dynamic, Engine};

/// A number above this is taken for milliseconds: as seconds it would be in the year 5138.
const MILLISECONDS_FROM: i64 = 100_000_000_000;

pub(super) fn register(engine: &mut Engine) {
    engine.register_fn("now", || -> Answer<i64> { Ok(current()?.start.context.now.as_second()) });
    engine.register_fn("parse_time", |value: Dynamic| parse_time(&value));
    engine.register_fn("to_rfc3339", |seconds: i64| -> Answer<String> { Ok(at(seconds)?.to_string()) });
    engine.register_fn("format_time", |seconds: i64, format: &str| -> Answer<String> {
        // Enough for any date; a format can ask for wide padding.
        if format.len() > 64 || format.bytes().filter(u8::is_ascii_digit).count() > 4 {
            return Err(error("that format is too long; write e.g. %Y-%m-%d %H:%M:%S"));
        }
        strtime::format(format, &at(seconds)?.to_zoned(TimeZone::UTC))
            .map_err(|_| error("that is not a format; write e.g. %Y-%m-%d %H:%M:%S"))
    });
}

fn at(seconds: i64) -> Answer<Timestamp> {
    Timestamp::from_second(seconds).map_err(|_| error("that time is beyond the year 9999"))
}

/// Seconds since 1970 of a number (seconds or milliseconds) or a text: a number again, RFC 3339 (also with `+0000`, or
/// without a zone, which is taken as UTC) or RFC 2822.
fn parse_time(value: &Dynamic) -> Answer<i64> {
    if let Ok(whole) = value.as_int() {
        return Ok(seconds_of(whole));
    }
    if let Ok(float) = value.as_float() {
        // A float out of range becomes the nearest whole number.
        #[allow(clippy::cast_possible_truncation)]
        return Ok(seconds_of(float as i64));
    }
    let wrong = || error("that is no time: seconds, milliseconds, RFC 3339 or RFC 2822 are known");
    let text = value.as_immutable_string_ref().map_err(|_| wrong())?;
    let text = text.trim();
    if text.len() > 64 {
        return Err(wrong());
    }
    if let Ok(whole) = text.parse::<i64>() {
        return Ok(seconds_of(whole));
    }
    if let Ok(time) = text.parse::<Timestamp>() {
        return Ok(time.as_second());
    }
    if let Ok(time) = rfc2822::parse(text) {
        return Ok(time.timestamp().as_second());
    }
    if let Ok(time) = strtime::parse("%Y-%m-%dT%H:%M:%S%.f%z", text).and_then(|time| time.to_timestamp()) {
        return Ok(time.as_second());
    }
    let civil = text.parse::<DateTime>().map_err(|_| wrong())?;
    Ok(civil.to_zoned(TimeZone::UTC).map_err(|_| wrong())?.timestamp().as_second())
}

fn seconds_of(number: i64) -> i64 {
    if number.abs() >= MILLISECONDS_FROM { number / 1000 } else { number }
}
