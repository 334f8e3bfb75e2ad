//! A provider's habits: how its requests and replies differ from the RFCs, declared and not programmed. What is not
//! said is as RFC 6749 has it. `docs/providers.md` explains each key; [`Habits`] has one field a table of it.

use super::{FailureKind, GrantType, Template};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Everything that is declared of a provider beside its endpoints and the way that clients authenticate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Habits {
    /// What stands before the token in the `Authorization` header of API calls, whatever replies call its type.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub authorization_scheme: Option<String>,
    /// The authorization request.
    #[serde(skip_serializing_if = "is_default")]
    pub authorization: AuthorizationHabits,
    /// The redirect back.
    #[serde(skip_serializing_if = "is_default")]
    pub callback: CallbackHabits,
    /// Token requests.
    #[serde(skip_serializing_if = "is_default")]
    pub token: TokenHabits,
    /// Revocation requests.
    #[serde(skip_serializing_if = "is_default")]
    pub revocation: RequestHabits,
    /// Replies to token requests.
    #[serde(skip_serializing_if = "is_default")]
    pub reply: ReplyHabits,
    /// Further tokens of the same reply, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub tokens: BTreeMap<String, Places>,
    /// Whose account it is.
    #[serde(skip_serializing_if = "is_default")]
    pub account: AccountHabits,
    /// When to refresh.
    #[serde(skip_serializing_if = "is_default")]
    pub refresh: RefreshHabits,
}

/// How the authorization request differs (RFC 6749 section 4.1.1).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizationHabits {
    /// What comes after the URL's `#`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fragment: Option<String>,
    /// Parameters that are not sent, by their standard names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<Vec<String>>,
    /// Further parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Template>,
    /// Standard names to the provider's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
}

/// How the redirect back differs (RFC 6749 section 4.1.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CallbackHabits {
    /// The parameter with the code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The parameter with the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// Parameters kept as fields of the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep: Option<Vec<String>>,
    /// The parameter with the hex HMAC-SHA-256 of the others under the client secret (Shopify). It is then demanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hmac: Option<String>,
}

/// How token requests differ (RFC 6749 sections 4 and 6): each one, and those of one grant.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenHabits {
    /// Of each token request.
    #[serde(flatten)]
    pub every: RequestHabits,
    /// Of one grant's requests, over those.
    #[serde(flatten)]
    pub grants: BTreeMap<GrantType, RequestHabits>,
}

/// How requests differ.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct RequestHabits {
    /// `POST` unless said otherwise; with `GET` the parameters are the query.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// How the parameters are written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<RequestFormat>,
    /// Parameters that are not sent, by their standard names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop: Option<Vec<String>>,
    /// Further parameters.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub parameters: BTreeMap<String, Template>,
    /// Standard names to the provider's.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// Further headers.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
    /// Further parameters of the URL.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub query: BTreeMap<String, Template>,
}

/// The method of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// RFC 6749 section 3.2.
    #[serde(rename = "POST")]
    Post,
    /// The parameters in the query.
    #[serde(rename = "GET")]
    Get,
}

/// How the parameters of a request are written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RequestFormat {
    /// `application/x-www-form-urlencoded` (RFC 6749 appendix B).
    #[default]
    Form,
    /// A JSON object.
    Json,
    /// In the URL, the body empty.
    Query,
    /// In the URL and in the body, both.
    FormAndQuery,
}

/// How token replies differ (RFC 6749 sections 5.1 and 5.2).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ReplyHabits {
    /// What stands before the JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// How the body is written; unsaid, by what it looks like.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<ReplyFormat>,
    /// What stands between two scopes of a reply; unsaid, what stands between those of a request.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope_separator: Option<String>,
    /// A reply without an access token means that the one that we have goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_token_stays: Option<bool>,
    /// Refresh tokens that are none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ignore_refresh_token: Option<Ignored>,
    /// Where an error's code stands, the first that is there; `a/b` joins two.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_code: Vec<String>,
    /// Where the words of an error stand, the first that are there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub error_description: Vec<String>,
    /// Where a reply that asks for patience says for how long, the first that is there.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub retry_after: Vec<String>,
    /// Where the fields of the token stand.
    #[serde(flatten)]
    pub places: Places,
    /// Fields that are kept under another name, by it: paths.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub keep: BTreeMap<String, String>,
    /// Values, by path, that a reply has which is no error.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub success: BTreeMap<String, Vec<serde_json::Value>>,
    /// What each code means.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub errors: BTreeMap<String, FailureKind>,
}

/// How a reply's body is written, where it does not show by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReplyFormat {
    /// The whole body is the access token.
    Text,
}

/// Refresh tokens that are none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Ignored {
    /// All of them, or none.
    All(bool),
    /// These values.
    These(Vec<String>),
}

/// Where the fields of a token stand in a reply: dotted paths below `root`, else from the top; the first that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Places {
    /// The object that holds the fields.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub root: Option<String>,
    /// In what lifetimes are counted that are durations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires_unit: Option<Unit>,
    /// Of `access_token`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub access_token: Vec<String>,
    /// Of `refresh_token`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refresh_token: Vec<String>,
    /// Of `expires_in`: a duration, or a moment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expires_in: Vec<String>,
    /// Of the refresh token's lifetime: a duration, or a moment.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refresh_expires_in: Vec<String>,
    /// Of `scope`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub scope: Vec<String>,
    /// Of `token_type`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub token_type: Vec<String>,
    /// Of `id_token`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id_token: Vec<String>,
}

