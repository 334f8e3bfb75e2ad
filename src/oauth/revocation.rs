//! Ending a token at the provider (RFC 7009).

use super::{RawReply, TokenRequest, classify, read_reply};
use crate::model::{ClientAuthentication, Failure, FailureKind, Secret, Timestamp, TokenKind};
use std::fmt;
use url::Url;

/// The request that ends a token.
#[must_use]
pub fn revocation_request(
    endpoint: &Url,
    token: &Secret,
    kind: TokenKind,
    client_authentication: ClientAuthentication,
) -> TokenRequest {
    let params = [("token", token.expose()), ("token_type_hint", kind.as_str())].into_iter().collect();
    TokenRequest::post(endpoint, params, client_authentication)
}

/// What a provider answered to a revocation. Whatever it was, the token is no longer used here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// The token is ended, or was not valid to begin with (RFC 7009 section 2.2).
    Revoked,
    /// The provider says that it knows no such token (Google answers 400 to one that has expired): nothing is left
    /// to revoke.
    Unknown(Failure),
    /// The provider does not revoke this kind of token (RFC 7009 section 2.2.1).
    Unsupported(Failure),
    /// Not now (RFC 7009 section 2.2.1: 503): the token must be taken for valid there; ask again.
    NotNow(Failure),
    /// Refused: the token must be taken for valid there.
    Refused(Failure),
}

impl Revocation {
    /// Whether the token is certain to be of no use at the provider.
    #[must_use]
    pub fn is_ended(&self) -> bool {
        match self {
            Self::Revoked | Self::Unknown(_) => true,
            Self::Unsupported(_) | Self::NotNow(_) | Self::Refused(_) => false,
        }
    }
}

impl fmt::Display for Revocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Revoked => f.write_str("the provider revoked the token"),
            Self::Unknown(failure) => write!(f, "the provider no longer knows the token: {failure}"),
            Self::Unsupported(failure) => write!(f, "the provider does not revoke this kind of token: {failure}"),
            Self::NotNow(failure) => write!(f, "the provider could not revoke the token now: {failure}"),
            Self::Refused(failure) => write!(f, "the provider refused to revoke the token: {failure}"),
        }
    }
}

/// Reads the reply to a revocation. A 2xx is a yes whatever its body, unless that body names an error: a person must
/// not be told that a token is ended when the provider says otherwise.
#[must_use]
pub fn read_revocation(reply: &RawReply, now: Timestamp) -> Revocation {
    let params = read_reply(reply).ok();
    let Some(failure) = classify(reply, params.as_ref(), now) else { return Revocation::Revoked };
    match (params.as_ref().and_then(|params| params.text("error")), failure.kind) {
        (Some("unsupported_token_type"), _) => Revocation::Unsupported(failure),
        (Some("invalid_token"), _) | (_, FailureKind::ReauthorizationRequired) => Revocation::Unknown(failure),
        (_, FailureKind::Transient | FailureKind::RateLimited | FailureKind::Ambiguous) => Revocation::NotNow(failure),
        (_, FailureKind::ClientRejected | FailureKind::RequestRejected | FailureKind::BadResponse) => {
            Revocation::Refused(failure)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Revocation {
        let headers = vec![("retry-after".to_owned(), "5".to_owned())];
        let reply = RawReply { status, headers, body: body.as_bytes().to_vec().into() };
        read_revocation(&reply, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn the_request_names_the_token_and_its_kind() {
        let endpoint = "https://a.example/revoke".parse().unwrap();
        let token = Secret::new("rt");
        let request = revocation_request(&endpoint, &token, TokenKind::RefreshToken, ClientAuthentication::Post);
        assert_eq!(request.params.to_form(), "token=rt&token_type_hint=refresh_token");
        assert_eq!((request.method, request.endpoint), (http::Method::POST, endpoint));
    }

    #[test]
    fn a_yes_is_a_yes_whatever_its_body() {
        for body in ["", "{}", "<html>ok</html>", "ok", "{\"ok\":true,\"error\":\"\"}"] {
            assert_eq!(answered(200, body), Revocation::Revoked, "{body}");
        }
        assert_eq!(answered(204, ""), Revocation::Revoked);
    }

    #[test]
    fn a_yes_that_names_an_error_is_a_no() {
        let said = answered(200, "{\"ok\":false,\"error\":\"not_authed\"}");
        assert!(matches!(said, Revocation::Refused(_)) && !said.is_ended(), "{said:?}");
    }

    #[test]
    fn each_refusal_is_told_apart() {
        assert!(matches!(answered(400, "{\"error\":\"unsupported_token_type\"}"), Revocation::Unsupported(_)));
        assert!(matches!(answered(400, "{\"error\":\"invalid_token\"}"), Revocation::Unknown(_)));
        assert!(matches!(answered(401, "{\"error\":\"invalid_client\"}"), Revocation::Refused(_)));
        assert!(matches!(answered(404, "<html>"), Revocation::Refused(_)));
        let Revocation::NotNow(failure) = answered(503, "") else { panic!() };
        assert_eq!((failure.code.as_str(), failure.retry_after), ("http_503", Some(5)));
        assert!(answered(503, "").to_string().contains("could not revoke the token now: http_503"));
    }
}
