//! API keys, the administrator's password, and the audit log.

use super::{Connector, Error};
use crate::access::{
    Acting, AuditFilter, AuditList, Caller, FollowAudit, Head, KeyRefused, KeySecret, Verified, after,
    comes_to_nothing, hash_password, is_password, newest, verify,
};
use crate::model::{
    Action, Allowance, ApiKey, AuditEntry, ConnectionName, KeyName, KeyState, Outcome, RecordedAudit, Secret, Target,
    Timestamp, new_id,
};
use crate::refresh::{Token, Want};
use crate::store::{Change, StoreError};
use crate::vault::{AdministratorRecord, KeyRecord, Stored, VaultError};
use futures_util::FutureExt as _;
use std::future::Future;
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::runtime::Handle;
use uuid::Uuid;

/// An API key to be made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewKey {
    /// What people will call it.
    pub name: KeyName,
    /// What it may do, one thing at the least.
    pub allowances: Vec<Allowance>,
    /// When it ends by itself; never where nothing is said.
    pub expires: Option<Timestamp>,
}

/// An API key that was made. The key itself is here and nowhere else: it cannot be shown again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreatedKey {
    /// What is kept of it.
    pub key: ApiKey,
    /// The key.
    pub secret: Secret,
}

impl Connector {
    /// The same connector, whose calls are written into the audit log as somebody's. Without this, as a library has it that answers to
    /// nobody, calls are not written down.
    #[must_use]
    pub fn acting(&self, acting: impl Into<Arc<Acting>>) -> Self {
        Self { acting: Some(acting.into()), ..self.clone() }
    }

    /// Makes an API key. The name of one that is expired or revoked may be given anew, whose record goes then.
    pub async fn create_key(&self, new: NewKey) -> Result<CreatedKey, Error> {
        let now = self.clock.now();
        if new.allowances.is_empty() {
            return Err(Error::KeyMayNothing(new.name));
        }
        if new.expires.is_some_and(|end| end <= now) {
            return Err(Error::KeyEnded(new.name));
        }
        let secret = KeySecret::generate(new_id()).ok_or(Error::NoRandomness)?;
        let mut allowances = Vec::new();
        for allowance in new.allowances {
            if !allowances.contains(&allowance) {
                allowances.push(allowance);
            }
        }
        let key = ApiKey {
            id: secret.id(),
            name: new.name,
            allowances,
            created: now,
            expires: new.expires,
            revoked: None,
            last_used: None,
        };
        let mut changes = Vec::new();
        if let Some(Stored { value, .. }) = self.vault.api_key_named(&key.name).await? {
            if value.key.state(now) == KeyState::Good {
                return Err(Error::KeyExists(key.name));
            }
            changes.extend(self.vault.api_key_removal(&key.name).await?);
        }
        changes.push(self.vault.put_api_key(&KeyRecord { key: key.clone(), hash: secret.hash() }, None)?);
        let may: Vec<String> = key.allowances.iter().map(ToString::to_string).collect();
        let ends = key.expires.map_or_else(|| "no end".to_owned(), |end| format!("until {end}"));
        let detail = format!("{} may {}, {ends}", key.id, may.join(" "));
        self.changed(Action::KeyCreate, Some(Target::Key(key.name.clone())), &detail, changes, &key.name).await?;
        self.api_keys.forget();
        Ok(CreatedKey { key, secret: secret.text() })
    }

    /// All API keys by name, those that are expired or revoked too.
    pub async fn api_keys(&self) -> Result<Vec<ApiKey>, Error> {
        Ok(self.api_keys.list().await?)
    }

    /// Ends an API key: nobody is let in with it from the moment that this returns. One that does not open any more is removed.
    pub async fn revoke_key(&self, name: &KeyName) -> Result<ApiKey, Error> {
        for _ in 0..MOST_TRIES {
            match self.revoke_key_once(name).await {
                // Its last use was written down at the same moment; that must not stand in the way.
                Err(Error::Changed(_)) => {}
                ended => return ended,
            }
        }
        Err(Error::Changed(name.to_string()))
    }

