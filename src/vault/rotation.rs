//! A new key in the old one's place: every record sealed anew, and the old key gone when nothing names it any more.
//!
//! The order is what makes it safe to stop or kill at any point: the new key is on disk before anything is sealed under it; every
//! record is sealed anew where it lies, its version unchanged, so that nobody who edits or refreshes it notices; then the
//! store's files are written anew, for they still hold the old records; and only then the old key leaves the key file.
//! Whatever was not done is seen from the key file, which holds an old key until all is: the same call goes on.

use super::{
    Vault, access, application_binding, audit, connection_binding, credential_binding, events, pending_binding,
    reply_binding, webhooks,
};
use crate::model::Timestamp;
use crate::seal::{Binding, KeyId, Keyring, SealError};
use crate::store::{AccessKind, Key, Reseal, Row, StoreError};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

/// How keys are rotated.
#[derive(Debug, Clone)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct RotateOptions {
    /// Records that are looked at in one batch: a rotation stops between two.
    pub batch: usize,
}

impl Default for RotateOptions {
    fn default() -> Self {
        Self { batch: 256 }
    }
}

/// How far a rotation has come. Counted anew when one is resumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RotationProgress {
    /// What it is at.
    pub stage: RotationStage,
    /// How much of that is done.
    pub done: u64,
    /// Of how much.
    pub total: u64,
}

/// What a rotation is at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RotationStage {
    /// Sealing records anew; counted in records.
    Sealing,
    /// Writing the store's files anew.
    Rewriting,
}

/// What a rotation came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct Rotated {
    /// The key that everything is sealed under.
    #[cfg_attr(feature = "server", schemars(with = "String"))]
    pub key: KeyId,
    /// Whether a rotation was under way already, so that no key was made.
    pub resumed: bool,
    /// Whether it was stopped before its end.
    pub stopped: bool,
    /// Records that were sealed anew.
    pub sealed: u64,
    /// Records that still name an older key.
    pub left: u64,
    /// The keys that left the key file.
    #[cfg_attr(feature = "server", schemars(with = "Vec<String>"))]
    pub retired: Vec<KeyId>,
    /// Older keys that are still needed, because of what is left.
    #[cfg_attr(feature = "server", schemars(with = "Vec<String>"))]
    pub kept: Vec<KeyId>,
    /// Older keys that nothing names any more, to be removed by hand: the keys came from where nothing can be written.
    #[cfg_attr(feature = "server", schemars(with = "Vec<String>"))]
    pub unused: Vec<KeyId>,
    /// Records that do not open, with the reason: they keep their key. At most 100 are told.
    pub troubles: Vec<String>,
}

