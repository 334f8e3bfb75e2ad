//! API keys in memory: a request is let in without asking the store.

use super::KeySecret;
use crate::model::{ApiKey, Clock, KeyState, Timestamp, later};
use crate::vault::{KeyHash, KeyRecord, Stored, Vault, VaultError};
use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use uuid::Uuid;

/// How long it takes at most, in seconds, until a key that another process made or ended is known here, where several processes may
/// share a store. One that holds its store alone knows at once.
pub const KEYS_KNOWN_AFTER: u64 = 2;

/// How old the last use of a key that is stored may be, in seconds, before it is written again.
const USE_KEPT_EVERY: i64 = 3600;

/// The API keys of a store. Clones share everything.
#[derive(Clone)]
pub struct Keys(Arc<Shared>);

struct Shared {
    vault: Vault,
    clock: Arc<dyn Clock>,
    known: RwLock<Known>,
    /// When each was last used, in seconds of the epoch: it outlives a reading.
    uses: Mutex<HashMap<Uuid, Arc<AtomicI64>>>,
}

#[derive(Default)]
struct Known {
    /// Counts what was forgotten: a reading that began before is not kept.
    epoch: u64,
    keys: Option<(Timestamp, Arc<HashMap<Uuid, Held>>)>,
}

struct Held {
    key: Arc<ApiKey>,
    hash: KeyHash,
    used: Arc<AtomicI64>,
}

/// Why somebody is not let in. The sentences may be shown to them: they tell nothing of keys to who has none.
#[derive(Debug, Clone, thiserror::Error)]
pub enum KeyRefused {
    /// It has not the shape of a key.
    #[error("this is no API key: one begins with gk_ and has 67 characters; see that it was copied whole")]
    NoKey,
    /// There is none of that id, or its secret is another.
    #[error("this API key is not known here; it was ended, belongs to another Grantkeeper, or was not copied whole")]
    Unknown,
    /// Its time has passed.
    #[error("the API key {} has expired; an administrator makes a new one with `grantkeeper api-key create`", .0.name)]
    Expired(Arc<ApiKey>),
    /// It was ended.
    #[error("the API key {} was revoked; ask an administrator for another", .0.name)]
    Revoked(Arc<ApiKey>),
    /// The keys cannot be read.
    #[error("API keys cannot be checked now: {0}")]
    Unread(Arc<VaultError>),
}

impl KeyRefused {
    /// Whose key it is, where the key was right and may not be used any more.
    #[must_use]
    pub fn key(&self) -> Option<&Arc<ApiKey>> {
        match self {
            Self::Expired(key) | Self::Revoked(key) => Some(key),
            Self::NoKey | Self::Unknown | Self::Unread(_) => None,
        }
    }

    /// A word for it that does not change between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoKey => "no_key",
            Self::Unknown => "unknown_key",
            Self::Expired(_) => "expired_key",
            Self::Revoked(_) => "revoked_key",
            Self::Unread(_) => "keys_unread",
        }
    }
}

