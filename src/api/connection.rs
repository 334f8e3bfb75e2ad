//! Connections.

use crate::model::{
    Account, ApplicationName, Connection, ConnectionName, ConnectionState, Failure, Fields, Labels, ProfileName,
    ReauthorizationReason, Scopes, Subject, Timestamp,
};
use crate::refresh::Outlook;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A connection.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ConnectionDocument {
    /// Never changes.
    pub id: Uuid,
    /// What people call it.
    pub name: ConnectionName,
    /// Its application.
    pub application: ApplicationName,
    /// The profile that it was made with.
    pub profile: ProfileName,
    /// Where it stands: `unauthorized`, `pending`, `active`, `degraded`, `reauthorization_required` or `revoked`.
    pub state: StateWord,
    /// Why a person must consent again.
    pub reason: Option<ReauthorizationReason>,
    /// Counts the token replies taken.
    pub generation: u64,
    /// Whose account it is.
    pub account: Option<AccountDocument>,
    /// What was asked for and what was granted.
    pub scopes: Scopes,
    /// The names of its further tokens.
    pub further_tokens: Vec<ConnectionName>,
    /// People's labels.
    pub labels: Labels,
    /// Kept fields of callbacks and replies.
    pub fields: Fields,
    /// When it was made.
    pub created: Timestamp,
    /// When a person last consented.
    pub authorized: Option<Timestamp>,
    /// The last refresh that succeeded.
    pub refreshed: Option<Timestamp>,
    /// When it is refreshed next.
    pub next_refresh: Option<Timestamp>,
    /// Failures in a row.
    pub failures: u32,
    /// The last failure, until a success clears it.
    pub failure: Option<Failure>,
    /// Of when the backup is that it was restored from, until a refresh or a consent has told what became of its grant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restored: Option<Timestamp>,
    /// What will happen next, where one connection is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outlook: Option<Outlook>,
}

/// The word of a [`ConnectionState`]; the reason is told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StateWord {
    /// Made, and nobody was asked yet.
    Unauthorized,
    /// Somebody was sent to consent and has not come back.
    Pending,
    /// Its token works or can be refreshed.
    Active,
    /// Refreshing fails, and the grant is not known to be dead.
    Degraded,
    /// The grant is dead: a person must consent again.
    ReauthorizationRequired,
    /// Ended here, on purpose.
    Revoked,
}

impl StateWord {
    /// The word of a state.
    #[must_use]
    pub fn of(state: ConnectionState) -> Self {
        match state {
            ConnectionState::Unauthorized => Self::Unauthorized,
            ConnectionState::Pending => Self::Pending,
            ConnectionState::Active => Self::Active,
            ConnectionState::Degraded => Self::Degraded,
            ConnectionState::ReauthorizationRequired(_) => Self::ReauthorizationRequired,
            ConnectionState::Revoked => Self::Revoked,
        }
    }
}

impl ConnectionDocument {
    /// What is told of a connection: all but its password.
    #[must_use]
    pub fn of(connection: &Connection) -> Self {
        let state = StateWord::of(connection.state);
        let reason = match connection.state {
            ConnectionState::ReauthorizationRequired(reason) => Some(reason),
            _ => None,
        };
        Self {
            id: connection.id,
            name: connection.name.clone(),
            application: connection.name.application().clone(),
            profile: connection.profile.clone(),
            state,
            reason,
            generation: connection.generation,
            account: connection.account.as_ref().map(AccountDocument::of),
            scopes: connection.scopes.clone(),
            further_tokens: connection.further().collect(),
            labels: connection.labels.clone(),
            fields: connection.fields.clone(),
            created: connection.created,
            authorized: connection.authorized,
            refreshed: connection.refreshed,
            next_refresh: connection.due,
            failures: connection.failures,
            failure: connection.failure.clone(),
            restored: connection.restored,
            outlook: None,
        }
    }