/// Why keys were not rotated. What was done stays done, and everything opens.
#[derive(Debug, thiserror::Error)]
pub enum RotationError {
    /// The keys came from where nothing can be written, and there is but one.
    #[error(
        "the keys come from {0}, which cannot be written from here: run `grantkeeper key new`, put what it prints in the place of the keys, and run `grantkeeper key rotate` again"
    )]
    OneKey(String),
    /// There is a rotation in this process.
    #[error("the keys are being rotated already; wait for that to end")]
    UnderWay,
    /// Somebody replaced the key file under a running process.
    #[error(
        "the key file {} no longer holds the key {key} that this process seals with; put it back, and start again", path.display()
    )]
    Replaced {
        /// The file.
        path: PathBuf,
        /// The key in use.
        key: KeyId,
    },
    /// The keys cannot be read or written.
    #[error(transparent)]
    Keys(#[from] SealError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Called after each batch; `Break` stops.
type Each<'a> = &'a mut (dyn FnMut(RotationProgress) -> ControlFlow<()> + Send);

/// Troubles that are told in words.
const MOST_TROUBLES: usize = 100;

impl Vault {
    /// Makes a new key in the key file and seals everything under it, or goes on with a rotation that was stopped or killed.
    /// Without a key file, everything is sealed under the current one of the keys that were given.
    ///
    /// # Errors
    /// When the keys cannot be read or written, or the store cannot; the same call goes on later.
    pub async fn rotate(
        &self,
        file: Option<&Path>,
        now: Timestamp,
        options: &RotateOptions,
        each: Each<'_>,
    ) -> Result<Rotated, RotationError> {
        let _rotating = self.keys.rotating().ok_or(RotationError::UnderWay)?;
        self.must_be_the_keys_of_the_store(options.batch).await?;
        let resumed = self.choose_keys(file, now).await?;
        let key = self.keyring().current();
        let mut rotated = Rotated {
            key,
            resumed,
            stopped: false,
            sealed: 0,
            left: 0,
            retired: Vec::new(),
            kept: Vec::new(),
            unused: Vec::new(),
            troubles: Vec::new(),
        };
        let stopped = self.seal_all(&mut rotated, options, each).await?.is_break() || !self.rewrite(each).await?;
        let named = self.key_counts(options.batch).await?;
        rotated.left = named.iter().filter(|(named, _)| **named != key).map(|(_, records)| records).sum();
        rotated.stopped = stopped;
        let (kept, unnamed): (Vec<KeyId>, Vec<KeyId>) =
            self.older_keys().into_iter().partition(|older| stopped || named.contains_key(older));
        rotated.kept = kept;
        match file {
            Some(file) if !unnamed.is_empty() => {
                // As the file is now: a key that somebody added meanwhile stays.
                let keyring = Keyring::from_file(file)?.without(&unnamed)?;
                keyring.write_file(file)?;
                self.keys.replace(keyring).await;
                rotated.retired = unnamed;
            }
            _ => rotated.unused = unnamed,
        }
        Ok(rotated)
    }

    /// How many records name each key.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn key_counts(&self, batch: usize) -> Result<BTreeMap<KeyId, u64>, StoreError> {
        let mut counts = BTreeMap::new();
        let mut after = None;
        loop {
            let page = self.store.walk(after, batch).await?;
            let Some(last) = page.last() else { return Ok(counts) };
            after = Some(last.key());
            // What is cut off names no key.
            for key in page.iter().filter_map(|row| Keyring::sealed_by(row.sealed()?).ok()) {
                *counts.entry(key).or_default() += 1;
            }
        }
    }

    /// Keys that open nothing are another store's, or an older file's: to go on would be to throw away a key that nothing here
    /// names and something elsewhere may.
    async fn must_be_the_keys_of_the_store(&self, batch: usize) -> Result<(), RotationError> {
        let (named, keyring) = (self.key_counts(batch).await?, self.keyring());
        let held: Vec<KeyId> = keyring.keys().iter().map(|key| key.id).collect();
        let Some(stranger) = named.keys().find(|named| !held.contains(named)) else { return Ok(()) };
        if held.iter().any(|held| named.contains_key(held)) {
            return Ok(());
        }
        let held: Vec<String> = held.iter().map(ToString::to_string).collect();
        let (key, keyring) = (*stranger, keyring.origin().to_owned());
        Err(RotationError::Keys(SealError::UnknownKey { key, keyring, held: held.join(", ") }))
    }

    /// Puts the keyring in use that everything is to be sealed under. Tells whether there were several keys already.
    async fn choose_keys(&self, file: Option<&Path>, now: Timestamp) -> Result<bool, RotationError> {
        let in_use = self.keyring();
        let Some(path) = file else {
            return match self.older_keys().is_empty() {
                true => Err(RotationError::OneKey(in_use.origin().to_owned())),
                false => Ok(true),
            };
        };
        let mut keyring = Keyring::from_file(path)?;
        if !keyring.keys().iter().any(|key| key.id == in_use.current()) {
            return Err(RotationError::Replaced { path: path.to_owned(), key: in_use.current() });
        }
        let resumed = keyring.keys().len() > 1;
        if !resumed {
            keyring = keyring.with_new_key(now)?;
            keyring.write_file(path)?;
        }
        self.keys.replace(keyring).await;
        Ok(resumed)
    }

    /// Seals every record anew that names another key than the current one.
    async fn seal_all(
        &self,
        rotated: &mut Rotated,
        options: &RotateOptions,
        each: Each<'_>,
    ) -> Result<ControlFlow<()>, RotationError> {
        // A commit whose caller has gone may still wait in the store: what is asked now is answered behind it.
        self.store.commit(Vec::new()).await?;
        let counts = self.key_counts(options.batch).await?;
        let total = counts.iter().filter(|(key, _)| **key != rotated.key).map(|(_, records)| records).sum();
        loop {
            let mut changed = 0;
            let mut after: Option<Key> = None;
            rotated.troubles.clear();
            loop {
                let page = self.store.walk(after, options.batch).await?;
                let Some(last) = page.last() else { break };
                after = Some(last.key());
                let anew = self.anew(page, &mut rotated.troubles);
                if anew.is_empty() {
                    continue;
                }
                // One that was changed meanwhile lies under the current key: whoever changed it sealed it.
                changed += self.store.reseal(anew).await? as u64;
                let done = rotated.sealed + changed;
                let progress = RotationProgress { stage: RotationStage::Sealing, done, total };
                if each(progress).is_break() {
                    rotated.sealed += changed;
                    return Ok(ControlFlow::Break(()));
                }
            }
            rotated.sealed += changed;
            if changed == 0 {
                return Ok(ControlFlow::Continue(()));
            }
        }
    }

    fn anew(&self, page: Vec<Row>, troubles: &mut Vec<String>) -> Vec<Reseal> {
        let keyring = self.keyring();
        let anew = page.into_iter().filter_map(|row| match self.sealed_anew(&row, &keyring) {
            Ok(sealed) => Some(Reseal::of(row, sealed?)),
            Err(error) => {
                if troubles.len() < MOST_TROUBLES {
                    troubles.push(error.to_string());
                }
                None
            }
        });
        anew.collect()
    }

    async fn rewrite(&self, each: Each<'_>) -> Result<bool, StoreError> {
        let mut each = |done, total| each(RotationProgress { stage: RotationStage::Rewriting, done, total });
        self.store.renew(&mut each).await
    }

    fn older_keys(&self) -> Vec<KeyId> {
        self.keyring().keys().into_iter().filter(|key| !key.current).map(|key| key.id).collect()
    }
}

