//! The room's tests: each drives the public face with a script written into a folder of its own.

mod docs;
mod helpers;
mod hooks;
mod hostile;
mod library;

use super::*;
use crate::model::{ClientAuthentication, GrantType, Profile, ProfileName, Secret, Timestamp};
use crate::oauth::{Params, RawReply, TokenRequest, Value};
use std::collections::BTreeMap;
use std::sync::Arc;
use tempfile::TempDir;
use url::Url;

/// Scripts in a folder that lives as long as this.
struct Home {
    folder: TempDir,
    scripts: Scripts,
}

impl Home {
    fn with(files: &[(&str, &str)]) -> Self {
        Self::limited(files, Settings::default())
    }

    fn limited(files: &[(&str, &str)], settings: Settings) -> Self {
        let folder = TempDir::new().unwrap();
        for (name, source) in files {
            std::fs::write(folder.path().join(format!("{name}.rhai")), source).unwrap();
        }
        let scripts = Scripts::open(Some(folder.path()), settings).unwrap();
        Self { folder, scripts }
    }

    fn get(&self, name: &str) -> Script {
        self.scripts.get(Some(&name.parse().unwrap())).unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The script `OAuthTest` of one source.
fn script(source: &str) -> Script {
    Home::with(&[("OAuthTest", source)]).get("OAuthTest")
}

/// A script whose `preprocessAccessToken` has a body.
fn request_script(body: &str) -> Script {
    script(&format!("fn preprocessAccessToken(requestParamMap) {{\n{body}\n}}"))
}

fn context() -> Context {
    let secrets =
        [("client_secret", "the-client-secret-1"), ("api", "key-of-the-api"), ("private_key", include_str!("rsa.pem"))];
    Context {
        application: "drive".parse().unwrap(),
        client_id: "cid".to_owned(),
        profile_name: ProfileName::default(),
        profile: Profile {
            scopes: vec!["read".to_owned(), "write".to_owned()],
            audience: Some("https://api.provider.example".to_owned()),
            ..Profile::default()
        },
        grant: GrantType::AuthorizationCode,
        connection: "drive/reports".parse().unwrap(),
        labels: BTreeMap::from([("team".to_owned(), "sales".to_owned())]),
        fields: serde_json::Map::from_iter([("shop".to_owned(), Value::from("acme"))]),
        secrets: Arc::new(secrets.map(|(name, text)| (name.to_owned(), Secret::new(text))).into_iter().collect()),
        allowed: Arc::new(|url: &Url| url.host_str().is_some_and(|host| host.ends_with("provider.example"))),
        now: Timestamp::from_second(1_700_000_000).unwrap(),
        calls: None,
        reply: Arc::default(),
    }
}

fn token_request() -> TokenRequest {
    let params =
        [("grant_type", "authorization_code"), ("code", "code-secret-1"), ("redirect_uri", "http://127.0.0.1/")];
    let endpoint = Url::parse("https://provider.example/token").unwrap();
    TokenRequest::post(&endpoint, params.into_iter().collect(), ClientAuthentication::Basic)
}

fn reply(status: u16, content_type: &str, body: &str) -> RawReply {
    RawReply {
        status,
        headers: vec![("content-type".to_owned(), content_type.to_owned()), ("x-request".to_owned(), "r1".to_owned())],
        body: zeroize::Zeroizing::new(body.as_bytes().to_vec()),
    }
}

fn json(body: &str) -> RawReply {
    reply(200, "application/json", body)
}

async fn request(script: &Script) -> Result<Kept<TokenRequest>, ScriptError> {
    script.request(&context(), token_request()).await
}

/// What the body of `preprocessAccessToken` puts into `out`.
async fn out(body: &str) -> Value {
    let made = request(&request_script(body)).await.unwrap_or_else(|error| panic!("{error}"));
    made.value.params.get("out").cloned().unwrap_or(Value::Null)
}

async fn broke(script: &Script) -> Broke {
    match request(script).await {
        Err(ScriptError::Broke(broke)) => *broke,
        other => panic!("did not break: {other:?}"),
    }
}

async fn token(script: &Script, reply: &RawReply) -> Params {
    match script.reply(&context(), reply).await {
        Ok(Kept { value: Reading::Token(params), .. }) => params,
        other => panic!("no token: {other:?}"),
    }
}

async fn failure(script: &Script, reply: &RawReply) -> crate::model::Failure {
    match script.reply(&context(), reply).await {
        Ok(Kept { value: Reading::Failed(failure), .. }) => failure,
        other => panic!("no failure: {other:?}"),
    }
}
