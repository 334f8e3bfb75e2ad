//! Credentials, and what became of those that were revoked.

use crate::connector::{CredentialState, CredentialView, ProviderSaid, Revocation};
use crate::model::{ApplicationName, ConnectionName, Direction, Expiry, ExpirySource, Failure, Timestamp, TokenKind};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A credential: everything but the token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CredentialDocument {
    /// What other calls take.
    pub id: Uuid,
    /// Its requestor, and which of the requestor's tokens it is.
    pub name: String,
    /// `access_token` or `refresh_token`.
    #[serde(rename = "type")]
    pub kind: TokenKind,
    /// Nearly always `Bearer`.
    pub token_type: String,
    /// When it ends.
    pub expires: Timestamp,
    /// Seconds until then.
    pub expires_in: u64,
    /// Who said so: `stated`, `setting`, `default` or `edited`.
    pub expires_source: ExpirySource,
    /// `received` or `issued`.
    pub direction: Direction,
    /// When it was received or issued.
    pub received: Timestamp,
    /// The application.
    pub application: ApplicationName,
    /// The connection.
    pub connection: ConnectionName,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// `good`, `expired`, `revoked` or `dead`.
    pub state: CredentialState,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// The generation that brought it.
    pub generation: u64,
}

impl CredentialDocument {
    /// What is told of a credential.
    #[must_use]
    pub fn of(credential: &CredentialView, now: Timestamp) -> Self {
        Self {
            id: credential.id,
            name: format!("{}#{}", credential.connection.requestor(), credential.generation),
            kind: credential.kind,
            token_type: credential.token_type.clone(),
            expires: credential.expires.at,
            expires_in: credential.expires.seconds_left(now),
            expires_source: credential.expires.source,
            direction: credential.direction,
            received: credential.issued,
            application: credential.application.clone(),
            connection: credential.connection.clone(),
            scopes: credential.scopes.clone(),
            state: credential.state,
            revoked: credential.revoked,
            generation: credential.generation,
        }
    }

    /// The credential.
    #[must_use]
    pub fn into_view(self) -> CredentialView {
        CredentialView {
            id: self.id,
            kind: self.kind,
            direction: self.direction,
            application: self.application,
            connection: self.connection,
            scopes: self.scopes,
            token_type: self.token_type,
            issued: self.received,
            expires: Expiry { at: self.expires, source: self.expires_source },
            revoked: self.revoked,
            generation: self.generation,
            state: self.state,
        }
    }
}

/// An edit of when a credential ends.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ExpiryEdit {
    /// When, up to the year 9999.
    pub expires: Timestamp,
}

/// What is said where a provider cannot be asked of a token.
pub const NO_INTROSPECTION: &str = "the provider has no introspection endpoint (RFC 7662); set endpoints.introspection in the application's file if it does";

/// What a revocation came to.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct RevocationDocument {
    /// The connection.
    pub connection: ConnectionName,
    /// Whether the whole grant ended, or an access token only.
    pub grant_ended: bool,
    /// Whether every record of it was removed too.
    pub removed: bool,
    /// What the provider said of each token, in the order asked.
    pub provider: Vec<SaidDocument>,
}

/// What a provider said of one token.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct SaidDocument {
    /// `access_token` or `refresh_token`.
    #[serde(rename = "type")]
    pub kind: TokenKind,
    /// What it said.
    #[serde(flatten)]
    pub said: SaidWord,
}

/// What a provider said.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "said", rename_all = "snake_case")]
pub enum SaidWord {
    /// It revoked the token.
    Revoked,
    /// It has no revocation endpoint.
    NoEndpoint,
    /// It refused or could not be asked.
    Failed {
        /// What it answered.
        failure: Failure,
    },
    /// The request could not be made.
    NotAsked {
        /// Why.
        reason: String,
    },
}

impl RevocationDocument {
    /// What is told of a revocation. `removed` says whether every record of the connection was removed too.
    #[must_use]
    pub fn of(revocation: &Revocation, removed: bool) -> Self {
        let said = |(kind, said): &(TokenKind, ProviderSaid)| SaidDocument {
            kind: *kind,
            said: match said.clone() {
                ProviderSaid::Revoked => SaidWord::Revoked,
                ProviderSaid::NoEndpoint => SaidWord::NoEndpoint,
                ProviderSaid::Failed(failure) => SaidWord::Failed { failure },
                ProviderSaid::NotAsked(reason) => SaidWord::NotAsked { reason },
            },
        };
        Self {
            connection: revocation.connection.clone(),
            grant_ended: revocation.grant_ended,
            removed,
            provider: revocation.said.iter().map(said).collect(),
        }
    }

    /// The revocation.
    #[must_use]
    pub fn into_revocation(self) -> Revocation {
        let said = |document: SaidDocument| {
            let said = match document.said {
                SaidWord::Revoked => ProviderSaid::Revoked,
                SaidWord::NoEndpoint => ProviderSaid::NoEndpoint,
                SaidWord::Failed { failure } => ProviderSaid::Failed(failure),
                SaidWord::NotAsked { reason } => ProviderSaid::NotAsked(reason),
            };
            (document.kind, said)
        };
        Revocation {
            connection: self.connection,
            grant_ended: self.grant_ended,
            said: self.provider.into_iter().map(said).collect(),
        }
    }
}
