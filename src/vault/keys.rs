//! The keyring in use, which a rotation replaces while others seal, open and commit.

use super::{Vault, VaultError, rotation};
use crate::seal::{Binding, KeyId, Keyring, SealError};
use crate::store::Change;
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::{Mutex, MutexGuard, RwLock as Gate, RwLockReadGuard};
use zeroize::Zeroizing;

/// The keyring in use, and what must be known of those before it.
#[derive(Debug)]
pub(super) struct Keys {
    rings: RwLock<Rings>,
    /// Held by each commit: who replaces the keyring waits until all that may carry records of the old one are through.
    gate: Gate<()>,
    /// Held by a rotation.
    rotating: Mutex<()>,
}

#[derive(Debug)]
struct Rings {
    current: Arc<Keyring>,
    /// Those that it replaced. A record that was read or sealed just before a key retired must still open just after; in the store
    /// there is none under it.
    earlier: Vec<Arc<Keyring>>,
}

impl Keys {
    pub(super) fn new(keyring: Arc<Keyring>) -> Self {
        let rings = RwLock::new(Rings { current: keyring, earlier: Vec::new() });
        Self { rings, gate: Gate::new(()), rotating: Mutex::new(()) }
    }

    /// The keyring in use.
    pub(super) fn current(&self) -> Arc<Keyring> {
        // Nothing panics while it is held.
        self.rings.read().unwrap_or_else(PoisonError::into_inner).current.clone()
    }

    /// Opens a record under whichever key it names.
    pub(super) fn open(&self, binding: &Binding, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let unknown = match self.current().open(binding, sealed) {
            Err(error @ SealError::UnknownKey { .. }) => error,
            result => return result,
        };
        let key = Keyring::sealed_by(sealed)?;
        match self.earlier(key) {
            Some(keyring) => keyring.open(binding, sealed),
            None => Err(unknown),
        }
    }

    /// To be held during a commit.
    pub(super) async fn commits(&self) -> RwLockReadGuard<'_, ()> {
        self.gate.read().await
    }

    /// To be held during a rotation; nothing when there is one.
    pub(super) fn rotating(&self) -> Option<MutexGuard<'_, ()>> {
        self.rotating.try_lock().ok()
    }

    /// Replaces the keyring. When this returns, every commit that could carry a record of the one before has been made.
    pub(super) async fn replace(&self, keyring: Keyring) {
        {
            let mut rings = self.rings.write().unwrap_or_else(PoisonError::into_inner);
            let before = std::mem::replace(&mut rings.current, Arc::new(keyring));
            rings.earlier.push(before);
        }
        drop(self.gate.write().await);
    }

    fn earlier(&self, key: KeyId) -> Option<Arc<Keyring>> {
        let rings = self.rings.read().unwrap_or_else(PoisonError::into_inner);
        let has = |keyring: &&Arc<Keyring>| keyring.keys().iter().any(|known| known.id == key);
        rings.earlier.iter().rev().find(has).cloned()
    }
}

impl Vault {
    /// Records that were sealed before the keyring was replaced and are committed after it are sealed anew, or a retired key
    /// would come back into the store.
    pub(super) fn under_the_current_key(&self, changes: Vec<Change>) -> Result<Vec<Change>, VaultError> {
        let keyring = self.keys.current();
        let anew = |change: Change| {
            let Some(row) = change.row() else { return Ok(change) };
            match self.sealed_anew(row, &keyring)? {
                Some(sealed) => Ok(change.sealed_as(sealed)),
                None => Ok(change),
            }
        };
        changes.into_iter().map(anew).collect()
    }

    /// The sealed part of a record under the current key; nothing where it has none, or lies under that key already.
    pub(super) fn sealed_anew(
        &self,
        row: &crate::store::Row,
        keyring: &Keyring,
    ) -> Result<Option<Vec<u8>>, VaultError> {
        let Some(sealed) = row.sealed() else { return Ok(None) };
        let failed = |source| VaultError::Seal { what: rotation::name_of(row), source };
        if Keyring::sealed_by(sealed).map_err(failed)? == keyring.current() {
            return Ok(None);
        }
        let binding = rotation::binding_of(row);
        let plain = self.keys.open(&binding, sealed).map_err(failed)?;
        Ok(Some(keyring.seal(&binding, &plain).map_err(failed)?))
    }
}
