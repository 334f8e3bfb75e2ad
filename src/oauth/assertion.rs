//! The JWT bearer grant's assertion (RFC 7523 section 2.1): a service account vouches for itself or for a user.

use super::signing::{ASSERTION_SECONDS, KeyError, sign_with_private_key};
use crate::model::{Secret, Timestamp};
use serde_json::json;

/// What the assertion of a JWT bearer grant says.
#[derive(Debug, Clone, Copy)]
pub struct Assertion<'a> {
    /// `iss`: our client id, or the service account.
    pub issuer: &'a str,
    /// `sub`: for whom the token is asked.
    pub subject: &'a str,
    /// `aud`: the token endpoint, or what the profile says.
    pub audience: &'a str,
    /// The scopes, as one text. RFC 7523 sends them beside the assertion; Google and DocuSign read them within.
    pub scope: Option<&'a str>,
    /// When it is signed.
    pub now: Timestamp,
    /// From [`super::random_text`], never used twice.
    pub jti: &'a str,
}

/// Signs an assertion with the secret named `private_key`.
///
/// # Errors
/// When the key is none or cannot sign.
pub fn jwt_bearer_assertion(key: &Secret, assertion: &Assertion<'_>) -> Result<Secret, KeyError> {
    let now = assertion.now.as_second();
    let mut claims = json!({
        "iss": assertion.issuer,
        "sub": assertion.subject,
        "aud": assertion.audience,
        "jti": assertion.jti,
        "iat": now,
        "exp": now + ASSERTION_SECONDS,
    });
    if let Some(scope) = assertion.scope.filter(|scope| !scope.is_empty()) {
        claims["scope"] = scope.into();
    }
    sign_with_private_key(key, &claims)
}

#[cfg(test)]
mod tests {
    use super::super::signing::tests::{EC, EC_PUBLIC, verified};
    use super::*;
    use jsonwebtoken::{Algorithm, DecodingKey};

    #[test]
    fn an_assertion_says_who_for_whom_to_whom_and_until_when() {
        let of = |scope| {
            let assertion = Assertion {
                issuer: "robot@a.example",
                subject: "ann@a.example",
                audience: "https://a.example/token",
                scope,
                now: Timestamp::from_second(1_700_000_000).unwrap(),
                jti: "j-1",
            };
            let jwt = jwt_bearer_assertion(&Secret::new(EC), &assertion).unwrap();
            verified(jwt.expose(), Algorithm::ES256, &DecodingKey::from_ec_pem(EC_PUBLIC.as_bytes()).unwrap())
        };
        let mut expected = json!({"iss": "robot@a.example", "sub": "ann@a.example", "aud": "https://a.example/token",
                                  "jti": "j-1", "iat": 1_700_000_000, "exp": 1_700_000_300});
        assert_eq!(of(None), expected);
        expected["scope"] = "a b".into();
        assert_eq!(of(Some("a b")), expected);
    }
}