/// In what a lifetime is counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// RFC 6749 section 5.1.
    #[default]
    Seconds,
    /// Thousandths of them.
    Milliseconds,
    /// 60 of them.
    Minutes,
    /// 3,600 of them.
    Hours,
    /// 86,400 of them.
    Days,
}

/// Where the account's id and name come from: `id_token.CLAIM`, `userinfo.PATH`, `reply.PATH`, `callback.PATH`; the
/// first that is there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AccountHabits {
    /// What never changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub id: Vec<String>,
    /// What people recognize.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub name: Vec<String>,
    /// The method of the userinfo request; `GET` unless said otherwise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<Method>,
    /// Further headers of it.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, Template>,
}

/// When to refresh.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RefreshHabits {
    /// Seconds before the end; unsaid, by the token's lifetime.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<u64>,
    /// Seconds after which a refresh token dies that nobody used.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle: Option<u64>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Habits {
    /// These habits, and where they are silent those of `below`. Maps are joined, lists replaced.
    #[must_use]
    pub fn over(self, below: &Self) -> Self {
        let below = below.clone();
        Self {
            authorization_scheme: self.authorization_scheme.or(below.authorization_scheme),
            authorization: self.authorization.over(below.authorization),
            callback: self.callback.over(below.callback),
            token: self.token.over(below.token),
            revocation: self.revocation.over(below.revocation),
            reply: self.reply.over(below.reply),
            tokens: merged(self.tokens, below.tokens, Places::over),
            account: self.account.over(below.account),
            refresh: RefreshHabits {
                margin: self.refresh.margin.or(below.refresh.margin),
                idle: self.refresh.idle.or(below.refresh.idle),
            },
        }
    }
}

impl AuthorizationHabits {
    fn over(self, below: Self) -> Self {
        Self {
            fragment: self.fragment.or(below.fragment),
            drop: self.drop.or(below.drop),
            parameters: joined(self.parameters, below.parameters),
            rename: joined(self.rename, below.rename),
        }
    }
}

impl CallbackHabits {
    fn over(self, below: Self) -> Self {
        Self {
            code: self.code.or(below.code),
            state: self.state.or(below.state),
            keep: self.keep.or(below.keep),
            hmac: self.hmac.or(below.hmac),
        }
    }
}

impl TokenHabits {
    fn over(self, below: Self) -> Self {
        Self { every: self.every.over(below.every), grants: merged(self.grants, below.grants, RequestHabits::over) }
    }

    /// What holds for a grant: its own over those of every request. What either drops is dropped.
    #[must_use]
    pub fn of(&self, grant: GrantType) -> RequestHabits {
        let Some(own) = self.grants.get(&grant) else { return self.every.clone() };
        let drop = self.every.drop.iter().chain(&own.drop).flatten().cloned().collect();
        RequestHabits { drop: Some(drop), ..own.clone().over(self.every.clone()) }
    }
}

impl RequestHabits {
    fn over(self, below: Self) -> Self {
        Self {
            method: self.method.or(below.method),
            format: self.format.or(below.format),
            drop: self.drop.or(below.drop),
            parameters: joined(self.parameters, below.parameters),
            rename: joined(self.rename, below.rename),
            headers: joined(self.headers, below.headers),
            query: joined(self.query, below.query),
        }
    }

    /// Whether a parameter is not sent.
    #[must_use]
    pub fn drops(&self, name: &str) -> bool {
        self.drop.iter().flatten().any(|dropped| dropped == name)
    }
}

impl ReplyHabits {
    fn over(self, below: Self) -> Self {
        Self {
            prefix: self.prefix.or(below.prefix),
            format: self.format.or(below.format),
            scope_separator: self.scope_separator.or(below.scope_separator),
            access_token_stays: self.access_token_stays.or(below.access_token_stays),
            ignore_refresh_token: self.ignore_refresh_token.or(below.ignore_refresh_token),
            error_code: first(self.error_code, below.error_code),
            error_description: first(self.error_description, below.error_description),
            retry_after: first(self.retry_after, below.retry_after),
            places: self.places.over(below.places),
            keep: joined(self.keep, below.keep),
            success: joined(self.success, below.success),
            errors: joined(self.errors, below.errors),
        }
    }
}

impl Places {
    fn over(self, below: Self) -> Self {
        Self {
            root: self.root.or(below.root),
            expires_unit: self.expires_unit.or(below.expires_unit),
            access_token: first(self.access_token, below.access_token),
            refresh_token: first(self.refresh_token, below.refresh_token),
            expires_in: first(self.expires_in, below.expires_in),
            refresh_expires_in: first(self.refresh_expires_in, below.refresh_expires_in),
            scope: first(self.scope, below.scope),
            token_type: first(self.token_type, below.token_type),
            id_token: first(self.id_token, below.id_token),
        }
    }
}

impl AccountHabits {
    fn over(self, below: Self) -> Self {
        Self {
            id: first(self.id, below.id),
            name: first(self.name, below.name),
            method: self.method.or(below.method),
            headers: joined(self.headers, below.headers),
        }
    }
}

fn first(list: Vec<String>, below: Vec<String>) -> Vec<String> {
    if list.is_empty() { below } else { list }
}

fn joined<K: Ord, V>(map: BTreeMap<K, V>, below: BTreeMap<K, V>) -> BTreeMap<K, V> {
    merged(map, below, |value, _| value)
}

fn merged<K: Ord, V>(map: BTreeMap<K, V>, mut below: BTreeMap<K, V>, over: impl Fn(V, V) -> V) -> BTreeMap<K, V> {
    for (key, value) in map {
        let value = match below.remove(&key) {
            Some(under) => over(value, under),
            None => value,
        };
        below.insert(key, value);
    }
    below
}
