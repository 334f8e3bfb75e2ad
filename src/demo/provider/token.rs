//! The token endpoint (RFC 6749 section 3.2): six grants, one answer.

use super::authorize::granted;
use super::clients::{Client, authenticate, proven, unproven_issuer};
use super::ledger::Challenge;
use super::reply::{Refusal, Tokens, invalid_client, refusal, token_reply};
use super::{Inside, PASSWORD, Provider, USERS};
use crate::model::{GrantType, Timestamp};
use crate::oauth::Params;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest, Sha256};
use std::sync::Arc;

pub(super) async fn token(State(provider): State<Arc<Provider>>, headers: HeaderMap, body: Bytes) -> Response {
    let outcome = provider.token(&headers, &body);
    let habits = provider.inside().habits.clone();
    token_reply(&habits, outcome)
}

/// The form of a request to an endpoint of RFC 6749, RFC 7009 or RFC 7662; no parameter twice (RFC 6749 section 3.2).
pub(super) fn form(headers: &HeaderMap, body: &[u8]) -> Result<Params, Refusal> {
    let content_type = headers.get(header::CONTENT_TYPE).map(axum::http::HeaderValue::as_bytes).unwrap_or_default();
    if !content_type.starts_with(b"application/x-www-form-urlencoded") {
        return Err(refusal("invalid_request", "the body is not a form (RFC 6749 appendix B)"));
    }
    let params = Params::from_form(body);
    if params.iter().any(|(name, value)| name != "resource" && !value.is_string()) {
        return Err(refusal("invalid_request", "a parameter came more than once (RFC 6749 section 3.2)"));
    }
    Ok(params)
}

impl Provider {
    /// Who is asking, at any endpoint where clients authenticate as at the token endpoint.
    pub(super) fn client(&self, inside: &mut Inside, headers: &HeaderMap, params: &Params) -> Result<Client, Refusal> {
        let audiences = self.audiences();
        let audiences = audiences.each_ref().map(String::as_str);
        let client = authenticate(&inside.clients, headers, params, &audiences, self.clock.now())?;
        if let Some(assertion) = params.text("client_assertion") {
            // `authenticate` has proven it; what is left is that it comes for the first time.
            let claims = proven(assertion, &client, &audiences, self.clock.now())?;
            inside.fresh(&client, claims.jti.as_deref()).map_err(|refused| invalid_client(&refused.description))?;
        }
        Ok(client)
    }

    fn token(&self, headers: &HeaderMap, body: &[u8]) -> Result<Tokens, Refusal> {
        let now = self.clock.now();
        let mut inside = self.inside();
        if let Some(code) = &inside.habits.refuses {
            return Err(refusal(code, "the provider refuses everything today"));
        }
        let params = form(headers, body)?;
        let grant = params.text("grant_type").ok_or_else(|| refusal("invalid_request", "there is no grant_type"))?;
        if grant == GrantType::JwtBearer.on_the_wire() {
            return self.jwt_bearer(&mut inside, headers, &params, now);
        }
        let client = self.client(&mut inside, headers, &params)?;
        match grant {
            "authorization_code" => inside.authorization_code(&client, &params, &self.issuer, now),
            "refresh_token" => inside.refresh_token(&client, &params, &self.issuer, now),
            "client_credentials" => inside.client_credentials(&client, &params, now),
            "password" => inside.password(&client, &params, &self.issuer, now),
            _ if grant == GrantType::DeviceCode.on_the_wire() => {
                inside.device_code(&client, &params, &self.issuer, now)
            }
            _ => Err(refusal("unsupported_grant_type", "there is no such grant here")),
        }
    }

    /// RFC 7523 section 2.1. The assertion is proof enough of the client (RFC 7521 section 4.1): without any other
    /// form of authentication, the client is the assertion's issuer.
    fn jwt_bearer(
        &self,
        inside: &mut Inside,
        headers: &HeaderMap,
        params: &Params,
        now: Timestamp,
    ) -> Result<Tokens, Refusal> {
        let assertion = required(params, "assertion")?;
        let alone = !headers.contains_key(header::AUTHORIZATION)
            && !params.contains("client_secret")
            && !params.contains("client_assertion");
        let client = if alone {
            let issuer = unproven_issuer(assertion);
            let known = inside.clients.iter().find(|client| issuer.as_ref() == Some(&client.id));
            known.cloned().ok_or_else(|| refusal("invalid_grant", "the assertion's issuer is not known"))?
        } else {
            self.client(inside, headers, params)?
        };
        let audiences = self.audiences();
        let claims = proven(assertion, &client, &audiences.each_ref().map(String::as_str), now)?;
        inside.fresh(&client, claims.jti.as_deref())?;
        let subject = claims.sub.as_deref().unwrap_or(&client.id);
        // Google's service accounts put the scopes into the assertion.
        let scope = params.text("scope").or(claims.scope.as_deref());
        Ok(inside.without_refresh_token(&client, subject, scope, now))
    }
}

