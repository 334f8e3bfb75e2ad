//! A tape as a fixture: the authorization, each request and its reply, and what came of it, with every secret replaced, the
//! same one by the same stand-in.

use super::body;
use super::masks::{Masks, Style};
use super::request;
use crate::connector::{Connector, Error};
use crate::http::{Recorded, Sent, Tape};
use crate::model::{
    Application, Connection, ConnectionName, Credential, ExpirySource, FailureKind, Fields, GrantType, Labels,
    ProfileName, Secret, Timestamp, TokenKind,
};
use crate::oauth::{self, Value};
use crate::refresh::newest;
use crate::registry;
use crate::replay::{Authorization, Exchange, Failed, Fixture, Held, HeldToken, Pairs, Token, failure_of};
use crate::vault::Stored;
use std::collections::BTreeMap;
use url::Url;

/// What a connection was and held before an exchange that is recorded.
pub struct Before {
    connection: Option<Connection>,
    credentials: Vec<Stored<Credential>>,
    /// Of the further tokens of the same grant.
    further: BTreeMap<String, Vec<Stored<Credential>>>,
}

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The connection.
    pub connection: ConnectionName,
    /// The profile; the connection's own, or `default`, when none is given.
    pub profile: Option<ProfileName>,
    /// The grant.
    pub grant: GrantType,
    /// Labels that it gets.
    pub labels: Labels,
    /// A password or a refresh token that was given.
    pub proof: Option<Secret>,
}

impl Before {
    /// Looks at a connection, which need not be there.
    pub async fn of(connector: &Connector, name: &ConnectionName) -> Result<Self, Error> {
        let connection = match connector.connection(name).await {
            Ok(connection) => Some(connection),
            Err(Error::NoConnection(_)) => None,
            Err(error) => return Err(error),
        };
        let Some(connection) = connection else {
            return Ok(Self { connection: None, credentials: Vec::new(), further: BTreeMap::new() });
        };
        let mut further = BTreeMap::new();
        for token in &connection.tokens {
            if let Ok(name) = name.with_token(token)
                && let Ok(holder) = connector.connection(&name).await
            {
                further.insert(token.clone(), connector.vault().credentials(holder.id).await?);
            }
        }
        let credentials = connector.vault().credentials(connection.id).await?;
        Ok(Self { connection: Some(connection), credentials, further })
    }
}

/// The fixture of what is on a tape. `error` is how it ended, where it did not end with a token; nothing comes of a tape that
/// no reply is on.
pub async fn fixture_of_tape(
    connector: &Connector,
    tape: &Tape,
    before: &Before,
    asked: &Asked,
    error: Option<&Error>,
) -> Result<Option<Fixture>, Error> {
    let recorded = tape.recorded();
    let sent: Vec<Sent> = recorded
        .iter()
        .filter_map(|recorded| match recorded {
            Recorded::Request(sent) => Some((**sent).clone()),
            _ => None,
        })
        .collect();
    if sent.iter().all(|sent| sent.reply.is_none()) {
        return Ok(None);
    }
    let application = connector.application(asked.connection.application()).await?;
    let after = Before::of(connector, &asked.connection).await?;
    let mut masks = Masks::new(Style::Stock);
    let mut fixture = Fixture::blank(grant(before, asked, &application));
    fixture.about = format!("Recorded: the {} grant of an application.", fixture.grant);
    know(&mut masks, &application, before, &after, asked, &recorded);
    fixture.now = time(&after, error, connector.clock().now());
    let profile =
        asked.profile.clone().or_else(|| after.connection.as_ref().map(|connection| connection.profile.clone()));
    fixture.application = masked_application(&application, &profile.unwrap_or_default(), &mut masks);
    fixture.stored = held(before, asked, &mut masks);
    for recorded in &recorded {
        match recorded {
            Recorded::Authorization(url) => fixture.expect.authorization = authorization(url, &mut masks),
            Recorded::Callback(text) => fixture.callback = callback(text, &application, &mut masks),
            Recorded::Request(_) => {}
        }
    }
    for Sent { reply, .. } in &sent {
        if let Some(reply) = reply {
            body::learn(reply, &mut masks);
        }
    }
    for sent in &sent {
        let request = request::masked(sent, &application, &mut masks);
        // What no reply came to cannot be replayed; what comes after it can.
        if let Some(reply) = &sent.reply {
            fixture.exchanges.push(Exchange { request, reply: body::masked(reply, &mut masks) });
        }
    }
    match error {
        None => {
            let fields = after.connection.as_ref().map(|connection| connection.fields.clone()).unwrap_or_default();
            fixture.expect.token = token(&after.credentials, fields, &application, fixture.now, &mut masks);
            for (name, credentials) in &after.further {
                let further = token(credentials, Fields::new(), &application, fixture.now, &mut masks);
                fixture.expect.tokens.extend(further.map(|further| (name.clone(), further)));
            }
        }
        Some(error) => fixture.expect.error = Some(failed(error, &mut masks)),
    }
    if fixture.expect.token.is_none() && fixture.expect.error.is_none() {
        return Ok(None);
    }
    Ok(Some(fixture))
}

