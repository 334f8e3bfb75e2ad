//! What is shown of applications, connections and credentials: JSON whose field names stay, and lines for people.

use super::output::Tone;
use super::time;
use crate::connector::{CredentialState, CredentialView};
use crate::model::{
    Account, Application, Connection, ConnectionName, ConnectionState, Endpoint, Endpoints, Failure, Habits, Lifespans,
    Pkce, Profile, ProfileName, Scopes, Timestamp, quoted,
};
use crate::refresh::Outlook;
use jiff::tz::TimeZone;
use serde::Serialize;
use std::collections::BTreeMap;
use url::Url;
use uuid::Uuid;

/// An application as JSON: everything but the secrets, of which only the names are told.
#[derive(Debug, Serialize)]
pub(super) struct ApplicationJson<'a> {
    name: &'a str,
    provider: Option<&'a str>,
    active: bool,
    client_id: &'a str,
    has_client_secret: bool,
    secrets: Vec<&'a str>,
    client_authentication: &'static str,
    pkce: Pkce,
    iss_required: bool,
    endpoints: &'a Endpoints,
    hosts: Vec<&'a str>,
    scope_separator: &'a str,
    #[serde(flatten)]
    habits: &'a Habits,
    script: Option<&'a str>,
    redirect_url: &'a Url,
    lifespans: Lifespans,
    extend_refresh_token_expiry: bool,
    keep_password: bool,
    profiles: &'a BTreeMap<ProfileName, Profile>,
    created: Timestamp,
}

impl<'a> ApplicationJson<'a> {
    /// `redirect_url` is the one that the provider must know, be it the application's own or the usual one.
    pub(super) fn of(application: &'a Application, redirect_url: &'a Url) -> Self {
        Self {
            name: application.name.as_str(),
            provider: application.provider.as_deref(),
            active: application.active,
            client_id: &application.client_id,
            has_client_secret: application.client_secret.is_some(),
            secrets: application.secrets.keys().map(String::as_str).collect(),
            client_authentication: application.client_authentication.as_str(),
            pkce: application.pkce,
            iss_required: application.iss_required,
            endpoints: &application.endpoints,
            hosts: application.hosts.iter().map(crate::model::HostPattern::as_str).collect(),
            scope_separator: &application.scope_separator,
            habits: &application.habits,
            script: application.script.as_ref().map(crate::model::ScriptName::as_str),
            redirect_url,
            lifespans: application.lifespans,
            extend_refresh_token_expiry: application.extend_refresh_token_expiry,
            keep_password: application.keep_password,
            profiles: &application.profiles,
            created: application.created,
        }
    }
}

/// A connection as JSON.
#[derive(Debug, Serialize)]
pub(super) struct ConnectionJson<'a> {
    id: Uuid,
    name: &'a ConnectionName,
    application: &'a str,
    profile: &'a str,
    state: &'static str,
    reason: Option<&'static str>,
    generation: u64,
    account: Option<AccountJson<'a>>,
    scopes: &'a Scopes,
    further_tokens: Vec<String>,
    labels: &'a BTreeMap<String, String>,
    fields: &'a serde_json::Map<String, serde_json::Value>,
    created: Timestamp,
    authorized: Option<Timestamp>,
    refreshed: Option<Timestamp>,
    next_refresh: Option<Timestamp>,
    failures: u32,
    failure: Option<&'a Failure>,
    /// Of when the backup is that it was restored from, until a refresh has told what became of its grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    restored_as_of: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    outlook: Option<&'a Outlook>,
}

impl<'a> ConnectionJson<'a> {
    /// With what will happen next.
    pub(super) fn with(connection: &'a Connection, outlook: &'a Outlook) -> Self {
        Self { outlook: Some(outlook), ..Self::of(connection) }
    }

    pub(super) fn of(connection: &'a Connection) -> Self {
        let reason = match connection.state {
            ConnectionState::ReauthorizationRequired(reason) => Some(reason.as_str()),
            _ => None,
        };
        Self {
            id: connection.id,
            name: &connection.name,
            application: connection.name.application().as_str(),
            profile: connection.profile.as_str(),
            state: connection.state.as_str(),
            reason,
            generation: connection.generation,
            account: connection.account.as_ref().map(AccountJson::of),
            scopes: &connection.scopes,
            further_tokens: connection.further().map(|name| name.to_string()).collect(),
            labels: &connection.labels,
            fields: &connection.fields,
            created: connection.created,
            authorized: connection.authorized,
            refreshed: connection.refreshed,
            next_refresh: connection.due,
            failures: connection.failures,
            failure: connection.failure.as_ref(),
            restored_as_of: connection.restored,
            outlook: None,
        }
    }
}