    /// With what will happen next.
    #[must_use]
    pub fn with(connection: &Connection, outlook: Outlook) -> Self {
        Self { outlook: Some(outlook), ..Self::of(connection) }
    }

    /// The connection as far as it is told: without its application's id, its password, and
    /// what only the refresh goes by.
    #[must_use]
    pub fn into_connection(self) -> Connection {
        let state = match (self.state, self.reason) {
            (StateWord::Unauthorized, _) => ConnectionState::Unauthorized,
            (StateWord::Pending, _) => ConnectionState::Pending,
            (StateWord::Active, _) => ConnectionState::Active,
            (StateWord::Degraded, _) => ConnectionState::Degraded,
            (StateWord::ReauthorizationRequired, reason) => {
                ConnectionState::ReauthorizationRequired(reason.unwrap_or(ReauthorizationReason::Refused))
            }
            (StateWord::Revoked, _) => ConnectionState::Revoked,
        };
        Connection {
            id: self.id,
            application: Uuid::nil(),
            profile: self.profile,
            state,
            generation: self.generation,
            labels: self.labels,
            fields: self.fields,
            account: self.account.map(AccountDocument::into_account),
            scopes: self.scopes,
            password: None,
            created: self.created,
            authorized: self.authorized,
            refreshed: self.refreshed,
            failure: self.failure,
            failures: self.failures,
            due: self.next_refresh,
            waits: false,
            rejected: None,
            rejected_age: None,
            learned_lifetime: None,
            restored: self.restored,
            doubted: None,
            doubted_until: None,
            revocations: 0,
            tokens: self.further_tokens.iter().filter_map(|name| name.token().map(str::to_owned)).collect(),
            name: self.name,
        }
    }
}

/// Whose account a connection is of.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct AccountDocument {
    /// What does not change.
    pub id: String,
    /// What a person knows it by.
    pub name: Option<String>,
    /// The issuer of its id tokens, where there are any.
    pub issuer: Option<String>,
    /// Who it is to that issuer.
    pub subject: Option<String>,
}

impl AccountDocument {
    fn of(account: &Account) -> Self {
        let subject = account.subject.as_ref();
        Self {
            id: account.id.clone(),
            name: account.name.clone(),
            issuer: subject.map(|subject| subject.issuer.clone()),
            subject: subject.map(|subject| subject.sub.clone()),
        }
    }

    fn into_account(self) -> Account {
        let subject = self.issuer.zip(self.subject).map(|(issuer, sub)| Subject { issuer, sub });
        Account { id: self.id, name: self.name, subject }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::FailureKind;
    use serde_json::json;

    #[test]
    fn a_connection_comes_back_as_it_was_but_for_what_is_not_told() {
        let name: ConnectionName = "a/b".parse().unwrap();
        let mut connection = Connection::new(&name, Uuid::nil(), "2026-11-23T12:00:00Z".parse().unwrap());
        let subject = Some(Subject { issuer: "https://i.example".to_owned(), sub: "1".to_owned() });
        connection.account = Some(Account { id: "1".to_owned(), name: Some("ann".to_owned()), subject });
        connection.tokens.insert("user".to_owned());
        connection.labels.insert("team".to_owned(), "x".to_owned());
        connection.failure = Some(Failure::new(FailureKind::Transient, "http_503").with_status(503));
        connection.due = Some(connection.created);
        for state in [
            ConnectionState::Unauthorized,
            ConnectionState::Pending,
            ConnectionState::Active,
            ConnectionState::Degraded,
            ConnectionState::ReauthorizationRequired(ReauthorizationReason::RotationLost),
            ConnectionState::Revoked,
        ] {
            connection.state = state;
            let document = serde_json::to_value(ConnectionDocument::of(&connection)).unwrap();
            assert_eq!(document["state"], state.as_str());
            assert_eq!(document["application"], "a");
            assert_eq!(document["further_tokens"], json!(["a/b~user"]));
            let back: ConnectionDocument = serde_json::from_value(document).unwrap();
            assert!(back.into_connection() == connection);
        }
    }
}
