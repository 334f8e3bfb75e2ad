//! What there is to tell of a change, read off the connection before it and after it. Each is told once: when a connection
//! enters a state, not while it is in it.

use crate::model::{
    ApplicationName, Connection, ConnectionName, ConnectionState, Credential, Event, EventKind, ExpirySource, Failure,
    Fields, ReauthorizationReason, Timestamp, new_id, quoted,
};
use crate::store::Change;
use crate::vault::{Vault, VaultError};
use jiff::SignedDuration;
use serde_json::{Value, json};

/// How long before its end a token that nothing renews is told of, at the most: a week, for a person to find the time.
const EARLIEST_WARNING: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The ends of two refresh tokens that lie no further apart are one end, told twice: clocks and seconds differ.
const SAME_END: SignedDuration = SignedDuration::from_mins(5);

/// Most scopes that an event lists: a reply may hold a megabyte of them.
const MOST_SCOPES: usize = 100;

/// Changes that tell of a change, to be committed with it.
pub struct Telling<'a> {
    vault: &'a Vault,
    before: &'a Connection,
    after: &'a Connection,
    now: Timestamp,
}

impl<'a> Telling<'a> {
    /// Of a connection that was `before` and will be `after`.
    #[must_use]
    pub fn of(vault: &'a Vault, before: &'a Connection, after: &'a Connection, now: Timestamp) -> Self {
        Self { vault, before, after, now }
    }

    /// A consent, or a grant that needs none, brought a token.
    pub fn authorized(&self, token: &Credential) -> Result<Vec<Change>, VaultError> {
        let details = json!({
            "profile": self.after.profile,
            "scopes": listed(&token.scopes),
            "generation": self.after.generation,
            "account": whose(self.after),
            "again": self.before.authorized.is_some(),
        });
        let mut changes = vec![self.event(EventKind::Authorized, details)?];
        let held = self.before.account.as_ref();
        if held.is_some_and(|held| !self.after.account.as_ref().is_some_and(|given| held.is_same(given))) {
            let details = json!({ "held": whose(self.before), "given": whose(self.after) });
            changes.push(self.event(EventKind::AccountChanged, details)?);
        }
        // Each time: who consented again may have wanted to mend it.
        changes.extend(self.scopes_missing()?);
        Ok(changes)
    }

    /// A refresh brought an access token. `refresh` are the refresh tokens before and after it.
    pub fn refreshed(
        &self,
        access: &Credential,
        refresh: Option<(&Credential, &Credential)>,
    ) -> Result<Vec<Change>, VaultError> {
        let details = json!({ "generation": self.after.generation, "expires": access.expires.at });
        let mut changes = vec![self.event(EventKind::Refreshed, details)?];
        if self.before.state == ConnectionState::Degraded {
            let details = json!({ "generation": self.after.generation, "failures": self.before.failures });
            changes.push(self.event(EventKind::Recovered, details)?);
        }
        if self.after.scopes.missing != self.before.scopes.missing {
            changes.extend(self.scopes_missing()?);
        }
        if let Some((_, token)) = refresh.filter(|(old, new)| self.is_running_out(old, new)) {
            changes.push(self.expiring(token)?);
        }
        Ok(changes)
    }

    /// A refresh failed, or there was nothing to refresh with.
    pub fn failed(&self) -> Result<Vec<Change>, VaultError> {
        let failure = self.after.failure.as_ref();
        let mut changes = Vec::new();
        match self.after.state {
            ConnectionState::Degraded if self.before.state != ConnectionState::Degraded => {
                let details = json!({ "failure": told(failure), "next_try": self.after.due });
                changes.push(self.event(EventKind::Degraded, details)?);
            }
            ConnectionState::ReauthorizationRequired(reason) if self.before.state != self.after.state => {
                match reason {
                    ReauthorizationReason::RotationLost => {
                        let details = json!({ "failure": told(failure), "generation": self.after.generation });
                        changes.push(self.event(EventKind::RotationLost, details)?);
                    }
                    ReauthorizationReason::AccountChanged => {
                        let details = json!({ "held": whose(self.before), "failure": told(failure) });
                        changes.push(self.event(EventKind::AccountChanged, details)?);
                    }
                    ReauthorizationReason::Refused | ReauthorizationReason::NoRefreshToken => {}
                }
                let details = json!({ "reason": reason.as_str(), "failure": told(failure) });
                changes.push(self.event(EventKind::ReauthorizationRequired, details)?);
            }
            _ => {}
        }
        Ok(changes)
    }

