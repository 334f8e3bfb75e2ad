//! A provider's published keys: a JWK set (RFC 7517 section 5), read with caps and without belief.

use crate::model::quoted;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde_json::{Map, Value};
use std::fmt;

/// The keys of a provider that can check a signature. Public keys: nothing in it is secret.
#[derive(Clone)]
pub struct JwkSet {
    keys: Vec<Jwk>,
}

/// Why a JWK set is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// Larger than any provider's.
    #[error("the provider's JWK set has {0} bytes, more than the {MOST_BYTES} that are read; check endpoints.jwks")]
    TooLarge(usize),
    /// No JSON object with a list `keys`.
    #[error(
        "what endpoints.jwks answers is no JWK set (a JSON object with a list `keys`, RFC 7517 section 5); check the address"
    )]
    NotASet,
    /// A set without one key that we can use.
    #[error(
        "the JWK set at endpoints.jwks holds no key that checks a signature; usable are RSA of 2048 to 8192 bits, EC P-256 and P-384, Ed25519"
    )]
    NoUsableKey,
}

/// One key, and what it may be used for.
#[derive(Clone)]
pub(super) struct Jwk {
    /// `kid`, by which a token names its key.
    pub(super) id: Option<String>,
    /// Whose tokens it signs, where the set says so: Microsoft's sets do, with `{tenantid}` for any tenant.
    pub(super) issuer: Option<String>,
    pub(super) key: DecodingKey,
    kind: Kind,
    /// `alg`, where the set pins it (RFC 8725 section 3.1: a key is used with one algorithm).
    algorithm: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Rsa,
    P256,
    P384,
    Ed25519,
}

impl JwkSet {
    /// Reads a JWK set. Keys that are for encryption, of unknown types, symmetric or too weak are left out: one odd key
    /// must not make the others useless (RFC 7517 section 5).
    ///
    /// # Errors
    /// When it is overlong, no JWK set, or has no key that can be used.
    pub fn read(body: &[u8]) -> Result<Self, JwksError> {
        if body.len() > MOST_BYTES {
            return Err(JwksError::TooLarge(body.len()));
        }
        let set: Value = serde_json::from_slice(body).map_err(|_| JwksError::NotASet)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(JwksError::NotASet)?;
        let keys: Vec<Jwk> = keys.iter().take(MOST_KEYS).filter_map(Value::as_object).filter_map(Jwk::read).collect();
        if keys.is_empty() { Err(JwksError::NoUsableKey) } else { Ok(Self { keys }) }
    }

    /// The keys that a token may be checked with: of its `kid` where it has one, and fit for its algorithm.
    pub(super) fn candidates<'a>(&'a self, id: Option<&'a str>, algorithm: &'a str) -> impl Iterator<Item = &'a Jwk> {
        self.named(id).filter(move |key| key.fits(algorithm))
    }

    /// Whether a `kid` is in the set; a token without one names every key.
    pub(super) fn names(&self, id: Option<&str>) -> bool {
        self.named(id).next().is_some()
    }

    fn named<'a>(&'a self, id: Option<&'a str>) -> impl Iterator<Item = &'a Jwk> {
        self.keys.iter().filter(move |key| id.is_none_or(|id| key.id.as_deref() == Some(id)))
    }
}

