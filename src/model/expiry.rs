//! When a token ends, and who said so.

use super::Timestamp;
use serde::{Deserialize, Serialize};

/// Lifespan of a received access token when nobody states one: 30 days, ServiceNow's default.
pub const RECEIVED_ACCESS_TOKEN_SECONDS: u64 = 2_592_000;
/// Lifespan of a received refresh token when nobody states one: 365 days, ServiceNow's default.
pub const RECEIVED_REFRESH_TOKEN_SECONDS: u64 = 31_536_000;
/// Lifespan of an access token that we issue: 30 minutes, ServiceNow's default.
pub const ISSUED_ACCESS_TOKEN_SECONDS: u64 = 1_800;
/// Lifespan of a refresh token that we issue: 100 days, ServiceNow's default.
pub const ISSUED_REFRESH_TOKEN_SECONDS: u64 = 8_640_000;

/// The latest date that anything here may carry: the end of the year 9999 in UTC, less the day that time zones need.
pub const LATEST: Timestamp = Timestamp::MAX;

/// `from` and `seconds` more, clamped to [`LATEST`].
#[must_use]
pub fn later(from: Timestamp, seconds: u64) -> Timestamp {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    from.checked_add(jiff::SignedDuration::from_secs(seconds)).unwrap_or(LATEST)
}

/// Who said when a token ends. Their order is their weight: a provider's statement wins over the application's
/// setting, which wins over what callers' reports taught, which wins over the default; an edit holds until the next refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum ExpirySource {
    /// The provider's reply.
    Stated,
    /// The application's lifespan.
    Setting,
    /// Callers: the age at which they reported an earlier token of the connection as rejected.
    Learned,
    /// Nobody: the 30 or 365 days.
    Default,
    /// A person, in Manage Tokens.
    Edited,
}

impl ExpirySource {
    /// The word that people and JSON see.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stated => "stated",
            Self::Setting => "setting",
            Self::Learned => "learned",
            Self::Default => "default",
            Self::Edited => "edited",
        }
    }
}

/// When a token ends, and who said so. A default or an edit is never a reason not to try a refresh.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Expiry {
    /// From this time on the token is not handed out.
    pub at: Timestamp,
    /// Who said so.
    pub source: ExpirySource,
}

impl Expiry {
    /// The expiry of a token received at `now`: stated lifetime, else the application's setting, else `default`; all
    /// in seconds. A stated lifetime of 0 means "not stated" (Mailchimp, Keycloak's offline tokens).
    #[must_use]
    pub fn of_received(now: Timestamp, stated: Option<u64>, setting: Option<u64>, default: u64) -> Self {
        let (seconds, source) = match (stated.filter(|seconds| *seconds > 0), setting) {
            (Some(seconds), _) => (seconds, ExpirySource::Stated),
            (None, Some(seconds)) => (seconds, ExpirySource::Setting),
            (None, None) => (default, ExpirySource::Default),
        };
        Self { at: later(now, seconds), source }
    }

    /// The same, where reports of callers taught how long the tokens live: that is better than the default, and gives way to
    /// what anybody says.
    #[must_use]
    pub fn or_learned(self, now: Timestamp, learned: Option<u64>) -> Self {
        match (self.source, learned) {
            (ExpirySource::Default, Some(seconds)) => Self { at: later(now, seconds), source: ExpirySource::Learned },
            _ => self,
        }
    }

    /// Whether a token is still good `margin_seconds` after `now`.
    #[must_use]
    pub fn is_good(&self, now: Timestamp, margin_seconds: u64) -> bool {
        later(now, margin_seconds) < self.at
    }

    /// Seconds until the end, 0 when it has passed.
    #[must_use]
    pub fn seconds_left(&self, now: Timestamp) -> u64 {
        u64::try_from(self.at.duration_since(now).as_secs()).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_wins_over_the_setting_and_that_over_the_default() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |stated, setting| {
            let expiry = Expiry::of_received(now, stated, setting, RECEIVED_ACCESS_TOKEN_SECONDS);
            (expiry.at.as_second(), expiry.source)
        };
        assert_eq!(of(Some(60), Some(9)), (60, ExpirySource::Stated));
        assert_eq!(of(None, Some(9)), (9, ExpirySource::Setting));
        assert_eq!(of(Some(0), None), (2_592_000, ExpirySource::Default));
    }

    #[test]
    fn what_was_learned_wins_over_the_default_alone() {
        let now = Timestamp::UNIX_EPOCH;
        let of = |stated, setting| {
            let expiry = Expiry::of_received(now, stated, setting, RECEIVED_ACCESS_TOKEN_SECONDS);
            let expiry = expiry.or_learned(now, Some(3600));
            (expiry.at.as_second(), expiry.source)
        };
        assert_eq!(of(None, None), (3600, ExpirySource::Learned));
        assert_eq!(of(Some(60), None), (60, ExpirySource::Stated));
        assert_eq!(of(None, Some(9)), (9, ExpirySource::Setting));
    }

    #[test]
    fn dates_are_clamped_to_the_year_9999() {
        let expiry = Expiry::of_received(Timestamp::UNIX_EPOCH, Some(u64::MAX), None, 1);
        assert_eq!(expiry.at, LATEST);
        assert!(expiry.at.to_string().starts_with("9999-"));
        assert!(expiry.is_good(Timestamp::UNIX_EPOCH, 300));
    }
}