    /// The grant was ended here. Ending it again, so that the provider is told again, is no news.
    pub fn revoked(&self) -> Result<Vec<Change>, VaultError> {
        if self.before.state == ConnectionState::Revoked {
            return Ok(Vec::new());
        }
        let details = json!({ "was": self.before.state.as_str(), "generation": self.after.generation });
        Ok(vec![self.event(EventKind::Revoked, details)?])
    }

    /// A token ends, and nothing renews it.
    pub fn expiring(&self, token: &Credential) -> Result<Change, VaultError> {
        let details = json!({
            "token": token.kind.as_str(),
            "expires": token.expires.at,
            "expires_source": token.expires.source.as_str(),
        });
        self.event(EventKind::Expiring, details)
    }

    /// The provider refuses an application's client: told once, for all its connections.
    pub fn client_rejected(
        vault: &Vault,
        application: &ApplicationName,
        failure: &Failure,
        probe: Timestamp,
        now: Timestamp,
    ) -> Result<Change, VaultError> {
        let details = json!({ "failure": told(Some(failure)), "next_try": probe });
        put(vault, EventKind::ClientRejected, (None, application), details, now)
    }

    /// The provider takes the client again.
    pub fn client_accepted(
        vault: &Vault,
        application: &ApplicationName,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Change, VaultError> {
        put(vault, EventKind::ClientAccepted, (None, application), json!({ "rejected_since": since }), now)
    }

    /// Scopes that were asked for are not granted.
    fn scopes_missing(&self) -> Result<Option<Change>, VaultError> {
        let scopes = &self.after.scopes;
        if scopes.missing.is_empty() {
            return Ok(None);
        }
        let details = json!({
            "missing": listed(&scopes.missing),
            "requested": listed(&scopes.requested),
            "granted": listed(&scopes.granted),
        });
        self.event(EventKind::ScopesMissing, details).map(Some)
    }

    /// Whether this refresh is the first inside the last days of a refresh token whose end refreshes do not move. An end that
    /// nobody stated is not told: it is a guess, and no reason to disturb a person.
    fn is_running_out(&self, old: &Credential, new: &Credential) -> bool {
        let end = new.expires.at;
        let moved = end.duration_since(old.expires.at) > SAME_END;
        let since = self.after.authorized.unwrap_or(self.after.created);
        let last = self.before.refreshed.unwrap_or(since);
        let from = expiring_from(since, end);
        !moved && new.expires.source != ExpirySource::Default && last < from && from <= self.now
    }

    fn event(&self, kind: EventKind, details: Value) -> Result<Change, VaultError> {
        let name = &self.after.name;
        put(self.vault, kind, (Some(name), name.application()), details, self.now)
    }
}

fn put(
    vault: &Vault,
    kind: EventKind,
    (connection, application): (Option<&ConnectionName>, &ApplicationName),
    details: Value,
    now: Timestamp,
) -> Result<Change, VaultError> {
    let details = match details {
        Value::Object(details) => details,
        _ => Fields::new(),
    };
    vault.put_event(&Event {
        id: new_id(),
        at: now,
        kind,
        connection: connection.cloned(),
        application: application.clone(),
        details,
    })
}

/// From when on the end of a token that nothing renews is told: a week ahead, or the last quarter of a shorter life.
#[must_use]
pub fn expiring_from(since: Timestamp, end: Timestamp) -> Timestamp {
    let ahead = (end.duration_since(since) / 4).clamp(SignedDuration::ZERO, EARLIEST_WARNING);
    end.checked_sub(ahead).unwrap_or(end)
}

/// A failure's texts are cleaned, and without the secrets of the request, when it is made.
fn told(failure: Option<&Failure>) -> Value {
    json!(failure)
}

fn whose(connection: &Connection) -> Value {
    let account = connection.account.as_ref();
    account.map_or(
        Value::Null,
        |account| json!({ "id": quoted(&account.id), "name": account.name.as_deref().map(quoted) }),
    )
}

fn listed(scopes: &[String]) -> Vec<String> {
    scopes.iter().take(MOST_SCOPES).map(|scope| quoted(scope)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_a_week_ahead_or_in_the_last_quarter_of_a_shorter_life() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let (day, start) = (86_400, at(0));
        assert_eq!(expiring_from(start, at(60 * day)), at(53 * day));
        assert_eq!(expiring_from(start, at(4 * day)), at(3 * day));
        assert_eq!(expiring_from(start, at(3600)), at(2700));
        assert_eq!(expiring_from(at(10), at(5)), at(5));
    }
}
