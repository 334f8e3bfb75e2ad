//! What is shown of applications, connections and credentials: JSON whose field names stay, and lines for people.

use super::output::Tone;
use super::time;
use crate::api::ApplicationDocument;
use crate::connector::{CredentialState, CredentialView};
use crate::model::{Account, ApplicationName, Connection, ConnectionState, Endpoint, Endpoints, Timestamp, quoted};
use crate::refresh::Outlook;
use jiff::tz::TimeZone;

/// An application that somebody named, where it is known that there is none of its name.
pub(super) fn unknown<'a>(
    known: Option<&[ApplicationDocument]>,
    named: Option<&'a ApplicationName>,
) -> Option<&'a ApplicationName> {
    named.filter(|named| known.is_some_and(|known| known.iter().all(|known| known.name != **named)))
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
        Outlook::UnderWay => "a refresh is under way, and its answer is not known yet".to_owned(),
        Outlook::Resolve { at: time } => format!(
            "in doubt: whether the refresh token has been used up since is not known (a request without a definite answer, or a restored backup); it is tried once more {}, and if it is refused then the new one is lost (rotation_lost)",
            at(*time)
        ),
        Outlook::ReadKeptReply { at: time } => format!(
            "the provider's reply is kept, and the script could not read it; mend the script: it is read again {}, and nothing is asked; if it holds no token, `grantkeeper refresh {name} --ask-again` gives it up",
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
