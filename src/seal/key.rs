//! One key of a keyring, and what is derived from it.

use super::SealError;
use super::cipher::{Cipher, KEY_BYTES};
use crate::model::Timestamp;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use sha2::Sha256;
use std::fmt;
use std::str::FromStr;
use zeroize::Zeroizing;

/// The name of a key: eight bytes derived from the key itself, written as 16 hexadecimal digits. Being derived, it is a
/// check value too: two keys never share a name, and a key file whose key was damaged is noticed when it is read.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId([u8; KEY_ID_BYTES]);

/// What may be told of a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub struct KeyInfo {
    /// Its name.
    #[cfg_attr(feature = "server", schemars(with = "String"))]
    pub id: KeyId,
    /// When it was made.
    pub created: Timestamp,
    /// Whether new records are sealed under it.
    pub current: bool,
}

/// Length of a key's name, in bytes: no two keys of a lifetime collide, and it costs each record little.
pub(super) const KEY_ID_BYTES: usize = 8;

/// A key: 32 random bytes that are only ever derived from, one derived key for each use.
pub(super) struct Key {
    pub(super) id: KeyId,
    pub(super) created: Timestamp,
    pub(super) cipher: Cipher,
    root: Root,
}

/// The random bytes. Boxed, so that moving a key does not leave copies behind on the stack.
pub(super) type Root = Box<Zeroizing<[u8; KEY_BYTES]>>;

impl Key {
    /// A key of fresh random bytes.
    pub(super) fn generate(now: Timestamp) -> Result<Self, SealError> {
        let mut root = Root::default();
        random(&mut root[..])?;
        // A key file is read by people: whole seconds say enough, and truncating cannot leave the range of a time.
        let created = Timestamp::from_second(now.as_second()).unwrap_or(now);
        Ok(Self::from_root(root, created))
    }

    pub(super) fn from_root(root: Root, created: Timestamp) -> Self {
        let mut id = [0; KEY_ID_BYTES];
        id.copy_from_slice(&derived(&root, "grantkeeper/key-id/v1")[..KEY_ID_BYTES]);
        let cipher = Cipher::new(&derived(&root, "grantkeeper/seal/v1"));
        Self { id: KeyId(id), created, cipher, root }
    }

    pub(super) fn root(&self) -> &[u8; KEY_BYTES] {
        &self.root
    }

    pub(super) fn keyed_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        let key = derived(&self.root, &format!("grantkeeper/keyed-hash/v1/{purpose}"));
        hmac_sha256(&key, &[data])
    }
}

impl KeyId {
    pub(super) fn from_bytes(bytes: [u8; KEY_ID_BYTES]) -> Self {
        Self(bytes)
    }

    pub(super) fn as_bytes(&self) -> &[u8; KEY_ID_BYTES] {
        &self.0
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl Serialize for KeyId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for KeyId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// Not the name of a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a key's name is 16 hexadecimal digits, as `grantkeeper key list` shows")]
pub struct KeyIdError;

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let mut bytes = [0; KEY_ID_BYTES];
        let digits = text.as_bytes();
        if digits.len() != 2 * KEY_ID_BYTES || !digits.iter().all(u8::is_ascii_hexdigit) {
            return Err(KeyIdError);
        }
        for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| KeyIdError)?;
        }
        Ok(Self(bytes))
    }
}

/// Random bytes straight from the system.
pub(super) fn random(bytes: &mut [u8]) -> Result<(), SealError> {
    getrandom::fill(bytes).map_err(|error| SealError::NoRandomness(error.to_string()))
}

/// HKDF-Expand with SHA-256 for one block (RFC 5869 section 2.3): the root is uniformly random, so there is nothing to
/// extract first.
fn derived(root: &[u8; KEY_BYTES], purpose: &str) -> Zeroizing<[u8; 32]> {
    Zeroizing::new(hmac_sha256(root, &[purpose.as_bytes(), &[1]]))
}

fn hmac_sha256(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    #[expect(clippy::expect_used, reason = "HMAC takes a key of any length (RFC 2104 section 2)")]
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes any key");
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}
