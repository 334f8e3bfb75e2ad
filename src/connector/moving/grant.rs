//! A grant on its way from one keeper to another: plain data, which is sealed or adopted before it comes to rest.

use crate::model::{
    Account, ConnectionName, Expiry, Fields, Labels, ProfileName, Secret, Timestamp, sealed_option, sealed_text,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A grant that moves: what a line of a file says of it, or all that the home that it comes from knew.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// What it is called here.
    pub name: ConnectionName,
    /// The profile; the connection's own, or `default`, when none is given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ProfileName>,
    /// Its tokens.
    pub tokens: Tokens,
    /// Its further tokens, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub further: BTreeMap<String, Tokens>,
    /// People's labels.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: Labels,
    /// The provider's fields (`realmId`, `shop`, `instance_url`).
    #[serde(default, skip_serializing_if = "Fields::is_empty")]
    pub fields: Fields,
    /// Whose account it is, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<Account>,
    /// What the consent asked for; the profile's scopes when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested: Option<Vec<String>>,
    /// When a person consented, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorized: Option<Timestamp>,
    /// The password of a password grant whose application keeps it.
    #[serde(default, with = "sealed_option", skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// How many token replies were taken where it comes from; counting goes on from there.
    #[serde(default)]
    pub generation: u64,
}

/// The tokens of one grant. At least one of the two, unless the application renews without any.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tokens {
    /// What is exchanged for new access tokens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<HeldToken>,
    /// What an API takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access: Option<HeldToken>,
    /// The scopes granted; those asked for when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    /// What stands before the access token; `Bearer` when it is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_type: Option<String>,
}

/// One token, and what is known of its life.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HeldToken {
    /// The token itself.
    #[serde(with = "sealed_text")]
    pub token: Secret,
    /// When it ends, where somebody said so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Expiry>,
    /// When it was received, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Timestamp>,
}

impl Grant {
    /// A grant of a name and its tokens, of which nothing more is known.
    #[must_use]
    pub fn new(name: ConnectionName, tokens: Tokens) -> Self {
        Self {
            name,
            profile: None,
            tokens,
            further: BTreeMap::new(),
            labels: Labels::new(),
            fields: Fields::new(),
            account: None,
            requested: None,
            authorized: None,
            password: None,
            generation: 0,
        }
    }
    /// About how many bytes it takes, written down: who hands many over at once can tell how many.
    #[must_use]
    pub fn weight(&self) -> usize {
        let list = |list: &Option<Vec<String>>| list.iter().flatten().map(|text| text.len() + BESIDE).sum::<usize>();
        let tokens = |tokens: &Tokens| {
            let held = [&tokens.refresh, &tokens.access].into_iter().flatten();
            let secrets = held.map(|held| held.token.expose().len() + BESIDE).sum::<usize>();
            secrets + list(&tokens.scopes) + tokens.token_type.as_ref().map_or(0, String::len)
        };
        let told = serde_json::to_vec(&(&self.labels, &self.fields, &self.account)).map_or(0, |json| json.len());
        let password = self.password.as_ref().map_or(0, |password| password.expose().len());
        let further = self.further.values().map(|further| BESIDE + tokens(further)).sum::<usize>();
        BESIDE + told + password + list(&self.requested) + tokens(&self.tokens) + further
    }
}

/// Bytes that stand beside a text, at the most: its name, marks, times.
const BESIDE: usize = 256;

impl HeldToken {
    /// A token of which nothing is known.
    #[must_use]
    pub fn new(token: Secret) -> Self {
        Self { token, expires: None, issued: None }
    }
}

/// Neither tokens, nor fields, nor whose it is.
impl fmt::Debug for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grant")
            .field("name", &self.name)
            .field("profile", &self.profile)
            .field("tokens", &self.tokens)
            .field("further", &self.further)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("refresh", &self.refresh).field("access", &self.access).finish_non_exhaustive()
    }
}

impl fmt::Debug for HeldToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HeldToken").field("expires", &self.expires).finish_non_exhaustive()
    }
}