/// The grant that was really asked with: what holds no refresh token renews by asking as it did at first.
fn grant(before: &Before, asked: &Asked, application: &Application) -> GrantType {
    let holds = asked.proof.is_some() || newest(&before.credentials, TokenKind::RefreshToken).is_some();
    let own = before.connection.as_ref().and_then(|connection| application.profile(&connection.profile));
    match own {
        Some(profile) if asked.grant == GrantType::RefreshToken && !holds => profile.grant,
        _ => asked.grant,
    }
}

/// What has a name of its own in fixtures, before anything is written.
fn know(
    masks: &mut Masks,
    application: &Application,
    before: &Before,
    after: &Before,
    asked: &Asked,
    recorded: &[Recorded],
) {
    if let Some(secret) = &application.client_secret {
        masks.know(secret.expose(), "csecret");
    }
    masks.rename(&application.client_id, "cid");
    for (name, secret) in &application.secrets {
        masks.know(secret.expose(), &format!("{name}-secret"));
    }
    let token = |held: &Before, kind| newest(&held.credentials, kind).map(|stored| stored.value.token.clone());
    for (kind, stand_in) in [(TokenKind::RefreshToken, "rt-old"), (TokenKind::AccessToken, "at-old")] {
        if let Some(token) = token(before, kind) {
            masks.know(token.expose(), stand_in);
        }
    }
    match (&asked.proof, asked.grant) {
        (Some(proof), GrantType::RefreshToken) => masks.know(proof.expose(), "rt-old"),
        (Some(proof), _) => masks.know(proof.expose(), "password-1"),
        (None, _) => {}
    }
    for (is_refresh, kind) in [(false, TokenKind::AccessToken), (true, TokenKind::RefreshToken)] {
        if let Some(token) = token(after, kind) {
            masks.know_token(is_refresh, token.expose());
        }
    }
    for credentials in after.further.values() {
        for (is_refresh, kind) in [(false, TokenKind::AccessToken), (true, TokenKind::RefreshToken)] {
            if let Some(stored) = newest(credentials, kind) {
                masks.know_token(is_refresh, stored.value.token.expose());
            }
        }
    }
    for profile in application.profiles.values() {
        if let Some(username) = &profile.username {
            masks.rename(username, "user-1");
        }
    }
    for recorded in recorded {
        match recorded {
            Recorded::Authorization(url) => {
                for (name, value) in url.query_pairs().filter(|(name, _)| request::is_fresh(name)) {
                    masks.trace(&value, &name);
                }
            }
            Recorded::Callback(text) => {
                let Ok(params) = oauth::parse_callback(text) else { continue };
                let habits = &application.habits.callback;
                for name in habits.code.iter().map(String::as_str).chain(["code"]) {
                    params.text(name).into_iter().for_each(|code| masks.know(code, "code-1"));
                }
            }
            Recorded::Request(sent) => {
                for (name, value) in request::params(sent) {
                    match name.as_str() {
                        "code" => masks.know(&value, "code-1"),
                        "password" => masks.know(&value, "password-1"),
                        name if request::is_fresh(name) => masks.trace(&value, name),
                        _ => {}
                    }
                }
            }
        }
    }
    let named = application.clone();
    masks.allow(move |url| named.allows(url) || is_loopback(url));
}

