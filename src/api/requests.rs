//! What is asked of lists.

use crate::model::{ApplicationName, ConnectionName, EventKind, Labels};
use serde::{Deserialize, Serialize};

/// Which connections.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only those of this application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
}

/// Which credentials.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CredentialsQuery {
    /// Only those of this application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// Only those of this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionName>,
}

/// Which token.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenQuery {
    /// How many seconds it must still be good; the default time when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ttl: Option<u64>,
}

/// How to refresh.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RefreshQuery {
    /// Whether a reply that is kept because it could not be read is given up.
    #[serde(default)]
    pub ask_again: bool,
}

/// Which events.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only those after this sequence; from the first on when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at the most, up to 500; 100 when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
    /// Only those of this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionName>,
    /// Only those of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<EventKind>,
}

/// The last event.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct NewestDocument {
    /// Its sequence, 0 before the first.
    pub sequence: u64,
}

/// A connection's labels, all of them.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsRequest {
    /// The labels.
    pub labels: Labels,
}
