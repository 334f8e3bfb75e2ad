//! Assertions that we sign: who a client is (RFC 7523 section 2.2) and for whom a token is asked (section 2.1).

use super::EncodeError;
use crate::model::{Secret, Timestamp, later};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use uuid::Uuid;

/// How long an assertion is good, in seconds: long enough for clocks that differ, too short to be worth stealing.
const ASSERTION_SECONDS: u64 = 120;

/// What a JWT bearer assertion says.
#[derive(Debug, Clone, Copy)]
pub struct BearerClaims<'a> {
    /// `iss`: our client.
    pub issuer: &'a str,
    /// `sub`: whom the token is for.
    pub subject: &'a str,
    /// `aud`: who may take the assertion.
    pub audience: &'a str,
    /// `scope`, where the provider reads it from the assertion (Google's service accounts).
    pub scope: Option<&'a str>,
    /// When it is signed.
    pub now: Timestamp,
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<&'a str>,
    jti: String,
    iat: i64,
    exp: i64,
}

/// Signs a JWT bearer assertion with a private key in PEM: ES256 or ES384 for an EC key, RS256 for RSA, EdDSA for
/// Ed25519.
///
/// # Errors
/// When the key is none of these.
pub fn bearer_assertion(key: &Secret, claims: &BearerClaims<'_>) -> Result<Secret, EncodeError> {
    let (algorithm, key) = private_key(key)?;
    sign(algorithm, &key, claims)
}

/// Proves with a private key that we are the client (`private_key_jwt`).
pub(super) fn client_assertion(
    key: &Secret,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Secret, EncodeError> {
    bearer_assertion(key, &BearerClaims { issuer: client_id, subject: client_id, audience, scope: None, now })
}

/// Proves with the client secret that we are the client (`client_secret_jwt`, OpenID Connect Core section 9).
pub(super) fn secret_assertion(
    secret: &Secret,
    client_id: &str,
    audience: &str,
    now: Timestamp,
) -> Result<Secret, EncodeError> {
    let key = EncodingKey::from_secret(secret.expose().as_bytes());
    let claims = BearerClaims { issuer: client_id, subject: client_id, audience, scope: None, now };
    sign(Algorithm::HS256, &key, &claims)
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &BearerClaims<'_>) -> Result<Secret, EncodeError> {
    let claims = Claims {
        iss: claims.issuer,
        sub: claims.subject,
        aud: claims.audience,
        scope: claims.scope,
        jti: Uuid::new_v4().to_string(),
        iat: claims.now.as_second(),
        exp: later(claims.now, ASSERTION_SECONDS).as_second(),
    };
    let signed = jsonwebtoken::encode(&Header::new(algorithm), &claims, key);
    signed.map(Secret::new).map_err(|_| EncodeError::Key)
}

/// The algorithm that goes with a key is found by trying: the PEM label `PRIVATE KEY` says nothing of it.
fn private_key(pem: &Secret) -> Result<(Algorithm, EncodingKey), EncodeError> {
    let bytes = pem.expose().as_bytes();
    let parsers: [(Algorithm, fn(&[u8]) -> jsonwebtoken::errors::Result<EncodingKey>); 4] = [
        (Algorithm::ES256, EncodingKey::from_ec_pem),
        (Algorithm::ES384, EncodingKey::from_ec_pem),
        (Algorithm::RS256, EncodingKey::from_rsa_pem),
        (Algorithm::EdDSA, EncodingKey::from_ed_pem),
    ];
    for (algorithm, parse) in parsers {
        if let Ok(key) = parse(bytes) {
            // An EC key of another curve parses and does not sign.
            if jsonwebtoken::encode(&Header::new(algorithm), &(), &key).is_ok() {
                return Ok((algorithm, key));
            }
        }
    }
    Err(EncodeError::Key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation};

    fn claims() -> BearerClaims<'static> {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        BearerClaims { issuer: "cid", subject: "ann", audience: "https://a.example/token", scope: None, now }
    }

    fn verified(algorithm: Algorithm, key: &DecodingKey, assertion: &Secret) -> serde_json::Value {
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.set_audience(&["https://a.example/token"]);
        jsonwebtoken::decode(assertion.expose(), key, &validation).unwrap().claims
    }

    #[test]
    fn an_assertion_verifies_with_the_public_key_and_is_short_lived() {
        let key = Secret::new(include_str!("testdata/ec-p256.pem"));
        let assertion = bearer_assertion(&key, &claims()).unwrap();
        let public = DecodingKey::from_ec_pem(include_bytes!("testdata/ec-p256.pub.pem")).unwrap();
        let said = verified(Algorithm::ES256, &public, &assertion);
        assert_eq!((said["iss"].as_str(), said["sub"].as_str()), (Some("cid"), Some("ann")));
        assert_eq!(said["exp"].as_i64().unwrap() - said["iat"].as_i64().unwrap(), 120);
        let again = bearer_assertion(&key, &claims()).unwrap();
        assert_ne!(said["jti"], verified(Algorithm::ES256, &public, &again)["jti"]);
    }

    #[test]
    fn an_rsa_key_signs_rs256() {
        let key = Secret::new(include_str!("testdata/rsa.pem"));
        let assertion = client_assertion(&key, "cid", "https://a.example/token", claims().now).unwrap();
        let public = DecodingKey::from_rsa_pem(include_bytes!("testdata/rsa.pub.pem")).unwrap();
        assert_eq!(verified(Algorithm::RS256, &public, &assertion)["sub"], "cid");
    }

    #[test]
    fn what_is_no_key_is_refused_without_showing_it() {
        let error = bearer_assertion(&Secret::new("marked-not-a-key"), &claims()).unwrap_err();
        assert!(!error.to_string().contains("marked-"));
    }
}
