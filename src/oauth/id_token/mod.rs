//! Id tokens (OpenID Connect Core): whose account a grant is for, checked as section 3.1.3.7 and RFC 8725 say.

mod keys;

#[cfg(test)]
mod tests;

pub use keys::{JwkSet, JwksError};

use super::callback::is_same_issuer;
use crate::model::{Secret, Timestamp, quoted};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};
use std::fmt;
use subtle::ConstantTimeEq;

/// What an id token must say.
#[derive(Debug, Clone, Copy)]
pub struct ExpectedIdToken<'a> {
    /// The issuer, as the application names it. `{tid}` in it stands for the token's own `tid` claim, for a provider
    /// whose one application serves many tenants: see [`validate_id_token`].
    pub issuer: &'a str,
    /// Our client id.
    pub client_id: &'a str,
    /// The nonce of the authorization request, where one was sent.
    pub nonce: Option<&'a Secret>,
    /// When the token came. Not when it is read: a reply may be kept for a while.
    pub received: Timestamp,
}

/// The claims of an id token. `Debug` shows their names: they are about a person.
#[derive(Clone, PartialEq)]
pub struct IdToken {
    claims: Map<String, Value>,
}

/// Why an id token is not believed. No message repeats the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IdTokenError {
    /// Longer than any provider's.
    #[error("the id token has {0} bytes, more than the {MOST_BYTES} that are read")]
    TooLong(usize),
    /// Five parts: a JWE.
    #[error("the id token is encrypted, which Grantkeeper does not read; register the client for signed id tokens")]
    Encrypted,
    /// No JWT.
    #[error("the id token is no JWT: {0}")]
    NotJwt(&'static str),
    /// `crit` names something that must be understood (RFC 7515 section 4.1.11).
    #[error("the id token demands an extension that Grantkeeper does not know (`crit`, RFC 7515 section 4.1.11)")]
    Critical,
    /// `none`, an HMAC, or something unknown.
    #[error(
        "the id token is signed with {0:?}; taken are RS256 to RS512, PS256 to PS512, ES256, ES384 and EdDSA: choose one of them for the client at the provider"
    )]
    Algorithm(String),
    /// No key of the set has the token's `kid`. The set may have been fetched before the provider changed its keys.
    #[error("the id token is signed with the key {0:?}, which is not in the set at endpoints.jwks")]
    UnknownKey(String),
    /// The named key is for something else.
    #[error("no key of endpoints.jwks fits the id token's algorithm {0:?}")]
    UnfitKey(String),
    /// The signature is wrong.
    #[error("the id token's signature does not fit{}; it was made or changed by somebody else", if *.named { "" } else { " any key of endpoints.jwks" })]
    Signature {
        /// Whether the token named its key.
        named: bool,
    },
    /// `iss` is another's.
    #[error(
        "the id token is of {given} and not of {expected}; check endpoints.issuer, its words must be the provider's own"
    )]
    OtherIssuer {
        /// The application's issuer.
        expected: String,
        /// The token's.
        given: String,
    },
    /// `{tid}` in the issuer, and no `tid` in the token that could stand there.
    #[error("the id token has no `tid` claim that is a GUID, and endpoints.issuer needs one for its {{tid}}")]
    NoTenant,
    /// The key signs for another issuer.
    #[error("the id token is of {0}, and the key that signed it is published for another issuer, or for none")]
    KeyOfOtherIssuer(String),
    /// `aud` lacks us.
    #[error("the id token is for {0} and not for this application's client id")]
    OtherAudience(String),
    /// `azp` is another, or missing where there are several audiences.
    #[error("the id token was issued to another client (its `azp` is {0})")]
    OtherParty(String),
    /// A time that is missing or none.
    #[error("the id token has no usable `{0}`")]
    NoTime(&'static str),
    /// It had ended before it came.
    #[error(
        "the id token ended at {0}, before it came; if the provider's other replies are right, check this machine's clock"
    )]
    Ended(String),
    /// It is from the future.
    #[error("the id token is of {0}, which is still to come; check this machine's clock")]
    NotYet(String),
    /// No `nonce`, or another.
    #[error(
        "the id token does not repeat the nonce of the authorization request: it answers another one; connect again"
    )]
    Nonce,
    /// No `sub`.
    #[error("the id token names nobody (`sub` is missing, empty, or longer than 255 characters)")]
    NoSubject,
}

impl IdTokenError {
    /// Whether a newer JWK set may know the key: fetch it again once, and check again.
    #[must_use]
    pub fn may_need_newer_keys(&self) -> bool {
        matches!(self, Self::UnknownKey(_) | Self::Signature { named: false })
    }
}

