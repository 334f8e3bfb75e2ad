//! Ending a token at the provider (RFC 7009), and asking about one (RFC 7662).

use super::times::moment;
use super::{Params, RawReply, Value, classify, read_reply};
use crate::model::{Failure, FailureKind, Secret, Timestamp, TokenKind, quoted};

/// The provider revoked the token, or did not know it any more: RFC 7009 section 2.2 tells no difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revoked;

/// What a provider knows of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Introspection {
    /// Whether it works.
    pub active: bool,
    /// Its scopes.
    pub scopes: Vec<String>,
    /// When it ends.
    pub expires: Option<Timestamp>,
    /// Whose it is.
    pub subject: Option<String>,
    /// A name for whose it is.
    pub username: Option<String>,
    /// The client that it was issued to.
    pub client_id: Option<String>,
}

/// The parameters of a revocation request.
#[must_use]
pub fn revocation_params(token: &Secret, kind: TokenKind) -> Params {
    [("token", token.expose()), ("token_type_hint", kind.as_str())].into_iter().collect()
}

/// The parameters of an introspection request.
#[must_use]
pub fn introspection_params(token: &Secret, kind: TokenKind) -> Params {
    revocation_params(token, kind)
}

/// What a revocation endpoint answered. Any 2xx without an error in it means done, whatever its body.
///
/// # Errors
/// What it refused, as a failure.
pub fn read_revocation(reply: &RawReply, now: Timestamp) -> Result<Revoked, Failure> {
    let params = read_reply(reply).ok();
    match classify(reply, params.as_ref(), now) {
        // Some providers call a token that is already gone an error; gone is what was wanted.
        Some(failure) if matches!(failure.code.as_str(), "invalid_token" | "token_not_found") => Ok(Revoked),
        Some(failure) => Err(failure),
        None => Ok(Revoked),
    }
}

/// What an introspection endpoint answered.
///
/// # Errors
/// What it refused, or a bad response when it does not say whether the token is active.
pub fn read_introspection(reply: &RawReply, now: Timestamp) -> Result<Introspection, Failure> {
    let params = read_reply(reply);
    if let Some(failure) = classify(reply, params.as_ref().ok(), now) {
        return Err(failure);
    }
    let params = params.map_err(|unreadable| unreadable.failure(reply.status))?;
    let Some(active) = params.get("active").and_then(Value::as_bool) else {
        let failure = Failure::new(FailureKind::BadResponse, "no_active");
        return Err(failure.with_words("the reply does not say whether the token is active"));
    };
    let text = |name| params.text(name).map(quoted);
    Ok(Introspection {
        active,
        scopes: params.text("scope").into_iter().flat_map(str::split_whitespace).map(quoted).collect(),
        expires: params.get("exp").and_then(moment),
        subject: text("sub"),
        username: text("username"),
        client_id: text("client_id"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    fn reply(status: u16, body: &str) -> RawReply {
        RawReply { status, headers: Vec::new(), body: Zeroizing::new(body.as_bytes().to_vec()) }
    }

    #[test]
    fn any_200_is_a_revocation_and_a_refusal_is_not() {
        let read = |status, body| read_revocation(&reply(status, body), Timestamp::UNIX_EPOCH);
        assert_eq!(read(200, ""), Ok(Revoked));
        assert_eq!(read(204, ""), Ok(Revoked));
        assert_eq!(read(200, "<html>bye</html>"), Ok(Revoked));
        assert_eq!(read(400, r#"{"error":"invalid_token"}"#), Ok(Revoked));
        assert!(read(400, r#"{"error":"unsupported_token_type"}"#).is_err());
        assert_eq!(read(503, "").unwrap_err().kind, FailureKind::Transient);
    }

    #[test]
    fn an_introspection_must_say_whether_the_token_is_active() {
        let read = |body| read_introspection(&reply(200, body), Timestamp::UNIX_EPOCH);
        let good = read(r#"{"active":true,"scope":"a b","exp":1700000000,"sub":"ann"}"#).unwrap();
        assert_eq!((good.active, good.scopes.len(), good.expires.unwrap().as_second()), (true, 2, 1_700_000_000));
        assert!(!read(r#"{"active":false}"#).unwrap().active);
        assert_eq!(read("{}").unwrap_err().kind, FailureKind::BadResponse);
    }
}
