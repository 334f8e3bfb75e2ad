//! What a fixture needs before it can be replayed: the application's file, and the connection as it was before.

use super::fixture::{Fixture, Pairs, Reply};
use super::masks::CODE;
use super::server::Server;
use crate::connector::{Authorization, AuthorizeOptions, Connector};
use crate::model::{CallbackHabits, ClientAuthentication, ConnectionName, Endpoints, GrantType, Secret};
use crate::registry::{Draft, SecretSource, Settings};
use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
use aws_lc_rs::hmac;
use aws_lc_rs::rsa::{KeyPair, KeySize};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use std::sync::OnceLock;
use url::Url;

/// The connection of every fixture.
pub(super) const NAME: &str = "fixture/replay";

/// The application's file: the fixture's keys, and what the runner adds.
pub(super) fn application(fixture: &Fixture) -> Result<String, String> {
    let mut table = fixture.application.clone();
    let says = |key: &str| fixture.application.get(key).and_then(toml::Value::as_str);
    table.insert("name".to_owned(), "fixture".into());
    table.insert("client_id".to_owned(), fixture.client.id.as_str().into());
    // A public client's too: it may go out in a header, or sign.
    table.insert("client_secret".to_owned(), from_the_runner("client_secret"));
    if let Some(secrets) = table.get_mut("secrets").and_then(toml::Value::as_table_mut) {
        for (name, source) in secrets.iter_mut() {
            *source = from_the_runner(name);
        }
    }
    let endpoints = fixture.application.get("endpoints").and_then(toml::Value::as_table);
    let has_metadata = endpoints.is_some_and(|endpoints| endpoints.contains_key("issuer"));
    if says("provider").is_none() && !has_metadata {
        let endpoints = inner(&mut table, "endpoints")?;
        for (endpoint, path) in [("authorization", "authorize"), ("token", "token")] {
            endpoints.entry(endpoint).or_insert_with(|| format!("https://provider.example/{path}").into());
        }
    }
    if fixture.grant != GrantType::RefreshToken && says("default_grant").is_none() {
        let default = inner(inner(&mut table, "profiles")?, "default")?;
        default.entry("grant").or_insert_with(|| fixture.grant.as_str().into());
        if fixture.grant == GrantType::Password {
            default.entry("username").or_insert_with(|| "user-1".into());
        }
    }
    toml::to_string(&table).map_err(|error| error.to_string())
}

/// The secrets that [`application`] points at.
pub(super) fn secret(fixture: &Fixture, source: &SecretSource) -> Result<Secret, String> {
    let SecretSource::Env(name) = source else { return Err("a fixture's secrets are the runner's".to_owned()) };
    Ok(match name.as_str() {
        "client_secret" => Secret::new(fixture.client.secret.as_str()),
        "private_key" => Secret::new(private_key()?),
        other => Secret::new(format!("{other}-secret")),
    })
}