/// Checks an id token of a token reply against the provider's keys (OpenID Connect Core section 3.1.3.7) and gives its
/// claims.
///
/// An issuer with `{tid}` is Microsoft's tenant-independent one, checked as its documentation says ("Access tokens in
/// the Microsoft identity platform", multitenant applications): `tid` is a GUID, `iss` is exactly the issuer with `tid`
/// in its place, and so is the issuer that the signing key is published for. The last ties the key to the tenant: a
/// tenant-independent set holds keys that sign for one tenant alone.
///
/// # Errors
/// [`IdTokenError`] says which check failed.
pub fn validate_id_token(
    token: &Secret,
    keys: &JwkSet,
    expected: &ExpectedIdToken<'_>,
) -> Result<IdToken, IdTokenError> {
    let parts = Parts::of(token)?;
    let token = parts.claims()?;
    let signed_for = check_signature(&parts, keys)?;
    check_issuer(&token, expected.issuer, signed_for.as_deref())?;
    check_audience(&token, expected.client_id)?;
    check_times(&token, expected.received)?;
    if let Some(nonce) = expected.nonce {
        let same = |given: &str| bool::from(given.as_bytes().ct_eq(nonce.expose().as_bytes()));
        if !token.text("nonce").is_some_and(same) {
            return Err(IdTokenError::Nonce);
        }
    }
    // Core section 2: at most 255 characters, never reassigned.
    match token.subject() {
        Some(_) => Ok(token),
        None => Err(IdTokenError::NoSubject),
    }
}

/// Reads the claims of an id token that came straight from the token endpoint over TLS, which stands in for the
/// signature (OpenID Connect Core section 3.1.3.7, item 6). For providers whose issuer or keys nobody wrote down. A
/// nonce that it repeats must still be the one that was sent.
///
/// # Errors
/// When it cannot be read, or answers another authorization request.
pub fn read_id_token(token: &Secret, nonce: Option<&Secret>) -> Result<IdToken, IdTokenError> {
    let token = Parts::of(token)?.claims()?;
    match (nonce, token.text("nonce")) {
        (Some(sent), Some(given)) if !bool::from(given.as_bytes().ct_eq(sent.expose().as_bytes())) => {
            Err(IdTokenError::Nonce)
        }
        _ => Ok(token),
    }
}

/// Whether an issuer fits one that an application names, `{tid}` standing for any GUID.
#[must_use]
pub(super) fn is_issuer_of(named: &str, given: &str) -> bool {
    let Some((before, after)) = named.split_once(TENANT) else { return is_same_issuer(named, given) };
    let tenant = given.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    tenant.is_some_and(is_guid)
}

impl IdToken {
    /// `iss`.
    #[must_use]
    pub fn issuer(&self) -> Option<&str> {
        self.text("iss")
    }

    /// `sub`: who it is, to this issuer.
    #[must_use]
    pub fn subject(&self) -> Option<&str> {
        self.text("sub").filter(|subject| !subject.is_empty() && subject.chars().count() <= LONGEST_SUBJECT)
    }

    /// Every claim.
    #[must_use]
    pub fn claims(&self) -> &Map<String, Value> {
        &self.claims
    }

    fn text(&self, name: &str) -> Option<&str> {
        self.claims.get(name)?.as_str()
    }
}

impl fmt::Debug for IdToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.claims.keys().map(|name| quoted(name))).finish()
    }
}

/// A JWT in compact form (RFC 7515 section 3.1), apart.
struct Parts<'a> {
    header: &'a str,
    claims: &'a str,
    /// What is signed: the first two parts and their dot.
    message: &'a str,
    signature: &'a str,
}

impl<'a> Parts<'a> {
    fn of(token: &'a Secret) -> Result<Self, IdTokenError> {
        let text = token.expose();
        if text.len() > MOST_BYTES {
            return Err(IdTokenError::TooLong(text.len()));
        }
        let parts: Vec<&str> = text.split('.').take(6).collect();
        match parts[..] {
            [header, claims, signature] => {
                let message = &text[..header.len() + 1 + claims.len()];
                Ok(Self { header, claims, message, signature })
            }
            [_, _, _, _, _] => Err(IdTokenError::Encrypted),
            _ => Err(IdTokenError::NotJwt("it has not three parts with dots between them")),
        }
    }

    fn header(&self) -> Result<Map<String, Value>, IdTokenError> {
        object(self.header).ok_or(IdTokenError::NotJwt("its header is no JSON object in base64url"))
    }

    fn claims(&self) -> Result<IdToken, IdTokenError> {
        let claims = object(self.claims).ok_or(IdTokenError::NotJwt("its claims are no JSON object in base64url"))?;
        Ok(IdToken { claims })
    }
}

fn object(part: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).ok()?).ok()
}