fn is_loopback(url: &Url) -> bool {
    matches!(url.host_str(), Some("127.0.0.1" | "localhost" | "[::1]"))
}

/// The time that makes what was stated come out alike: when the tokens were taken, or now.
fn time(after: &Before, error: Option<&Error>, now: Timestamp) -> Timestamp {
    let taken = newest(&after.credentials, TokenKind::AccessToken).filter(|_| error.is_none());
    taken.map_or(now, |stored| stored.value.issued)
}

/// The application's file without its name, its client and what is usual.
fn masked_application(application: &Application, profile: &ProfileName, masks: &mut Masks) -> toml::Table {
    // What the registry writes, it reads; an export is TOML.
    let mut table: toml::Table = registry::export(application).parse().unwrap_or_default();
    for key in ["name", "client_id", "client_secret", "active", "redirect_url"] {
        table.remove(key);
    }
    for (key, usual) in USUAL {
        if table.get(key).is_some_and(|value| *value == usual.parse().unwrap_or_else(|_| toml::Value::from(usual))) {
            table.remove(key);
        }
    }
    if let Some(profiles) = table.get_mut("profiles").and_then(toml::Value::as_table_mut) {
        let used = profiles.remove(profile.as_str()).unwrap_or_else(|| toml::Table::new().into());
        profiles.clear();
        profiles.insert("default".to_owned(), used);
    }
    masked_table(&table, &mut Vec::new(), masks)
}

fn masked_table(table: &toml::Table, path: &mut Vec<String>, masks: &mut Masks) -> toml::Table {
    let mut made = toml::Table::new();
    for (name, value) in table {
        path.push(name.clone());
        made.insert(name.clone(), masked_toml(value, path, masks));
        path.pop();
    }
    made
}

fn masked_toml(value: &toml::Value, path: &mut Vec<String>, masks: &mut Masks) -> toml::Value {
    match value {
        toml::Value::String(text) if is_vocabulary(path) && !masks.are_in(text) => text.as_str().into(),
        toml::Value::String(text) => masks.setting(path, text).into(),
        toml::Value::Array(list) => list.iter().map(|item| masked_toml(item, path, masks)).collect::<Vec<_>>().into(),
        toml::Value::Table(table) => masked_table(table, path, masks).into(),
        other => other.clone(),
    }
}

/// Whether a key says what the provider calls its things: names and paths, and no value of ours.
fn is_vocabulary(path: &[String]) -> bool {
    let tables = ["reply", "tokens", "callback", "account", "hosts"];
    path.first().is_some_and(|first| tables.contains(&first.as_str()))
        || path.iter().any(|name| matches!(name.as_str(), "rename" | "drop" | "script" | "provider"))
}

fn held(before: &Before, asked: &Asked, masks: &mut Masks) -> Held {
    let mut held = Held::default();
    let labels = before.connection.iter().flat_map(|connection| &connection.labels).chain(&asked.labels);
    held.labels =
        labels.map(|(name, value)| (masks.name(name), masks.setting(std::slice::from_ref(name), value))).collect();
    for (name, credentials) in &before.further {
        let token = |kind| newest(credentials, kind).map(|stored| stored.value.token.clone());
        if let Some(access) = token(TokenKind::AccessToken) {
            let refresh = token(TokenKind::RefreshToken).map(|token| masks.know_token(true, token.expose()));
            let access_token = masks.know_token(false, access.expose());
            held.tokens.insert(name.clone(), HeldToken { access_token, refresh_token: refresh });
        }
    }
    if let Some(connection) = &before.connection {
        let fields = masks.value(&mut Vec::new(), &Value::Object(connection.fields.clone()));
        held.fields = without_nulls(fields).and_then(|fields| toml::Table::try_from(fields).ok()).unwrap_or_default();
    }
    held
}

