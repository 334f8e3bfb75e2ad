//! Whose account a grant is for, at the provider.

use serde::{Deserialize, Serialize};
use std::fmt;

/// An account at a provider, as the provider knows it.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Account {
    /// What does not change when a person changes their name or address.
    pub id: String,
    /// What a person knows it by: an address, a name.
    pub name: Option<String>,
    /// Who it is in the provider's id tokens, where it issues them: a refresh must bring the same
    /// (OpenID Connect Core section 12.2).
    pub subject: Option<Subject>,
}

/// Who somebody is to an issuer (OpenID Connect Core section 2): `sub` alone says nothing, it is one issuer's.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subject {
    /// `iss`.
    pub issuer: String,
    /// `sub`.
    pub sub: String,
}

impl Account {
    /// Whether two are one account. Names are not compared: people change theirs. Two issuers may call two people by
    /// the same id, as Microsoft's tenants may ("Access tokens in the Microsoft identity platform": claims are interpreted
    /// within the issuer); `sub` may differ from client to client for one person (OpenID Connect Core section 8).
    #[must_use]
    pub fn is_same(&self, other: &Self) -> bool {
        let subjects = self.subject.as_ref().zip(other.subject.as_ref());
        self.id == other.id && subjects.is_none_or(|(one, other)| one.issuer == other.issuer)
    }
}

/// `ann@a.example (id 1234)`.
impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.name {
            Some(name) if *name != self.id => write!(f, "{name} (id {})", self.id),
            _ => f.write_str(&self.id),
        }
    }
}

/// It is about a person.
impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subject").finish_non_exhaustive()
    }
}
