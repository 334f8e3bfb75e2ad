//! Replays one fixture and tells what was not as it says.

use super::compare::{self, Comparison, plain};
use super::fixture::{Failed, Fixture, Token};
use super::masks::{CODE, Masks, PASSWORD};
use super::report::{Report, Section};
use super::server::Server;
use super::stage::{self, text};
use crate::connector::{AuthorizeOptions, ConnectOptions, Connector, DevicePoll, Error, Proof};
use crate::model::{
    Application, Connection, ConnectionName, Credential, Expiry, ExpirySource, Failure, GrantType, Secret, TestClock,
    Timestamp, TokenKind,
};
use crate::refresh::{RefreshError, Want, newest};
use crate::registry::parse_application;
use crate::seal::Keyring;
use crate::store::MemoryStore;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Replays a fixture with the scripts beside it, those of a folder and the shipped ones. Nothing of it reaches a home or a
/// real provider.
pub async fn replay(fixture: &Fixture, scripts: Option<&Path>) -> Report {
    let masks = Masks::of(fixture);
    let mut sections = Vec::new();
    if let Err(reason) = run(fixture, scripts, &masks, &mut sections).await {
        let mut failed = Comparison::new(&masks, "the fixture");
        failed.check_all("how it went", Some("it can be replayed"), Some(&reason));
        sections.push(failed.done());
    }
    Report { sections }
}

async fn run(
    fixture: &Fixture,
    scripts: Option<&Path>,
    masks: &Masks,
    sections: &mut Vec<Section>,
) -> Result<(), String> {
    let server = Server::start().await.map_err(text)?;
    let connector = connector(fixture, scripts, &server)?;
    let draft = parse_application(&stage::application(fixture)?, &fixture.name, false).map_err(text)?;
    if fixture.grant == GrantType::RefreshToken || !fixture.stored.fields.is_empty() {
        stage::hold(fixture, &draft, &connector, &server).await?;
    }
    server.lay_out(fixture.exchanges.iter().map(|exchange| exchange.reply.clone()));
    let mut secrets = |source: &_| stage::secret(fixture, source);
    let (application, _) = connector.apply(draft, &mut secrets).await.map_err(text)?;
    let name = stage::name()?;
    let result = ask(fixture, &connector, &application, &name, masks, sections).await;
    let seen = server.take_seen();
    for at in 0..fixture.exchanges.len().max(seen.len()) {
        let expected = fixture.exchanges.get(at).map(|exchange| &exchange.request);
        sections.push(compare::request(at + 1, expected, seen.get(at), &fixture.client, masks));
    }
    let mut outcome = Comparison::new(masks, "outcome");
    match (&fixture.expect.error, result) {
        (None, Ok(())) => {
            sections.extend(tokens(fixture, &connector, &name, masks).await?);
            return Ok(());
        }
        (None, Err(error)) => outcome.check_all("what came of it", Some("a token"), Some(&error.to_string())),
        (Some(expected), Ok(())) => outcome.check_all("kind", Some(expected.kind.as_str()), Some("a token")),
        (Some(expected), Err(error)) => compare_error(expected, &error, &mut outcome),
    }
    sections.push(outcome.done());
    Ok(())
}

fn connector(fixture: &Fixture, scripts: Option<&Path>, server: &Server) -> Result<Connector, String> {
    let clock = TestClock::new(fixture.now);
    let keyring = Keyring::generate(fixture.now).map_err(text)?;
    let mut beside = Vec::new();
    for (name, script) in &fixture.scripts {
        beside.push((name.parse().map_err(text)?, script.clone()));
    }
    let builder = Connector::builder(Arc::new(MemoryStore::new()), keyring);
    let mut builder = builder.clock(Arc::new(clock)).detour(server.address).given_scripts(beside);
    if let Some(folder) = scripts {
        builder = builder.scripts(folder.to_owned());
    }
    builder.build().map_err(text)
}

/// Asks with the fixture's grant, as an application would.
async fn ask(
    fixture: &Fixture,
    connector: &Connector,
    application: &Application,
    name: &ConnectionName,
    masks: &Masks,
    sections: &mut Vec<Section>,
) -> Result<(), Error> {
    let labels = fixture.stored.labels.clone();
    let connect = |proof: Proof| {
        let options = ConnectOptions { proof, labels: labels.clone(), ..ConnectOptions::default() };
        async move { connector.connect(name, options).await.map(drop) }
    };
    match fixture.grant {
        GrantType::AuthorizationCode => {
            let options = AuthorizeOptions { labels: labels.clone(), ..AuthorizeOptions::default() };
            let authorization = connector.authorize(name, options).await?;
            sections.push(compare::authorization(&fixture.expect.authorization, &authorization.url, masks));
            let callback = callback(fixture, application, &authorization.redirect_url, &authorization.url);
            connector.complete(callback.as_str()).await.map(drop)
        }
        GrantType::RefreshToken => connector.refresh(name).await.map(drop),
        GrantType::Password => connect(Proof::Password(Secret::new(PASSWORD))).await,
        GrantType::ClientCredentials | GrantType::JwtBearer => connect(Proof::None).await,
        GrantType::DeviceCode => {
            let mut start = connector.start_device(name, None, labels).await?;
            // Each poll is an exchange of the fixture; one more shows that the fixture ends too early.
            for _ in 0..=fixture.exchanges.len() {
                if let DevicePoll::Done(_) = connector.poll_device(&mut start).await? {
                    break;
                }
            }
            Ok(())
        }
    }
}

