//! What the provider has given out, and what is still good. Pure: time is a parameter.

use super::clients::Client;
use super::habits::{Habits, Rotation};
use super::reply::{Refusal, refusal};
use crate::model::{Secret, Timestamp, later};
use std::collections::{HashMap, HashSet};
use url::Url;

/// One grant with everything that was ever issued under it. Its number never changes.
#[derive(Debug, Clone)]
pub struct Family {
    /// Its place in the ledger.
    pub id: usize,
    /// The client that holds it.
    pub client_id: String,
    /// Who granted it: a user's name, or the client itself.
    pub subject: String,
    /// What was granted.
    pub scopes: Vec<String>,
    /// Every refresh token issued, oldest first; the last one is current.
    pub refresh_tokens: Vec<Secret>,
    /// Every access token issued, oldest first.
    pub access_tokens: Vec<Secret>,
    /// Every id token issued, oldest first.
    pub id_tokens: Vec<Secret>,
    /// Why nothing of it is good any more.
    pub ended: Option<Ended>,
    refresh_expires: Option<Timestamp>,
    rotated_at: Option<Timestamp>,
}

/// Why a family ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// Its authorization code came a second time (RFC 6749 section 4.1.2).
    CodeReused,
    /// A replaced refresh token came again (RFC 9700 section 4.14.2).
    RefreshTokenReused,
    /// The client revoked its refresh token (RFC 7009).
    Revoked,
    /// A test killed it, as a person does who removes an app's access.
    Killed,
}

/// An authorization request that was found good.
#[derive(Clone)]
pub(super) struct Asked {
    pub(super) client_id: String,
    pub(super) redirect_uri: Url,
    /// As it was sent: the token request must repeat it to the letter (RFC 6749 section 4.1.3).
    pub(super) redirect_uri_param: Option<String>,
    pub(super) state: Option<String>,
    pub(super) scopes: Vec<String>,
    pub(super) challenge: Option<Challenge>,
    pub(super) offline: bool,
    /// Repeated in the id token (OpenID Connect Core section 3.1.2.1).
    pub(super) nonce: Option<String>,
}

/// The proof key of an authorization request (RFC 7636 section 4.3).
#[derive(Clone)]
pub(super) enum Challenge {
    S256(String),
    Plain(String),
}

struct Code {
    asked: Asked,
    user: String,
    expires: Timestamp,
    family: Option<usize>,
}

struct AccessToken {
    family: usize,
    expires: Timestamp,
    revoked: bool,
}

/// How a device's authorization stands (RFC 8628 section 3.5).
pub(super) struct Device {
    pub(super) client_id: String,
    pub(super) user_code: String,
    pub(super) scopes: Vec<String>,
    pub(super) expires: Timestamp,
    pub(super) interval: u64,
    pub(super) last_poll: Option<Timestamp>,
    /// The person's answer: a user's name, or a refusal.
    pub(super) answer: Option<Result<String, ()>>,
}

/// An access token that is good, seen from the API or introspection.
pub(super) struct Good<'a> {
    pub(super) family: &'a Family,
    pub(super) expires: Option<Timestamp>,
}

#[derive(Default)]
pub(super) struct Ledger {
    pub(super) families: Vec<Family>,
    /// Consent pages on display, by ticket.
    pub(super) consents: HashMap<String, Asked>,
    pub(super) devices: HashMap<String, Device>,
    codes: HashMap<String, Code>,
    access_tokens: HashMap<String, AccessToken>,
    refresh_tokens: HashMap<String, usize>,
    assertions_seen: HashSet<String>,
}

/// How long an authorization code lives, in seconds; RFC 6749 section 4.1.2 allows ten minutes at most.
pub(super) const CODE_SECONDS: u64 = 60;

impl Ledger {
    pub(super) fn new_code(&mut self, asked: Asked, user: &str, now: Timestamp) -> String {
        let code = random("demo-code-");
        let expires = later(now, CODE_SECONDS);
        self.codes.insert(code.clone(), Code { asked, user: user.to_owned(), expires, family: None });
        code
    }

    /// Takes a code in for its family and the request that it answers; a second time ends the family.
    pub(super) fn redeem_code(
        &mut self,
        code: &str,
        client: &Client,
        redirect_uri: Option<&str>,
        proves: impl FnOnce(Option<&Challenge>) -> Result<(), Refusal>,
        now: Timestamp,
    ) -> Result<(usize, Asked), Refusal> {
        let refused = |why: &str| Err(refusal("invalid_grant", why));
        let Some(entry) = self.codes.get_mut(code) else { return refused("there is no such code") };
        if entry.asked.client_id != client.id {
            return refused("the code was issued to another client");
        }
        if let Some(family) = entry.family {
            self.end(family, Ended::CodeReused);
            return refused("the code was used before; everything issued for it is revoked");
        }
        if entry.expires <= now {
            return refused("the code has expired");
        }
        if entry.asked.redirect_uri_param.as_deref() != redirect_uri {
            return refused("redirect_uri is not the one of the authorization request");
        }
        proves(entry.asked.challenge.as_ref())?;
        let family = self.families.len();
        entry.family = Some(family);
        let (asked, user) = (entry.asked.clone(), entry.user.clone());
        Ok((self.open_family(client, &user, asked.scopes.clone()), asked))
    }

