//! Who granted it: id tokens (OpenID Connect Core section 2), their keys, and userinfo's claims.

use super::clients::SigningKey;
use super::habits::{Habits, IdTokens};
use super::ledger::Family;
use super::reply::{Refusal, json_body, refusal};
use super::{Inside, Provider};
use crate::model::{Fields, Secret, Timestamp};
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};
use std::io;
use std::sync::Arc;

/// How long an id token says that it is good, in seconds.
const ID_TOKEN_SECONDS: i64 = 3600;

/// The key that id tokens are signed with now. The set holds that one alone, so that a change of keys leaves whoever
/// kept the old set without the new key.
pub(super) struct Signer {
    number: usize,
    key: SigningKey,
}

impl Signer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { number: 1, key: SigningKey::generate()? })
    }

    /// Another key, of another name.
    pub(super) fn next(&self) -> io::Result<Self> {
        Ok(Self { number: self.number + 1, key: SigningKey::generate()? })
    }

    fn id(&self) -> String {
        format!("demo-{}", self.number)
    }

    fn jwk(&self) -> Value {
        // Uncompressed: 4, x, y.
        let (x, y) = self.key.public()[1..].split_at(32);
        let text = |bytes| URL_SAFE_NO_PAD.encode(bytes);
        json!({ "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.id(), "x": text(x), "y": text(y) })
    }

    fn sign(&self, claims: &Value, key: &SigningKey) -> Option<String> {
        let header = Header { kid: Some(self.id()), ..Header::new(Algorithm::ES256) };
        let key = EncodingKey::from_ec_pem(key.pem().expose().as_bytes()).ok()?;
        jsonwebtoken::encode(&header, claims, &key).ok()
    }
}

/// The JWK set.
pub(super) async fn jwks(State(provider): State<Arc<Provider>>) -> Response {
    let inside = provider.inside();
    let key = inside.signer.as_ref().map(|signer| {
        let mut key = signer.jwk();
        if let Some(issuer) = &inside.habits.key_issuer {
            key["issuer"] = issuer.as_str().into();
        }
        key
    });
    key.map_or_else(
        || StatusCode::NOT_FOUND.into_response(),
        |key| json_body(&json!({ "keys": [key] })).into_response(),
    )
}

impl Inside {
    /// The id token of a token reply, where the person let `openid` through. `nonce` is the authorization request's; a
    /// refresh has none (OpenID Connect Core section 12.2).
    pub(super) fn id_token(
        &mut self,
        issuer: &str,
        number: usize,
        nonce: Option<&str>,
        now: Timestamp,
    ) -> Result<Option<String>, Refusal> {
        let family = &self.ledger.families[number];
        let habits = &self.habits;
        if habits.id_tokens == IdTokens::Absent || !family.scopes.iter().any(|scope| scope == "openid") {
            return Ok(None);
        }
        let Some(signer) = &self.signer else { return Ok(None) };
        let mut claims = person(family);
        for (name, value) in [
            ("iss", json!(issuer)),
            ("aud", json!(family.client_id)),
            ("iat", json!(now.as_second())),
            ("exp", json!(now.as_second() + ID_TOKEN_SECONDS)),
        ] {
            claims[name] = value;
        }
        if let Some(nonce) = nonce {
            claims["nonce"] = nonce.into();
        }
        overlay(&mut claims, &habits.id_token_claims);
        let forged = if habits.id_tokens == IdTokens::Forged { SigningKey::generate().ok() } else { None };
        let token = signer.sign(&claims, forged.as_ref().unwrap_or(&signer.key));
        let token = token.ok_or_else(|| refusal("server_error", "the id token could not be signed"))?;
        self.ledger.families[number].id_tokens.push(Secret::new(token.clone()));
        Ok(Some(token))
    }
}

/// What userinfo says of whoever granted it (OpenID Connect Core section 5.3).
pub(super) fn userinfo(family: &Family, habits: &Habits) -> Value {
    let mut claims = person(family);
    overlay(&mut claims, &habits.userinfo_claims);
    claims
}

fn person(family: &Family) -> Value {
    let user = &family.subject;
    json!({ "sub": user, "name": user, "email": format!("{user}@demo.example") })
}

/// `null` takes a claim away.
fn overlay(claims: &mut Value, over: &Fields) {
    for (name, value) in over {
        match (value, claims.as_object_mut()) {
            (Value::Null, Some(claims)) => _ = claims.remove(name),
            (value, Some(claims)) => _ = claims.insert(name.clone(), value.clone()),
            (_, None) => {}
        }
    }
}