/// Checks the signature, and gives the issuer that the signing key is published for.
fn check_signature(parts: &Parts<'_>, keys: &JwkSet) -> Result<Option<String>, IdTokenError> {
    let header = parts.header()?;
    if header.contains_key("crit") {
        return Err(IdTokenError::Critical);
    }
    let name = header.get("alg").and_then(Value::as_str).unwrap_or_default();
    let Some(algorithm) = keys::algorithm(name) else { return Err(IdTokenError::Algorithm(quoted(name))) };
    let id = header.get("kid").and_then(Value::as_str);
    // The header's own `jwk`, `jku` and `x5u` are not looked at: they are whoever made the token's (RFC 8725 section 3.10).
    if !keys.names(id) {
        return Err(IdTokenError::UnknownKey(quoted(id.unwrap_or_default())));
    }
    let mut fitting = keys.candidates(id, name).peekable();
    if fitting.peek().is_none() {
        return Err(IdTokenError::UnfitKey(quoted(name)));
    }
    let signed = |key: &&keys::Jwk| {
        // A signature that is no base64url, or a key that is no point of its curve, is a signature that does not fit.
        jsonwebtoken::crypto::verify(parts.signature, parts.message.as_bytes(), &key.key, algorithm).unwrap_or(false)
    };
    match fitting.find(signed) {
        Some(key) => Ok(key.issuer.clone()),
        None => Err(IdTokenError::Signature { named: id.is_some() }),
    }
}

/// `iss` (item 2), and the issuer that the key is published for.
fn check_issuer(token: &IdToken, named: &str, signed_for: Option<&str>) -> Result<(), IdTokenError> {
    let given = token.issuer().unwrap_or_default();
    let tenant = token.text("tid").filter(|tenant| is_guid(tenant));
    let expected = match (named.contains(TENANT), tenant) {
        (false, _) => named.to_owned(),
        (true, Some(tenant)) => named.replacen(TENANT, tenant, 1),
        (true, None) => return Err(IdTokenError::NoTenant),
    };
    if !is_same_issuer(&expected, given) {
        let given = if given.is_empty() { "nobody".to_owned() } else { quoted(given) };
        return Err(IdTokenError::OtherIssuer { expected: quoted(named), given });
    }
    let fits = match signed_for {
        Some(issuer) => is_same_issuer(&issuer.replacen("{tenantid}", tenant.unwrap_or_default(), 1), given),
        // Where each tenant has an issuer of its own, a key must say whose it is.
        None => !named.contains(TENANT),
    };
    if fits { Ok(()) } else { Err(IdTokenError::KeyOfOtherIssuer(quoted(given))) }
}

/// `aud` and `azp` (items 3 to 5).
fn check_audience(token: &IdToken, client_id: &str) -> Result<(), IdTokenError> {
    let audiences: Vec<&str> = match token.claims.get("aud") {
        Some(Value::String(one)) => vec![one],
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    if !audiences.contains(&client_id) {
        return Err(IdTokenError::OtherAudience(match audiences.is_empty() {
            true => "nobody".to_owned(),
            false => quoted(&audiences.join(", ")),
        }));
    }
    // Item 3 refuses audiences that are not trusted; a token for several is ours where it says so.
    match token.text("azp") {
        Some(party) if party != client_id => Err(IdTokenError::OtherParty(quoted(party))),
        None if audiences.len() > 1 => Err(IdTokenError::OtherParty("missing".to_owned())),
        _ => Ok(()),
    }
}

/// `exp`, `iat` (items 9 and 10) and `nbf` (RFC 7519 section 4.1.5).
fn check_times(token: &IdToken, received: Timestamp) -> Result<(), IdTokenError> {
    let second = |name: &'static str| match token.claims.get(name)?.as_f64() {
        // RFC 7519 section 2: a NumericDate may have a fraction.
        Some(second) if second.is_finite() && second >= 0.0 => Some(Ok(second)),
        _ => Some(Err(IdTokenError::NoTime(name))),
    };
    let shown = |second: f64| {
        // Saturates; what is past the year 9999 is shown as that.
        Timestamp::from_second(second as i64).unwrap_or(Timestamp::MAX).to_string()
    };
    let now = received.as_second() as f64;
    let ends = second("exp").unwrap_or(Err(IdTokenError::NoTime("exp")))?;
    if ends + LEEWAY <= now {
        return Err(IdTokenError::Ended(shown(ends)));
    }
    let issued = second("iat").unwrap_or(Err(IdTokenError::NoTime("iat")))?;
    let begins = second("nbf").transpose()?.unwrap_or(issued);
    match issued.max(begins) {
        latest if latest - LEEWAY > now => Err(IdTokenError::NotYet(shown(latest))),
        _ => Ok(()),
    }
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_guid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// Stands for the token's tenant in an issuer.
const TENANT: &str = "{tid}";
/// Bytes of an id token: those with a person's groups have a few KiB.
const MOST_BYTES: usize = 64 * 1024;
/// Characters of `sub` (Core section 2).
const LONGEST_SUBJECT: usize = 255;
/// Seconds that the provider's clock and ours may differ (RFC 7519 section 4.1.4: "usually no more than a few minutes").
const LEEWAY: f64 = 120.0;