impl Inside {
    fn authorization_code(
        &mut self,
        client: &Client,
        params: &Params,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Tokens, Refusal> {
        let code = required(params, "code")?;
        let verifier = params.text("code_verifier");
        let redirect_uri = params.text("redirect_uri");
        let proves = |challenge: Option<&Challenge>| proves(challenge, verifier);
        let (family, asked) = self.ledger.redeem_code(code, client, redirect_uri, proves, now)?;
        let refresh_token = asked.offline.then(|| self.ledger.issue_refresh(family, &self.habits, now));
        let id_token = self.id_token(issuer, family, asked.nonce.as_deref(), now)?;
        let tokens = self.tokens(family, refresh_token, now);
        let further = match self.habits.further_token {
            true => {
                let subject = self.ledger.families[family].subject.clone();
                let scopes = vec!["search.read".to_owned()];
                Some(Box::new(self.with_refresh_token(client, &subject, scopes, issuer, now)?))
            }
            false => None,
        };
        Ok(Tokens { id_token, further, ..tokens })
    }

    fn refresh_token(
        &mut self,
        client: &Client,
        params: &Params,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Tokens, Refusal> {
        let token = required(params, "refresh_token")?;
        // Before the token is used up: asking for more than was granted costs nothing (RFC 6749 section 6).
        if let (Some(asked), Some(good)) = (params.text("scope"), self.ledger.good(token, now))
            && !granted(Some(asked), &[]).iter().all(|scope| good.family.scopes.contains(scope))
        {
            return Err(refusal("invalid_scope", "a refresh cannot ask for more than was granted"));
        }
        let (family, refresh_token) = self.ledger.redeem_refresh(token, client, &self.habits, now)?;
        let id_token = self.id_token(issuer, family, None, now)?;
        Ok(Tokens { id_token, ..self.tokens(family, refresh_token, now) })
    }

    fn client_credentials(&mut self, client: &Client, params: &Params, now: Timestamp) -> Result<Tokens, Refusal> {
        if client.is_public() {
            return Err(refusal(
                "unauthorized_client",
                "this grant is for confidential clients (RFC 6749 section 4.4)",
            ));
        }
        let subject = client.id.clone();
        Ok(self.without_refresh_token(client, &subject, params.text("scope"), now))
    }

    fn password(&mut self, client: &Client, params: &Params, issuer: &str, now: Timestamp) -> Result<Tokens, Refusal> {
        let user = required(params, "username")?;
        if !USERS.contains(&user) || required(params, "password")? != PASSWORD {
            return Err(refusal("invalid_grant", "the user name or the password is wrong"));
        }
        let scopes = granted(params.text("scope"), &self.habits.withheld_scopes);
        self.with_refresh_token(client, user, scopes, issuer, now)
    }

    /// One poll of RFC 8628 section 3.4.
    fn device_code(
        &mut self,
        client: &Client,
        params: &Params,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Tokens, Refusal> {
        let code = required(params, "device_code")?;
        let answer = self.ledger.poll(code, client, now)?;
        self.with_refresh_token(client, &answer.0, answer.1, issuer, now)
    }

    fn with_refresh_token(
        &mut self,
        client: &Client,
        subject: &str,
        scopes: Vec<String>,
        issuer: &str,
        now: Timestamp,
    ) -> Result<Tokens, Refusal> {
        let family = self.ledger.open_family(client, subject, scopes);
        let refresh_token = self.ledger.issue_refresh(family, &self.habits, now);
        let id_token = self.id_token(issuer, family, None, now)?;
        Ok(Tokens { id_token, ..self.tokens(family, Some(refresh_token), now) })
    }

    /// For the grants that can simply be asked again (RFC 6749 section 4.4.3, RFC 7521 section 4.1).
    fn without_refresh_token(&mut self, client: &Client, subject: &str, scope: Option<&str>, now: Timestamp) -> Tokens {
        let scopes = granted(scope, &self.habits.withheld_scopes);
        let family = self.ledger.open_family(client, subject, scopes);
        self.tokens(family, None, now)
    }

    fn tokens(&mut self, family: usize, refresh_token: Option<String>, now: Timestamp) -> Tokens {
        let access_token = self.ledger.issue_access(family, &self.habits, now);
        let scopes = self.ledger.families[family].scopes.clone();
        Tokens { access_token, refresh_token, scopes, id_token: None, further: None }
    }

    fn fresh(&mut self, client: &Client, jti: Option<&str>) -> Result<(), Refusal> {
        match jti {
            Some(jti) if !self.ledger.first_use(&client.id, jti) => {
                Err(refusal("invalid_grant", "the assertion was used before"))
            }
            _ => Ok(()),
        }
    }
}

/// RFC 7636 section 4.6. A verifier without a challenge is refused too: somebody may have stripped the challenge from
/// the authorization request (RFC 9700 section 4.8.2).
fn proves(challenge: Option<&Challenge>, verifier: Option<&str>) -> Result<(), Refusal> {
    let proven = match (challenge, verifier) {
        (None, None) => true,
        (Some(Challenge::Plain(challenge)), Some(verifier)) => challenge == verifier,
        (Some(Challenge::S256(challenge)), Some(verifier)) => {
            *challenge == URL_SAFE_NO_PAD.encode(Sha256::digest(verifier.as_bytes()))
        }
        (None, Some(_)) | (Some(_), None) => false,
    };
    proven.then_some(()).ok_or_else(|| refusal("invalid_grant", "code_verifier does not fit the code_challenge"))
}

fn required<'a>(params: &'a Params, name: &str) -> Result<&'a str, Refusal> {
    params.text(name).ok_or_else(|| refusal("invalid_request", &format!("there is no {name}")))
}
