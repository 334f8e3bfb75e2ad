//! Replays one fixture and tells what was not as it says.

use super::compare::{self, Comparison, plain};
use super::fixture::{Failed, Fixture, Then, Token};
use super::masks::{Masks, PASSWORD};
use super::report::{Report, Section};
use super::server::Server;
use super::stage::{self, text};
use crate::connector::{AuthorizeOptions, ConnectOptions, Connector, DevicePoll, Error, Proof};
use crate::model::{
    CallbackHabits, Connection, ConnectionName, Credential, Expiry, ExpirySource, Failure, GrantType, Secret,
    TestClock, Timestamp, TokenKind,
};
use crate::refresh::{RefreshError, Want, newest};
use crate::registry::{Draft, parse_application, parse_application_without};
use crate::seal::Keyring;
use crate::store::MemoryStore;
use jiff::SignedDuration;
use serde_json::Value;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Replays a fixture with the scripts beside it, those of a folder and the shipped ones. Nothing of it reaches a home or a
/// real provider.
pub async fn replay(fixture: &Fixture, scripts: Option<&Path>) -> Report {
    match read(fixture) {
        Ok(draft) => replay_with(fixture, scripts, draft.clone(), &draft.settings.habits.callback).await,
        Err(reason) => cannot(fixture, &reason),
    }
}

/// The same as if one key of the vocabulary ([`crate::registry::KEYS`]) were neither in the fixture's application nor in its
/// provider's entry; `None` where it is in neither.
pub async fn replay_without(fixture: &Fixture, scripts: Option<&Path>, key: &str) -> Option<Report> {
    let whole = read(fixture).ok()?;
    let without = parse_application_without(&stage::application(fixture).ok()?, &fixture.name, false, Some(key));
    match without {
        Ok(draft) if draft == whole => None,
        // The provider's callback is what it is, whatever the entry says of it.
        Ok(draft) => Some(replay_with(fixture, scripts, draft, &whole.settings.habits.callback).await),
        Err(error) => Some(cannot(fixture, &error.to_string())),
    }
}

fn read(fixture: &Fixture) -> Result<Draft, String> {
    parse_application(&stage::application(fixture)?, &fixture.name, false).map_err(text)
}

/// A report that the replay did not begin.
fn cannot(fixture: &Fixture, reason: &str) -> Report {
    let masks = Masks::of(fixture);
    let mut failed = Comparison::new(&masks, "the fixture");
    failed.check_all("how it went", Some("it can be replayed"), Some(reason));
    Report { sections: vec![failed.done()] }
}

async fn replay_with(fixture: &Fixture, scripts: Option<&Path>, draft: Draft, callback: &CallbackHabits) -> Report {
    let masks = Masks::of(fixture);
    let mut sections = Vec::new();
    // On the heap: a replay holds a whole connector.
    let run = Box::pin(run(fixture, scripts, draft, callback, &masks, &mut sections));
    if let Err(reason) = run.await {
        let mut failed = Comparison::new(&masks, "the fixture");
        failed.check_all("how it went", Some("it can be replayed"), Some(&reason));
        sections.push(failed.done());
    }
    Report { sections }
}

