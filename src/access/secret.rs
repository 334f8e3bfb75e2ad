//! The key itself: what a caller shows.

use crate::model::Secret;
use crate::vault::KeyHash;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use uuid::Uuid;
use zeroize::Zeroizing;

/// What every API key begins with: so that a person, and a scanner for secrets that were committed by mistake, knows it for what it is.
pub const KEY_PREFIX: &str = "gk_";

/// The shape of every API key, for such scanners.
pub const KEY_SHAPE: &str = "gk_[A-Za-z0-9_-]{64}";

/// An API key: `gk_` and then, in base64url, the 16 bytes of its id and 32 random ones. The id finds the record, without a search that
/// would tell by its time how much of a secret is right; the random bytes prove it.
pub struct KeySecret(Zeroizing<[u8; ID + RANDOM]>);

const RANDOM: usize = 32;
const ID: usize = 16;

impl KeySecret {
    /// A new one for an id. Nothing where the system has no randomness.
    #[must_use]
    pub fn generate(id: Uuid) -> Option<Self> {
        let mut bytes = Zeroizing::new([0; ID + RANDOM]);
        let (start, random) = bytes.split_at_mut(ID);
        start.copy_from_slice(id.as_bytes());
        getrandom::fill(random).ok()?;
        Some(Self(bytes))
    }

    /// Reads what a caller shows. Nothing where it has not the shape of a key.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let encoded = text.strip_prefix(KEY_PREFIX)?;
        let mut bytes = Zeroizing::new([0; ID + RANDOM]);
        let length = URL_SAFE_NO_PAD.decode_slice(encoded, bytes.as_mut_slice()).ok()?;
        (length == ID + RANDOM).then_some(Self(bytes))
    }

    /// The id.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let (id, _) = self.0.split_at(ID);
        Uuid::from_slice(id).unwrap_or_default()
    }

    /// What is kept of it.
    #[must_use]
    pub fn hash(&self) -> KeyHash {
        KeyHash::of(&self.0[ID..])
    }

    /// The key as it is shown to its holder, once.
    #[must_use]
    pub fn text(&self) -> Secret {
        // Reserved whole: growing would leave a copy behind.
        let mut text = String::with_capacity(KEY_PREFIX.len() + 64);
        text.push_str(KEY_PREFIX);
        URL_SAFE_NO_PAD.encode_string(self.0.as_slice(), &mut text);
        Secret::new(text)
    }
}

impl fmt::Debug for KeySecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeySecret").field("id", &self.id()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_key_has_the_shape_that_scanners_are_told() {
        let id = Uuid::now_v7();
        let (one, other) = (KeySecret::generate(id).unwrap(), KeySecret::generate(id).unwrap());
        let text = one.text();
        let body = text.expose().strip_prefix("gk_").unwrap();
        assert!(body.len() == 64 && body.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)));
        assert_ne!(one.hash(), other.hash(), "two keys of one id differ");
        let read = KeySecret::parse(text.expose()).unwrap();
        assert_eq!((read.id(), read.hash()), (id, one.hash()));
        assert!(!format!("{one:?}").contains(body));
    }

    #[test]
    fn what_is_cut_long_or_written_otherwise_is_no_key() {
        let text = KeySecret::generate(Uuid::now_v7()).unwrap().text().expose().to_owned();
        for end in 0..text.len() {
            assert!(KeySecret::parse(&text[..end]).is_none(), "{end}");
        }
        for bad in [
            format!("{text}A"),
            format!(" {text}"),
            format!("{text}\n"),
            text.replacen("gk_", "GK_", 1),
            text.replacen("gk_", "pk_", 1),
            format!("gk_{}==", &text[3..65]),
            format!("gk_{}+/", &text[3..65]),
        ] {
            assert!(KeySecret::parse(&bad).is_none(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_reader_panic(text in "(gk_)?\\PC{0,80}") {
            let _ = KeySecret::parse(&text);
        }

        #[test]
        fn another_last_character_is_another_key(last in "[A-Za-z0-9_-]") {
            let text = KeySecret::generate(Uuid::nil()).unwrap().text().expose().to_owned();
            let other = format!("{}{last}", &text[..text.len() - 1]);
            // 48 bytes are 64 characters exactly: none of their bits is without a meaning.
            let same = KeySecret::parse(&other).unwrap().hash() == KeySecret::parse(&text).unwrap().hash();
            prop_assert_eq!(same, other == text);
        }
    }
}
