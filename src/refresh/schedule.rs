//! When a connection is due.

use crate::events::expiring_from;
use crate::model::{Connection, Credential, Expiry, Failure, FailureKind, RefreshHabits, Timestamp, later};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

/// The `[refresh]` part of `grantkeeper.toml`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// The longest time before its end that a token is refreshed, in seconds. A token that lives less than ten times
    /// this is refreshed in the last tenth of its life.
    pub margin: u64,
    /// The longest wait between two tries of a failing refresh, in seconds.
    pub longest_wait: u64,
    /// Refreshes of the background job that ask a provider at once. As many again may be having what they were given made durable.
    pub at_once: usize,
    /// How many of them may be of one application: a slow provider must not hold up the others.
    pub at_once_per_application: usize,
    /// Refresh requests that a provider (the host and port of its token endpoint) gets in a minute at the most; no limit when
    /// unset.
    pub per_minute: Option<NonZeroU32>,
    /// The same for single providers, by host and port.
    pub providers: BTreeMap<String, ProviderSettings>,
}

/// What holds for one provider.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ProviderSettings {
    /// Refresh requests in a minute at the most.
    pub per_minute: Option<NonZeroU32>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            margin: 300,
            longest_wait: 3600,
            at_once: 32,
            at_once_per_application: 16,
            per_minute: None,
            providers: BTreeMap::new(),
        }
    }
}

/// The first wait after a failure, in seconds; it doubles with each.
const FIRST_WAIT: u64 = 2;

/// How long the lease of a refresh lasts: longer than any HTTP exchange with its script calls, so that a holder that
/// is alive is never overtaken.
pub(super) const LEASE: Duration = Duration::from_secs(120);

impl Settings {
    /// How many requests a provider gets in a minute at the most.
    pub(super) fn pace_of(&self, authority: &str) -> Option<NonZeroU32> {
        self.providers.get(authority).and_then(|provider| provider.per_minute).or(self.per_minute)
    }

    /// When a token is to be refreshed ahead of its end. `share` (0 to 1) spreads connections that were made together: our
    /// own margin grows by up to half of it; one that the provider's habits say (`refresh.margin`) is the earliest, as there are
    /// providers that refuse earlier ones (Exact Online), and shrinks by up to half. A margin longer than half the
    /// token's life would mean a refresh after the other.
    #[must_use]
    pub fn refresh_at(&self, issued: Timestamp, expires: Expiry, said: Option<u64>, share: f64) -> Timestamp {
        let lifetime = expires.seconds_left(issued);
        let margin = said.map_or(self.margin.min(lifetime / 10), |said| said.min(lifetime / 2));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let jitter = (margin as f64 / 2.0 * share.clamp(0.0, 1.0)) as u64;
        let ahead = if said.is_some() { margin - jitter } else { margin + jitter };
        let ahead = i64::try_from(ahead).unwrap_or(i64::MAX);
        expires.at.checked_sub(jiff::SignedDuration::from_secs(ahead)).unwrap_or(issued).max(issued)
    }

    /// When a refresh that failed is tried next: what the provider said, else full-jitter backoff from 2 seconds; never
    /// for a failure that only a person mends.
    #[must_use]
    pub fn next_try(&self, now: Timestamp, failure: &Failure, failures: u32, share: f64) -> Option<Timestamp> {
        match failure.kind {
            FailureKind::ReauthorizationRequired => None,
            // Mended by an edit of the application, which makes its connections due; looked at now and then all the
            // same, because a provider's own mistake looks just like ours.
            FailureKind::ClientRejected | FailureKind::RequestRejected => Some(later(now, self.longest_wait)),
            FailureKind::Transient | FailureKind::RateLimited | FailureKind::Ambiguous | FailureKind::BadResponse => {
                let doubled = FIRST_WAIT.saturating_mul(1 << failures.saturating_sub(1).min(20));
                let most = doubled.min(self.longest_wait);
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
                let wait = ((most as f64) * share.clamp(0.0, 1.0)) as u64;
                Some(later(now, failure.retry_after.map_or(wait.max(1), |asked| asked.max(1) + wait.min(10))))
            }
        }
    }

    /// When the background job should look at a connection: ahead of its access token's end, or earlier where its refresh
    /// token must be used to stay alive. A token that nothing renews is looked at in time for a person to hear of it.
    #[must_use]
    pub fn due(&self, connection: &Connection, held: &Held<'_>, now: Timestamp) -> Timestamp {
        let access = held.access;
        if !held.renewable {
            return expiring_from(access.issued, access.expires.at);
        }
        let share = share_of(connection);
        let ahead = self.refresh_at(access.issued, access.expires, held.habits.margin, share);
        let used = connection.refreshed.or(connection.authorized).unwrap_or(connection.created);
        let alive = held.refresh.and_then(|refresh| keep_alive(refresh, used, held.habits.idle, share, now));
        alive.map_or(ahead, |alive| alive.min(ahead))
    }
}

/// What a connection holds, as its schedule sees it.
#[derive(Clone, Copy)]
pub struct Held<'a> {
    /// Its access token.
    pub access: &'a Credential,
    /// Its refresh token.
    pub refresh: Option<&'a Credential>,
    /// Whether anything renews the access token.
    pub renewable: bool,
    /// What the provider's entry says of refreshes.
    pub habits: RefreshHabits,
}

