//! A connection: one grant held for one requestor.

use super::{Account, ConnectionName, Failure, ProfileName, Scopes, Secret, Timestamp, later, new_id, sealed_option};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use uuid::Uuid;

/// Labels that people put on a connection.
pub type Labels = BTreeMap<String, String>;

/// Fields of the provider that are kept with a connection (`realmId`, `shop`, `instance_url`), in the order they came.
pub type Fields = serde_json::Map<String, serde_json::Value>;

/// Further tokens of one connection, at most: providers have one or two, and each is a record with a refresh of its own.
pub const MOST_FURTHER_TOKENS: usize = 16;

/// One grant held for one requestor.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Connection {
    /// Never changes, and every sealed record of the connection is bound to it.
    pub id: Uuid,
    /// What people call it.
    pub name: ConnectionName,
    /// The application, by id, so that a new application of an old name inherits nothing.
    pub application: Uuid,
    /// The profile it was made with.
    pub profile: ProfileName,
    /// Where it stands.
    pub state: ConnectionState,
    /// Counts the token replies taken: 0 before the first, one more with each.
    pub generation: u64,
    /// People's labels.
    pub labels: Labels,
    /// Kept fields of callbacks and replies.
    pub fields: Fields,
    /// Whose account it is at the provider, where that is known.
    #[serde(default)]
    pub account: Option<Account>,
    /// What was asked for and what was granted.
    #[serde(default)]
    pub scopes: Scopes,
    /// The password of a password grant whose application keeps it.
    #[serde(with = "sealed_option")]
    pub password: Option<Secret>,
    /// When it was first made.
    pub created: Timestamp,
    /// When a person last consented, or credentials were last exchanged without a refresh token.
    pub authorized: Option<Timestamp>,
    /// The last refresh that succeeded.
    pub refreshed: Option<Timestamp>,
    /// The last failure, until a success clears it.
    pub failure: Option<Failure>,
    /// Failures in a row.
    pub failures: u32,
    /// When the background job should look at it next; `None` is never.
    pub due: Option<Timestamp>,
    /// Whether it waits until its application is mended: the provider refuses the application's client, and asking for each of
    /// its connections would say nothing new.
    #[serde(default)]
    pub waits: bool,
    /// The last report that its access token was rejected before its time, where nobody says when it ends.
    #[serde(default)]
    pub rejected: Option<Rejection>,
    /// The age in seconds at which the last token so reported was rejected: a second one at about the same age teaches.
    #[serde(default)]
    pub rejected_age: Option<u64>,
    /// How long its access tokens live, in seconds, as far as such reports taught it.
    #[serde(default)]
    pub learned_lifetime: Option<u64>,
    /// When the backup was made that it was restored from, until its next refresh or consent: what has become of its grant since is
    /// not known.
    #[serde(default)]
    pub restored: Option<Timestamp>,
    /// The generation that came, or is to come, while more than one request with the refresh token before it may have been under
    /// way: a provider that ends a grant for that ends this one's tokens, and their refusal is the end of a lost rotation. It means
    /// nothing for any other generation.
    #[serde(default)]
    pub doubted: Option<u64>,
    /// Until when a request may still be on its way whose sender's lease ran out, and whose refresh token was sent again: a provider that ends a grant
    /// for that may do so when several generations have come since.
    #[serde(default)]
    pub doubted_until: Option<Timestamp>,
    /// How often it was revoked.
    pub revocations: u32,
    /// Its further tokens, by name ([`ConnectionName::with_token`]): each is a record of its own, with its own expiry and
    /// refresh, that ends when this one does.
    #[serde(default)]
    pub tokens: BTreeSet<String>,
}

/// Seconds for which a request is taken to be on its way whose sender held a lease that ran out: a day, because it is a clock that jumped, mostly.
pub const LONGEST_ON_ITS_WAY: u64 = 86_400;

impl Connection {
    /// Whether a request of ours that was overtaken may have ended its grant. A time that lies an hour further ahead than such a request may be on its
    /// way was set by a clock that has since been put back; one that is ahead by less is another machine's.
    #[must_use]
    pub fn may_have_been_ended_by_us(&self, now: Timestamp) -> bool {
        self.doubted_until.is_some_and(|until| now < until && until <= later(now, LONGEST_ON_ITS_WAY + 3600))
    }

    /// A connection that nobody was asked for yet.
    #[must_use]
    pub fn new(name: &ConnectionName, application: Uuid, now: Timestamp) -> Self {
        Self {
            id: new_id(),
            name: name.clone(),
            application,
            profile: ProfileName::default(),
            state: ConnectionState::Unauthorized,
            generation: 0,
            labels: Labels::new(),
            fields: Fields::new(),
            account: None,
            scopes: Scopes::default(),
            password: None,
            created: now,
            authorized: None,
            refreshed: None,
            failure: None,
            failures: 0,
            due: None,
            waits: false,
            rejected: None,
            rejected_age: None,
            learned_lifetime: None,
            restored: None,
            doubted: None,
            doubted_until: None,
            revocations: 0,
            tokens: BTreeSet::new(),
        }
    }

    /// The names of its further tokens.
    pub fn further(&self) -> impl Iterator<Item = ConnectionName> {
        self.tokens.iter().filter_map(|token| self.name.with_token(token).ok())
    }
}

/// A caller's report that an access token was rejected by an API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rejection {
    /// The generation that brought the token.
    pub generation: u64,
    /// When it was first reported.
    pub at: Timestamp,
}

/// Names of fields only: a provider puts what it likes into them.
impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("profile", &self.profile)
            .field("state", &self.state)
            .field("generation", &self.generation)
            .field("labels", &self.labels)
            .field("fields", &self.fields.keys().collect::<Vec<_>>())
            .field("due", &self.due)
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Where a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", content = "reason", rename_all = "snake_case")]
pub enum ConnectionState {
    /// Made, and nobody was asked yet.
    Unauthorized,
    /// Somebody was sent to consent and has not come back.
    Pending,
    /// Its token works or can be refreshed.
    Active,
    /// Refreshing fails, and the grant is not known to be dead; its token may still be good.
    Degraded,
    /// The grant is dead: a person must consent again.
    ReauthorizationRequired(ReauthorizationReason),
    /// Ended here, on purpose.
    Revoked,
}

/// Why a person must consent again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum ReauthorizationReason {
    /// The provider refused the refresh token.
    Refused,
    /// A refresh was sent, its reply never came, and the old token is refused since: the new one is lost.
    RotationLost,
    /// The access token ended and no refresh token was ever given.
    NoRefreshToken,
    /// A refresh brought tokens of another account.
    AccountChanged,
}

impl ConnectionState {
    /// The word for tables and JSON; the reason is told apart.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unauthorized => "unauthorized",
            Self::Pending => "pending",
            Self::Active => "active",
            Self::Degraded => "degraded",
            Self::ReauthorizationRequired(_) => "reauthorization_required",
            Self::Revoked => "revoked",
        }
    }

    /// Whether a token may be handed out or refreshed in this state.
    #[must_use]
    pub fn is_usable(self) -> bool {
        matches!(self, Self::Active | Self::Degraded)
    }
}

impl ReauthorizationReason {
    /// The word for tables and JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Refused => "refused",
            Self::RotationLost => "rotation_lost",
            Self::NoRefreshToken => "no_refresh_token",
            Self::AccountChanged => "account_changed",
        }
    }
}

impl fmt::Display for ConnectionState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReauthorizationRequired(reason) => write!(f, "{} ({})", self.as_str(), reason.as_str()),
            other => f.write_str(other.as_str()),
        }
    }
}