impl Jwk {
    fn read(object: &Map<String, Value>) -> Option<Self> {
        let text = |name: &str| object.get(name).and_then(Value::as_str);
        // RFC 7517 sections 4.2 and 4.3: a key for something else checks no signature.
        if text("use").is_some_and(|purpose| purpose != "sig") {
            return None;
        }
        let verifies = |list: &Vec<Value>| list.iter().any(|operation| operation == "verify");
        if object.get("key_ops").is_some_and(|list| !list.as_array().is_some_and(verifies)) {
            return None;
        }
        let bytes = |name: &str| URL_SAFE_NO_PAD.decode(text(name)?).ok();
        let (kind, key) = match (text("kty")?, text("crv")) {
            ("RSA", _) => (Kind::Rsa, rsa(&bytes("n")?, &bytes("e")?)?),
            ("EC", Some("P-256")) => (Kind::P256, point(&bytes("x")?, &bytes("y")?, 32)?),
            ("EC", Some("P-384")) => (Kind::P384, point(&bytes("x")?, &bytes("y")?, 48)?),
            ("OKP", Some("Ed25519")) => {
                let key = bytes("x").filter(|key| key.len() == 32)?;
                (Kind::Ed25519, DecodingKey::from_ed_der(&key))
            }
            // Symmetric keys among them: a published secret checks nothing.
            _ => return None,
        };
        let owned = |name: &str| text(name).map(str::to_owned);
        Some(Self { id: owned("kid"), issuer: owned("issuer"), key, kind, algorithm: owned("alg") })
    }

    /// Whether the key is for an algorithm. Decided by the key and never by the token (RFC 8725 section 3.1): a token
    /// that says HS256 must not be checked with a public key as if it were a secret.
    fn fits(&self, algorithm: &str) -> bool {
        let pinned = match self.algorithm.as_deref() {
            // RFC 9864: two names of one algorithm, where the curve is Ed25519.
            Some("EdDSA" | "Ed25519") => self.kind == Kind::Ed25519 && matches!(algorithm, "EdDSA" | "Ed25519"),
            Some(pinned) => pinned == algorithm,
            None => true,
        };
        pinned && algorithm_of(algorithm).is_some_and(|(_, kind)| kind == self.kind)
    }
}

/// An algorithm of an id token and what kind of key it needs. Nothing else is taken: not `none`, and not the HMACs.
fn algorithm_of(name: &str) -> Option<(Algorithm, Kind)> {
    Some(match name {
        "RS256" => (Algorithm::RS256, Kind::Rsa),
        "RS384" => (Algorithm::RS384, Kind::Rsa),
        "RS512" => (Algorithm::RS512, Kind::Rsa),
        "PS256" => (Algorithm::PS256, Kind::Rsa),
        "PS384" => (Algorithm::PS384, Kind::Rsa),
        "PS512" => (Algorithm::PS512, Kind::Rsa),
        "ES256" => (Algorithm::ES256, Kind::P256),
        "ES384" => (Algorithm::ES384, Kind::P384),
        "EdDSA" | "Ed25519" => (Algorithm::EdDSA, Kind::Ed25519),
        _ => return None,
    })
}

/// The algorithm that a token's header names, where it is one that a published key can check.
pub(super) fn algorithm(name: &str) -> Option<Algorithm> {
    algorithm_of(name).map(|(algorithm, _)| algorithm)
}

fn rsa(modulus: &[u8], exponent: &[u8]) -> Option<DecodingKey> {
    // RFC 7518 section 6.3.1.1: some put a zero octet before the modulus, and should not.
    let modulus = &modulus[modulus.iter().position(|byte| *byte != 0)?..];
    let bits = modulus.len() * 8 - modulus[0].leading_zeros() as usize;
    (RSA_BITS.contains(&bits) && !exponent.is_empty()).then(|| DecodingKey::from_rsa_raw_components(modulus, exponent))
}

/// A point that is not compressed (SEC 1 section 2.3.3); the coordinates have their full length (RFC 7518 section 6.2.1.2).
fn point(x: &[u8], y: &[u8], length: usize) -> Option<DecodingKey> {
    (x.len() == length && y.len() == length).then(|| DecodingKey::from_ec_der(&[&[0x04], x, y].concat()))
}

/// The keys' names.
impl fmt::Debug for JwkSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.keys.iter().map(|key| key.id.as_deref().map(quoted))).finish()
    }
}

/// Bytes of a JWK set: Microsoft's, with a certificate beside each key, has about 30 KiB.
const MOST_BYTES: usize = 256 * 1024;
/// Keys that are looked at: providers publish two to twenty.
const MOST_KEYS: usize = 100;
/// Shorter keys are too weak (RFC 7518 section 3.3), longer ones only cost time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;
