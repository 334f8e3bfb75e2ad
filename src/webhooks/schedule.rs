//! When a message is tried again: the schedule that Standard Webhooks recommends.

use crate::model::{Timestamp, later};
use jiff::fmt::rfc2822::DateTimeParser;

/// Seconds between the tries of a message: the first is at once, then there is one after each of these.
pub const WAITS: [u64; 9] = [5, 5 * 60, 30 * 60, 2 * HOUR, 5 * HOUR, 10 * HOUR, 14 * HOUR, 20 * HOUR, 24 * HOUR];

/// Tries of a message. After the last it is given up.
pub const MOST_ATTEMPTS: u32 = WAITS.len() as u32 + 1;

const HOUR: u64 = 3600;

/// The part of a wait that chance adds at the most, so that what failed together is not tried together.
const JITTER: f64 = 0.1;

/// Seconds that an endpoint may put a message off for, beyond the schedule.
const LONGEST_RETRY_AFTER: u64 = 24 * HOUR;

/// When a message is tried again that was tried so often, and whose endpoint may have said when (`Retry-After`, a number of
/// seconds or a date, RFC 9110 section 10.2.3). Nothing where its tries are used up.
#[must_use]
pub fn next_try(attempts: u32, retry_after: Option<&str>, share: f64, now: Timestamp) -> Option<Timestamp> {
    let wait = *WAITS.get(usize::try_from(attempts.checked_sub(1)?).ok()?)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a day")]
    let jitter = (wait as f64 * JITTER * share.clamp(0.0, 1.0)) as u64;
    let asked = retry_after.and_then(|text| seconds(text.trim(), now)).unwrap_or(0).min(LONGEST_RETRY_AFTER);
    Some(later(now, (wait + jitter).max(asked)))
}

fn seconds(text: &str, now: Timestamp) -> Option<u64> {
    text.parse().ok().or_else(|| {
        let until = DateTimeParser::new().parse_timestamp(text).ok()?;
        u64::try_from(until.duration_since(now).as_secs()).ok()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_from_seconds_to_a_day_and_end_after_ten_tries() {
        let now: Timestamp = "2026-11-23T12:00:00Z".parse().unwrap();
        let wait = |attempts, retry_after, share| {
            next_try(attempts, retry_after, share, now).map(|at| at.duration_since(now).as_secs())
        };
        let waits: Vec<_> = (1..10).map(|attempts| wait(attempts, None, 0.0).unwrap()).collect();
        assert_eq!(waits, [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400]);
        assert_eq!((wait(10, None, 0.0), MOST_ATTEMPTS), (None, 10));
        assert_eq!(wait(2, None, 1.0), Some(330));
        // What an endpoint asks for puts a message off and never brings it nearer, for a day at the most.
        assert_eq!(wait(1, Some("60"), 0.0), Some(60));
        assert_eq!(wait(1, Some(" 1 "), 0.0), Some(5));
        assert_eq!(wait(1, Some("Mon, 23 Nov 2026 12:01:00 GMT"), 0.0), Some(60));
        assert_eq!(wait(1, Some("Mon, 23 Nov 2020 12:01:00 GMT"), 0.0), Some(5));
        assert_eq!(wait(1, Some("99999999999999999999"), 0.0), Some(5));
        assert_eq!(wait(1, Some("999999999"), 0.0), Some(86_400));
    }
}
