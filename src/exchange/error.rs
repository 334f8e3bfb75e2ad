//! Why an exchange gave no token, and whether the provider may have acted on it all the same.

use crate::http::HttpError;
use crate::model::{Failure, FailureKind, Secret};
use crate::oauth::{EncodeError, IdTokenError, scrub, scrub_failure};
use crate::script::ScriptError;

/// Whether a request left, for what it means to the grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// Nothing was sent: nothing can have changed at the provider.
    No,
    /// It was sent and a reply with this status came.
    Replied(u16),
    /// It was sent, and a page for people or nothing at all came back with this status: hardly the provider's word.
    Page(u16),
}

/// Why an exchange gave no token.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ExchangeError {
    /// The provider refused, or could not be reached, or answered what no reading fits.
    #[error("{0}")]
    Failed(Failure),
    /// A reply that says yes, and in which no access token was found although it seems to hold one: its script or its habits
    /// read it wrongly.
    #[error("{0}; the reply seems to hold a token that was not found in it")]
    Unread(Failure),
    /// A hook of the application's script failed.
    #[error("{error}")]
    Script {
        /// Whether the request had left.
        sent: Sent,
        /// Script, hook, line and what it had been given.
        error: String,
    },
    /// The request could not be made from what the application says.
    #[error("{0}")]
    Setup(String),
    /// The id token that came is not what it must be.
    #[error("{0}")]
    IdToken(IdTokenError),
    /// The keys that the id token would be checked with cannot be had.
    #[error("the id token could not be checked: the keys at {at} cannot be had ({why})")]
    Keys {
        /// Host and port of `endpoints.jwks`.
        at: String,
        /// What happened.
        why: String,
        /// Whether they may be had later.
        passing: bool,
    },
    /// A refresh brought an id token of another account (OpenID Connect Core section 12.2).
    #[error(
        "the refresh brought tokens of another account ({given}) than {held}, whose consent this was; they are not used"
    )]
    OtherAccount {
        /// Whose grant it is.
        held: String,
        /// Whom the id token names.
        given: String,
    },
    /// The time in which the request had to be sent was over before it was: nothing was sent.
    #[error("the request was not sent: it took too long until it could be")]
    Overtaken,
    /// The reply came and could not be made durable: it was not read.
    #[error("the provider's reply could not be stored: {0}")]
    Keep(String),
}

impl ExchangeError {
    pub(super) fn script(sent: Sent, error: ScriptError) -> Self {
        match error {
            // `fail(kind, message)` in a request hook is the script's own verdict on the grant.
            ScriptError::Declared(declared) => Self::Failed(declared.failure),
            error => Self::Script { sent, error: error.to_string() },
        }
    }

    pub(super) fn http(error: &HttpError) -> Self {
        Self::Failed(error.failure())
    }

    pub(super) fn request(error: &EncodeError) -> Self {
        Self::Setup(error.to_string())
    }

    /// The failure that this counts as for the connection.
    #[must_use]
    pub fn failure(&self) -> Failure {
        match self {
            Self::Failed(failure) | Self::Unread(failure) => failure.clone(),
            Self::Script { error, .. } => Failure::new(FailureKind::BadResponse, "script").with_words(error),
            Self::Setup(reason) => Failure::new(FailureKind::ClientRejected, "setup").with_words(reason),
            Self::IdToken(error) => Failure::new(FailureKind::BadResponse, "id_token").with_words(&error.to_string()),
            Self::Keys { passing, .. } => {
                let kind = if *passing { FailureKind::Transient } else { FailureKind::BadResponse };
                Failure::new(kind, "jwks").with_words(&self.to_string())
            }
            Self::OtherAccount { .. } => {
                let kind = FailureKind::ReauthorizationRequired;
                Failure::new(kind, "account_changed").with_words(&self.to_string())
            }
            Self::Overtaken => Failure::new(FailureKind::Transient, "overtaken"),
            Self::Keep(reason) => Failure::new(FailureKind::Ambiguous, "store").with_words(reason),
        }
    }

    /// The same with every one of the secrets taken out of the provider's words.
    #[must_use]
    pub(super) fn scrubbed(self, secrets: &[&Secret]) -> Self {
        match self {
            Self::Failed(failure) => Self::Failed(scrub_failure(failure, secrets)),
            Self::Unread(failure) => Self::Unread(scrub_failure(failure, secrets)),
            Self::Script { sent, error } => Self::Script { sent, error: scrub(&error, secrets) },
            other => other,
        }
    }
}
