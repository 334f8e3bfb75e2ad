//! Asking the provider about a token (RFC 7662).

use super::times::moment;
use super::{RawReply, TokenRequest, Value, classify, read_reply};
use crate::model::{ClientAuthentication, Failure, FailureKind, Secret, Timestamp, TokenKind};
use serde::{Deserialize, Serialize};
use url::Url;

/// The request that asks about a token.
#[must_use]
pub fn introspection_request(
    endpoint: &Url,
    token: &Secret,
    kind: TokenKind,
    client_authentication: ClientAuthentication,
) -> TokenRequest {
    super::revocation_request(endpoint, token, kind, client_authentication)
}

/// What a provider says of a token (RFC 7662 section 2.2).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Introspection {
    /// Whether it is good now.
    pub active: bool,
    /// Its scopes, where stated.
    pub scopes: Option<Vec<String>>,
    /// To which client it was issued.
    pub client_id: Option<String>,
    /// Whose it is, for people.
    pub username: Option<String>,
    /// Whose it is.
    pub subject: Option<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
}

/// Reads the reply to an introspection.
///
/// # Errors
/// When the reply is an error, cannot be read, or does not say whether the token is active.
pub fn read_introspection(reply: &RawReply, now: Timestamp) -> Result<Introspection, Failure> {
    let read = read_reply(reply);
    if let Some(failure) = classify(reply, read.as_ref().ok(), now) {
        return Err(failure);
    }
    let params = read.map_err(|unreadable| unreadable.failure(reply.status))?;
    let active = match params.get("active") {
        Some(Value::Bool(active)) => *active,
        Some(Value::String(text)) if text == "true" || text == "false" => text == "true",
        _ => {
            return Err(Failure::new(FailureKind::BadResponse, "no_active")
                .with_words("the reply does not say whether the token is active (RFC 7662 section 2.2)")
                .with_status(reply.status));
        }
    };
    if !active {
        // Whatever else such a reply says is of no use (RFC 7662 section 2.2).
        return Ok(Introspection::default());
    }
    let text = |name| params.text(name).map(str::to_owned);
    Ok(Introspection {
        active,
        scopes: params.text("scope").map(|scope| scope.split_whitespace().map(str::to_owned).collect()),
        client_id: text("client_id"),
        username: text("username"),
        subject: text("sub"),
        expires: params.get("exp").and_then(moment),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answered(status: u16, body: &str) -> Result<Introspection, Failure> {
        let reply = RawReply { status, headers: vec![], body: body.as_bytes().to_vec().into() };
        read_introspection(&reply, Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn an_active_token_is_described() {
        let said = answered(
            200,
            r#"{"active":true,"scope":"a b","client_id":"cid","username":"ann","sub":"7","exp":1700000000}"#,
        );
        let said = said.unwrap();
        assert_eq!(said.scopes, Some(vec!["a".into(), "b".into()]));
        assert_eq!(
            (said.username.as_deref(), said.subject.as_deref(), said.client_id.as_deref()),
            (Some("ann"), Some("7"), Some("cid"))
        );
        assert_eq!(said.expires, Timestamp::from_second(1_700_000_000).ok());
    }

    #[test]
    fn an_inactive_token_says_nothing_more() {
        assert_eq!(answered(200, r#"{"active":false,"scope":"a"}"#), Ok(Introspection::default()));
    }

    #[test]
    fn what_does_not_say_active_is_no_answer() {
        for body in ["{}", "{\"active\":1}", "{\"active\":null}", "", "<html>"] {
            assert_eq!(answered(200, body).unwrap_err().kind, FailureKind::BadResponse, "{body}");
        }
        assert_eq!(answered(401, "{\"error\":\"invalid_client\"}").unwrap_err().kind, FailureKind::ClientRejected);
    }
}
