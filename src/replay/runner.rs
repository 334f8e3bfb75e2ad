//! Replays one fixture and tells what was not as it says.

use super::fixture::{Fixture, Request, Token};
use super::server::{Seen, Server};
use crate::connector::{AuthorizeOptions, ConnectOptions, Connector, Error, Proof};
use crate::exchange::ExchangeError;
use crate::model::{ConnectionName, ExpirySource, Failure, GrantType, Secret, TestClock, TokenKind};
use crate::refresh::{RefreshError, Want};
use crate::registry::parse_application;
use crate::seal::Keyring;
use crate::store::MemoryStore;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Something that is not as the fixture says.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// What was looked at.
    pub what: String,
    /// What the fixture says.
    pub expected: String,
    /// What was there.
    pub actual: String,
}

/// Replays a fixture with the scripts of a folder and the shipped ones. Nothing of it reaches a home or a real provider.
pub async fn replay(fixture: &Fixture, scripts: Option<&Path>) -> Vec<Difference> {
    let mut found = Vec::new();
    if let Err(reason) = run(fixture, scripts, &mut found).await {
        found.push(difference("the exchange", "to be made", &reason));
    }
    found
}

const NAME: &str = "fixture/replay";
const CLIENT_ID: &str = "cid";
const CLIENT_SECRET: &str = "csecret";

async fn run(fixture: &Fixture, scripts: Option<&Path>, found: &mut Vec<Difference>) -> Result<(), String> {
    let server = Server::start(&fixture.reply).await.map_err(text)?;
    let clock = TestClock::new(fixture.now);
    let keyring = Keyring::generate(fixture.now).map_err(text)?;
    let mut builder = Connector::builder(Arc::new(MemoryStore::new()), keyring).clock(Arc::new(clock));
    if let Some(folder) = scripts {
        builder = builder.scripts(folder.to_owned());
    }
    let connector = builder.build().map_err(text)?;
    let draft = parse_application(&application(fixture, &server.base)?, &fixture.name, false).map_err(text)?;
    connector.apply(draft, &mut |_| Ok(Secret::new(CLIENT_SECRET))).await.map_err(text)?;
    let name: ConnectionName = NAME.parse().map_err(text)?;
    let result = match fixture.grant {
        GrantType::AuthorizationCode => {
            let authorization = connector.authorize(&name, AuthorizeOptions::default()).await.map_err(text)?;
            let sent: BTreeMap<String, String> = authorization.url.query_pairs().into_owned().collect();
            compare("authorization", &fixture.expect.authorization, |name| sent.get(name).cloned(), found);
            connector.complete(callback(fixture, &authorization.redirect_url, &sent).as_str()).await
        }
        GrantType::RefreshToken => connect(&connector, &name, Proof::RefreshToken(Secret::new("rt-old"))).await,
        GrantType::Password => connect(&connector, &name, Proof::Password(Secret::new("password"))).await,
        GrantType::ClientCredentials | GrantType::JwtBearer => connect(&connector, &name, Proof::None).await,
        GrantType::DeviceCode => return Err("fixtures of the device grant cannot be replayed".to_owned()),
    };
    let seen = server.seen();
    match seen.first() {
        Some(request) => compare_request(&fixture.expect.request, request, found),
        None => found.push(difference("requests", "a token request", "none was sent")),
    }
    match (&fixture.expect.token, &fixture.expect.error, result) {
        (Some(token), _, Ok(_)) => compare_token(token, fixture, &connector, &name, &server, found).await.map_err(text),
        (_, Some(error), Err(actual)) => {
            match failure_of(&actual) {
                Some(failure) => {
                    check("error kind", error.kind.as_str(), failure.kind.as_str(), found);
                    if let Some(code) = &error.code {
                        check("error code", code, &failure.code, found);
                    }
                }
                None => found.push(difference("error", error.kind.as_str(), &actual.to_string())),
            }
            Ok(())
        }
        (Some(_), _, Err(actual)) => {
            found.push(difference("outcome", "a token", &actual.to_string()));
            Ok(())
        }
        (None, error, Ok(_)) => {
            let kind = error.as_ref().map_or("an error", |error| error.kind.as_str());
            found.push(difference("outcome", kind, "a token"));
            Ok(())
        }
        (None, None, Err(actual)) => Err(actual.to_string()),
    }
}

async fn connect(
    connector: &Connector,
    name: &ConnectionName,
    proof: Proof,
) -> Result<crate::model::Connection, Error> {
    connector.connect(name, ConnectOptions { proof, ..ConnectOptions::default() }).await
}

/// The application's file: the fixture's keys, and what the runner adds.
fn application(fixture: &Fixture, base: &str) -> Result<String, String> {
    let mut table = fixture.application.clone();
    let is_public = table.get("client_authentication").and_then(toml::Value::as_str) == Some("none");
    table.insert("name".to_owned(), "fixture".into());
    table.insert("client_id".to_owned(), CLIENT_ID.into());
    if !is_public {
        let source = toml::Table::from_iter([("env".to_owned(), "FIXTURE".into())]);
        table.insert("client_secret".to_owned(), source.into());
    }
    let mut endpoints = toml::Table::new();
    for endpoint in ["authorization", "token"] {
        endpoints.insert(endpoint.to_owned(), format!("{base}/{endpoint}").into());
    }
    table.insert("endpoints".to_owned(), endpoints.into());
    let profiles = table.entry("profiles").or_insert_with(|| toml::Table::new().into());
    let default = profiles
        .as_table_mut()
        .map(|profiles| profiles.entry("default").or_insert_with(|| toml::Table::new().into()))
        .and_then(toml::Value::as_table_mut)
        .ok_or("application.profiles must be tables")?;
    match fixture.grant {
        GrantType::ClientCredentials | GrantType::Password | GrantType::JwtBearer => {
            default.insert("grant".to_owned(), fixture.grant.as_str().into());
            default.entry("username").or_insert_with(|| "user".into());
        }
        _ => {}
    }
    toml::to_string(&table).map_err(text)
}