/// What a record is sealed as.
pub(super) fn binding_of(row: &Row) -> Binding {
    match row {
        Row::Application(row) => application_binding(row.id, row.version),
        Row::Connection(row) => connection_binding(row.id, row.version),
        Row::Credential(row) => credential_binding(row.kind, row.connection, row.id, row.generation),
        Row::Pending(row) => pending_binding(&row.state_hash),
        Row::Flight(row) => reply_binding(row.connection, row.generation),
        Row::Event(row) => events::binding(row.id),
        Row::Access(row) => access::binding(row.kind, row.id, row.version),
        Row::Audit(row) => audit::binding(row.last),
    }
}

/// What a record is called in messages.
pub(super) fn name_of(row: &Row) -> String {
    match row {
        Row::Application(row) => format!("the application {:?}", row.name),
        Row::Connection(row) => format!("the connection {}", row.name),
        Row::Credential(row) => format!("the credential {}", row.id),
        Row::Pending(_) => "a pending authorization".to_owned(),
        Row::Flight(_) => "a kept reply".to_owned(),
        Row::Event(row) => format!("the event {}", row.sequence),
        Row::Access(row) => match row.kind {
            AccessKind::Key => access::what(&row.name),
            AccessKind::Administrator => "the administrator's password".to_owned(),
            AccessKind::Webhook => webhooks::what(&row.name),
            AccessKind::WebhookProgress => webhooks::PROGRESS.to_owned(),
        },
        Row::Audit(row) => audit::what(row.last),
    }
}
