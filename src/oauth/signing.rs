//! Signed JWTs: what client authentication and JWT bearer assertions share (RFC 7523).

use crate::model::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde::Serialize;
use sha2::Sha256;
use zeroize::Zeroizing;

/// Why a key cannot sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// No private key that can be read.
    #[error(
        "the secret `private_key` is not a private key in PEM (PKCS #8: EC P-256, EC P-384, Ed25519, RSA or RSASSA-PSS); \
         convert it with `openssl pkcs8 -topk8 -nocrypt`"
    )]
    NotPem,
    /// It reads, and signing fails all the same.
    #[error(
        "the secret `private_key` is a key that cannot sign: an RSA key needs 2048 bits or more, an EC key the curve P-256 or P-384"
    )]
    CannotSign,
}

/// Seconds that an assertion of ours is good for: enough for clocks that are not quite right, little for a thief.
pub(super) const ASSERTION_SECONDS: i64 = 300;

/// Signs claims with a private key in PEM. The key decides the algorithm: P-256 ES256, P-384 ES384, Ed25519 EdDSA, RSA
/// RS256, and an RSASSA-PSS key (which may sign nothing else, RFC 4055 section 1.2) PS256.
pub(super) fn sign_with_private_key(key: &Secret, claims: &impl Serialize) -> Result<Secret, KeyError> {
    // Keys handed over in environment variables often have their line breaks written as `\n`.
    let pem = Zeroizing::new(key.expose().replace("\\n", "\n"));
    let bytes = pem.trim().as_bytes();
    if let Ok(key) = EncodingKey::from_ec_pem(bytes) {
        return sign(Algorithm::ES256, &key, claims).or_else(|_| sign(Algorithm::ES384, &key, claims));
    }
    if let Ok(key) = EncodingKey::from_rsa_pem(bytes) {
        return sign(Algorithm::RS256, &key, claims);
    }
    if let Ok(key) = EncodingKey::from_ed_pem(bytes) {
        return sign(Algorithm::EdDSA, &key, claims);
    }
    let key = pss_key(&pem).ok_or(KeyError::NotPem)?;
    sign(Algorithm::PS256, &key, claims)
}

/// Hex HMAC-SHA-256, as a secret so that it is compared in constant time.
pub(super) fn hmac_sha256_hex(key: &Secret, message: &[u8]) -> Secret {
    // A key of any length fits.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()) else { return Secret::default() };
    mac.update(message);
    Secret::new(mac.finalize().into_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// Signs claims with the client secret (HS256, OpenID Connect Core section 9).
pub(super) fn sign_with_secret(secret: &Secret, claims: &impl Serialize) -> Result<Secret, KeyError> {
    sign(Algorithm::HS256, &EncodingKey::from_secret(secret.expose().as_bytes()), claims)
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &impl Serialize) -> Result<Secret, KeyError> {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).map(Secret::new).map_err(|_| KeyError::CannotSign)
}

/// The RSA key inside a PKCS #8 key that is marked RSASSA-PSS, which jsonwebtoken does not take as it is.
fn pss_key(pem: &str) -> Option<EncodingKey> {
    let body = pem.split_once("-----BEGIN PRIVATE KEY-----")?.1.split_once("-----END PRIVATE KEY-----")?.0;
    let text: Zeroizing<String> = Zeroizing::new(body.split_whitespace().collect());
    let der = Zeroizing::new(STANDARD.decode(text.as_bytes()).ok()?);
    // RFC 5208: SEQUENCE { version INTEGER, algorithm SEQUENCE { OID, … }, privateKey OCTET STRING, … }
    let (outer, _) = der_element(&der, 0x30)?;
    let (_version, rest) = der_element(outer, 0x02)?;
    let (algorithm, rest) = der_element(rest, 0x30)?;
    let (oid, _parameters) = der_element(algorithm, 0x06)?;
    let (key, _attributes) = der_element(rest, 0x04)?;
    (oid == RSASSA_PSS).then(|| EncodingKey::from_rsa_der(key))
}

/// The content of a DER element of a tag, and what follows it.
fn der_element(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&[found, first], rest) = der.split_first_chunk::<2>()?;
    let (length, rest) = match first {
        0..=0x7f => (usize::from(first), rest),
        0x81..=0x84 => {
            let (bytes, rest) = rest.split_at_checked(usize::from(first & 0x7f))?;
            (bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte)), rest)
        }
        _ => return None,
    };
    if found == tag { rest.split_at_checked(length) } else { None }
}

/// id-RSASSA-PSS, 1.2.840.113549.1.1.10 (RFC 4055 section 3.1).
const RSASSA_PSS: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use jsonwebtoken::{DecodingKey, Validation, decode, decode_header};
    use serde_json::{Value, json};

    // Made for these tests alone, with `openssl genpkey`.
    pub(in crate::oauth) const EC: &str = include_str!("testdata/ec-p256.pem");
    pub(in crate::oauth) const EC_PUBLIC: &str = include_str!("testdata/ec-p256.pub.pem");
    const RSA: &str = include_str!("testdata/rsa.pem");
    const RSA_PUBLIC: &str = include_str!("testdata/rsa.pub.pem");
    const PSS: &str = include_str!("testdata/rsa-pss.pem");
    const PSS_PUBLIC: &str = include_str!("testdata/rsa-pss.pub.pem");

    /// Checks a signature and gives the claims.
    pub(in crate::oauth) fn verified(jwt: &str, algorithm: Algorithm, key: &DecodingKey) -> Value {
        let mut validation = Validation::new(algorithm);
        validation.validate_exp = false;
        validation.validate_aud = false;
        validation.required_spec_claims.clear();
        decode::<Value>(jwt, key, &validation).expect("a good signature").claims
    }

    #[test]
    fn the_key_decides_the_algorithm_and_its_public_half_verifies() {
        let public = |pem: &str| DecodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        for (key, algorithm, public) in [
            (EC, Algorithm::ES256, DecodingKey::from_ec_pem(EC_PUBLIC.as_bytes()).unwrap()),
            (RSA, Algorithm::RS256, public(RSA_PUBLIC)),
            (PSS, Algorithm::PS256, public(PSS_PUBLIC)),
        ] {
            for key in [key.to_owned(), key.trim().replace('\n', "\\n")] {
                let jwt = sign_with_private_key(&Secret::new(key), &json!({"sub": "cid"})).unwrap();
                assert_eq!(decode_header(jwt.expose()).unwrap().alg, algorithm);
                assert_eq!(verified(jwt.expose(), algorithm, &public)["sub"], "cid");
            }
        }
    }

    #[test]
    fn a_key_that_is_none_gets_a_sentence_and_is_not_shown() {
        let cut = &PSS[..200];
        for bad in ["", "hunter2", "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----", EC_PUBLIC, cut] {
            let error = sign_with_private_key(&Secret::new(bad), &json!({})).unwrap_err();
            assert_eq!(error, KeyError::NotPem, "{bad}");
            assert!(!error.to_string().contains("hunter2"));
        }
    }
}