/// Makes the connection as it was before: a first consent at a provider without habits, whose reply carries the stored
/// tokens and fields. What bends requests and replies comes over it afterwards.
pub(super) async fn hold(
    fixture: &Fixture,
    draft: &Draft,
    connector: &Connector,
    server: &Server,
) -> Result<(), String> {
    let endpoint = |path: &str| format!("https://provider.example/{path}").parse().map_err(text);
    let mut profiles = draft.settings.profiles.clone();
    for profile in profiles.values_mut() {
        profile.grant = Some(GrantType::AuthorizationCode);
    }
    let plain = Draft {
        settings: Settings {
            endpoints: Endpoints {
                authorization: Some(endpoint("authorize")?),
                token: Some(endpoint("token")?),
                ..Endpoints::default()
            },
            client_authentication: Some(ClientAuthentication::None),
            profiles,
            ..Settings::default()
        },
        provider: None,
        client_secret: None,
        secrets: std::collections::BTreeMap::new(),
        ..draft.clone()
    };
    connector.apply(plain, &mut |source| secret(fixture, source)).await.map_err(text)?;
    let held = &fixture.stored;
    let mut reply = Map::new();
    for (name, value) in &held.fields {
        reply.insert(name.clone(), serde_json::to_value(value).map_err(text)?);
    }
    for (name, token) in [("access_token", &held.access_token), ("refresh_token", &held.refresh_token)] {
        reply.insert(name.to_owned(), token.as_str().into());
    }
    let mut further = Map::new();
    for (name, held) in &held.tokens {
        let refresh = held.refresh_token.iter().map(|token| ("refresh_token".to_owned(), token.as_str().into()));
        let access = ("access_token".to_owned(), held.access_token.as_str().into());
        further.insert(name.clone(), Value::Object(refresh.chain([access]).collect()));
    }
    if !further.is_empty() {
        reply.insert("tokens".to_owned(), further.into());
    }
    server.lay_out([Reply {
        status: 200,
        headers: Pairs::from([("content-type".to_owned(), "application/json".to_owned())]),
        body: Some(Value::Object(reply).to_string()),
        body_base64: None,
        generate: None,
    }]);
    let options = AuthorizeOptions { labels: held.labels.clone(), ..AuthorizeOptions::default() };
    let authorization = connector.authorize(&name()?, options).await.map_err(text)?;
    let mut callback: Url = authorization.redirect_url;
    callback.query_pairs_mut().append_pair("code", "before").append_pair("state", authorization.state.expose());
    connector.complete(callback.as_str()).await.map_err(text)?;
    server.take_seen();
    Ok(())
}

/// The callback as the provider sends it: the code, the state, and the fixture's parameters; a signature that the fixture
/// leaves open (`*`) is the right one.
pub(super) fn callback(fixture: &Fixture, habits: &CallbackHabits, authorization: &Authorization) -> Url {
    let mut pairs = fixture.callback.clone();
    let code = pairs.remove("code").unwrap_or_else(|| CODE.to_owned());
    pairs.insert(habits.code.clone().unwrap_or_else(|| "code".to_owned()), code);
    pairs.insert(habits.state.clone().unwrap_or_else(|| "state".to_owned()), authorization.state.expose().to_owned());
    if let Some(name) = habits.hmac.as_ref().filter(|name| pairs.get(*name).is_some_and(|value| value == "*")) {
        pairs.remove(name);
        let text = pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&");
        let key = hmac::Key::new(hmac::HMAC_SHA256, fixture.client.secret.as_bytes());
        let signature = hmac::sign(&key, text.as_bytes());
        pairs.insert(name.clone(), signature.as_ref().iter().map(|byte| format!("{byte:02x}")).collect());
    }
    let mut url = authorization.redirect_url.clone();
    url.query_pairs_mut().extend_pairs(&pairs);
    url
}

pub(super) fn name() -> Result<ConnectionName, String> {
    NAME.parse().map_err(text)
}

pub(super) fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn from_the_runner(name: &str) -> toml::Value {
    toml::Table::from_iter([("env".to_owned(), name.into())]).into()
}

fn inner<'a>(table: &'a mut toml::Table, key: &str) -> Result<&'a mut toml::Table, String> {
    let entry = table.entry(key).or_insert_with(|| toml::Table::new().into());
    entry.as_table_mut().ok_or_else(|| format!("application.{key} must be a table"))
}

/// An RSA key in PEM, made once a process: what signs with a key takes RSA everywhere.
fn private_key() -> Result<&'static str, String> {
    static KEY: OnceLock<Option<String>> = OnceLock::new();
    let made = KEY.get_or_init(|| {
        let der = AsDer::<Pkcs8V1Der<'_>>::as_der(&KeyPair::generate(KeySize::Rsa2048).ok()?).ok()?;
        let encoded = STANDARD.encode(der.as_ref());
        let lines: Vec<&str> =
            (0..encoded.len()).step_by(64).map(|at| &encoded[at..(at + 64).min(encoded.len())]).collect();
        Some(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")))
    });
    made.as_deref().ok_or_else(|| "no private key could be made".to_owned())
}