    pub(super) fn open_family(&mut self, client: &Client, subject: &str, scopes: Vec<String>) -> usize {
        let id = self.families.len();
        self.families.push(Family {
            id,
            client_id: client.id.clone(),
            subject: subject.to_owned(),
            scopes,
            refresh_tokens: Vec::new(),
            access_tokens: Vec::new(),
            id_tokens: Vec::new(),
            ended: None,
            refresh_expires: None,
            rotated_at: None,
        });
        id
    }

    pub(super) fn issue_access(&mut self, family: usize, habits: &Habits, now: Timestamp) -> String {
        let token = random("demo-access-");
        let expires = later(now, habits.access_token_seconds);
        self.access_tokens.insert(token.clone(), AccessToken { family, expires, revoked: false });
        self.families[family].access_tokens.push(Secret::new(token.clone()));
        token
    }

    pub(super) fn issue_refresh(&mut self, family: usize, habits: &Habits, now: Timestamp) -> String {
        let token = random("demo-refresh-");
        self.refresh_tokens.insert(token.clone(), family);
        let entry = &mut self.families[family];
        entry.refresh_tokens.push(Secret::new(token.clone()));
        entry.refresh_expires = habits.refresh_token_seconds.map(|seconds| later(now, seconds));
        token
    }

    /// Takes a refresh token in for its family and the refresh token that the reply carries, if any.
    pub(super) fn redeem_refresh(
        &mut self,
        token: &str,
        client: &Client,
        habits: &Habits,
        now: Timestamp,
    ) -> Result<(usize, Option<String>), Refusal> {
        let refused = |why: &str| Err(refusal("invalid_grant", why));
        let Some(&id) = self.refresh_tokens.get(token) else { return refused("there is no such refresh token") };
        let family = &self.families[id];
        if family.client_id != client.id {
            return refused("the refresh token was issued to another client");
        }
        if family.ended.is_some() {
            return refused("the grant has been revoked");
        }
        let held = Secret::new(token);
        let mut newest_first = family.refresh_tokens.iter().rev();
        let current = newest_first.next();
        if current != Some(&held) {
            let forgiven = match (habits.rotation, family.rotated_at) {
                (Rotation::Always { grace_seconds }, Some(at)) => now < later(at, grace_seconds),
                _ => false,
            };
            if newest_first.next() == Some(&held) && forgiven {
                return Ok((id, current.map(|token| token.expose().to_owned())));
            }
            self.end(id, Ended::RefreshTokenReused);
            return refused("the refresh token was used before; the grant is revoked");
        }
        if family.refresh_expires.is_some_and(|expires| expires <= now) {
            return refused("the refresh token has expired");
        }
        let next = match habits.rotation {
            Rotation::Always { .. } => {
                self.families[id].rotated_at = Some(now);
                Some(self.issue_refresh(id, habits, now))
            }
            Rotation::Repeat => Some(token.to_owned()),
            Rotation::Omit => None,
        };
        Ok((id, next))
    }

    /// An access or refresh token that is good now; what introspection says.
    pub(super) fn good(&self, token: &str, now: Timestamp) -> Option<Good<'_>> {
        self.good_access(token, now).or_else(|| self.good_refresh(token, now))
    }

    /// An access token that is good now; what an API asks.
    pub(super) fn good_access(&self, token: &str, now: Timestamp) -> Option<Good<'_>> {
        let access = self.access_tokens.get(token).filter(|access| !access.revoked && access.expires > now)?;
        let family = &self.families[access.family];
        family.ended.is_none().then_some(Good { family, expires: Some(access.expires) })
    }

    fn good_refresh(&self, token: &str, now: Timestamp) -> Option<Good<'_>> {
        let family = &self.families[*self.refresh_tokens.get(token)?];
        let current = family.refresh_tokens.last() == Some(&Secret::new(token));
        let expired = family.refresh_expires.is_some_and(|expires| expires <= now);
        (current && !expired && family.ended.is_none()).then_some(Good { family, expires: family.refresh_expires })
    }

    /// RFC 7009 section 2.1: an access token alone, or with the refresh token the whole grant. An unknown token is no
    /// error; somebody else's is.
    pub(super) fn revoke(&mut self, token: &str, client: &Client) -> Result<(), Refusal> {
        let refused = || refusal("invalid_grant", "the token was issued to another client");
        if let Some(access) = self.access_tokens.get_mut(token) {
            if self.families[access.family].client_id != client.id {
                return Err(refused());
            }
            access.revoked = true;
        } else if let Some(&family) = self.refresh_tokens.get(token) {
            if self.families[family].client_id != client.id {
                return Err(refused());
            }
            self.end(family, Ended::Revoked);
        }
        Ok(())
    }

    /// Ends a family; the first reason stays.
    pub(super) fn end(&mut self, family: usize, why: Ended) {
        if let Some(family) = self.families.get_mut(family) {
            family.ended.get_or_insert(why);
        }
    }

    pub(super) fn expire_access_tokens(&mut self, now: Timestamp) {
        for token in self.access_tokens.values_mut() {
            token.expires = token.expires.min(now);
        }
    }

    /// Whether an assertion of this issuer and id is new (RFC 7523 section 3: `jti` against replay).
    pub(super) fn first_use(&mut self, issuer: &str, jti: &str) -> bool {
        self.assertions_seen.insert(format!("{issuer}\n{jti}"))
    }
}

/// A value that nobody guesses, marked as the demo's.
pub(super) fn random(prefix: &str) -> String {
    // Two of them: 244 random bits, from the system.
    format!("{prefix}{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}
