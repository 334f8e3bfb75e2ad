//! What a message is signed with, and how: the symmetric scheme `v1` of Standard Webhooks.

use crate::model::{Secret, Timestamp};
use crate::vault::WebhookRecord;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::fmt;
use zeroize::Zeroizing;

/// What every secret begins with: so that a person, and a scanner for secrets that were committed by mistake, knows it for what it is.
pub const SECRET_PREFIX: &str = "whsec_";

/// Bytes that a secret has: Standard Webhooks wants 24 to 64.
const BYTES: usize = 32;
const FEWEST: usize = 24;
const MOST: usize = 64;

/// A secret that messages are signed with.
pub struct SigningSecret(Zeroizing<Vec<u8>>);

impl SigningSecret {
    /// A new one. Nothing where the system has no randomness.
    #[must_use]
    pub fn generate() -> Option<Self> {
        let mut bytes = Zeroizing::new(vec![0; BYTES]);
        getrandom::fill(&mut bytes).ok()?;
        Some(Self(bytes))
    }

    /// Reads one as it is written. Nothing where it is none.
    #[must_use]
    pub fn parse(secret: &Secret) -> Option<Self> {
        let bytes = STANDARD.decode(secret.expose().strip_prefix(SECRET_PREFIX)?).ok()?;
        let secret = Self(Zeroizing::new(bytes));
        (FEWEST..=MOST).contains(&secret.0.len()).then_some(secret)
    }

    /// The secret as its receiver needs it.
    #[must_use]
    pub fn text(&self) -> Secret {
        // Reserved whole: growing would leave a copy behind.
        let mut text = String::with_capacity(SECRET_PREFIX.len() + MOST * 2);
        text.push_str(SECRET_PREFIX);
        STANDARD.encode_string(self.0.as_slice(), &mut text);
        Secret::new(text)
    }

    /// The signature of a message with an id, which was sent at a second of the epoch.
    #[must_use]
    pub fn sign(&self, id: &str, second: i64, body: &[u8]) -> String {
        #[expect(clippy::expect_used, reason = "any length of key is one")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("HMAC takes any key");
        mac.update(format!("{id}.{second}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

/// The value of `webhook-signature`: with each secret that is good, the newest first. Nothing where none can be used.
#[must_use]
pub fn signatures(record: &WebhookRecord, now: Timestamp, id: &str, body: &[u8]) -> Option<String> {
    let earlier = record.earlier.iter().filter(|earlier| now < earlier.until).map(|earlier| &earlier.secret);
    let secrets = std::iter::once(&record.secret).chain(earlier);
    let signed: Vec<String> =
        secrets.filter_map(|secret| Some(SigningSecret::parse(secret)?.sign(id, now.as_second(), body))).collect();
    (!signed.is_empty()).then(|| signed.join(" "))
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example that the libraries of Standard Webhooks are tested with.
    #[test]
    fn a_message_is_signed_as_the_libraries_of_standard_webhooks_sign_it() {
        let secret = SigningSecret::parse(&Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")).unwrap();
        let signed = secret.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn a_secret_has_32_random_bytes_and_does_not_print() {
        let (one, other) = (SigningSecret::generate().unwrap(), SigningSecret::generate().unwrap());
        let text = one.text();
        assert!(text.expose().starts_with("whsec_") && text.expose().len() == 50, "{}", text.expose());
        assert_ne!(text, other.text());
        assert_eq!(SigningSecret::parse(&text).unwrap().text(), text);
        assert_eq!(format!("{one:?}"), "[redacted]");
        for bad in ["", "whsec_", "whsec_c2hvcnQ=", "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "whsec_!"] {
            assert!(SigningSecret::parse(&Secret::new(bad)).is_none(), "{bad}");
        }
    }
}