    async fn revoke_key_once(&self, name: &KeyName) -> Result<ApiKey, Error> {
        let target = Some(Target::Key(name.clone()));
        let stored = match self.vault.api_key_named(name).await {
            Ok(stored) => stored.ok_or_else(|| Error::NoKey(name.clone()))?,
            Err(VaultError::Seal { .. } | VaultError::Misfit { .. } | VaultError::Format { .. }) => {
                let removal = self.vault.api_key_removal(name).await?.into_iter().collect();
                self.changed(Action::KeyRevoke, target, "removed: it did not open", removal, name).await?;
                self.api_keys.forget();
                return Err(Error::KeyRemoved(name.clone()));
            }
            Err(error) => return Err(error.into()),
        };
        let KeyRecord { mut key, hash } = stored.value;
        if key.revoked.is_none() {
            key.revoked = Some(self.clock.now());
            let change = self.vault.put_api_key(&KeyRecord { key: key.clone(), hash }, Some(stored.version))?;
            self.changed(Action::KeyRevoke, target, &key.id.to_string(), vec![change], name).await?;
            self.api_keys.forget();
        }
        Ok(key)
    }

    /// Who shows an API key, where it may be used. In memory: the store is asked once.
    ///
    /// # Errors
    /// When it is none, not known, expired or revoked.
    pub async fn let_in(&self, shown: &str) -> Result<Caller, KeyRefused> {
        self.api_keys.let_in(shown).await.map(Caller::Key)
    }

    /// Whether an API key may still be used: for what was begun with it and goes on. In memory, as [`let_in`](Self::let_in).
    pub async fn key_is_good(&self, id: Uuid) -> Result<bool, Error> {
        Ok(self.api_keys.is_good(id).await?)
    }

    /// Sets the administrator's password, the first or another one.
    pub async fn set_administrator_password(&self, password: &Secret) -> Result<(), Error> {
        let (password, stored) = (password.clone(), self.vault.administrator().await?);
        let hashed = tokio::task::spawn_blocking(move || hash_password(&password)).await;
        let hash = hashed.map_err(|_| Error::Stopped("hashing the password"))??;
        let record = AdministratorRecord { hash, changed: self.clock.now() };
        let change = self.vault.put_administrator(&record, stored.map(|stored| stored.version))?;
        self.changed(Action::PasswordSet, None, "", vec![change], &"the administrator's password").await
    }

    /// When the administrator's password was set; `None` where there is none, and nobody can sign in with one. Who is signed in with
    /// an earlier one should be no more.
    pub async fn administrator_password_set(&self) -> Result<Option<Timestamp>, Error> {
        Ok(self.vault.administrator().await?.map(|stored| stored.value.changed))
    }

    /// Whether a password is the administrator's. It costs some 20 ms and 19 MiB each time, on purpose: whoever asks for strangers
    /// limits how often. Neither the time nor the answer says whether there is a password.
    pub async fn check_password(&self, password: &Secret) -> Result<bool, Error> {
        let (password, stored) = (password.clone(), self.vault.administrator().await?);
        let is_set = stored.is_some();
        // Of nothing that anybody knows: the work is the same.
        let hash = stored.map_or_else(|| Secret::new(NO_PASSWORD), |stored| stored.value.hash);
        let checked = tokio::task::spawn_blocking(move || is_password(&password, &hash)).await;
        Ok(checked.map_err(|_| Error::Stopped("checking the password"))? && is_set)
    }

    /// Entries of the audit log, the newest first: up to `limit` of those that are wanted, before a sequence where one is named
    /// ([`AuditList::next`]).
    pub async fn audit(&self, filter: &AuditFilter, before: Option<u64>, limit: usize) -> Result<AuditList, Error> {
        self.write_down().await;
        Ok(newest(&self.vault, filter, before, limit).await?)
    }