async fn run(
    fixture: &Fixture,
    scripts: Option<&Path>,
    draft: Draft,
    callback: &CallbackHabits,
    masks: &Masks,
    sections: &mut Vec<Section>,
) -> Result<(), String> {
    let server = Server::start().await.map_err(text)?;
    let age = SignedDuration::from_secs(i64::try_from(fixture.stored.age).unwrap_or_default());
    let clock = TestClock::new(fixture.now.checked_sub(age).map_err(text)?);
    let connector = connector(fixture, scripts, &server, &clock)?;
    if fixture.grant == GrantType::RefreshToken || !fixture.stored.fields.is_empty() {
        Box::pin(stage::hold(fixture, &draft, &connector, &server)).await?;
    }
    clock.set(fixture.now);
    server.lay_out(fixture.exchanges.iter().map(|exchange| exchange.reply.clone()));
    let mut secrets = |source: &_| stage::secret(fixture, source);
    connector.apply(draft, &mut secrets).await.map_err(text)?;
    let name = stage::name()?;
    let mut state = None;
    let mut result = Box::pin(ask(fixture, &connector, callback, &name, &mut state, masks, sections)).await;
    for then in &fixture.then {
        if result.is_ok() {
            result = refresh(*then, &connector, &name).await;
        }
    }
    let mut seen = server.take_seen();
    let mut after = Vec::new();
    let mut outcome = Comparison::new(masks, "outcome");
    match (&fixture.expect.error, result) {
        (None, Ok(())) => {
            after = tokens(fixture, &connector, &name, masks).await?;
            // A token that ends soon is renewed behind the one that was looked at: no request of the fixture's.
            server.take_seen();
            for then in &fixture.then {
                let done = end(*then, &connector, &name).await;
                outcome.check_all(then.as_str(), Some("done"), Some(&done.map_or_else(text, |()| "done".to_owned())));
            }
            seen.append(&mut server.take_seen());
        }
        (None, Err(error)) => outcome.check_all("what came of it", Some("a token"), Some(&error.to_string())),
        (Some(expected), Ok(())) => outcome.check_all("kind", Some(&expected.kind), Some("a token")),
        (Some(expected), Err(error)) => compare_error(expected, &error, &mut outcome),
    }
    for at in 0..fixture.exchanges.len().max(seen.len()) {
        let expected =
            fixture.exchanges.get(at).map(|exchange| compare::with_state(&exchange.request, state.as_deref()));
        sections.push(compare::request(at + 1, expected.as_ref(), seen.get(at), &fixture.client, masks));
    }
    sections.push(outcome.done());
    sections.append(&mut after);
    Ok(())
}

/// What comes before the tokens are looked at.
async fn refresh(then: Then, connector: &Connector, name: &ConnectionName) -> Result<(), Error> {
    match then {
        Then::Refresh => connector.refresh(name).await.map(drop),
        Then::RefreshTokens => {
            for further in connector.connection(name).await?.further() {
                connector.refresh(&further).await?;
            }
            Ok(())
        }
        Then::Introspect | Then::Revoke => Ok(()),
    }
}

/// What comes after that.
async fn end(then: Then, connector: &Connector, name: &ConnectionName) -> Result<(), Error> {
    match then {
        Then::Refresh | Then::RefreshTokens => {}
        Then::Introspect => {
            let all = connector.credentials(None, Some(name)).await?;
            if let Some(access) = all.iter().find(|one| one.kind == TokenKind::AccessToken) {
                connector.introspect(access.id).await?;
            }
        }
        Then::Revoke => {
            connector.revoke(name).await?;
        }
    }
    Ok(())
}

fn connector(
    fixture: &Fixture,
    scripts: Option<&Path>,
    server: &Server,
    clock: &TestClock,
) -> Result<Connector, String> {
    let keyring = Keyring::generate(fixture.now).map_err(text)?;
    let mut beside = Vec::new();
    for (name, script) in &fixture.scripts {
        beside.push((name.parse().map_err(text)?, script.clone()));
    }
    let builder = Connector::builder(Arc::new(MemoryStore::new()), keyring);
    let mut builder = builder.clock(Arc::new(clock.clone())).detour(server.address).given_scripts(beside);
    if let Some(folder) = scripts {
        builder = builder.scripts(folder.to_owned());
    }
    builder.build().map_err(text)
}

