//! API keys, the administrator's password, and the audit log.

use crate::access::{AuditFilter, Head};
use crate::connector::{CreatedKey, NewKey};
use crate::model::{
    Action, Allowance, ApiKey, ApplicationName, ConnectionName, KeyName, KeyState, Secret, Timestamp, sealed_text,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// An API key: everything but the key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ApiKeyDocument {
    /// Its id, which stands in the key too.
    pub id: Uuid,
    /// Its name.
    pub name: KeyName,
    /// What it may do: `token:drive/*`, `manage:drive/reports`, `administer`.
    pub may: Vec<Allowance>,
    /// `good`, `expired` or `revoked`.
    pub state: KeyState,
    /// When it was made.
    pub created: Timestamp,
    /// When it ends by itself.
    pub expires: Option<Timestamp>,
    /// When it was revoked.
    pub revoked: Option<Timestamp>,
    /// When it was last used, to the hour or so.
    pub last_used: Option<Timestamp>,
}

impl ApiKeyDocument {
    /// What is told of a key.
    #[must_use]
    pub fn of(key: &ApiKey, now: Timestamp) -> Self {
        Self {
            id: key.id,
            name: key.name.clone(),
            may: key.allowances.clone(),
            state: key.state(now),
            created: key.created,
            expires: key.expires,
            revoked: key.revoked,
            last_used: key.last_used,
        }
    }
}

/// An API key to be made.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CreateKeyRequest {
    /// Its name.
    pub name: KeyName,
    /// What it may do.
    pub may: Vec<Allowance>,
    /// When it ends by itself; never where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl CreateKeyRequest {
    /// Of a key that is to be made.
    #[must_use]
    pub fn of(new: NewKey) -> Self {
        Self { name: new.name, may: new.allowances, expires: new.expires }
    }

    /// The key that is to be made.
    #[must_use]
    pub fn into_new(self) -> NewKey {
        NewKey { name: self.name, allowances: self.may, expires: self.expires }
    }
}

/// An API key that was made. The only time that the key itself is told.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct CreatedKeyDocument {
    /// The key itself: send it as `Authorization: Bearer gk_…`.
    #[serde(with = "sealed_text")]
    #[schemars(with = "String")]
    pub api_key: Secret,
    /// What is kept of it.
    #[serde(flatten)]
    pub key: ApiKeyDocument,
}

impl CreatedKeyDocument {
    /// What is told of a key that was made.
    #[must_use]
    pub fn of(created: &CreatedKey) -> Self {
        Self { api_key: created.secret.clone(), key: ApiKeyDocument::of(&created.key, created.key.created) }
    }
}

/// Which entries of the audit log: the newest, or those on from one.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct AuditQuery {
    /// Only what was done to this connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connection: Option<ConnectionName>,
    /// Only what was done to this application, or to one of its connections or profiles.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub application: Option<ApplicationName>,
    /// Only what was done with this API key, or to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyName>,
    /// Only this action.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub action: Option<Action>,
    /// Only from this time on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// The newest before this sequence; the newest of all when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<u64>,
    /// Those after this sequence, the oldest first, instead.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub after: Option<u64>,
    /// How many at the most, up to 500; 100 when nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

impl AuditQuery {
    /// Which entries are wanted.
    #[must_use]
    pub fn filter(&self) -> AuditFilter {
        AuditFilter {
            connection: self.connection.clone(),
            application: self.application.clone(),
            key: self.key.clone(),
            action: self.action,
            since: self.since,
        }
    }

    /// The same question of a filter.
    #[must_use]
    pub fn of(filter: &AuditFilter) -> Self {
        let AuditFilter { connection, application, key, action, since } = filter.clone();
        Self { connection, application, key, action, since, ..Self::default() }
    }
}

/// What the audit log is verified against.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VerifyQuery {
    /// A head that was noted earlier, `SEQUENCE:HASH`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub head: Option<Head>,
}

/// The administrator's password, to be set.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PasswordRequest {
    /// The password.
    #[serde(with = "sealed_text")]
    #[schemars(with = "String")]
    pub password: Secret,
}