    /// Up to `limit` entries of the audit log after a sequence, in their order; 0 is from the first on. Who has read up to one never
    /// finds a new one before it.
    pub async fn audit_after(&self, sequence: u64, limit: usize) -> Result<Vec<RecordedAudit>, Error> {
        self.write_down().await;
        Ok(after(&self.vault, sequence, limit).await?)
    }

    /// The sequence of the last entry of the audit log, 0 before the first.
    pub async fn last_audit(&self) -> Result<u64, Error> {
        self.write_down().await;
        Ok(self.vault.last_audit().await?)
    }

    /// The entries after a sequence, and then new ones as they are written.
    #[must_use]
    pub fn follow_audit(&self, after: u64) -> FollowAudit {
        FollowAudit::new(self.vault.clone(), Arc::clone(&self.clock), after)
    }

    /// Reads the whole audit log, and says whether it is as it was written. A head that was noted earlier must be in it.
    pub async fn verify_audit(&self, noted: Option<Head>) -> Result<Verified, Error> {
        self.write_down().await;
        Ok(verify(&self.vault, noted).await?)
    }

    /// Whoever reads the log finds what was done before. On a disk that is full they find what is there.
    async fn write_down(&self) {
        if let Err(error) = self.log.flush().await {
            tracing::warn!("the audit log is read as it is on disk: {error}");
        }
    }

    /// Writes an entry into the audit log: what a door sees, and no call of the connector does (a sign-in, a refusal, a request through
    /// the proxy). Returns when it is durable.
    pub async fn audit_now(&self, entry: AuditEntry) -> Result<(), Error> {
        Ok(self.log.write(vec![entry]).await?)
    }

    /// The same for what happens often, such as refusals: it is durable within a moment, and a crash before that loses it. Fails where the log
    /// has ended, which is told in this program's own log too: who only refuses something has nothing more to do then.
    pub async fn audit_soon(&self, entry: AuditEntry) -> Result<(), Error> {
        Ok(self.log.hand_in(entry).await?)
    }

    /// A token for somebody, with an entry of the audit log that is written within a moment, with those of others: the hot path of an
    /// API. Where the log cannot keep up, this waits for it.
    pub async fn token_for(&self, acting: Acting, name: &ConnectionName, want: Want) -> Result<Token, Error> {
        Ok(self.token_now_for(acting, name, want).await?.0)
    }

    /// The same, with the time at which it was handed out: a clock is read once for all that is done with a token from memory.
    pub(crate) async fn token_now_for(
        &self,
        acting: Acting,
        name: &ConnectionName,
        want: Want,
    ) -> Result<(Token, Timestamp), Error> {
        let now = self.clock.now();
        let (token, now) = match self.refresher.held(name, want, now) {
            Some(token) => (Ok(token), now),
            None => (self.refresher.token(name, want).await.map_err(Error::from), self.clock.now()),
        };
        let told = self.tell(acting, Action::TokenRead, name, &token, now).await;
        let now = if matches!(told, Ok(Told::AfterAWhile)) { self.clock.now() } else { now };
        Ok((unless_unaudited(token, Action::TokenRead, told)?, now))
    }

    /// The same for a token that was had in another way.
    pub(super) async fn handed_out(
        &self,
        action: Action,
        name: &ConnectionName,
        token: Result<Token, Error>,
    ) -> Result<Token, Error> {
        let Some(acting) = &self.acting else { return token };
        let told = self.tell(Acting::clone(acting), action, name, &token, self.clock.now()).await;
        unless_unaudited(token, action, told)
    }

    /// Writes a hand-out down. What is made to wait with is small: nearly always there is no waiting.
    fn tell(
        &self,
        acting: Acting,
        action: Action,
        name: &ConnectionName,
        token: &Result<Token, Error>,
        now: Timestamp,
    ) -> impl Future<Output = Result<Told, VaultError>> + use<> {
        let entry = with_end(acting.into_entry(action, Target::of(name), now), token);
        let waits = self.log.put(entry).err().map(|(entry, _)| {
            let log = self.log.clone();
            Box::pin(async move { log.hand_in(entry).await })
        });
        async move {
            match waits {
                Some(waits) => waits.await.map(|()| Told::AfterAWhile),
                None => Ok(Told::AtOnce),
            }
        }
    }

