//! Why something could not be sealed or opened, or a keyring not be read or made.

use super::KeyId;

/// What went wrong, and what to do. No message ever holds a key or a part of a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    /// A record names a key that the keyring does not hold.
    #[error(
        "the record is sealed under key {key}, and {keyring} holds only {held}; use the key file that belongs to this store"
    )]
    UnknownKey {
        /// The key that the record names.
        key: KeyId,
        /// Where the keyring came from.
        keyring: String,
        /// The ids that it holds.
        held: String,
    },
    /// The key is there, and the record does not open under it.
    #[error(
        "the record does not open under key {key}: it was damaged, or put in another record's place; restore it from a backup"
    )]
    DoesNotOpen {
        /// The key that the record names.
        key: KeyId,
    },
    /// Too few bytes for a sealed record.
    #[error("{length} bytes are too few for a sealed record; it was cut off or overwritten: restore it from a backup")]
    TooShort {
        /// How many there are.
        length: usize,
    },
    /// A format that this version does not write.
    #[error(
        "the record has the sealed format {version}, and this version of Grantkeeper reads only {known}; use a newer one, or restore the record from a backup"
    )]
    UnknownFormat {
        /// The format that the record states.
        version: u8,
        /// The format that we read.
        known: u8,
    },
    /// More bytes than XAES-256-GCM takes (64 GiB).
    #[error("{length} bytes are too many to seal as one record")]
    TooLarge {
        /// How many there are.
        length: usize,
    },
    /// The system gave no randomness.
    #[error("the system gives no random bytes ({0}); nothing can be sealed without them")]
    NoRandomness(String),
    /// There is a file already.
    #[error(
        "{0} is there already and is never overwritten: a lost key makes everything sealed under it unreadable; choose another path, or move that file away"
    )]
    Exists(String),
    /// The file cannot be read or written.
    #[error("the key file {path} cannot be {action}: {reason}{}", advice(action))]
    Io {
        /// The file.
        path: String,
        /// `read` or `written`.
        action: &'static str,
        /// What the system said.
        reason: String,
    },
    /// Others than its owner may read or write the file.
    #[error("the key file {path} is open to others (mode {mode:04o}); run: chmod 600 {path}")]
    OpenToOthers {
        /// The file.
        path: String,
        /// Its permission bits.
        mode: u32,
    },
    /// Others than its owner may put another file in the key file's place.
    #[error(
        "others may replace the key file {path}, for they may write to its folder (mode {mode:04o}); run: chmod go-w {folder}"
    )]
    FolderOpenToOthers {
        /// The file.
        path: String,
        /// Its folder.
        folder: String,
        /// The folder's permission bits.
        mode: u32,
    },
    /// The text is no keyring.
    #[error("{origin} is not a keyring: {reason}")]
    NotAKeyring {
        /// Where the text came from.
        origin: String,
        /// What is wrong, with the line where there is one; never the line itself.
        reason: String,
    },
    /// No key of this id.
    #[error("{keyring} holds no key {key}; it holds {held}")]
    NoSuchKey {
        /// The wanted key.
        key: KeyId,
        /// Where the keyring came from.
        keyring: String,
        /// The ids that it holds.
        held: String,
    },
}

fn advice(action: &str) -> &'static str {
    match action {
        "read" => "; put your copy of it back, or name the right file with --key-file or GRANTKEEPER_KEY_FILE",
        _ => "",
    }
}
