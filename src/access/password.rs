//! The administrator's password: Argon2id, and nothing of it but that.

use crate::model::Secret;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher as _, PasswordVerifier as _};
use argon2::{Algorithm, Argon2, Params, Version};

/// Fewest characters. A password is the one secret here that a person chooses, and the pages are reached over a network.
pub const SHORTEST_PASSWORD: usize = 12;
/// Bytes of the longest.
pub const LONGEST_PASSWORD: usize = 1024;

/// Memory in KiB, passes, lanes: what OWASP recommends at the least for Argon2id. Some 20 ms, and 19 MiB while it lasts.
const COST: (u32, u32, u32) = (19 * 1024, 2, 1);

/// Why a password is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// It is too short or too long.
    #[error(
        "a password has {SHORTEST_PASSWORD} characters at the least and {LONGEST_PASSWORD} bytes at the most; several words do well"
    )]
    Length,
    /// It cannot be hashed.
    #[error("the password cannot be hashed: the system has no randomness or no memory for it")]
    Hash,
}

/// The hash of a new password, with its salt and how it was made (a PHC string). Takes its time and its memory: not for a thread that
/// serves others.
///
/// # Errors
/// When it is too short or too long, or the system has no randomness.
pub fn hash_password(password: &Secret) -> Result<Secret, PasswordError> {
    let text = password.expose();
    if text.chars().count() < SHORTEST_PASSWORD || text.len() > LONGEST_PASSWORD {
        return Err(PasswordError::Length);
    }
    let hash = argon2().ok_or(PasswordError::Hash)?.hash_password(text.as_bytes());
    hash.map(|hash| Secret::new(hash.to_string())).map_err(|_| PasswordError::Hash)
}

/// Whether a password is the one of a hash, by a comparison in constant time. It takes as long as hashing it.
#[must_use]
pub fn is_password(password: &Secret, hash: &Secret) -> bool {
    // A longer one was never set; hashing it would be work for a stranger.
    let text = password.expose();
    let (Ok(hash), Some(argon2), true) = (PasswordHash::new(hash.expose()), argon2(), text.len() <= LONGEST_PASSWORD)
    else {
        return false;
    };
    argon2.verify_password(text.as_bytes(), &hash).is_ok()
}

fn argon2() -> Option<Argon2<'static>> {
    let (memory, passes, lanes) = COST;
    Some(Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(memory, passes, lanes, None).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_known_by_its_hash_and_another_is_not() {
        let password = Secret::new("correct horse battery");
        let hash = hash_password(&password).unwrap();
        assert!(hash.expose().starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{}", hash.expose());
        assert!(is_password(&password, &hash));
        for other in ["", "correct horse batterz", "correct horse battery ", &"x".repeat(5000)] {
            assert!(!is_password(&Secret::new(other), &hash), "{other:?}");
        }
        assert_ne!(hash, hash_password(&password).unwrap(), "each has its salt");
        assert!(!is_password(&password, &Secret::new("not a hash")));
    }

    #[test]
    fn a_password_is_neither_short_nor_endless() {
        for bad in [String::new(), "x".repeat(11), "é".repeat(11), "x".repeat(1025)] {
            assert_eq!(hash_password(&Secret::new(bad)), Err(PasswordError::Length));
        }
        assert!(hash_password(&Secret::new("é".repeat(12))).is_ok());
    }
}
