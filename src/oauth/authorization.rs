//! The authorization request (RFC 6749 section 4.1.1) with its proof key (RFC 7636).

use super::{Params, Value};
use crate::model::{Pkce, Secret};
use oauth2::{CsrfToken, PkceCodeChallenge, PkceCodeVerifier};
use url::Url;

/// What an authorization request says.
#[derive(Debug, Clone, Copy)]
pub struct AuthorizationRequest<'a> {
    /// Our client id.
    pub client_id: &'a str,
    /// Where the browser is to be sent back to.
    pub redirect_url: &'a Url,
    /// The scopes asked for.
    pub scopes: &'a [String],
    /// What stands between two scopes.
    pub scope_separator: &'a str,
    /// What the callback must repeat.
    pub state: &'a Secret,
    /// The kind of proof key.
    pub pkce: Pkce,
    /// The verifier behind the challenge.
    pub verifier: &'a Secret,
    /// `audience`.
    pub audience: Option<&'a str>,
    /// `resource` (RFC 8707).
    pub resource: Option<&'a str>,
}

/// The request's parameters, as `preprocessAuthCode` sees them.
#[must_use]
pub fn authorization_params(request: &AuthorizationRequest<'_>) -> Params {
    let mut params = Params::new();
    params.put("response_type", "code");
    params.put("client_id", request.client_id);
    params.put("redirect_uri", request.redirect_url.as_str());
    if !request.scopes.is_empty() {
        params.put("scope", request.scopes.join(request.scope_separator));
    }
    params.put("state", request.state.expose());
    let verifier = PkceCodeVerifier::new(request.verifier.expose().to_owned());
    let challenge = match request.pkce {
        Pkce::S256 => Some(PkceCodeChallenge::from_code_verifier_sha256(&verifier)),
        Pkce::Plain => {
            params.put("code_challenge", request.verifier.expose());
            params.put("code_challenge_method", "plain");
            None
        }
        Pkce::None => None,
    };
    if let Some(challenge) = challenge {
        params.put("code_challenge", challenge.as_str());
        params.put("code_challenge_method", challenge.method().as_str());
    }
    for (name, value) in [("audience", request.audience), ("resource", request.resource)] {
        if let Some(value) = value {
            params.put(name, value);
        }
    }
    params
}

/// A new `state`: 256 random bits, base64url.
#[must_use]
pub fn random_state() -> Secret {
    Secret::new(CsrfToken::new_random_len(32).into_secret())
}

/// A new PKCE verifier: 256 random bits, base64url, 43 characters (RFC 7636 section 4.1).
#[must_use]
pub fn random_verifier() -> Secret {
    Secret::new(PkceCodeChallenge::new_random_sha256_len(32).1.into_secret())
}

/// A URL with parameters in its query. What its query had stays, but for names that the parameters set anew.
#[must_use]
pub fn with_query(url: &Url, params: &Params) -> Url {
    let mut all = Params::new();
    for (name, value) in Params::from_form(url.query().unwrap_or_default().as_bytes()).iter() {
        if !params.contains(name) {
            all.put(name, value.clone());
        }
    }
    for (name, value) in params.iter().filter(|(_, value)| **value != Value::Null) {
        all.put(name, value.clone());
    }
    let mut url = url.clone();
    let query = all.to_form();
    url.set_query((!query.is_empty()).then_some(&query));
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    fn params(pkce: Pkce) -> Params {
        let redirect_url = Url::parse("http://127.0.0.1:8765/oauth/callback/a").unwrap();
        authorization_params(&AuthorizationRequest {
            client_id: "cid",
            redirect_url: &redirect_url,
            scopes: &["a".to_owned(), "b".to_owned()],
            scope_separator: ",",
            state: &Secret::new("s"),
            pkce,
            // RFC 7636 appendix B.
            verifier: &Secret::new("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            audience: None,
            resource: Some("https://api.example"),
        })
    }

    #[test]
    fn the_challenge_is_that_of_the_rfc() {
        let params = params(Pkce::S256);
        assert_eq!(params.text("code_challenge"), Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"));
        assert_eq!(params.text("code_challenge_method"), Some("S256"));
        assert_eq!(params.text("scope"), Some("a,b"));
    }

    #[test]
    fn plain_and_none_do_as_they_say() {
        assert_eq!(params(Pkce::Plain).text("code_challenge"), Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"));
        assert!(!params(Pkce::None).contains("code_challenge"));
        assert!(!params(Pkce::None).contains("code_challenge_method"));
    }

    #[test]
    fn states_and_verifiers_are_long_and_never_the_same() {
        assert!(random_state().expose().len() >= 43 && random_verifier().expose().len() >= 43);
        assert_ne!(random_state(), random_state());
        assert_ne!(random_verifier(), random_verifier());
    }

    #[test]
    fn a_query_that_was_there_stays_and_nothing_is_doubled() {
        let url = Url::parse("https://a.example/authorize?tenant=7&prompt=none").unwrap();
        let params: Params = [("prompt", "consent"), ("x", "a b")].into_iter().collect();
        assert_eq!(with_query(&url, &params).query(), Some("tenant=7&prompt=consent&x=a+b"));
    }
}