fn callback(fixture: &Fixture, _application: &Application, redirect_url: &Url, sent: &Url) -> Url {
    let state = sent.query_pairs().find(|(name, _)| name == "state").map(|(_, state)| state.into_owned());
    let mut url = redirect_url.clone();
    let mut query = url.query_pairs_mut();
    if !fixture.callback.contains_key("code") {
        query.append_pair("code", CODE);
    }
    query.append_pair("state", &state.unwrap_or_default()).extend_pairs(&fixture.callback);
    drop(query);
    url
}

fn compare_error(expected: &Failed, error: &Error, outcome: &mut Comparison<'_>) {
    let failure = failure_of(error);
    let seconds = |seconds: Option<u64>| seconds.map(|seconds| format!("{seconds} s"));
    let kind = failure.as_ref().map_or(error.code(), |failure| failure.kind.as_str());
    outcome.check_all("kind", Some(expected.kind.as_str()), Some(kind));
    outcome.check("code", expected.code.as_deref(), failure.as_ref().map(|failure| failure.code.as_str()));
    let waits = failure.as_ref().and_then(|failure| seconds(failure.retry_after));
    outcome.check("to wait", seconds(expected.retry_after).as_deref(), waits.as_deref());
    outcome.check("in words", None, Some(&error.to_string()));
}

/// The tokens that are held, each against what the fixture says of it.
async fn tokens(
    fixture: &Fixture,
    connector: &Connector,
    name: &ConnectionName,
    masks: &Masks,
) -> Result<Vec<Section>, String> {
    let connection = connector.connection(name).await.map_err(text)?;
    let credentials = connector.vault().credentials(connection.id).await.map_err(text)?;
    let held = |kind| newest(&credentials, kind).map(|stored| &stored.value);
    let mut sections = Vec::new();
    if let Some(expected) = &fixture.expect.token {
        let mut section = Comparison::new(masks, "token");
        // As an application gets it.
        let token = connector.token_that(name, Want::GoodFor(Duration::ZERO)).await.map_err(text)?;
        let header = token.authorization();
        let scheme = header.expose().split_once(' ').map_or("", |(scheme, _)| scheme);
        section.check_all("type", Some(&expected.token_type), Some(scheme));
        compare_token(expected, held(TokenKind::AccessToken), held(TokenKind::RefreshToken), fixture.now, &mut section);
        compare_fields(expected, &connection, &mut section);
        sections.push(section.done());
    }
    Ok(sections)
}

fn compare_token(
    expected: &Token,
    access: Option<&Credential>,
    refresh: Option<&Credential>,
    now: Timestamp,
    section: &mut Comparison<'_>,
) {
    let token = |credential: Option<&Credential>| credential.map(|one| one.token.expose().to_owned());
    section.check_secret("access token", Some(&expected.access_token), token(access).as_deref());
    section.check_secret("refresh token", expected.refresh_token.as_deref(), token(refresh).as_deref());
    let lifetime =
        |seconds: Option<u64>| seconds.map_or_else(|| "not stated".to_owned(), |seconds| format!("{seconds} s"));
    let stated = |credential: Option<&Credential>| {
        credential
            .map(|one| one.expires)
            .filter(|expires| expires.source == ExpirySource::Stated)
            .map(|expires: Expiry| expires.seconds_left(now))
    };
    section.check_all("lifetime", Some(&lifetime(expected.expires_in)), Some(&lifetime(stated(access))));
    let (expected_refresh, actual_refresh) = (lifetime(expected.refresh_expires_in), lifetime(stated(refresh)));
    section.check_all("lifetime of the refresh token", Some(&expected_refresh), Some(&actual_refresh));
    let scopes = access.map(|one| one.scopes.join(" ")).unwrap_or_default();
    section.check_all("scopes", Some(&expected.scopes.join(" ")), Some(&scopes));
}

fn compare_fields(expected: &Token, connection: &Connection, section: &mut Comparison<'_>) {
    let fields = Value::Object(connection.fields.clone());
    for (path, value) in &expected.fields {
        // A provider's own name may have a dot in it.
        let whole = fields.get(path);
        let actual = whole.or_else(|| path.split('.').try_fold(&fields, |inside, part| inside_of(inside, part)));
        let expected = serde_json::to_value(value).unwrap_or_default();
        section.check(&format!("field {path}"), Some(&plain(&expected)), actual.map(plain).as_deref());
    }
}

fn inside_of<'a>(value: &'a Value, part: &str) -> Option<&'a Value> {
    match value {
        Value::Array(items) => items.get(part.parse::<usize>().ok()?),
        other => other.get(part),
    }
}

/// The provider's failure in an error, where it is one.
pub(crate) fn failure_of(error: &Error) -> Option<Failure> {
    match error {
        Error::NotAuthorized { error, .. } | Error::Exchange(error) => Some(error.failure()),
        Error::Denied { failure, .. } | Error::Refresh(RefreshError::Failing { failure, .. }) => Some(failure.clone()),
        Error::Refresh(RefreshError::ReauthorizationRequired { failure, .. }) => failure.clone(),
        _ => None,
    }
}
