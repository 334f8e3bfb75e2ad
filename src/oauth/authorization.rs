//! Sending a person to consent: the authorization request (RFC 6749 section 4.1.1, RFC 7636, RFC 8707).

use super::client_authentication::renamed;
use super::{Params, Value};
use crate::model::{AuthorizationHabits, Pkce, Secret};
use oauth2::{CsrfToken, PkceCodeChallenge, PkceCodeVerifier};
use std::collections::BTreeMap;
use url::Url;

/// What an authorization request says.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Our client id.
    pub client_id: &'a str,
    /// Where the browser comes back to.
    pub redirect_uri: &'a str,
    /// The scopes asked for, in order.
    pub scopes: &'a [String],
    /// What stands between two scopes.
    pub scope_separator: &'a str,
    /// Binds the callback to this request (RFC 6749 section 10.12): from [`random_text`].
    pub state: &'a Secret,
    /// Binds the id token to this request (OpenID Connect Core section 3.1.2.1): from [`random_text`]. It is sent with
    /// the scope `openid` only: others may refuse a parameter that they do not know.
    pub nonce: Option<&'a Secret>,
    /// The proof key, unless the provider refuses one.
    pub proof_key: Option<&'a ProofKey>,
    /// `audience` (Auth0 and others).
    pub audience: Option<&'a str>,
    /// `resource` (RFC 8707).
    pub resource: Option<&'a str>,
    /// The application's own parameters. They may replace every other, but not `state`, `nonce` and the challenge, which
    /// protect the callback.
    pub more: &'a BTreeMap<String, String>,
    /// Parameters that are not sent.
    pub drop: &'a [String],
}

/// The parameters of an authorization request, in the order of the RFC.
#[must_use]
pub fn authorization_params(request: &AuthorizationRequest<'_>) -> Params {
    let mut params = Params::new();
    params.put("response_type", "code");
    params.put("client_id", request.client_id);
    params.put("redirect_uri", request.redirect_uri);
    if !request.scopes.is_empty() {
        params.put("scope", request.scopes.join(request.scope_separator));
    }
    params.put("state", request.state.expose());
    for (name, value) in [("audience", request.audience), ("resource", request.resource)] {
        if let Some(value) = value {
            params.put(name, value);
        }
    }
    let is_openid = request.scopes.iter().any(|scope| scope == "openid");
    if let Some(nonce) = request.nonce.filter(|_| is_openid) {
        params.put("nonce", nonce.expose());
    }
    for name in request.drop {
        params.remove(name);
    }
    let nonce = params.get("nonce").cloned();
    for (name, value) in request.more {
        params.put(name, value.as_str());
    }
    if let Some(nonce) = nonce {
        params.put("nonce", nonce);
    }
    params.put("state", request.state.expose());
    params.remove("code_challenge");
    params.remove("code_challenge_method");
    if let Some(key) = request.proof_key {
        params.put("code_challenge", key.challenge.as_str());
        params.put("code_challenge_method", key.method);
    }
    params
}

/// The authorization URL: the endpoint, its parameters under the provider's names, and a fixed fragment.
#[must_use]
pub fn authorization_url(endpoint: &Url, params: Params, habits: &AuthorizationHabits) -> Url {
    let mut url = with_query(endpoint, &renamed(params, &habits.rename));
    url.set_fragment(habits.fragment.as_deref());
    url
}

/// A proof key for code exchange (RFC 7636): the verifier stays here, the challenge goes out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProofKey {
    /// Sent with the code as `code_verifier`.
    pub verifier: Secret,
    challenge: String,
    method: &'static str,
}

impl ProofKey {
    /// A new proof key of 256 random bits, or none where the provider refuses one.
    #[must_use]
    pub fn random(pkce: Pkce) -> Option<Self> {
        let verifier = || Secret::new(PkceCodeChallenge::new_random_sha256().1.into_secret());
        (pkce != Pkce::None).then(verifier).and_then(|verifier| Self::of(verifier, pkce))
    }