/// TOML has no `null`.
fn without_nulls(value: Value) -> Option<Value> {
    match value {
        Value::Null => None,
        Value::Array(list) => Some(list.into_iter().filter_map(without_nulls).collect()),
        Value::Object(members) => {
            let members = members.into_iter().filter_map(|(name, value)| Some((name, without_nulls(value)?)));
            Some(Value::Object(members.collect()))
        }
        other => Some(other),
    }
}

fn authorization(url: &Url, masks: &mut Masks) -> Authorization {
    let mut bare = url.clone();
    bare.set_query(None);
    bare.set_fragment(None);
    let mut params = Pairs::new();
    for (name, value) in url.query_pairs() {
        params.insert(masks.name(&name), request::param(&name, &value, masks));
    }
    let fragment = url.fragment().filter(|fragment| !masks.are_in(fragment)).map(str::to_owned);
    Authorization { url: Some(masks.url(&bare)), params, absent: Vec::new(), fragment }
}

/// The parameters that a callback had beside the code and the state.
fn callback(text: &str, application: &Application, masks: &mut Masks) -> Pairs {
    let Ok(params) = oauth::parse_callback(text) else { return Pairs::new() };
    let habits = &application.habits.callback;
    let own = [habits.code.as_deref(), habits.state.as_deref(), Some("code"), Some("state")];
    let further = params.iter().filter(|(name, _)| !own.contains(&Some(name)));
    let further: Vec<(String, String)> =
        further.filter_map(|(name, value)| Some((name.to_owned(), value.as_str()?.to_owned()))).collect();
    let masked = further.into_iter().map(|(name, value)| (masks.name(&name), masks.text(&[name], &value)));
    masked.collect()
}

fn token(
    credentials: &[Stored<Credential>],
    fields: Fields,
    application: &Application,
    now: Timestamp,
    masks: &mut Masks,
) -> Option<Token> {
    let held = |kind| newest(credentials, kind).map(|stored| &stored.value);
    let access = held(TokenKind::AccessToken)?;
    let refresh = held(TokenKind::RefreshToken);
    let stated = |credential: &Credential| {
        (credential.expires.source == ExpirySource::Stated).then(|| credential.expires.seconds_left(now))
    };
    let mut token = Token {
        access_token: masks.know_token(false, access.token.expose()),
        refresh_token: refresh.map(|refresh| masks.know_token(true, refresh.token.expose())),
        expires_in: stated(access),
        refresh_expires_in: refresh.and_then(stated),
        lifespan: None,
        refresh_lifespan: None,
        due_after: None,
        due_within: None,
        scopes: access.scopes.iter().map(|scope| masks.setting(&["scope".to_owned()], scope)).collect(),
        token_type: match &application.habits.authorization_scheme {
            Some(scheme) => scheme.clone(),
            None => masks.text(&["token_type".to_owned()], &access.token_type),
        },
        fields: BTreeMap::new(),
        account: None,
    };
    if let Value::Object(fields) = masks.value(&mut Vec::new(), &Value::Object(fields)) {
        for (name, value) in fields {
            let scalar = !(value.is_object() || value.is_array() || value.is_null());
            if let Some(value) = toml::Value::try_from(&value).ok().filter(|_| scalar) {
                token.fields.insert(name, value);
            }
        }
    }
    Some(token)
}

fn failed(error: &Error, masks: &mut Masks) -> Failed {
    let blank = |kind: &str| Failed { kind: kind.to_owned(), code: None, words: None, retry_after: None };
    match failure_of(error) {
        Some(failure) => Failed {
            kind: failure.kind.to_string(),
            code: Some(masks.text(&["error_code".to_owned()], &failure.code)),
            words: None,
            retry_after: failure.retry_after,
        },
        // A callback that is not taken has a word of its own.
        None if error.code() == "bad_callback" => blank(error.code()),
        None => blank(FailureKind::BadResponse.as_str()),
    }
}

/// Keys whose usual value says nothing.
const USUAL: [(&str, &str); 7] = [
    ("client_authentication", "basic"),
    ("pkce", "S256"),
    ("iss_required", "false"),
    ("scope_separator", " "),
    ("extend_refresh_token_expiry", "false"),
    ("keep_password", "false"),
    ("hosts", "[]"),
];
