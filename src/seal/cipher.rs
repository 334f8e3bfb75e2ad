//! XAES-256-GCM (<https://c2sp.org/XAES-256-GCM>): AES-256-GCM under a key derived from the first half of a 24-byte nonce, so
//! that random nonces stay safe for 2^80 records under one key.

use xaes_256_gcm::aead::{AeadInOut, KeyInit};
use xaes_256_gcm::{Key, Nonce, Tag, Xaes256Gcm};

/// Length of a key, in bytes.
pub(super) const KEY_BYTES: usize = 32;
/// Length of a nonce, in bytes.
pub(super) const NONCE_BYTES: usize = 24;
/// Length of a tag, in bytes.
pub(super) const TAG_BYTES: usize = 16;

/// A key, expanded. It is wiped when dropped (the crates' `zeroize` features).
pub(super) struct Cipher(Xaes256Gcm);

/// More bytes than the cipher takes, or ones that do not open.
pub(super) struct Refused;

impl Cipher {
    pub(super) fn new(key: &[u8; KEY_BYTES]) -> Self {
        Self(Xaes256Gcm::new(<&Key>::from(key)))
    }

    /// Encrypts `text` in place and returns its tag.
    pub(super) fn encrypt(
        &self,
        nonce: &[u8; NONCE_BYTES],
        additional: &[u8],
        text: &mut [u8],
    ) -> Result<[u8; TAG_BYTES], Refused> {
        let tag = self.0.encrypt_inout_detached(<&Nonce>::from(nonce), additional, text.into()).map_err(|_| Refused)?;
        Ok(tag.into())
    }

    /// Decrypts `text` in place. Where the tag does not fit, `text` holds nothing of use.
    pub(super) fn decrypt(
        &self,
        nonce: &[u8; NONCE_BYTES],
        additional: &[u8],
        text: &mut [u8],
        tag: &[u8; TAG_BYTES],
    ) -> Result<(), Refused> {
        self.0
            .decrypt_inout_detached(<&Nonce>::from(nonce), additional, text.into(), <&Tag>::from(tag))
            .map_err(|_| Refused)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write as _;
    use tiny_keccak::{Hasher as _, Shake, Xof as _};

    fn hex(bytes: &[u8]) -> String {
        bytes.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    fn encrypted(key: &[u8; 32], nonce: &[u8; 24], additional: &[u8], plain: &[u8]) -> Vec<u8> {
        let cipher = Cipher::new(key);
        let mut text = plain.to_vec();
        let tag = cipher.encrypt(nonce, additional, &mut text).ok().unwrap();
        let mut back = text.clone();
        cipher.decrypt(nonce, additional, &mut back, &tag).ok().unwrap();
        assert_eq!(back, plain);
        text.extend(tag);
        text
    }

    /// C2SP XAES-256-GCM, "Test vectors": one whose subkey derivation carries no bit over, one where it does.
    #[test]
    fn the_two_vectors_of_the_specification_come_out() {
        let nonce = b"ABCDEFGHIJKLMNOPQRSTUVWX";
        assert_eq!(
            hex(&encrypted(&[1; 32], nonce, b"", b"XAES-256-GCM")),
            "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"
        );
        assert_eq!(
            hex(&encrypted(&[3; 32], nonce, b"c2sp.org/XAES-256-GCM", b"XAES-256-GCM")),
            "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"
        );
    }

    /// C2SP XAES-256-GCM, "Accumulated randomized tests".
    fn accumulated(rounds: u32) -> String {
        let mut random = Shake::v128();
        let mut hash = Shake::v128();
        for _ in 0..rounds {
            let mut take = |bytes: &mut [u8]| random.squeeze(bytes);
            let (mut key, mut nonce, mut length) = ([0; 32], [0; 24], [0; 1]);
            take(&mut key);
            take(&mut nonce);
            take(&mut length);
            let mut plain = vec![0; length[0].into()];
            take(&mut plain);
            take(&mut length);
            let mut additional = vec![0; length[0].into()];
            take(&mut additional);
            hash.update(&encrypted(&key, &nonce, &additional, &plain));
        }
        let mut sum = [0; 32];
        hash.finalize(&mut sum);
        hex(&sum)
    }

    #[test]
    fn ten_thousand_random_messages_add_up_as_specified() {
        assert_eq!(accumulated(10_000), "e6b9edf2df6cec60c8cbd864e2211b597fb69a529160cd040d56c0c210081939");
    }

    #[test]
    #[ignore = "takes ten seconds; run it after a change of the cipher's crates"]
    fn a_million_random_messages_add_up_as_specified() {
        assert_eq!(accumulated(1_000_000), "2163ae1445985a30b60585ee67daa55674df06901b890593e824b8a7c885ab15");
    }
}