/// Asks with the fixture's grant, as an application would.
async fn ask(
    fixture: &Fixture,
    connector: &Connector,
    callback: &CallbackHabits,
    name: &ConnectionName,
    state: &mut Option<String>,
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
            *state = Some(authorization.state.expose().to_owned());
            let callback = stage::callback(fixture, callback, &authorization);
            connector.complete(callback.as_str()).await.map(drop)
        }
        GrantType::RefreshToken => connector.refresh(name).await.map(drop),
        GrantType::Password => connect(Proof::Password(Secret::new(PASSWORD))).await,
        GrantType::ClientCredentials | GrantType::JwtBearer => connect(Proof::None).await,
        GrantType::DeviceCode => {
            let mut start = connector.start_device(name, None, labels, false).await?;
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

fn compare_error(expected: &Failed, error: &Error, outcome: &mut Comparison<'_>) {
    let failure = failure_of(error);
    let seconds = |seconds: Option<u64>| seconds.map(|seconds| format!("{seconds} s"));
    let kind = failure.as_ref().map_or(error.code(), |failure| failure.kind.as_str());
    outcome.check_all("kind", Some(&expected.kind), Some(kind));
    outcome.check("code", expected.code.as_deref(), failure.as_ref().map(|failure| failure.code.as_str()));
    let words = failure.as_ref().and_then(|failure| failure.words.as_deref());
    outcome.check("words", expected.words.as_deref(), words);
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
    let mut sections = Vec::new();
    let Some(expected) = &fixture.expect.token else { return Ok(sections) };
    sections.push(token("token", expected, fixture.now, connector, name, masks).await?);
    let held = connector.connection(name).await.map_err(text)?.tokens;
    for (which, expected) in &fixture.expect.tokens {
        let title = format!("token {which}");
        if held.contains(which) {
            let name = name.with_token(which).map_err(text)?;
            sections.push(token(&title, expected, fixture.now, connector, &name, masks).await?);
        } else {
            let mut section = Comparison::new(masks, title);
            section.check_secret("access token", Some(&expected.access_token), None);
            sections.push(section.done());
        }
    }
    for unexpected in held.iter().filter(|which| !fixture.expect.tokens.contains_key(*which)) {
        let mut section = Comparison::new(masks, format!("token {unexpected}"));
        section.check_all("whether it is there", None, Some("it is"));
        sections.push(section.done());
    }
    Ok(sections)
}

async fn token(
    title: &str,
    expected: &Token,
    now: Timestamp,
    connector: &Connector,
    name: &ConnectionName,
    masks: &Masks,
) -> Result<Section, String> {
    let connection = connector.connection(name).await.map_err(text)?;
    let credentials = connector.vault().credentials(connection.id).await.map_err(text)?;
    let held = |kind| newest(&credentials, kind).map(|stored| &stored.value);
    let mut section = Comparison::new(masks, title);
    // As an application gets it.
    let token = connector.token_that(name, Want::GoodFor(Duration::ZERO)).await.map_err(text)?;
    let header = token.authorization();
    let scheme = header.expose().split_once(' ').map_or("", |(scheme, _)| scheme);
    section.check_all("type", Some(&expected.token_type), Some(scheme));
    compare_token(expected, held(TokenKind::AccessToken), held(TokenKind::RefreshToken), now, &mut section);
    compare_fields(expected, &connection, &mut section);
    if let Some(expected) = &expected.account {
        let account = connection.account.as_ref();
        section.check("account id", expected.id.as_deref(), account.map(|account| account.id.as_str()));
        let name = account.and_then(|account| account.name.as_deref());
        section.check("account name", expected.name.as_deref(), name);
    }
    let until_due = connection.due.map_or(0, |due| due.duration_since(now).as_secs());
    let seconds = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    let mut check_due = |said: String, holds: bool| {
        let actual = if holds { said.clone() } else { format!("{until_due} s") };
        section.check_all("next refresh", Some(&said), Some(&actual));
    };
    if let Some(least) = expected.due_after {
        check_due(format!("{least} s or later"), until_due >= seconds(least));
    }
    if let Some(most) = expected.due_within {
        check_due(format!("within {most} s"), until_due <= seconds(most));
    }
    Ok(section.done())
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
    let held = |credential: Option<&Credential>| credential.map(|one| format!("{} s", one.expires.seconds_left(now)));
    let said = |seconds: Option<u64>| seconds.map(|seconds| format!("{seconds} s"));
    section.check("held for", said(expected.lifespan).as_deref(), held(access).as_deref());
    section.check("refresh token held for", said(expected.refresh_lifespan).as_deref(), held(refresh).as_deref());
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
        Error::Denied { failure, .. }
        | Error::Refresh(RefreshError::Failing { failure, .. } | RefreshError::ClientRejected { failure, .. }) => {
            Some(failure.clone())
        }
        Error::Refresh(RefreshError::ReauthorizationRequired { failure, .. }) => failure.clone(),
        _ => None,
    }
}