    /// Makes a call, and writes down who made it and what it came to.
    pub(super) async fn audited<T>(
        &self,
        action: Action,
        target: Option<Target>,
        call: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        self.audited_as(action, call, |_| (target, None)).await
    }

    /// The same, where only the end says to what it was done, and what there is to say of it.
    pub(super) async fn audited_as<T>(
        &self,
        action: Action,
        call: impl Future<Output = Result<T, Error>>,
        what: impl FnOnce(&Result<T, Error>) -> (Option<Target>, Option<String>),
    ) -> Result<T, Error> {
        let Some(acting) = &self.acting else { return call.await };
        let mut unended = Unended { connector: self, acting, action, what: Some(what), ended: PhantomData };
        // A mistake of ours in it must not keep it out of the log.
        let result = AssertUnwindSafe(call).catch_unwind().await.unwrap_or(Err(STOPPED));
        let Some(entry) = unended.entry(&result) else { return result };
        let written = match comes_to_nothing(&entry) {
            true => self.log.hand_in(entry).await,
            false => self.log.write(vec![entry]).await,
        };
        unless_unaudited(result, action, written)
    }

    /// Makes changes and writes down to which connections, in one commit. `false` where they do not fit, and nothing was done.
    pub(super) async fn committed_each<'a>(
        &self,
        action: Action,
        names: impl Iterator<Item = &'a ConnectionName>,
        changes: Vec<Change>,
    ) -> Result<bool, Error> {
        let Some(acting) = &self.acting else { return self.committed(changes).await };
        let now = self.clock.now();
        let entries = names.map(|name| acting.entry(action, Target::of(name), now)).collect();
        match self.log.commit(entries, changes).await {
            Ok(()) => Ok(true),
            Err(VaultError::Store(StoreError::Conflict)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }

    /// Makes a change and writes it down, in one commit.
    pub(super) async fn changed(
        &self,
        action: Action,
        target: Option<Target>,
        detail: &str,
        changes: Vec<Change>,
        what: &(dyn std::fmt::Display + Sync),
    ) -> Result<(), Error> {
        let made = match &self.acting {
            Some(acting) => {
                let entry = acting.entry(action, target, self.clock.now());
                let entry = if detail.is_empty() { entry } else { entry.with_detail(detail) };
                self.log.commit(vec![entry], changes).await
            }
            None => self.vault.commit(changes).await,
        };
        match made {
            Err(VaultError::Store(StoreError::Conflict)) => Err(Error::Changed(what.to_string())),
            made => Ok(made?),
        }
    }
}

/// How often a key is ended anew that was changed at the same moment.
const MOST_TRIES: usize = 10;

/// A hash that no password has: it is of random bytes that were thrown away.
const NO_PASSWORD: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5a25vd3N0aGlz$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// What a call came to; where it came to something that could not be written down, that instead.
fn unless_unaudited<T, W>(
    result: Result<T, Error>,
    action: Action,
    written: Result<W, VaultError>,
) -> Result<T, Error> {
    let value = result?;
    written.map_err(|source| Error::Unaudited { action, source })?;
    Ok(value)
}

/// How a hand-out was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    AtOnce,
    /// The log had no room, and was waited for.
    AfterAWhile,
}

/// How a call ends whose end nobody knows.
const STOPPED: Error = Error::Stopped("the call");

/// A call that is under way. Where whoever made it goes before its end (an interrupted command, a time limit of the caller's), what was done by
/// then may have been done: the log has it all the same.
struct Unended<'a, T, F: FnOnce(&Result<T, Error>) -> (Option<Target>, Option<String>)> {
    connector: &'a Connector,
    acting: &'a Acting,
    action: Action,
    /// What there is to say of it, until it is said.
    what: Option<F>,
    ended: PhantomData<fn(T)>,
}