impl Keys {
    /// The keys in a vault. Nothing is read before somebody is to be let in.
    #[must_use]
    pub fn new(vault: Vault, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { vault, clock, known: RwLock::default(), uses: Mutex::default() }))
    }

    /// The key that somebody shows, where it may be used.
    ///
    /// # Errors
    /// When it is none, not known, expired or revoked, or the store cannot be read.
    pub async fn let_in(&self, shown: &str) -> Result<Arc<ApiKey>, KeyRefused> {
        let secret = KeySecret::parse(shown).ok_or(KeyRefused::NoKey)?;
        let now = self.0.clock.now();
        let keys = self.0.all(now).await.map_err(|error| KeyRefused::Unread(Arc::new(error)))?;
        let held = keys.get(&secret.id());
        // Hashed where there is no such key too: the time says nothing of which ids there are.
        let hash = secret.hash();
        let Held { key, used, .. } = held.filter(|held| held.hash == hash).ok_or(KeyRefused::Unknown)?;
        let key = Arc::clone(key);
        match key.state(now) {
            KeyState::Good => {
                // Written once a second: each writing takes it from the processors that look at it.
                if used.load(Ordering::Relaxed) != now.as_second() {
                    used.store(now.as_second(), Ordering::Relaxed);
                }
                Ok(key)
            }
            KeyState::Expired => Err(KeyRefused::Expired(key)),
            KeyState::Revoked => Err(KeyRefused::Revoked(key)),
        }
    }

    /// Whether a key, of one who was let in with it, still opens a door: what was begun with it may go on for longer. In memory, but for the
    /// first time.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn is_good(&self, id: Uuid) -> Result<bool, VaultError> {
        let now = self.0.clock.now();
        let keys = self.0.all(now).await?;
        Ok(keys.get(&id).is_some_and(|held| held.key.state(now) == KeyState::Good))
    }

    /// Forgets what was read: a key was made or ended. Whoever is to be let in from now on is checked against what is stored.
    pub fn forget(&self) {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        known.epoch += 1;
        known.keys = None;
    }

    /// All keys by name, with their last use as far as this process knows it.
    ///
    /// # Errors
    /// When the store cannot be read, or one of them does not open.
    pub async fn list(&self) -> Result<Vec<ApiKey>, VaultError> {
        let stored: Result<Vec<Stored<KeyRecord>>, VaultError> = self.0.vault.api_keys().await?.into_iter().collect();
        Ok(stored?.into_iter().map(|stored| self.0.with_use(stored.value.key)).collect())
    }

    /// Writes down when keys were last used, where what is stored is older than an hour or so. A crash loses that much of it.
    ///
    /// # Errors
    /// When the store cannot be read or written.
    pub async fn keep_uses(&self) -> Result<(), VaultError> {
        if self.0.uses.lock().unwrap_or_else(PoisonError::into_inner).is_empty() {
            return Ok(());
        }
        for stored in self.0.vault.api_keys().await?.into_iter().flatten() {
            let before = stored.value.key.last_used;
            let key = self.0.with_use(stored.value.key);
            let moved =
                |used: Timestamp| before.is_none_or(|before| used.as_second() - before.as_second() >= USE_KEPT_EVERY);
            if key.last_used.is_some_and(moved) {
                let record = KeyRecord { key, hash: stored.value.hash };
                let change = self.0.vault.put_api_key(&record, Some(stored.version))?;
                // One that is revoked at the same moment is of no use any more.
                match self.0.vault.commit(vec![change]).await {
                    Ok(()) | Err(VaultError::Store(crate::store::StoreError::Conflict)) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(())
    }
}

impl Shared {
    /// What was read, where it still counts.
    fn known(&self, now: Timestamp) -> Option<Arc<HashMap<Uuid, Held>>> {
        let known = self.known.read().unwrap_or_else(PoisonError::into_inner);
        let (read, keys) = known.keys.as_ref()?;
        let counts = self.vault.store().is_exclusive() || (*read <= now && now < later(*read, KEYS_KNOWN_AFTER));
        counts.then(|| Arc::clone(keys))
    }

    async fn all(&self, now: Timestamp) -> Result<Arc<HashMap<Uuid, Held>>, VaultError> {
        match self.known(now) {
            Some(keys) => Ok(keys),
            None => self.read(now).await,
        }
    }

    async fn read(&self, now: Timestamp) -> Result<Arc<HashMap<Uuid, Held>>, VaultError> {
        let epoch = self.known.read().unwrap_or_else(PoisonError::into_inner).epoch;
        let mut keys = HashMap::new();
        for stored in self.vault.api_keys().await? {
            match stored {
                Ok(Stored { value: KeyRecord { key, hash }, .. }) => {
                    let used = self.use_of(&key);
                    keys.insert(key.id, Held { key: Arc::new(key), hash, used });
                }
                // It opens no door; the others do.
                Err(error) => tracing::error!("an API key cannot be used: {error}"),
            }
        }
        let keys = Arc::new(keys);
        let mut known = self.known.write().unwrap_or_else(PoisonError::into_inner);
        if known.epoch == epoch {
            known.keys = Some((now, Arc::clone(&keys)));
        }
        Ok(keys)
    }

    /// Where the last use of a key is noted.
    fn use_of(&self, key: &ApiKey) -> Arc<AtomicI64> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let stored = || Arc::new(AtomicI64::new(key.last_used.map_or(i64::MIN, Timestamp::as_second)));
        Arc::clone(uses.entry(key.id).or_insert_with(stored))
    }

    fn with_use(&self, mut key: ApiKey) -> ApiKey {
        let uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        let noted = uses.get(&key.id).and_then(|used| Timestamp::from_second(used.load(Ordering::Relaxed)).ok());
        key.last_used = key.last_used.max(noted);
        key
    }
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").finish_non_exhaustive()
    }
}
