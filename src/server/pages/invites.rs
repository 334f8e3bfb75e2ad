//! Links that a person gets to connect an account. Kept in memory, and only by a hash of what stands in them: a restart ends them.

use crate::model::{Connection, ConnectionName, Labels, ProfileName, Secret, Timestamp, later, quoted};
use crate::server::doors::session::{SignInError, random};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// Links at once; the oldest make room.
const MOST: usize = 1000;
/// How long one that is over is still shown to who made it, in seconds.
const SHOWN: u64 = 7 * 86_400;

/// The links of a daemon. Clones share everything.
#[derive(Clone, Default)]
pub(super) struct Invites(Arc<Mutex<HashMap<[u8; 32], Invite>>>);

/// A link, without what stands in it.
#[derive(Debug, Clone)]
pub(super) struct Invite {
    /// What it is called where it is taken back: not what opens it.
    pub(super) id: Uuid,
    pub(super) connection: ConnectionName,
    pub(super) profile: ProfileName,
    pub(super) labels: Labels,
    /// For whom it is, in the words of who made it.
    pub(super) whom: String,
    pub(super) other_account: bool,
    pub(super) made: Timestamp,
    pub(super) ends: Timestamp,
    /// The API key in whose session it was made, where it was: it ends with that key.
    pub(super) api_key: Option<Uuid>,
    /// When somebody went on with it.
    pub(super) used: Option<Timestamp>,
    /// What had come of it when another one for the same connection was used: the account that it linked, where it did.
    pub(super) superseded: Option<Option<String>>,
}

impl Invites {
    /// Takes one in. Returns what stands in its link.
    pub(super) fn add(&self, invite: Invite) -> Result<Secret, SignInError> {
        let key = random()?;
        let mut all = self.all();
        all.retain(|_, old| invite.made < later(old.ends, SHOWN));
        if all.len() >= MOST
            && let Some(oldest) = all.iter().min_by_key(|(_, old)| old.made).map(|(key, _)| *key)
        {
            all.remove(&oldest);
        }
        all.insert(hash(key.expose()), invite);
        Ok(key)
    }

    /// One that is still good.
    pub(super) fn find(&self, key: &str, now: Timestamp) -> Option<Invite> {
        self.all().get(&hash(key)).filter(|invite| invite.is_good(now)).cloned()
    }

    /// Uses one up: of two at once, one gets it.
    pub(super) fn take(&self, key: &str, now: Timestamp) -> Option<Invite> {
        let mut all = self.all();
        let invite = all.get_mut(&hash(key)).filter(|invite| invite.is_good(now))?;
        invite.used = Some(now);
        Some(invite.clone())
    }

    /// Another one for the same connection is used now: what has come of those before it is what the connection is by now.
    pub(super) fn supersede(&self, by: &Invite, connection: Option<&Connection>) {
        let mut all = self.all();
        let same = |invite: &&mut Invite| invite.connection == by.connection && invite.id != by.id;
        for invite in all.values_mut().filter(same).filter(|invite| invite.used.is_some()) {
            let linked = invite.linked(connection);
            invite.superseded.get_or_insert(linked);
        }
    }

    /// Gives one back that nothing came of: its person could not be sent on.
    pub(super) fn give_back(&self, key: &str) {
        if let Some(invite) = self.all().get_mut(&hash(key)) {
            invite.used = None;
        }
    }

    /// Ends one. Returns it, where it was there.
    pub(super) fn withdraw(&self, id: Uuid) -> Option<Invite> {
        let mut all = self.all();
        let key = all.iter().find(|(_, invite)| invite.id == id).map(|(key, _)| *key)?;
        all.remove(&key)
    }

    /// All of them, the newest first.
    pub(super) fn list(&self) -> Vec<Invite> {
        let mut list: Vec<Invite> = self.all().values().cloned().collect();
        list.sort_by_key(|invite| std::cmp::Reverse((invite.made, invite.id)));
        list
    }

    fn all(&self) -> MutexGuard<'_, HashMap<[u8; 32], Invite>> {
        // Nothing that holds it panics half-way through a change.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Invite {
    pub(super) fn is_good(&self, now: Timestamp) -> bool {
        self.used.is_none() && now < self.ends
    }

    /// The account that it linked, where it did; empty where nobody says which.
    pub(super) fn linked(&self, connection: Option<&Connection>) -> Option<String> {
        if let Some(linked) = &self.superseded {
            return linked.clone();
        }
        let (used, connection) = (self.used?, connection?);
        let account = connection.account.as_ref().map(|account| account.name.as_ref().unwrap_or(&account.id));
        connection.authorized.filter(|at| *at >= used)?;
        Some(account.map_or_else(String::new, |account| quoted(account)))
    }

    /// What the audit log says of it: nothing that opens it.
    pub(super) fn said(&self) -> String {
        let whom = if self.whom.is_empty() { String::new() } else { format!(" for {}", self.whom) };
        format!("good until {}{whom}; {}", self.ends.strftime("%Y-%m-%d %H:%M UTC"), self.id)
    }
}

impl fmt::Debug for Invites {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Invites").finish_non_exhaustive()
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}
