//! The keyring: seals under its current key, opens under any of its keys.

use super::cipher::{NONCE_BYTES, TAG_BYTES};
use super::key::{KEY_ID_BYTES, Key, KeyId, KeyInfo, random};
use super::{Binding, SealError, file};
use crate::model::Timestamp;
use std::fmt;
use std::path::Path;
use zeroize::Zeroizing;

/// One or more keys, one of them current. Its `Debug` shows the keys' names only, and the keys are wiped when it is
/// dropped.
///
/// A sealed record is a format byte, the key's name (8 bytes), a random nonce (24 bytes), the encrypted text, as long as
/// the plain one, and a tag (16 bytes). Format byte and key name are authenticated with the binding.
pub struct Keyring {
    pub(super) keys: Vec<Key>,
    /// Index into `keys`, which is never empty.
    pub(super) current: usize,
    /// Where the keys came from, as messages name it.
    pub(super) origin: String,
}

impl Keyring {
    /// A keyring of one new key that is written nowhere.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn generate(now: Timestamp) -> Result<Self, SealError> {
        Ok(Self { keys: vec![Key::generate(now)?], current: 0, origin: "this keyring".to_owned() })
    }

    /// Makes a keyring of one new key and writes it to a new file of mode 0600, in a folder that is made with mode 0700
    /// where it is missing. When this returns, the file has reached the disk. A file that is there is never touched.
    ///
    /// # Errors
    /// When there is such a file already, or the file cannot be written.
    pub fn create_file(path: &Path, now: Timestamp) -> Result<Self, SealError> {
        let mut keyring = Self::generate(now)?;
        keyring.origin = format!("the key file {}", path.display());
        file::write_new(path, &keyring.to_text())?;
        Ok(keyring)
    }

    /// Reads a key file. One that others than its owner can read or write is refused, and so is one whose folder others
    /// can write to. A symbolic link is followed, as service managers set them; what counts is the file at its end.
    ///
    /// # Errors
    /// When the file cannot be read, is open to others, or is no keyring.
    pub fn from_file(path: &Path) -> Result<Self, SealError> {
        Self::from_text(&file::read_private(path)?, &format!("the key file {}", path.display()))
    }

    /// Reads the text of a key file that came another way: an environment variable, or a credentials folder of the
    /// service manager. `origin` says which, in words that fit before "holds no key".
    ///
    /// # Errors
    /// When the text is no keyring.
    pub fn from_text(text: &str, origin: &str) -> Result<Self, SealError> {
        file::parse(text, origin)
    }

    /// The keyring as the text of a key file: the secret itself, so write it nowhere but to where keys belong.
    #[must_use]
    pub fn to_text(&self) -> Zeroizing<String> {
        file::format(self)
    }

    /// Seals a record under the current key.
    ///
    /// # Errors
    /// When the system gives no randomness, or the record is longer than 64 GiB.
    pub fn seal(&self, binding: &Binding, plain: &[u8]) -> Result<Vec<u8>, SealError> {
        let key = &self.keys[self.current];
        let mut nonce = [0; NONCE_BYTES];
        random(&mut nonce)?;
        // Reserved whole: growing would leave copies of the plain text behind in freed memory.
        let mut sealed = Vec::with_capacity(OVERHEAD + plain.len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(key.id.as_bytes());
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(plain);
        let tag = key
            .cipher
            .encrypt(&nonce, &additional(key.id, binding), &mut sealed[HEADER..])
            .map_err(|_| SealError::TooLarge { length: plain.len() })?;
        sealed.extend_from_slice(&tag);
        Ok(sealed)
    }

    /// Opens a record that was sealed with this very binding. Takes any bytes whatever without panicking.
    ///
    /// # Errors
    /// When the record is cut off, has another format, is sealed under a key that is not here, or does not open: damaged,
    /// or sealed as another record.
    pub fn open(&self, binding: &Binding, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, SealError> {
        let parts = Parts::of(sealed)?;
        let key = self.keys.iter().find(|key| key.id == parts.key).ok_or_else(|| SealError::UnknownKey {
            key: parts.key,
            keyring: self.origin.clone(),
            held: self.held(),
        })?;
        let mut text = Zeroizing::new(parts.text.to_vec());
        key.cipher
            .decrypt(parts.nonce, &additional(key.id, binding), &mut text, parts.tag)
            .map_err(|_| SealError::DoesNotOpen { key: key.id })?;
        Ok(text)
    }

    /// The key that a record names, without opening it.
    ///
    /// # Errors
    /// When the record is cut off or has another format.
    pub fn sealed_by(sealed: &[u8]) -> Result<KeyId, SealError> {
        Parts::of(sealed).map(|parts| parts.key)
    }

    /// HMAC-SHA-256 of `data` under a key derived from the current one for `purpose` alone: finds a record by a secret
    /// that the store must not hold (an issued token). It is stable as long as the current key is; what was filed under an
    /// earlier key is found with [`Keyring::keyed_hash_under`].
    #[must_use]
    pub fn keyed_hash(&self, purpose: &str, data: &[u8]) -> [u8; 32] {
        self.keys[self.current].keyed_hash(purpose, data)
    }

    /// The same under a named key of the keyring.
    ///
    /// # Errors
    /// When there is no such key here.
    pub fn keyed_hash_under(&self, key: KeyId, purpose: &str, data: &[u8]) -> Result<[u8; 32], SealError> {
        Ok(self.keys[self.index(key)?].keyed_hash(purpose, data))
    }

    /// The keys, in the order of the key file.
    #[must_use]
    pub fn keys(&self) -> Vec<KeyInfo> {
        let info =
            |(index, key): (usize, &Key)| KeyInfo { id: key.id, created: key.created, current: index == self.current };
        self.keys.iter().enumerate().map(info).collect()
    }

    /// Adds a new key, which opens records at once and seals none until [`Keyring::make_current`]: so that every process
    /// can be given the new key before the first record needs it. Nothing is written; [`Keyring::to_text`] has the text.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn add_key(&mut self, now: Timestamp) -> Result<KeyId, SealError> {
        let key = Key::generate(now)?;
        let id = key.id;
        self.keys.push(key);
        Ok(id)
    }

    /// Chooses the key that new records are sealed under.
    ///
    /// # Errors
    /// When there is no such key here.
    pub fn make_current(&mut self, key: KeyId) -> Result<(), SealError> {
        self.current = self.index(key)?;
        Ok(())
    }

    /// The same keys and a new one, which is the current one: [`Keyring::write_file`] it before anything is sealed under it.
    ///
    /// # Errors
    /// When the system gives no randomness.
    pub fn with_new_key(&self, now: Timestamp) -> Result<Self, SealError> {
        let mut keyring = self.again()?;
        let new = keyring.add_key(now)?;
        keyring.make_current(new)?;
        Ok(keyring)
    }

    /// The same without some of its keys. The current one is never left out.
    ///
    /// # Errors
    /// None that a keyring which was read or made has.
    pub fn without(&self, keys: &[KeyId]) -> Result<Self, SealError> {
        let mut keyring = self.again()?;
        let current = keyring.keys[keyring.current].id;
        keyring.keys.retain(|key| key.id == current || !keys.contains(&key.id));
        keyring.make_current(current)?;
        Ok(keyring)
    }

    /// Writes it to a key file in place of what that holds: a crash leaves the one or the other, whole. When this returns, it has
    /// reached the disk. Where the path is a symbolic link, the file that it leads to is replaced.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write_file(&self, path: &Path) -> Result<(), SealError> {
        file::replace(path, &self.to_text())
    }

    /// The key that new records are sealed under.
    #[must_use]
    pub fn current(&self) -> KeyId {
        self.keys[self.current].id
    }

    /// Where it came from, as messages name it.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// A key holds state that is wiped and not copied; its text makes another one.
    fn again(&self) -> Result<Self, SealError> {
        Self::from_text(&self.to_text(), &self.origin)
    }

    fn index(&self, id: KeyId) -> Result<usize, SealError> {
        self.keys.iter().position(|key| key.id == id).ok_or_else(|| SealError::NoSuchKey {
            key: id,
            keyring: self.origin.clone(),
            held: self.held(),
        })
    }

    fn held(&self) -> String {
        self.keys.iter().map(|key| key.id.to_string()).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("origin", &self.origin).field("keys", &self.keys()).finish()
    }
}