/// When a refresh token must be used so that it does not die of disuse: in the last quarter of the entry's idle limit, counted
/// from its last use, and once ahead of its own end, when a refresh may move that or, where it does not, a person must hear of
/// it. `None` when there is no such time ahead: a use that has not moved the end does not by being repeated.
fn keep_alive(
    refresh: &Credential,
    used: Timestamp,
    idle: Option<u64>,
    share: f64,
    now: Timestamp,
) -> Option<Timestamp> {
    let end = expiring_from(refresh.issued, refresh.expires.at);
    let limit = idle.map(|idle| later(used, idle / 4 * 3));
    let earlier = |at: Timestamp, whole: u64| {
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss)]
        let jitter = jiff::SignedDuration::from_secs((whole as f64 / 20.0 * share.clamp(0.0, 1.0)) as i64);
        at.checked_sub(jitter).unwrap_or(at)
    };
    // The end is told from `expiring_from` on: not before it.
    let end = (end > now).then_some(end);
    let limit = limit.map(|at| earlier(at, idle.unwrap_or(0)).max(now));
    match (end, limit) {
        (Some(end), Some(limit)) => Some(end.min(limit)),
        (end, limit) => end.or(limit),
    }
}

/// A share of a connection that stays the same, from its random id: jitter that needs no store.
pub(super) fn share_of(connection: &Connection) -> f64 {
    f64::from(connection.id.as_u128() as u16) / f64::from(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ExpirySource;

    fn expiry(seconds: i64) -> Expiry {
        Expiry { at: Timestamp::from_second(seconds).unwrap(), source: ExpirySource::Stated }
    }

    #[test]
    fn an_hour_is_refreshed_five_minutes_ahead_and_a_minute_in_its_last_tenth() {
        let settings = Settings::default();
        let at = |seconds, share| settings.refresh_at(Timestamp::UNIX_EPOCH, expiry(seconds), None, share).as_second();
        assert_eq!(at(3600, 0.0), 3300);
        assert_eq!(at(3600, 1.0), 3150);
        assert_eq!(at(60, 0.0), 54);
        assert_eq!(at(0, 1.0), 0);
    }

    #[test]
    fn a_declared_margin_is_the_earliest_and_may_be_longer_than_ours() {
        let settings = Settings::default();
        let at = |seconds, said, share| {
            settings.refresh_at(Timestamp::UNIX_EPOCH, expiry(seconds), Some(said), share).as_second()
        };
        assert_eq!((at(600, 30, 0.0), at(600, 30, 1.0)), (570, 585));
        // 60 days, renewed a month ahead (Instagram).
        assert_eq!(at(5_184_000, 2_592_000, 0.0), 2_592_000);
        assert_eq!(at(600, 6000, 0.0), 300, "half its life at the most");
    }

    #[test]
    fn a_refresh_token_is_used_before_it_dies_of_disuse() {
        let day = 86_400;
        let at = |second| Timestamp::from_second(second).unwrap();
        let refresh = |end: i64| Credential {
            id: uuid::Uuid::nil(),
            connection: uuid::Uuid::nil(),
            kind: crate::model::TokenKind::RefreshToken,
            direction: crate::model::Direction::Received,
            generation: 1,
            token: crate::model::Secret::new("r"),
            token_type: "Bearer".to_owned(),
            scopes: Vec::new(),
            issued: at(0),
            expires: expiry(end),
            revoked: None,
        };
        let alive = |end, used, idle, share, now| {
            keep_alive(&refresh(end), at(used), idle, share, at(now)).map(jiff::Timestamp::as_second)
        };
        assert_eq!(alive(60 * day, 0, None, 0.5, 0), Some(53 * day), "a week ahead of its end");
        assert_eq!(alive(60 * day, 0, None, 0.5, 53 * day), None, "and once");
        assert_eq!(alive(365 * day, 10 * day, Some(40 * 86_400), 0.0, 10 * day), Some(40 * day), "three quarters");
        assert_eq!(alive(365 * day, 10 * day, Some(40 * 86_400), 1.0, 10 * day), Some(38 * day), "spread a little");
        assert_eq!(alive(365 * day, 0, Some(40 * 86_400), 0.0, 39 * day), Some(39 * day), "at once when it is late");
    }

    #[test]
    fn waits_double_up_to_the_longest_and_obey_the_provider() {
        let settings = Settings::default();
        let failure = Failure::new(FailureKind::Transient, "http_503");
        let wait =
            |failures, share| settings.next_try(Timestamp::UNIX_EPOCH, &failure, failures, share).unwrap().as_second();
        assert_eq!(wait(1, 1.0), 2);
        assert_eq!(wait(4, 1.0), 16);
        assert_eq!(wait(400, 1.0), 3600);
        assert_eq!(wait(400, 0.0), 1);
        let asked = Failure { retry_after: Some(120), ..Failure::new(FailureKind::RateLimited, "http_429") };
        assert!(settings.next_try(Timestamp::UNIX_EPOCH, &asked, 1, 0.0).unwrap().as_second() >= 120);
    }

    #[test]
    fn a_dead_grant_is_never_tried_again() {
        let dead = Failure::new(FailureKind::ReauthorizationRequired, "invalid_grant");
        assert_eq!(Settings::default().next_try(Timestamp::UNIX_EPOCH, &dead, 1, 0.5), None);
    }
}