    /// The proof key of a verifier.
    fn of(verifier: Secret, pkce: Pkce) -> Option<Self> {
        let crates = PkceCodeVerifier::new(verifier.expose().to_owned());
        let challenge = match pkce {
            Pkce::S256 => PkceCodeChallenge::from_code_verifier_sha256(&crates).as_str().to_owned(),
            Pkce::Plain => verifier.expose().to_owned(),
            Pkce::None => return None,
        };
        Some(Self { verifier, challenge, method: if pkce == Pkce::S256 { "S256" } else { "plain" } })
    }
}

/// 256 random bits as text that needs no encoding: a `state`, a `jti`.
#[must_use]
pub fn random_text() -> Secret {
    Secret::new(CsrfToken::new_random_len(32).into_secret())
}

/// A URL with parameters added to its query (RFC 6749 section 3.1: a query that it has is kept). A parameter of the
/// same name is replaced, as a repeated one is refused by many servers; a list is repeated.
#[must_use]
pub fn with_query(url: &Url, params: &Params) -> Url {
    let mut url = url.clone();
    if params.is_empty() {
        return url;
    }
    let mut query = Params::from_form(url.query().unwrap_or_default().as_bytes());
    for (name, value) in params.iter().filter(|(_, value)| **value != Value::Null) {
        query.put(name, value.clone());
    }
    url.set_query(Some(&query.to_form()).filter(|query| !query.is_empty()).map(String::as_str));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_request_is_the_rfcs_and_the_application_cannot_take_its_protection_off() {
        let key = ProofKey::of(Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"), Pkce::S256);
        let more = [("state", "mine"), ("code_challenge", "mine"), ("prompt", "consent"), ("response_type", "code x")];
        let more = more.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let params = authorization_params(&AuthorizationRequest {
            client_id: "cid",
            redirect_uri: "http://127.0.0.1:1/callback",
            scopes: &["a".into(), "b".into()],
            scope_separator: ",",
            state: &Secret::new("st"),
            nonce: Some(&Secret::new("n")),
            proof_key: key.as_ref(),
            audience: None,
            resource: Some("https://api.a.example"),
            more: &more,
            drop: &[],
        });
        // The challenge is RFC 7636 appendix B's.
        let form = "response_type=code+x&client_id=cid&redirect_uri=http%3A%2F%2F127.0.0.1%3A1%2Fcallback&scope=a%2Cb\
                    &state=st&resource=https%3A%2F%2Fapi.a.example&prompt=consent\
                    &code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM&code_challenge_method=S256";
        assert_eq!(params.to_form(), form);
    }

    #[test]
    fn a_proof_key_is_as_the_provider_takes_it() {
        let plain = ProofKey::random(Pkce::Plain).unwrap();
        assert_eq!((plain.challenge.as_str(), plain.method), (plain.verifier.expose(), "plain"));
        let hashed = ProofKey::random(Pkce::S256).unwrap();
        assert!((43..=128).contains(&hashed.verifier.expose().len()));
        assert_ne!(hashed.challenge, hashed.verifier.expose());
        assert_eq!(ProofKey::random(Pkce::None), None);
        assert!(!format!("{hashed:?}").contains(hashed.verifier.expose()));
    }

    #[test]
    fn random_texts_differ_and_need_no_encoding() {
        let (one, two) = (random_text(), random_text());
        assert_ne!(one, two);
        assert!(
            one.expose().len() >= 43 && one.expose().bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b))
        );
    }

    #[test]
    fn a_query_is_kept_and_not_doubled() {
        let url = Url::parse("https://a.example/auth?tenant=1&scope=old#f").unwrap();
        let params: Params = [("scope", "a b"), ("x", "1")].into_iter().collect();
        assert_eq!(with_query(&url, &params).as_str(), "https://a.example/auth?tenant=1&scope=a+b&x=1#f");
        assert_eq!(with_query(&url, &Params::new()), url);
        let mut lists = Params::new();
        lists.put("resource", vec!["a", "b"]);
        lists.put("gone", Value::Null);
        let bare = Url::parse("https://a.example/auth").unwrap();
        assert_eq!(with_query(&bare, &lists).as_str(), "https://a.example/auth?resource=a&resource=b");
    }
}
