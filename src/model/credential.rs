//! A credential: one token.

use super::{Expiry, Secret, Timestamp, sealed_text};
use serde::{Deserialize, Serialize};
use std::fmt;
use uuid::Uuid;

/// One token with what is known of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credential {
    /// What `tokens show ID` takes.
    pub id: Uuid,
    /// The connection that it belongs to.
    pub connection: Uuid,
    /// Access or refresh token.
    pub kind: TokenKind,
    /// Received from a provider, or issued by us.
    pub direction: Direction,
    /// The connection's generation that brought it. An unchanged refresh token keeps its old one.
    pub generation: u64,
    /// The token itself.
    #[serde(with = "sealed_text")]
    pub token: Secret,
    /// `Bearer` when the reply said nothing; the standard's spelling where it is a standard type.
    pub token_type: String,
    /// The scopes granted, in the reply's order; what was asked for when the reply said nothing (RFC 6749 section 5.1).
    pub scopes: Vec<String>,
    /// When it was received or issued.
    pub issued: Timestamp,
    /// When it ends, and who said so.
    pub expires: Expiry,
    /// When a person or a provider ended it before its time.
    pub revoked: Option<Timestamp>,
}

/// Access or refresh token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum TokenKind {
    /// What an API takes.
    AccessToken,
    /// What the token endpoint takes for a new access token.
    RefreshToken,
}

impl TokenKind {
    /// The standard's name, as in `token_type_hint` (RFC 7009 section 2.1).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::AccessToken => "access_token",
            Self::RefreshToken => "refresh_token",
        }
    }
}

impl fmt::Display for TokenKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which way a token travels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum Direction {
    /// From a provider, for us to use ("Token Received" in ServiceNow).
    Received,
    /// From our own provider, for our clients to use ("Token" in ServiceNow).
    Issued,
}

impl Direction {
    /// The word for tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Received => "received",
            Self::Issued => "issued",
        }
    }
}
