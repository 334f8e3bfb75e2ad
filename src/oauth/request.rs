//! A request to a token-like endpoint before it is sent, and a reply before it is read.

use super::Params;
use crate::model::{ClientAuthentication, RequestFormat};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use url::Url;

/// A request to a token, revocation, introspection or device endpoint, as hooks see and change it. Client
/// authentication is applied after the hooks, so that no script ever sees the client secret.
#[derive(Debug, Clone)]
pub struct TokenRequest {
    /// Where it goes.
    pub endpoint: Url,
    /// `POST`, or `GET` for a provider that wants it (then the parameters are the query).
    pub method: http::Method,
    /// The parameters, without the client's credentials.
    pub params: Params,
    /// How the parameters are written.
    pub format: RequestFormat,
    /// Further headers; an `authorization` header of our own client authentication is added later.
    pub headers: Vec<(String, String)>,
    /// Further query parameters.
    pub query: Vec<(String, String)>,
    /// Standard names to the provider's: applied last, to the client's credentials too.
    pub rename: BTreeMap<String, String>,
    /// Parameters of the client's credentials that are not sent.
    pub drop: BTreeSet<String>,
    /// How the client authenticates.
    pub client_authentication: ClientAuthentication,
}

impl TokenRequest {
    /// A form that is posted to an endpoint (RFC 6749 section 3.2).
    #[must_use]
    pub fn post(endpoint: &Url, params: Params, client_authentication: ClientAuthentication) -> Self {
        Self {
            endpoint: endpoint.clone(),
            method: http::Method::POST,
            params,
            format: RequestFormat::Form,
            headers: Vec::new(),
            query: Vec::new(),
            rename: BTreeMap::new(),
            drop: BTreeSet::new(),
            client_authentication,
        }
    }
}

/// A reply as it came: nothing decoded but the transfer. Its `Debug` shows status and sizes only.
#[derive(Clone, PartialEq, Eq)]
pub struct RawReply {
    /// The HTTP status.
    pub status: u16,
    /// Names in lower case, in the order they came. Values that are not UTF-8 are read loosely.
    pub headers: Vec<(String, String)>,
    /// The body, at most the client's cap; wiped when dropped.
    pub body: zeroize::Zeroizing<Vec<u8>>,
}

impl RawReply {
    /// The first header of a name, in any case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The content type as sent, or nothing.
    #[must_use]
    pub fn content_type(&self) -> &str {
        self.header("content-type").unwrap_or_default()
    }
}

impl fmt::Debug for RawReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RawReply")
            .field("status", &self.status)
            .field("content_type", &self.content_type())
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}