/// The format byte of a sealed record; another one is another layout.
pub(super) const FORMAT: u8 = 1;
/// Format byte, key name and nonce.
pub(super) const HEADER: usize = 1 + KEY_ID_BYTES + NONCE_BYTES;
/// How much longer a sealed record is than its text.
pub(super) const OVERHEAD: usize = HEADER + TAG_BYTES;

/// A sealed record's parts, by place.
struct Parts<'a> {
    key: KeyId,
    nonce: &'a [u8; NONCE_BYTES],
    text: &'a [u8],
    tag: &'a [u8; TAG_BYTES],
}

impl<'a> Parts<'a> {
    fn of(sealed: &'a [u8]) -> Result<Self, SealError> {
        let too_short = SealError::TooShort { length: sealed.len() };
        let Some((&version, rest)) = sealed.split_first() else { return Err(too_short) };
        // Before the length: another format may be shorter.
        if version != FORMAT {
            return Err(SealError::UnknownFormat { version, known: FORMAT });
        }
        let parts = || {
            let (key, rest) = rest.split_first_chunk()?;
            let (nonce, rest) = rest.split_first_chunk()?;
            let (text, tag) = rest.split_last_chunk()?;
            Some(Self { key: KeyId::from_bytes(*key), nonce, text, tag })
        };
        parts().ok_or(too_short)
    }
}

/// What is authenticated beside the text: the record's own head, and what the caller says it must be.
fn additional(key: KeyId, binding: &Binding) -> Vec<u8> {
    [&[FORMAT], key.as_bytes().as_slice(), &binding.encode()].concat()
}
