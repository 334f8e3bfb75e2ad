//! API keys and the administrator's password on their way into the store and out of it.

use super::{Stored, Vault, VaultError, expected, fits, next};
use crate::model::{ApiKey, KeyName, Secret, Timestamp, sealed_text};
use crate::seal::{Binding, RecordKind};
use crate::store::{AccessKind, AccessRow, Change, Expect, Key, Row};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::fmt;
use subtle::ConstantTimeEq as _;
use uuid::Uuid;

/// An API key as it is kept: all but the key itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// Whose it is, and what it may do.
    pub key: ApiKey,
    /// What it is checked with.
    pub hash: KeyHash,
}

/// The SHA-256 of an API key's secret half. That is enough: the secret has 256 random bits, so that nobody can try them one after the
/// other, and a slow hash (as passwords need) would be paid with each request. It compares in constant time and does not print.
#[derive(Clone, Copy, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct KeyHash([u8; 32]);

impl KeyHash {
    /// Of a secret.
    #[must_use]
    pub fn of(secret: &[u8]) -> Self {
        Self(Sha256::digest(secret).into())
    }
}

impl PartialEq for KeyHash {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for KeyHash {}

impl fmt::Debug for KeyHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

impl From<KeyHash> for String {
    fn from(hash: KeyHash) -> Self {
        URL_SAFE_NO_PAD.encode(hash.0)
    }
}

impl TryFrom<String> for KeyHash {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
        bytes.map(Self).ok_or("not the hash of a key")
    }
}

/// The administrator's password as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdministratorRecord {
    /// Its hash, with how it was made (a PHC string).
    #[serde(with = "sealed_text")]
    pub hash: Secret,
    /// When it was set.
    pub changed: Timestamp,
}

/// The administrator's record: there is one.
const ADMINISTRATOR: Uuid = Uuid::from_u128(1);
/// Its name in the store.
const ADMINISTRATOR_NAME: &str = "administrator";

impl Vault {
    /// The API keys, by name. One that does not open is an error in its place, so that it does not cost the others.
    pub async fn api_keys(&self) -> Result<Vec<Result<Stored<KeyRecord>, VaultError>>, VaultError> {
        let rows = self.store.access().await?;
        Ok(rows.iter().filter(|row| row.kind == AccessKind::Key).map(|row| self.open_key(row)).collect())
    }

    /// The API key of an id.
    pub async fn api_key(&self, id: Uuid) -> Result<Option<Stored<KeyRecord>>, VaultError> {
        match self.store.get(Key::Access(id)).await? {
            Some(Row::Access(row)) if row.kind == AccessKind::Key => {
                fits(&what(&row.name), row.id == id)?;
                Ok(Some(self.open_key(&row)?))
            }
            _ => Ok(None),
        }
    }

    /// The API key of a name. Few enough that they are looked through.
    pub async fn api_key_named(&self, name: &KeyName) -> Result<Option<Stored<KeyRecord>>, VaultError> {
        let rows = self.store.access().await?;
        let row = rows.iter().find(|row| row.kind == AccessKind::Key && row.name == name.as_str());
        row.map(|row| self.open_key(row)).transpose()
    }

    /// What removes the API key of a name, whether it opens or not. Nothing where there is none.
    pub async fn api_key_removal(&self, name: &KeyName) -> Result<Option<Change>, VaultError> {
        let rows = self.store.access().await?;
        let row = rows.iter().find(|row| row.kind == AccessKind::Key && row.name == name.as_str());
        Ok(row.map(|row| Change::remove(Key::Access(row.id), Expect::Version(row.version))))
    }

    /// Writes an API key. `read` is the version it was read at, `None` for a new one.
    pub fn put_api_key(&self, record: &KeyRecord, read: Option<u64>) -> Result<Change, VaultError> {
        let (id, version) = (record.key.id, next(read));
        let sealed = self.seal("an API key", &binding(AccessKind::Key, id, version), record)?;
        let row = AccessRow { id, kind: AccessKind::Key, name: record.key.name.to_string(), version, sealed };
        Ok(Change::put(Row::Access(row), expected(read)))
    }

    /// The administrator's password, where one was set.
    pub async fn administrator(&self) -> Result<Option<Stored<AdministratorRecord>>, VaultError> {
        let what = "the administrator's password";
        match self.store.get(Key::Access(ADMINISTRATOR)).await? {
            Some(Row::Access(row)) => {
                fits(what, row.id == ADMINISTRATOR && row.kind == AccessKind::Administrator)?;
                let value = self.open(what, &binding(row.kind, row.id, row.version), &row.sealed)?;
                Ok(Some(Stored { value, version: row.version }))
            }
            _ => Ok(None),
        }
    }

    /// Writes the administrator's password. `read` is the version it was read at, `None` for the first.
    pub fn put_administrator(&self, record: &AdministratorRecord, read: Option<u64>) -> Result<Change, VaultError> {
        let (id, kind, version) = (ADMINISTRATOR, AccessKind::Administrator, next(read));
        let sealed = self.seal("the administrator's password", &binding(kind, id, version), record)?;
        let row = AccessRow { id, kind, name: ADMINISTRATOR_NAME.to_owned(), version, sealed };
        Ok(Change::put(Row::Access(row), expected(read)))
    }

    fn open_key(&self, row: &AccessRow) -> Result<Stored<KeyRecord>, VaultError> {
        let what = what(&row.name);
        let value: KeyRecord = self.open(&what, &binding(row.kind, row.id, row.version), &row.sealed)?;
        fits(&what, value.key.id == row.id && value.key.name.as_str() == row.name)?;
        Ok(Stored { value, version: row.version })
    }
}

pub(super) fn binding(kind: AccessKind, id: Uuid, version: u64) -> Binding {
    let kind = match kind {
        AccessKind::Key => RecordKind::ApiKey,
        AccessKind::Administrator => RecordKind::Administrator,
        AccessKind::Webhook => RecordKind::Webhook,
        AccessKind::WebhookProgress => RecordKind::WebhookProgress,
    };
    Binding { kind, owner: id, record: id, generation: version }
}

pub(super) fn what(name: &str) -> String {
    format!("the API key {name:?}")
}