impl<T, F: FnOnce(&Result<T, Error>) -> (Option<Target>, Option<String>)> Unended<'_, T, F> {
    /// The entry of its end, once.
    fn entry(&mut self, result: &Result<T, Error>) -> Option<AuditEntry> {
        let (target, detail) = self.what.take()?(result);
        let entry = with_end(self.acting.entry(self.action, target, self.connector.clock.now()), result);
        Some(match detail {
            Some(detail) => entry.with_detail(&detail),
            None => entry,
        })
    }
}

impl<T, F: FnOnce(&Result<T, Error>) -> (Option<Target>, Option<String>)> Drop for Unended<'_, T, F> {
    fn drop(&mut self) {
        let Some(entry) = self.entry(&Err(STOPPED)) else { return };
        // Where the runtime is gone, so is the log's task.
        if Handle::try_current().is_err() || self.connector.log.put(entry).is_err() {
            tracing::error!(action = %self.action, "a call was broken off, and is not in the audit log");
        }
    }
}

fn with_end<T>(entry: AuditEntry, result: &Result<T, Error>) -> AuditEntry {
    match result {
        Ok(_) => entry,
        Err(error) if error.is_before_a_callback_is_taken() => entry.that(Outcome::Refused, error.code()),
        Err(error) => entry.that(Outcome::Failed, error.code()),
    }
}

/// The connection of a consent that came to an end, where the end says it.
pub(super) fn completed_for(completed: &Result<crate::model::Connection, Error>) -> Option<Target> {
    let name = match completed {
        Ok(connection) => &connection.name,
        Err(
            Error::Denied { connection: name, .. }
            | Error::NotAuthorized { connection: name, .. }
            | Error::OtherAccount { connection: name, .. }
            | Error::UnknownAccount { connection: name, .. }
            | Error::Expired(name)
            | Error::OtherBrowser(name)
            | Error::RevokedMeanwhile(name),
        ) => name,
        Err(_) => return None,
    };
    Target::of(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seal::Keyring;
    use crate::store::MemoryStore;

    fn acting() -> Connector {
        let keyring = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
        let connector = Connector::builder(Arc::new(MemoryStore::default()), keyring).build().unwrap();
        connector.acting(Acting::this_process())
    }

    async fn log(connector: &Connector) -> Vec<(Action, Outcome, Option<String>)> {
        let log = connector.audit_after(0, 10).await.unwrap();
        log.into_iter().map(|it| (it.entry.action, it.entry.outcome, it.entry.code)).collect()
    }

    #[tokio::test]
    async fn a_call_that_a_mistake_of_ours_ends_is_in_the_log_too() {
        let connector = acting();
        let ended: Result<(), Error> = connector.audited(Action::Revoke, None, async { panic!("a mistake") }).await;
        assert!(matches!(ended, Err(Error::Stopped(_))), "{ended:?}");
        let stopped = Some(STOPPED.code().to_owned());
        assert_eq!(log(&connector).await, [(Action::Revoke, Outcome::Failed, stopped)]);
    }

    #[tokio::test]
    async fn a_call_that_is_broken_off_is_in_the_log_too() {
        let connector = acting();
        let call = connector.audited(Action::KeysRotate, None, std::future::pending::<Result<(), Error>>());
        assert!(call.now_or_never().is_none());
        let stopped = Some(STOPPED.code().to_owned());
        assert_eq!(log(&connector).await, [(Action::KeysRotate, Outcome::Failed, stopped)]);
        // One that was never begun is none.
        drop(connector.audited(Action::KeysRotate, None, std::future::pending::<Result<(), Error>>()));
        connector.audited(Action::Revoke, None, async { Ok(()) }).await.unwrap();
        assert_eq!(log(&connector).await.len(), 2);
    }
}