/// What will happen next, in a sentence.
pub(super) fn outlook_sentence(outlook: &Outlook, connection: &Connection, now: Timestamp, zone: &TimeZone) -> String {
    let at = |time| time::with_distance(time, now, zone);
    let name = &connection.name;
    match outlook {
        Outlook::Refresh { at: time } => {
            format!("refreshed {}, by the background job or earlier by who needs it", at(*time))
        }
        Outlook::Retry { at: time, failures } => {
            let times = if *failures == 1 { "once".to_owned() } else { format!("{failures} times in a row") };
            format!("tried again {}; it failed {times}, and the grant is not known to be dead", at(*time))
        }
        Outlook::Resolve { at: time } => format!(
            "in doubt: a refresh was sent and its reply never came; the refresh token is tried once more {}, and if it is refused then the new one is lost (rotation_lost)",
            at(*time)
        ),
        Outlook::ReadKeptReply { at: time } => format!(
            "the provider's reply is kept, and the script could not read it; mend the script: it is read again {}, and nothing is asked",
            at(*time)
        ),
        Outlook::WaitForApplication { since, failure, probe } => format!(
            "waits: the provider refuses the client of the application {} since {} ({failure}); check its client id and secret and apply it again; one connection tries by itself {}",
            name.application(),
            at(*since),
            at(*probe)
        ),
        Outlook::Inactive => format!("nothing, until the application {} is there and active", name.application()),
        Outlook::Expire { at: time } => {
            format!("nothing renews it: it works until {}; run `grantkeeper connect {name}` before then", at(*time))
        }
        Outlook::Consent { .. } => format!("a person must consent: run `grantkeeper connect {name}`"),
        Outlook::Nothing => format!("nothing: it was revoked; `grantkeeper connect {name}` makes it anew"),
    }
}

/// Whose account it is, as JSON.
#[derive(Debug, Serialize)]
struct AccountJson<'a> {
    id: &'a str,
    name: Option<&'a str>,
    issuer: Option<&'a str>,
    subject: Option<&'a str>,
}

impl<'a> AccountJson<'a> {
    fn of(account: &'a Account) -> Self {
        let subject = account.subject.as_ref();
        Self {
            id: &account.id,
            name: account.name.as_deref(),
            issuer: subject.map(|subject| subject.issuer.as_str()),
            subject: subject.map(|subject| subject.sub.as_str()),
        }
    }
}

/// A credential as JSON.
#[derive(Debug, Serialize)]
pub(super) struct CredentialJson<'a> {
    id: Uuid,
    name: String,
    #[serde(rename = "type")]
    kind: &'static str,
    token_type: &'a str,
    expires: Timestamp,
    expires_in: u64,
    expires_source: &'static str,
    direction: &'static str,
    received: Timestamp,
    application: &'a str,
    connection: &'a ConnectionName,
    scopes: &'a [String],
    state: &'static str,
    revoked: Option<Timestamp>,
    generation: u64,
}

impl<'a> CredentialJson<'a> {
    pub(super) fn of(credential: &'a CredentialView, now: Timestamp) -> Self {
        Self {
            id: credential.id,
            name: credential_name(credential),
            kind: credential.kind.as_str(),
            token_type: &credential.token_type,
            expires: credential.expires.at,
            expires_in: credential.expires.seconds_left(now),
            expires_source: credential.expires.source.as_str(),
            direction: credential.direction.as_str(),
            received: credential.issued,
            application: credential.application.as_str(),
            connection: &credential.connection,
            scopes: &credential.scopes,
            state: credential.state.as_str(),
            revoked: credential.revoked,
            generation: credential.generation,
        }
    }
}

/// What a credential is called: its requestor, and which of its requestor's tokens it is.
pub(super) fn credential_name(credential: &CredentialView) -> String {
    format!("{}#{}", credential.connection.requestor(), credential.generation)
}

