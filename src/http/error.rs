//! Why a request brought no reply. What matters most is whether it can have been processed.

use crate::model::{Failure, FailureKind};

/// Why a request brought no reply. No message holds a path, a query, a header or a body: some providers want secrets
/// there.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The host is none of the application's, or the URL is plain http to another machine. Nothing was sent.
    #[error("{host} is not a host of this application; nothing was sent there; name it under `hosts` if it should be")]
    HostNotAllowed {
        /// The host.
        host: String,
    },
    /// No connection, so nothing was sent.
    #[error("{host} could not be reached: {reason}")]
    NotSent {
        /// The host.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// Sent, and no whole reply came: it may have been processed.
    #[error("{host} was sent the request and gave no whole reply: {reason}")]
    NoReply {
        /// The host.
        host: String,
        /// What the system said.
        reason: String,
    },
    /// The reply is larger than the cap. It was processed, and what it says is lost.
    #[error("{host} answered with more than {} MiB, which is no token reply", cap / 1_048_576)]
    TooLarge {
        /// The host.
        host: String,
        /// The status of the reply.
        status: u16,
        /// The most that is taken, in bytes.
        cap: usize,
    },
    /// The request cannot be written as HTTP.
    #[error("the request cannot be written as HTTP; check the application's endpoints and headers")]
    BadRequest,
    /// The client could not be set up.
    #[error("the HTTP client cannot be set up: {0}")]
    Setup(String),
}

impl HttpError {
    /// What this means for a grant.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (kind, code) = match self {
            Self::HostNotAllowed { .. } => (FailureKind::RequestRejected, "host_not_allowed"),
            Self::NotSent { .. } => (FailureKind::Transient, "unreachable"),
            Self::NoReply { .. } => (FailureKind::Ambiguous, "no_reply"),
            Self::TooLarge { .. } => (FailureKind::BadResponse, "too_large"),
            Self::BadRequest | Self::Setup(_) => (FailureKind::RequestRejected, "bad_request"),
        };
        let failure = Failure::new(kind, code).with_words(&self.to_string());
        match self {
            Self::TooLarge { status, .. } => failure.with_status(*status),
            _ => failure,
        }
    }
}
