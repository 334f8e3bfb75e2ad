//! From a grant to its token request. The `oauth2` crate builds the grants that it speaks; the rest is built here.

use super::layer::{self, Layer};
use super::shaping::SentBefore;
use super::{Answer, Exchange, ExchangeError};
use crate::model::{GrantType, Profile, Secret};
use crate::oauth::{self, Params, TokenRequest};
use oauth2::{
    AuthorizationCode, PkceCodeVerifier, RedirectUrl, RefreshToken, ResourceOwnerPassword, ResourceOwnerUsername, Scope,
};
use url::Url;

/// What is shown to the token endpoint.
#[derive(Debug, Clone)]
pub enum Ask {
    /// An authorization code (RFC 6749 section 4.1.3).
    Code {
        /// The code of the callback.
        code: Secret,
        /// The PKCE verifier, where a challenge was sent.
        verifier: Option<Secret>,
        /// The redirect URL of the authorization request.
        redirect_url: Url,
        /// Its state, which some providers want again.
        state: Secret,
    },
    /// A refresh token (RFC 6749 section 6).
    Refresh(Secret),
    /// Our own client (RFC 6749 section 4.4).
    ClientCredentials,
    /// A person's password (RFC 6749 section 4.3).
    Password {
        /// The user.
        username: String,
        /// The password.
        password: Secret,
    },
    /// An assertion that we sign (RFC 7523 section 2.1).
    JwtBearer,
    /// A device code (RFC 8628 section 3.4).
    DeviceCode(Secret),
}

impl Ask {
    /// The grant of the request, as scripts are told it.
    pub(super) fn grant(&self) -> GrantType {
        match self {
            Self::Code { .. } => GrantType::AuthorizationCode,
            Self::Refresh(_) => GrantType::RefreshToken,
            Self::ClientCredentials => GrantType::ClientCredentials,
            Self::Password { .. } => GrantType::Password,
            Self::JwtBearer => GrantType::JwtBearer,
            Self::DeviceCode(_) => GrantType::DeviceCode,
        }
    }

    fn sent_before(&self) -> SentBefore {
        match self {
            Self::Code { redirect_url, state, .. } => {
                SentBefore { state: Some(state.clone()), redirect_url: Some(redirect_url.clone()) }
            }
            _ => SentBefore::default(),
        }
    }

    pub(super) fn secrets(&self) -> Vec<&Secret> {
        match self {
            Self::Code { code, verifier, .. } => std::iter::once(code).chain(verifier).collect(),
            Self::Refresh(secret) | Self::DeviceCode(secret) | Self::Password { password: secret, .. } => vec![secret],
            Self::ClientCredentials | Self::JwtBearer => Vec::new(),
        }
    }
}

