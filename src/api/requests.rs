//! What is asked of lists.

use super::StateWord;
use crate::model::{ApplicationName, ConnectionName, EventKind, Labels, TokenKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Which connections.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only those of this application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// Only those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<StateWord>,
    /// Only those with this label: `team:finance`, or `team` for any value.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only those whose name holds this, whatever its case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search: Option<String>,
    /// How many at the most, up to 1,000; all when nothing is said. Where there are more, the answer's `Link` header has the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// Only those after this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<ConnectionName>,
}

/// Which credentials.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CredentialsQuery {
    /// Only those of this application.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// Only those of this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionName>,
    /// Only access tokens, or only refresh tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<TokenKind>,
    /// Only those that end within so many seconds, or have ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_within: Option<u64>,
    /// How many connections' credentials at the most, up to 1,000; all when nothing is said. Where there are more, the answer's `Link`
    /// header has the next page.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub limit: Option<usize>,
    /// Only those of connections after this name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<ConnectionName>,
}

/// Which token.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TokenQuery {
    /// How many seconds it must still be good; the default time when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_ttl: Option<u64>,
}

/// How to refresh.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RefreshQuery {
    /// Whether a reply that is kept because it could not be read is given up.
    #[serde(default)]
    pub ask_again: bool,
}

/// Which events.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Only those after this sequence; from the first on when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at the most, up to 500; 100 when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 500))]
    pub limit: Option<usize>,
    /// Only those of this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionName>,
    /// Only those of this kind.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<EventKind>,
}

/// The last event.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
pub struct NewestDocument {
    /// Its sequence, 0 before the first.
    pub sequence: u64,
}

/// Labels of a connection that are to be edited; the others stay (RFC 7396).
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelsEdit {
    /// What each is to be; `null` removes it.
    pub labels: BTreeMap<String, Option<String>>,
}

/// A connection's labels, all of them.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelsRequest {
    /// The labels.
    pub labels: Labels,
}
