//! Everything that is done with tokens: revocation, introspection, userinfo, the drive's files; and the metadata.

use super::ledger::Good;
use super::reply::{Refusal, json_body, refusal};
use super::token::form;
use super::{DRIVE_SCOPE, Inside, Provider, USERS, identity};
use crate::model::GrantType;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use std::sync::Arc;

/// RFC 7009.
pub(super) async fn revoke(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let revoke = || -> Result<(), Refusal> {
        let params = form(&headers, &body)?;
        let mut inside = provider.inside();
        let client = provider.client(&mut inside, &headers, &params)?;
        let token = params.text("token").ok_or_else(|| refusal("invalid_request", "there is no token"))?;
        inside.ledger.revoke(token, &client)
    };
    revoke().map_or_else(IntoResponse::into_response, |()| StatusCode::OK.into_response())
}

/// RFC 7662. Somebody else's token is as inactive as an unknown one.
pub(super) async fn introspect(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let introspect = || -> Result<Value, Refusal> {
        let params = form(&headers, &body)?;
        let mut inside = provider.inside();
        let client = provider.client(&mut inside, &headers, &params)?;
        let token = params.text("token").ok_or_else(|| refusal("invalid_request", "there is no token"))?;
        let good = inside.ledger.good(token, provider.clock.now()).filter(|good| good.family.client_id == client.id);
        Ok(good.map_or_else(|| json!({ "active": false }), |good| description(&provider, &good)))
    };
    introspect().map_or_else(IntoResponse::into_response, |reply| json_body(&reply).into_response())
}

fn description(provider: &Provider, good: &Good<'_>) -> Value {
    let mut description = json!({
        "active": true,
        "client_id": good.family.client_id,
        "sub": good.family.subject,
        "scope": good.family.scopes.join(" "),
        "iss": provider.issuer,
    });
    if let Some(expires) = good.expires {
        description["exp"] = expires.as_second().into();
    }
    description
}

/// OpenID Connect Core section 5.3.
pub(super) async fn userinfo(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    let inside = provider.inside();
    let userinfo = || -> Result<Value, Challenge> {
        let family = provider.bearer(&inside, &headers)?.family;
        if !USERS.contains(&family.subject.as_str()) {
            return Err(Challenge::INSUFFICIENT_SCOPE);
        }
        Ok(identity::userinfo(family, &inside.habits))
    };
    userinfo().map_or_else(IntoResponse::into_response, |reply| json_body(&reply).into_response())
}

/// The protected resource, shaped as Google Drive's.
pub(super) async fn files(State(provider): State<Arc<Provider>>, headers: HeaderMap) -> Response {
    let inside = provider.inside();
    let files = || -> Result<Value, Challenge> {
        if !provider.bearer(&inside, &headers)?.family.scopes.iter().any(|scope| scope == DRIVE_SCOPE) {
            return Err(Challenge::INSUFFICIENT_SCOPE);
        }
        let files = [("1", "Quarterly report"), ("2", "Travel plans")]
            .map(|(id, name)| json!({ "kind": "drive#file", "id": id, "name": name, "mimeType": "text/plain" }));
        Ok(json!({ "kind": "drive#fileList", "incompleteSearch": false, "files": files }))
    };
    files().map_or_else(IntoResponse::into_response, |reply| json_body(&reply).into_response())
}

/// Why the API does not answer (RFC 6750 section 3): a status, and what the `WWW-Authenticate` adds.
struct Challenge(StatusCode, &'static str);

impl Challenge {
    /// Nothing was presented, so nothing is said about it (RFC 6750 section 3.1).
    const NO_TOKEN: Self = Self(StatusCode::UNAUTHORIZED, "");
    const INVALID_TOKEN: Self = Self(StatusCode::UNAUTHORIZED, ", error=\"invalid_token\"");
    const INSUFFICIENT_SCOPE: Self = Self(StatusCode::FORBIDDEN, ", error=\"insufficient_scope\"");
}

impl IntoResponse for Challenge {
    fn into_response(self) -> Response {
        (self.0, [(header::WWW_AUTHENTICATE, format!("Bearer realm=\"demo\"{}", self.1))]).into_response()
    }
}

impl Provider {
    /// The good token of a request.
    fn bearer<'a>(&self, inside: &'a Inside, headers: &HeaderMap) -> Result<Good<'a>, Challenge> {
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let (scheme, token) = given.and_then(|given| given.split_once(' ')).ok_or(Challenge::NO_TOKEN)?;
        let good = inside.ledger.good_access(token, self.clock.now());
        good.filter(|_| scheme.eq_ignore_ascii_case("bearer")).ok_or(Challenge::INVALID_TOKEN)
    }
}

/// RFC 8414 and OpenID Connect Discovery: the same document.
pub(super) async fn metadata(State(provider): State<Arc<Provider>>) -> Response {
    let at = |path: &str| String::from(provider.at(path));
    let grants = [
        GrantType::AuthorizationCode,
        GrantType::RefreshToken,
        GrantType::ClientCredentials,
        GrantType::Password,
        GrantType::JwtBearer,
        GrantType::DeviceCode,
    ];
    let methods = ["client_secret_basic", "client_secret_post", "none", "private_key_jwt", "client_secret_jwt"];
    json_body(&json!({
        "issuer": provider.issuer,
        "authorization_endpoint": at("/authorize"),
        "token_endpoint": at("/token"),
        "device_authorization_endpoint": at("/device/code"),
        "revocation_endpoint": at("/revoke"),
        "introspection_endpoint": at("/introspect"),
        "userinfo_endpoint": at("/userinfo"),
        "jwks_uri": at("/jwks"),
        "scopes_supported": ["openid", DRIVE_SCOPE],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["ES256"],
        "response_types_supported": ["code"],
        "grant_types_supported": grants.map(GrantType::on_the_wire),
        "token_endpoint_auth_methods_supported": methods,
        "token_endpoint_auth_signing_alg_values_supported": ["ES256", "HS256"],
        "code_challenge_methods_supported": ["S256", "plain"],
        "authorization_response_iss_parameter_supported": true,
    }))
    .into_response()
}