pub(super) async fn ask(exchange: &Exchange, ask: &Ask, profile: &Profile) -> Result<Answer, ExchangeError> {
    let endpoints = &exchange.application.endpoints;
    let endpoint = match ask {
        Ask::Refresh(_) => endpoints.refresh.as_ref().or(endpoints.token.as_ref()),
        _ => endpoints.token.as_ref(),
    };
    let missing = match ask {
        Ask::Refresh(_) if endpoints.templates.contains_key("refresh") => "refresh",
        _ => "token",
    };
    let endpoint = endpoint.ok_or_else(|| exchange.missing(missing))?;
    let secrets = ask.secrets();
    let before = ask.sent_before();
    let layer = Layer::new(exchange, (ask.grant(), endpoint.url()), &before, &secrets);
    let client = layer::client(&exchange.application.client_id, endpoint.url());
    let scopes = || profile.scopes.iter().map(|scope| Scope::new(scope.clone()));
    match ask {
        Ask::Code { code, verifier, redirect_url, .. } => {
            let redirect = RedirectUrl::from_url(redirect_url.clone());
            let client = client.set_redirect_uri(redirect);
            let mut request = client.exchange_code(AuthorizationCode::new(code.expose().to_owned()));
            if let Some(verifier) = verifier {
                request = request.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().to_owned()));
            }
            if let Some(resource) = &profile.resource {
                request = request.add_extra_param("resource", resource);
            }
            layer.outcome(request.request_async(&layer).await)
        }
        Ask::Refresh(token) => {
            let token = RefreshToken::new(token.expose().to_owned());
            let mut request = client.exchange_refresh_token(&token);
            // No scope: the same as was granted (RFC 6749 section 6). `resource` narrows the new token (RFC 8707).
            if let Some(resource) = &profile.resource {
                request = request.add_extra_param("resource", resource);
            }
            layer.outcome(request.request_async(&layer).await)
        }
        Ask::ClientCredentials => {
            let mut request = client.exchange_client_credentials().add_scopes(scopes());
            for (name, value) in targets(profile) {
                request = request.add_extra_param(name, value);
            }
            layer.outcome(request.request_async(&layer).await)
        }
        Ask::Password { username, password } => {
            let username = ResourceOwnerUsername::new(username.clone());
            let password = ResourceOwnerPassword::new(password.expose().to_owned());
            let mut request = client.exchange_password(&username, &password).add_scopes(scopes());
            for (name, value) in targets(profile) {
                request = request.add_extra_param(name, value);
            }
            layer.outcome(request.request_async(&layer).await)
        }
        Ask::JwtBearer => {
            let assertion = bearer_assertion(exchange, profile, endpoint.as_str())?;
            let mut params = Params::new();
            params.put("grant_type", GrantType::JwtBearer.on_the_wire());
            params.put("assertion", assertion.expose());
            put_scope(&mut params, exchange, profile);
            exchange.run(ask.grant(), post(exchange, endpoint.url(), params), &before, &[&assertion]).await
        }
        Ask::DeviceCode(code) => {
            let mut params = Params::new();
            params.put("grant_type", GrantType::DeviceCode.on_the_wire());
            params.put("device_code", code.expose());
            exchange.run(ask.grant(), post(exchange, endpoint.url(), params), &before, &secrets).await
        }
    }
}

/// A form to the token endpoint, as yet without hooks and credentials.
pub(super) fn post(exchange: &Exchange, endpoint: &Url, params: Params) -> TokenRequest {
    TokenRequest::post(endpoint, params, exchange.application.client_authentication)
}

fn put_scope(params: &mut Params, exchange: &Exchange, profile: &Profile) {
    if !profile.scopes.is_empty() {
        params.put("scope", profile.scopes.join(&exchange.application.scope_separator));
    }
    put_targets(params, profile);
}

/// Puts whom the token is for into a request.
pub(super) fn put_targets(params: &mut Params, profile: &Profile) {
    for (name, value) in targets(profile) {
        params.put(name, value);
    }
}

/// Whom the token is for: `audience` and `resource` (RFC 8707), where the profile says so.
fn targets(profile: &Profile) -> impl Iterator<Item = (&'static str, &str)> {
    let audience = profile.audience.as_deref().map(|value| ("audience", value));
    audience.into_iter().chain(profile.resource.as_deref().map(|value| ("resource", value)))
}

fn bearer_assertion(exchange: &Exchange, profile: &Profile, endpoint: &str) -> Result<Secret, ExchangeError> {
    let application = &exchange.application;
    let key = application.secrets.get("private_key").ok_or_else(|| {
        ExchangeError::Setup(format!(
            "the application {} has no secret named private_key to sign an assertion with; set secrets.private_key in its file",
            application.name
        ))
    })?;
    let jti = oauth::random_text();
    let assertion = oauth::Assertion {
        issuer: &application.client_id,
        subject: profile.subject.as_deref().unwrap_or(&application.client_id),
        audience: profile.assertion_audience.as_deref().unwrap_or(endpoint),
        scope: None,
        now: exchange.clock.now(),
        jti: jti.expose(),
    };
    oauth::jwt_bearer_assertion(key, &assertion).map_err(|error| ExchangeError::Setup(error.to_string()))
}
