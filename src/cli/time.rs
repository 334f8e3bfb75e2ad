//! Times and durations as people write and read them.

use crate::model::{LATEST, Timestamp};
use jiff::civil::Time;
use jiff::fmt::temporal::Pieces;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Span, SpanRelativeTo};
use std::time::Duration;

/// A duration such as `30s`, `5m`, `1h 30m` or `2d`.
pub(super) fn parse_duration(text: &str) -> Result<Duration, String> {
    let duration = signed(text).filter(|duration| !duration.is_negative());
    let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
    duration.ok_or_else(|| format!("{text:?} is not a duration; write 30s, 5m, 1h or 2d"))
}

/// A time as a person names it: RFC 3339, a date or a date with a time in their own zone, or `+2h` from now. What lies
/// beyond the last time that can be held, in the year 9999, is that time.
pub(super) fn parse_time(text: &str, now: Timestamp, zone: &TimeZone) -> Result<Timestamp, String> {
    let text = text.trim();
    let wrong = || {
        format!(
            "{text:?} is not a time; write 2030-01-31T12:00:00Z, 2030-01-31 12:00, 2030-01-31 or +2h, up to the year 9999"
        )
    };
    if text.starts_with(['+', '-']) {
        let span = signed(text).ok_or_else(wrong)?;
        return match now.checked_add(span) {
            Ok(time) => Ok(time),
            Err(_) if span.is_positive() => Ok(LATEST),
            Err(_) => Err(wrong()),
        };
    }
    let pieces = Pieces::parse(text).map_err(|_| wrong())?;
    if pieces.time_zone_annotation().is_some() {
        return Err(wrong());
    }
    let local = pieces.date().to_datetime(pieces.time().unwrap_or(Time::midnight()));
    let time = match pieces.to_numeric_offset() {
        Some(offset) => offset.to_timestamp(local),
        None => zone.to_timestamp(local),
    };
    match time {
        Ok(time) => Ok(time),
        Err(_) if local.year() == 9999 => Ok(LATEST),
        Err(_) => Err(wrong()),
    }
}

/// A time in the person's zone, to the minute.
pub(super) fn local(time: Timestamp, zone: &TimeZone) -> String {
    time.to_zoned(zone.clone()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// A time in the person's zone, and how far it is: `2026-11-23 12:00 (in 59 min)`.
pub(super) fn with_distance(time: Timestamp, now: Timestamp, zone: &TimeZone) -> String {
    format!("{} ({})", local(time, zone), distance(time, now))
}

/// How far a time is, in its two largest units.
pub(super) fn distance(time: Timestamp, now: Timestamp) -> String {
    let seconds = time.duration_since(now).as_secs();
    let left = seconds.unsigned_abs();
    let (days, hours, minutes) = (left / 86_400, left / 3600 % 24, left / 60 % 60);
    let far = match (days, hours, minutes) {
        (730.., ..) => format!("{} years", days / 365),
        (10.., ..) => format!("{days} days"),
        (1.., 0, _) => format!("{days} d"),
        (1.., ..) => format!("{days} d {hours} h"),
        (0, 1.., 0) => format!("{hours} h"),
        (0, 1.., _) => format!("{hours} h {minutes} min"),
        (0, 0, 1..) => format!("{minutes} min"),
        (0, 0, 0) => format!("{left} s"),
    };
    if seconds == 0 {
        return "now".to_owned();
    }
    if seconds < 0 { format!("{far} ago") } else { format!("in {far}") }
}

fn signed(text: &str) -> Option<SignedDuration> {
    let span: Span = text.trim().parse().ok()?;
    // A day is 24 hours here; months and years have no length of their own and are refused.
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Result<String, String> {
        let now = "2026-11-23T12:00:00Z".parse().unwrap();
        let zone = TimeZone::fixed(jiff::tz::offset(2));
        parse_time(text, now, &zone).map(|time| time.to_string())
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in [("30s", 30), ("5m", 300), ("1h", 3600), ("1h 30m", 5400), ("2d", 172_800), ("0s", 0)] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "5", "-5m", "soon", "1mo", "1y"] {
            assert!(parse_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_are_read_in_the_persons_zone_unless_they_say_another() {
        assert_eq!(at("2030-01-01T00:00:00Z").unwrap(), "2030-01-01T00:00:00Z");
        assert_eq!(at("2030-01-01T00:00:00+05:30").unwrap(), "2029-12-31T18:30:00Z");
        assert_eq!(at("2030-01-01 10:00").unwrap(), "2030-01-01T08:00:00Z");
        assert_eq!(at("2030-01-01").unwrap(), "2029-12-31T22:00:00Z");
    }

    #[test]
    fn times_are_read_from_now_on_and_back() {
        assert_eq!(at("+2h").unwrap(), "2026-11-23T14:00:00Z");
        assert_eq!(at("-1d").unwrap(), "2026-11-22T12:00:00Z");
    }

    #[test]
    fn the_year_9999_is_the_last() {
        let last = LATEST.to_string();
        for text in ["9999-12-31T23:59:59Z", "9999-12-31 12:00", "9999-12-31T23:59:59-11:00", "+2920000d"] {
            assert_eq!(at(text).as_ref(), Ok(&last), "{text}");
        }
        assert_eq!(at("9999-01-01T00:00:00Z").unwrap(), "9999-01-01T00:00:00Z");
        for text in ["10000-01-01", "+10000-01-01", "tomorrow", "2030-13-01", "2030-01-01[Europe/Berlin]", "", "+"] {
            assert!(at(text).is_err(), "{text}");
        }
    }

    #[test]
    fn distances_have_their_two_largest_units() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let far = |seconds: i64| distance(now + SignedDuration::from_secs(seconds), now);
        assert_eq!(far(0), "now");
        assert_eq!(far(59), "in 59 s");
        assert_eq!(far(3599), "in 59 min");
        assert_eq!(far(3660), "in 1 h 1 min");
        assert_eq!(far(7200), "in 2 h");
        assert_eq!(far(90_000), "in 1 d 1 h");
        assert_eq!(far(-90_000), "1 d 1 h ago");
        assert_eq!(far(2_592_000), "in 30 days");
        assert_eq!(distance(LATEST, now), "in 7978 years");
    }

    proptest! {
        #[test]
        fn no_text_makes_the_readers_panic(text in "\\PC{0,40}") {
            let _ = parse_duration(&text);
            let _ = at(&text);
        }

        #[test]
        fn every_time_can_be_shown(second in Timestamp::MIN.as_second()..=Timestamp::MAX.as_second()) {
            let time = Timestamp::from_second(second).unwrap();
            let zone = TimeZone::fixed(jiff::tz::offset(14));
            prop_assert!(!with_distance(time, Timestamp::UNIX_EPOCH, &zone).is_empty());
        }
    }
}
