//! Tokens in clear: what callers came for.

use crate::model::{
    ConnectionName, Credential, Direction, Expiry, ExpirySource, Secret, Timestamp, TokenKind, sealed_option,
    sealed_text,
};
use crate::refresh::{Rejected, Token};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An access token that works.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct TokenDocument {
    /// The connection.
    pub connection: ConnectionName,
    /// The token itself.
    #[serde(with = "sealed_text")]
    #[schemars(with = "String")]
    pub access_token: Secret,
    /// Nearly always `Bearer`.
    pub token_type: String,
    /// When it ends.
    pub expires: Timestamp,
    /// Seconds until then.
    pub expires_in: u64,
    /// Who said so: `stated`, `setting`, `default` or `edited`.
    pub expires_source: ExpirySource,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The generation that brought it: name it when the token was rejected.
    pub generation: u64,
    /// The credential's id.
    pub credential: Uuid,
}

impl TokenDocument {
    /// What is told of a token, the token included.
    #[must_use]
    pub fn of(token: &Token, now: Timestamp) -> Self {
        Self {
            connection: token.connection().clone(),
            access_token: token.secret().clone(),
            token_type: token.token_type().to_owned(),
            expires: token.expires().at,
            expires_in: token.expires().seconds_left(now),
            expires_source: token.expires().source,
            scopes: token.scopes().to_owned(),
            generation: token.generation(),
            credential: token.credential_id(),
        }
    }

    /// The token.
    #[must_use]
    pub fn into_token(self) -> Token {
        let credential = Credential {
            id: self.credential,
            connection: Uuid::nil(),
            kind: TokenKind::AccessToken,
            direction: Direction::Received,
            generation: self.generation,
            token: self.access_token,
            token_type: self.token_type,
            scopes: self.scopes,
            issued: Timestamp::UNIX_EPOCH,
            expires: Expiry { at: self.expires, source: self.expires_source },
            revoked: None,
        };
        Token::from_elsewhere(self.connection, credential)
    }
}

/// An API rejected a token: the one of a generation, the one that is given, or, where neither is said, the one that is held now.
#[derive(Debug, Clone, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct RejectedRequest {
    /// The generation that brought it, as the token's document says.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// The token itself.
    #[serde(with = "sealed_option", default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub access_token: Option<Secret>,
}

impl RejectedRequest {
    /// Of the library's.
    #[must_use]
    pub fn of(rejected: Rejected) -> Self {
        match rejected {
            Rejected::Held => Self::default(),
            Rejected::Generation(generation) => Self { generation: Some(generation), access_token: None },
            Rejected::Token(token) => Self { generation: None, access_token: Some(token) },
        }
    }

    /// The library's; `None` where both a generation and a token are given.
    #[must_use]
    pub fn into_rejected(self) -> Option<Rejected> {
        match (self.generation, self.access_token) {
            (None, None) => Some(Rejected::Held),
            (Some(generation), None) => Some(Rejected::Generation(generation)),
            (None, Some(token)) => Some(Rejected::Token(token)),
            (Some(_), Some(_)) => None,
        }
    }
}

/// What a refresh brought, without the token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RefreshedDocument {
    /// The connection.
    pub connection: ConnectionName,
    /// When its access token ends.
    pub expires: Timestamp,
    /// Who said so.
    pub expires_source: ExpirySource,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The generation that it brought.
    pub generation: u64,
    /// The credential's id.
    pub credential: Uuid,
}

impl RefreshedDocument {
    /// What is told of a refreshed token.
    #[must_use]
    pub fn of(token: &Token) -> Self {
        Self {
            connection: token.connection().clone(),
            expires: token.expires().at,
            expires_source: token.expires().source,
            scopes: token.scopes().to_owned(),
            generation: token.generation(),
            credential: token.credential_id(),
        }
    }
}
