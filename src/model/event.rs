//! An event: something happened to a connection, or to an application, that others want to know.

use super::{ApplicationName, ConnectionName, Fields, Timestamp};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// Something that happened to a connection. It never holds a token, a code or a secret.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Event {
    /// Stays the same however often it is delivered: who has seen it can tell.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// What happened.
    pub kind: EventKind,
    /// The connection that it happened to; none where it happened to the application.
    pub connection: Option<ConnectionName>,
    /// The application, the connection's own where there is one.
    pub application: ApplicationName,
    /// What there is to say of it; which names there are depends on the kind (docs/events.md).
    pub details: Fields,
}

/// An event with its place among the others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct RecordedEvent {
    /// Its place: sequences grow in the order of commits, and there may be gaps.
    pub sequence: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// What happened to a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum EventKind {
    /// A consent, or a grant that needs none, brought tokens.
    Authorized,
    /// A refresh brought a new access token.
    Refreshed,
    /// A token ends soon, and nothing renews it but a person's consent.
    Expiring,
    /// A refresh failed for the first time since the last that succeeded.
    Degraded,
    /// A refresh succeeded after some had failed.
    Recovered,
    /// A person must consent again.
    ReauthorizationRequired,
    /// The grant was ended here.
    Revoked,
    /// The provider rotated the refresh token, and its new one never came.
    RotationLost,
    /// The grant lacks scopes that were asked for.
    ScopesMissing,
    /// The provider's tokens are for another account than before.
    AccountChanged,
    /// The provider refuses the application's client id or secret; all its connections wait.
    ClientRejected,
    /// The provider takes the application's client again.
    ClientAccepted,
}

impl EventKind {
    /// All of them.
    pub const ALL: [Self; 12] = [
        Self::Authorized,
        Self::Refreshed,
        Self::Expiring,
        Self::Degraded,
        Self::Recovered,
        Self::ReauthorizationRequired,
        Self::Revoked,
        Self::RotationLost,
        Self::ScopesMissing,
        Self::AccountChanged,
        Self::ClientRejected,
        Self::ClientAccepted,
    ];

    /// The word for tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Authorized => "authorized",
            Self::Refreshed => "refreshed",
            Self::Expiring => "expiring",
            Self::Degraded => "degraded",
            Self::Recovered => "recovered",
            Self::ReauthorizationRequired => "reauthorization_required",
            Self::Revoked => "revoked",
            Self::RotationLost => "rotation_lost",
            Self::ScopesMissing => "scopes_missing",
            Self::AccountChanged => "account_changed",
            Self::ClientRejected => "client_rejected",
            Self::ClientAccepted => "client_accepted",
        }
    }

    /// The kind that a word names.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Names of details only: they tell of accounts and of a provider's words.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Event")
            .field("id", &self.id)
            .field("at", &self.at)
            .field("kind", &self.kind)
            .field("connection", &self.connection)
            .field("details", &self.details.keys().collect::<Vec<_>>())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_kind_is_the_one_of_its_json() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
            assert_eq!(EventKind::from_word(kind.as_str()), Some(kind));
        }
        assert_eq!(EventKind::from_word("other"), None);
    }
}
