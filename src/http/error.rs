//! Why a request brought no reply, and what that means for a grant.

use crate::model::{Failure, FailureKind, quoted};

/// Why a request brought no reply that can be read. No message holds a query, a header or a body: some providers want
/// secrets in the URL.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HttpError {
    /// The client cannot be made.
    #[error("the setting http.{name} cannot be used: {why}")]
    BadSetting {
        /// Which.
        name: &'static str,
        /// Why.
        why: String,
    },
    /// No request that HTTP can carry.
    #[error("the request's URL is not one that can be sent to")]
    BadRequest,
    /// Not https, and not on this machine.
    #[error("nothing is sent to {0} without https; correct the endpoint")]
    NotHttps(String),
    /// A host that nobody allowed.
    #[error("{0} is not a host that this application names; add it to `hosts` if its tokens may go there")]
    HostNotAllowed(String),
    /// An address that is not the public's, where only those are asked.
    #[error(
        "{0} is on this machine or in a private network, which is not asked from here; state the endpoints themselves"
    )]
    Private(String),
    /// An address of the link itself, which no message goes to.
    #[error("{0} leads to an address of the link itself, or of a cloud's metadata; nothing is sent there")]
    OfTheLink(String),
    /// No connection came about: it is certain that nothing was processed.
    #[error("could not connect to {host}: {why}")]
    NotSent {
        /// Where to.
        host: String,
        /// What the network said.
        why: String,
    },
    /// The request went out, or may have, and no whole reply came back: it may have taken effect.
    #[error("{host} was asked and gave no whole reply: {why}; whether the request took effect is unknown")]
    NoReply {
        /// Where to.
        host: String,
        /// What the network said.
        why: String,
    },
    /// A reply came that is larger than is read: it may have taken effect.
    #[error("{host} answered {status} with more than {limit}")]
    TooLarge {
        /// Where to.
        host: String,
        /// The HTTP status.
        status: u16,
        /// Which limit, e.g. `1048576 bytes`.
        limit: String,
    },
}

impl HttpError {
    /// Whether the provider may have acted on the request. With a refresh token that rotates, the new one may then be
    /// lost. A reply over the limit with a status of an error is not a yes: an error page took nothing.
    #[must_use]
    pub fn may_have_taken_effect(&self) -> bool {
        match self {
            Self::NoReply { .. } => true,
            Self::TooLarge { status, .. } => *status < 400,
            Self::BadSetting { .. }
            | Self::BadRequest
            | Self::NotHttps(_)
            | Self::HostNotAllowed(_)
            | Self::Private(_)
            | Self::OfTheLink(_)
            | Self::NotSent { .. } => false,
        }
    }

    /// The same as a failure of the grant.
    #[must_use]
    pub fn failure(&self) -> Failure {
        let (kind, code) = match self {
            Self::BadSetting { .. } => (FailureKind::RequestRejected, "http_setting"),
            Self::BadRequest => (FailureKind::RequestRejected, "bad_request_url"),
            Self::NotHttps(_) => (FailureKind::RequestRejected, "not_https"),
            Self::HostNotAllowed(_) => (FailureKind::RequestRejected, "host_not_allowed"),
            Self::Private(_) | Self::OfTheLink(_) => (FailureKind::RequestRejected, "private_address"),
            Self::NotSent { .. } => (FailureKind::Transient, "not_connected"),
            Self::NoReply { .. } => (FailureKind::Ambiguous, "no_reply"),
            // Whether it took effect is told by `may_have_taken_effect`; the kind says what a person can do: look at
            // what the provider sends.
            Self::TooLarge { .. } => (FailureKind::BadResponse, "reply_too_large"),
        };
        let failure = Failure::new(kind, code).with_words(&self.to_string());
        match self {
            Self::TooLarge { status, .. } => failure.with_status(*status),
            _ => failure,
        }
    }

    /// What came of a request that was handed to reqwest.
    pub(crate) fn of(error: reqwest::Error, host: &str) -> Self {
        let host = host.to_owned();
        // A builder's error is a URL or a header that is none: nothing was sent.
        if error.is_builder() {
            return Self::BadRequest;
        }
        if error.is_connect() {
            return Self::NotSent { host, why: told(error) };
        }
        let why = if error.is_timeout() { "it took too long".to_owned() } else { told(error) };
        Self::NoReply { host, why }
    }
}

/// The innermost cause, which has the reason and, unlike reqwest's own text, no URL.
fn told(error: reqwest::Error) -> String {
    let error = error.without_url();
    let mut cause: &dyn std::error::Error = &error;
    while let Some(inner) = cause.source() {
        cause = inner;
    }
    quoted(&cause.to_string())
}