fn callback(fixture: &Fixture, redirect_url: &Url, sent: &BTreeMap<String, String>) -> Url {
    let mut url = redirect_url.clone();
    url.query_pairs_mut()
        .append_pair("code", "code-1")
        .append_pair("state", sent.get("state").map_or("", String::as_str))
        .extend_pairs(&fixture.callback);
    url
}

fn compare_request(expected: &Request, request: &Seen, found: &mut Vec<Difference>) {
    let header = |name: &str| request.headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
    if let Some(method) = &expected.method {
        check("request method", method, &request.method, found);
    }
    if let Some(kind) = &expected.content_type {
        let actual = header("content-type").unwrap_or_default();
        check("request content type", kind, actual.split(';').next().unwrap_or_default().trim(), found);
    }
    if let Some(auth) = &expected.auth {
        let basic = header("authorization").is_some_and(|value| value.starts_with("Basic "));
        let actual = match (basic, request.params.contains("client_secret")) {
            (true, _) => "basic",
            (false, true) => "post",
            (false, false) => "none",
        };
        check("client authentication", auth, actual, found);
    }
    let param = |name: &str| request.params.get(name).map(plain);
    compare("request parameter", &expected.params, param, found);
    for name in &expected.absent {
        if let Some(value) = param(name) {
            found.push(difference(&format!("request parameter {name}"), "nothing", &value));
        }
    }
    compare("request header", &expected.headers, header, found);
}

async fn compare_token(
    expected: &Token,
    fixture: &Fixture,
    connector: &Connector,
    name: &ConnectionName,
    server: &Server,
    found: &mut Vec<Difference>,
) -> Result<(), Error> {
    let token = connector.token_that(name, Want::GoodFor(Duration::ZERO)).await?;
    check("access token", &expected.access_token, token.secret().expose(), found);
    check("token type", &expected.token_type, token.token_type(), found);
    let stated = (token.expires().source == ExpirySource::Stated).then(|| token.expires().seconds_left(fixture.now));
    let lifetime =
        |seconds: Option<u64>| seconds.map_or_else(|| "not stated".to_owned(), |seconds| seconds.to_string());
    check("lifetime", &lifetime(expected.expires_in), &lifetime(stated), found);
    check("scopes", &expected.scopes.join(" "), &token.scopes().join(" "), found);
    let fields = Value::Object(connector.connection(name).await?.fields);
    for (path, value) in &expected.fields {
        let actual = path.split('.').try_fold(&fields, |inside, part| inside.get(part));
        let expected = serde_json::to_value(value).unwrap_or_default();
        check(&format!("field {path}"), &plain(&expected), &actual.map_or_else(|| "nothing".to_owned(), plain), found);
    }
    // Which refresh token is held is seen from outside: the next refresh sends it.
    let held = connector.credentials(None, Some(name)).await?.iter().any(|one| one.kind == TokenKind::RefreshToken);
    let mut sent = None;
    if held {
        let before = server.seen().len();
        // Whether this second reply is read does not matter.
        let _ = connector.refresh(name).await;
        sent = server.seen().get(before).and_then(|request| request.params.get("refresh_token").map(plain));
    }
    let shown = |token: Option<&str>| token.unwrap_or("nothing").to_owned();
    check("refresh token", &shown(expected.refresh_token.as_deref()), &shown(sent.as_deref()), found);
    Ok(())
}

/// Compares named values; `*` is any.
fn compare(
    what: &str,
    expected: &BTreeMap<String, String>,
    actual: impl Fn(&str) -> Option<String>,
    found: &mut Vec<Difference>,
) {
    for (name, value) in expected {
        match actual(name) {
            Some(actual) if value == "*" || *value == actual => {}
            other => found.push(difference(&format!("{what} {name}"), value, other.as_deref().unwrap_or("nothing"))),
        }
    }
}

fn check(what: &str, expected: &str, actual: &str, found: &mut Vec<Difference>) {
    if expected != actual {
        found.push(difference(what, expected, actual));
    }
}

fn difference(what: &str, expected: &str, actual: &str) -> Difference {
    Difference { what: what.to_owned(), expected: expected.to_owned(), actual: actual.to_owned() }
}

fn failure_of(error: &Error) -> Option<Failure> {
    match error {
        Error::NotAuthorized { error: error @ ExchangeError::Failed(_), .. } => Some(error.failure()),
        Error::Refresh(RefreshError::Failing { failure, .. }) => Some(failure.clone()),
        Error::Refresh(RefreshError::ReauthorizationRequired { failure, .. }) => failure.clone(),
        _ => None,
    }
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}
