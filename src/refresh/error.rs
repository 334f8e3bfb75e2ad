//! Why there is no token. Each message names the connection and the next step.

use crate::model::{
    ApplicationName, ConnectionName, ConnectionState, Failure, FailureKind, ReauthorizationReason, Timestamp,
};
use crate::vault::VaultError;
use std::sync::Arc;

/// Why there is no token. Cheap to clone: every caller that waited for the same refresh gets it.
#[derive(Debug, Clone, thiserror::Error)]
pub enum RefreshError {
    /// No connection of that name.
    #[error(
        "there is no connection {0}; see `grantkeeper connections list`, or make it with `grantkeeper connect {0}`"
    )]
    Unknown(String),
    /// Nobody has consented yet.
    #[error("the connection {connection} is {state}: nobody has consented yet; run `grantkeeper connect {connection}`")]
    NotAuthorized {
        /// The connection.
        connection: ConnectionName,
        /// `unauthorized` or `pending`.
        state: ConnectionState,
    },
    /// The grant is dead.
    #[error("the connection {connection} needs a person's consent again ({}{}); run `grantkeeper connect {connection}`",
        reason.as_str(), .failure.as_ref().map(|failure| format!(": the provider said {failure}")).unwrap_or_default())]
    ReauthorizationRequired {
        /// The connection.
        connection: ConnectionName,
        /// Why.
        reason: ReauthorizationReason,
        /// The provider's words, where it said anything.
        failure: Option<Failure>,
    },
    /// The token still works, and nothing renews it.
    #[error("the token of {connection} ends at {} and cannot be renewed: no refresh token was ever given; run `grantkeeper connect {connection}` before then",
        expires.strftime("%Y-%m-%dT%H:%M:%SZ"))]
    Expiring {
        /// The connection.
        connection: ConnectionName,
        /// When its access token ends.
        expires: Timestamp,
    },
    /// Ended here, on purpose.
    #[error("the connection {0} was revoked; `grantkeeper connect {0}` makes it anew")]
    Revoked(ConnectionName),
    /// The application is switched off.
    #[error("the application {0} is not active; set `active = true` in its file and apply it again")]
    Inactive(String),
    /// The application or profile of the connection is gone.
    #[error(
        "the connection {connection} belongs to {missing}, which is no longer there; remove the connection, or apply the application again"
    )]
    Orphan {
        /// The connection.
        connection: ConnectionName,
        /// The application or profile, in words.
        missing: String,
    },
    /// The refresh failed, and it is not known that the grant is dead.
    #[error("the refresh of {connection} failed ({}): {failure}{}", failure.kind, next_try(failure.kind, *next))]
    Failing {
        /// The connection.
        connection: ConnectionName,
        /// What happened.
        failure: Failure,
        /// When it is tried again.
        next: Option<Timestamp>,
    },
    /// The provider does not answer, and is asked by one probe at a time.
    #[error("the token of {connection} could not be refreshed: {provider} has not been answering since {}; it is asked again at {}",
        since.strftime("%Y-%m-%dT%H:%M:%SZ"), next.strftime("%Y-%m-%dT%H:%M:%SZ"))]
    Resting {
        /// The connection.
        connection: ConnectionName,
        /// Host and port of the provider's token endpoint.
        provider: String,
        /// Since when it does not answer.
        since: Timestamp,
        /// When it is asked again.
        next: Timestamp,
    },
    /// The provider refuses the application's client: its connections wait until that is mended.
    #[error("the token of {connection} could not be refreshed: the provider refuses the client of the application {application} ({failure}); check its client id and secret and apply it again, its connections wait until then; next try at {}",
        next.strftime("%Y-%m-%dT%H:%M:%SZ"))]
    ClientRejected {
        /// The connection.
        connection: ConnectionName,
        /// The application.
        application: ApplicationName,
        /// The provider's words.
        failure: Failure,
        /// When one of its connections tries again by itself.
        next: Timestamp,
    },
    /// Another process refreshes this connection and does not end.
    #[error("another process has been refreshing {0} for too long; try again, or look for a process that hangs")]
    Busy(ConnectionName),
    /// The store.
    #[error(transparent)]
    Vault(Arc<VaultError>),
    /// The task of the refresh ended without a result.
    #[error("the refresh of a connection stopped half-way; try again (its journal entry tells the next one)")]
    Stopped,
}

impl RefreshError {
    pub(super) fn unknown(name: &ConnectionName) -> Self {
        Self::Unknown(name.to_string())
    }

    /// Whether nothing was asked, or what was asked failed in passing, so that somebody who minds less would ask.
    pub(super) fn is_rest(&self) -> bool {
        matches!(self, Self::Failing { .. } | Self::Resting { .. } | Self::ClientRejected { .. })
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Failing { failure, .. } => failure.kind.is_retryable(),
            Self::Busy(_) | Self::Stopped | Self::Resting { .. } => true,
            _ => false,
        }
    }

    /// When the provider is asked again, where that is known.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        match self {
            Self::Failing { next, .. } => *next,
            Self::Resting { next, .. } | Self::ClientRejected { next, .. } => Some(*next),
            _ => None,
        }
    }
}

impl From<VaultError> for RefreshError {
    fn from(error: VaultError) -> Self {
        Self::Vault(Arc::new(error))
    }
}

fn next_try(kind: FailureKind, next: Option<Timestamp>) -> String {
    let advice = match kind {
        FailureKind::ClientRejected => "; check the application's client id and secret",
        FailureKind::RequestRejected => "; check the profile's scopes and the application's parameters",
        FailureKind::BadResponse => "; a script may be needed, see `grantkeeper script new`",
        _ => "",
    };
    match next {
        Some(next) => format!("{advice}; next try at {}", next.strftime("%Y-%m-%dT%H:%M:%SZ")),
        None => advice.to_owned(),
    }
}