/// How a credential's state is coloured.
pub(super) fn credential_tone(state: CredentialState) -> Tone {
    match state {
        CredentialState::Good => Tone::Good,
        CredentialState::Expired => Tone::Warning,
        CredentialState::Revoked | CredentialState::Dead => Tone::Bad,
    }
}

/// How a connection's state is coloured.
pub(super) fn connection_tone(state: ConnectionState) -> Tone {
    match state {
        ConnectionState::Active => Tone::Good,
        ConnectionState::Unauthorized | ConnectionState::Pending | ConnectionState::Degraded => Tone::Warning,
        ConnectionState::ReauthorizationRequired(_) | ConnectionState::Revoked => Tone::Bad,
    }
}

/// Lines of a name and a value, the values under each other. What is absent is left out.
#[derive(Debug, Default)]
pub(super) struct Lines(Vec<(String, String)>);

impl Lines {
    /// One more line, with a stranger's text made fit to show.
    pub(super) fn put(&mut self, name: &str, value: impl AsRef<str>) -> &mut Self {
        self.0.push((quoted(name), quoted(value.as_ref())));
        self
    }

    /// One more line where there is a value.
    pub(super) fn maybe(&mut self, name: &str, value: Option<impl AsRef<str>>) -> &mut Self {
        if let Some(value) = value {
            self.put(name, value);
        }
        self
    }

    /// One more line, of a time and how far it is.
    pub(super) fn time(&mut self, name: &str, time: Option<Timestamp>, now: Timestamp, zone: &TimeZone) -> &mut Self {
        self.maybe(name, time.map(|time| time::with_distance(time, now, zone)))
    }

    /// A line for each endpoint that is set.
    pub(super) fn endpoints(&mut self, endpoints: &Endpoints) -> &mut Self {
        for (name, endpoint) in [
            ("issuer", &endpoints.issuer),
            ("authorization", &endpoints.authorization),
            ("token", &endpoints.token),
            ("refresh", &endpoints.refresh),
            ("revocation", &endpoints.revocation),
            ("introspection", &endpoints.introspection),
            ("device_authorization", &endpoints.device_authorization),
            ("userinfo", &endpoints.userinfo),
        ] {
            self.maybe(name, endpoint.as_ref().map(Endpoint::as_str));
        }
        self
    }

    /// The text.
    pub(super) fn text(&self) -> String {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
        self.0.iter().map(|(name, value)| format!("{name:<width$}  {value}\n")).collect()
    }
}

/// A connection in lines for people.
pub(super) fn connection_lines(connection: &Connection, now: Timestamp, zone: &TimeZone) -> Lines {
    let mut lines = Lines::default();
    lines
        .put("connection", connection.name.to_string())
        .put("state", connection.state.to_string())
        .maybe("account", connection.account.as_ref().map(Account::to_string))
        .put("profile", connection.profile.as_str())
        .put("created", time::with_distance(connection.created, now, zone))
        .time("authorized", connection.authorized, now, zone)
        .time("refreshed", connection.refreshed, now, zone)
        .time("next refresh", connection.due, now, zone)
        .maybe(
            "restored",
            connection.restored.map(|made| {
                format!(
                    "as of {}; whether its grant was rotated or revoked since is not known",
                    time::with_distance(made, now, zone)
                )
            }),
        );
    let scopes = &connection.scopes;
    for (name, list) in [
        ("requested scopes", &scopes.requested),
        ("granted scopes", &scopes.granted),
        ("missing scopes", &scopes.missing),
    ] {
        lines.maybe(name, (!list.is_empty()).then(|| list.join(" ")));
    }
    for name in connection.further() {
        lines.put("further token", name.to_string());
    }
    for (name, value) in &connection.labels {
        lines.put(&format!("label {name}"), value);
    }
    for (name, value) in &connection.fields {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        lines.put(&format!("field {name}"), text);
    }
    if let Some(failure) = &connection.failure {
        lines.put("last failure", format!("{}: {failure}", failure.kind));
        lines.put("failures", connection.failures.to_string());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_strangers_text_stays_on_its_line_and_shows_as_itself() {
        let mut lines = Lines::default();
        lines.put("field a\nb", "x\x1b[2J\ny").maybe("absent", None::<&str>);
        assert_eq!(lines.text(), "field a b  x [2J y\n");
    }
}
