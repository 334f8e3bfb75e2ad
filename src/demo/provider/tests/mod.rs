//! The provider is strict, and misbehaves exactly as told: driven over HTTP, as an application would.

mod clients;
mod consent;
mod habits;
mod identity;
mod tokens;

use super::*;
use crate::demo::{Browser, BrowserError};
use crate::model::{ClientAuthentication, TestClock, Timestamp};
use crate::oauth::Params;
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::time::Duration;

const REDIRECT: &str = "http://127.0.0.1/callback/drive";
const VERIFIER: &str = "a-verifier-of-at-least-forty-three-characters-0";

struct Site {
    provider: DemoProvider,
    clock: TestClock,
    http: reqwest::Client,
}

/// A provider that knows `web` (Basic, secret `s3cret`), and a client to talk to it.
async fn site(habits: Habits) -> Site {
    let clock = TestClock::new("2026-11-23T12:00:00Z".parse::<Timestamp>().unwrap());
    let provider = DemoProvider::start(Arc::new(clock.clone()), habits).await.unwrap();
    provider.register(Client::new("web", "s3cret".to_owned()).redirecting_to(REDIRECT.parse().unwrap()));
    let http = reqwest::Client::builder()
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tls_certs_only([])
        .build()
        .unwrap();
    Site { provider, clock, http }
}

struct Reply {
    status: u16,
    content_type: String,
    authenticate: String,
    body: String,
}

impl Reply {
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }

    fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_default().to_owned()
    }

    fn error(&self) -> String {
        self.text("error")
    }
}

impl Site {
    fn authorization_url(&self, more: &[(&str, &str)]) -> Url {
        let mut url = self.provider.authorization_endpoint();
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(VERIFIER));
        let standard = [
            ("response_type", "code"),
            ("client_id", "web"),
            ("redirect_uri", REDIRECT),
            ("state", "st&te 1"),
            ("scope", "drive.readonly profile"),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ];
        let kept = standard.iter().filter(|(name, _)| more.iter().all(|(other, _)| other != name));
        url.query_pairs_mut().extend_pairs(kept).extend_pairs(more.iter().filter(|(_, value)| !value.is_empty()));
        url
    }

    /// The callback of a consent that asks for a refresh token.
    async fn consent(&self) -> Url {
        let url = self.authorization_url(&OFFLINE);
        Browser::of("alice").unwrap().consent(&url).await.unwrap()
    }

    async fn code(&self) -> String {
        query(&self.consent().await, "code")
    }

    async fn post(&self, url: Url, basic: Option<&str>, form: &[(&str, &str)]) -> Reply {
        let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(form).finish();
        let mut request = self.http.post(url).header("content-type", "application/x-www-form-urlencoded").body(body);
        if let Some(credentials) = basic {
            request = request.header("authorization", format!("Basic {}", STANDARD.encode(credentials)));
        }
        reply(request).await
    }

    async fn token(&self, form: &[(&str, &str)]) -> Reply {
        self.post(self.provider.token_endpoint(), Some("web:s3cret"), form).await
    }

    async fn exchange(&self, code: &str) -> Reply {
        self.token(&exchange_of(code)).await
    }

    async fn refresh(&self, token: &str) -> Reply {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Access and refresh token of a fresh grant.
    async fn granted(&self) -> (String, String) {
        let reply = self.exchange(&self.code().await).await;
        (reply.text("access_token"), reply.text("refresh_token"))
    }

    async fn files(&self, token: &str) -> Reply {
        reply(self.http.get(self.provider.files_url()).header("authorization", format!("Bearer {token}"))).await
    }
}

const OFFLINE: [(&str, &str); 2] = [("access_type", "offline"), ("prompt", "consent")];

fn exchange_of(code: &str) -> [(&str, &str); 4] {
    [("grant_type", "authorization_code"), ("code", code), ("redirect_uri", REDIRECT), ("code_verifier", VERIFIER)]
}

async fn reply(request: reqwest::RequestBuilder) -> Reply {
    let reply = request.send().await.unwrap();
    let header =
        |name: &str| reply.headers().get(name).map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    Reply {
        status: reply.status().as_u16(),
        content_type: header("content-type"),
        authenticate: header("www-authenticate"),
        body: reply.text().await.unwrap(),
    }
}

fn query(url: &Url, name: &str) -> String {
    url.query_pairs().find(|(known, _)| known == name).map(|(_, value)| value.into_owned()).unwrap_or_default()
}
