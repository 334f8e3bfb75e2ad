//! The clients that the provider knows, and how they prove who they are (RFC 6749 section 2.3, RFC 7523).

use super::reply::{Refusal, invalid_client, refusal};
use crate::model::{ClientAuthentication, Secret, Timestamp};
use crate::oauth::Params;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair};
use axum::http::{HeaderMap, header};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::Deserialize;
use std::io;
use url::{Host, Url};

/// A client's registration at the provider.
#[derive(Debug, Clone)]
pub struct Client {
    pub(super) id: String,
    secret: Option<Secret>,
    authentication: ClientAuthentication,
    redirect_uris: Vec<Url>,
    public_key: Option<Vec<u8>>,
}

impl Client {
    /// A client with a secret, which authenticates with Basic, form-encoded (RFC 6749 section 2.3.1).
    #[must_use]
    pub fn new(id: impl Into<String>, secret: impl Into<Secret>) -> Self {
        Self { secret: Some(secret.into()), authentication: ClientAuthentication::Basic, ..Self::public(id) }
    }

    /// A public client: no secret, and PKCE is demanded.
    #[must_use]
    pub fn public(id: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            secret: None,
            authentication: ClientAuthentication::None,
            redirect_uris: Vec::new(),
            public_key: None,
        }
    }

    /// Authenticates this way and no other.
    #[must_use]
    pub fn authenticating(mut self, how: ClientAuthentication) -> Self {
        self.authentication = how;
        self
    }

    /// Adds an address that the browser may be sent back to. It must match to the letter, but for the port of a
    /// loopback address (RFC 8252 section 7.3).
    #[must_use]
    pub fn redirecting_to(mut self, uri: Url) -> Self {
        self.redirect_uris.push(uri);
        self
    }

    /// Knows the key that the client signs its assertions with.
    #[must_use]
    pub fn with_key(mut self, key: &SigningKey) -> Self {
        self.public_key = Some(key.public.clone());
        self
    }

    pub(super) fn is_public(&self) -> bool {
        self.authentication == ClientAuthentication::None
    }

    /// The address to send the browser back to: the one asked for if it is registered, or the only registered one.
    pub(super) fn redirect_uri(&self, asked: Option<&str>) -> Option<Url> {
        match asked {
            Some(asked) => {
                let asked = Url::parse(asked).ok()?;
                self.redirect_uris.iter().any(|known| same_redirect(known, &asked)).then_some(asked)
            }
            None => match self.redirect_uris.as_slice() {
                [only] => Some(only.clone()),
                _ => None,
            },
        }
    }
}

fn same_redirect(known: &Url, asked: &Url) -> bool {
    let is_loopback = match known.host() {
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        _ => false,
    };
    let mut asked = asked.clone();
    if known.scheme() == "http" && is_loopback && asked.set_port(known.port()).is_err() {
        return false;
    }
    *known == asked
}

/// An ES256 key that a client signs its assertions with, or the provider its id tokens; made anew for each run.
pub struct SigningKey {
    pem: Secret,
    public: Vec<u8>,
}

impl SigningKey {
    /// Makes a key.
    ///
    /// # Errors
    /// When the system has no randomness to give.
    pub fn generate() -> io::Result<Self> {
        let unspecified = |_| io::Error::other("no key could be made");
        let pkcs8 =
            EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &aws_lc_rs::rand::SystemRandom::new())
                .map_err(unspecified)?;
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref())
            .map_err(|_| io::Error::other("the key just made cannot be read"))?;
        let pem =
            format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines(&STANDARD.encode(pkcs8)));
        Ok(Self { pem: Secret::new(pem), public: pair.public_key().as_ref().to_vec() })
    }

    /// The public key, an uncompressed point (SEC 1 section 2.3.3).
    pub(super) fn public(&self) -> &[u8] {
        &self.public
    }

    /// The private key as PEM (PKCS #8), for the client's side.
    #[must_use]
    pub fn pem(&self) -> &Secret {
        &self.pem
    }
}

/// RFC 7468 section 2: 64 characters a line.
fn lines(base64: &str) -> String {
    base64.as_bytes().chunks(64).map(String::from_utf8_lossy).collect::<Vec<_>>().join("\n")
}

/// What an assertion says (RFC 7523 section 3).
#[derive(Deserialize)]
pub(super) struct Claims {
    pub(super) iss: String,
    pub(super) sub: Option<String>,
    aud: Audience,
    exp: i64,
    pub(super) scope: Option<String>,
    pub(super) jti: Option<String>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

/// The `client_assertion_type` of RFC 7523 section 2.2.
const JWT_CLIENT: &str = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

/// Who is asking: whoever the request's one form of client authentication proves.
pub(super) fn authenticate(
    clients: &[Client],
    headers: &HeaderMap,
    params: &Params,
    audiences: &[&str],
    now: Timestamp,
) -> Result<Client, Refusal> {
    let basic = headers.get(header::AUTHORIZATION).map(|value| basic_credentials(value.as_bytes()));
    let forms = [basic.is_some(), params.contains("client_secret"), params.contains("client_assertion")];
    if forms.iter().filter(|used| **used).count() > 1 {
        return Err(refusal("invalid_request", "more than one form of client authentication (RFC 6749 section 2.3)"));
    }
    let known = |id: &str| {
        clients.iter().find(|client| client.id == id).ok_or_else(|| invalid_client("there is no such client"))
    };
    let client = if let Some(credentials) = basic {
        let (user, password) = credentials.ok_or_else(|| invalid_client("the Basic credentials cannot be read"))?;
        // Which spelling to expect is part of the registration, so both are looked for.
        let form = |text: &str| form_decoded(text).unwrap_or_default();
        let client = clients
            .iter()
            .find(|client| match client.authentication {
                ClientAuthentication::Basic => client.id == form(&user),
                ClientAuthentication::BasicRaw => client.id == user,
                _ => false,
            })
            .ok_or_else(|| invalid_client("there is no such client that authenticates with Basic"))?;
        let given = if client.authentication == ClientAuthentication::Basic { form(&password) } else { password };
        has_secret(client, &given)?;
        client
    } else if let Some(assertion) = params.text("client_assertion") {
        if params.text("client_assertion_type") != Some(JWT_CLIENT) {
            return Err(invalid_client("client_assertion_type is not the one of RFC 7523"));
        }
        let client = known(&unproven_issuer(assertion).ok_or_else(|| invalid_client("the assertion is not a JWT"))?)?;
        let claims =
            proven(assertion, client, audiences, now).map_err(|refused| invalid_client(&refused.description))?;
        let method = match client.authentication {
            ClientAuthentication::PrivateKeyJwt => client.public_key.is_some(),
            ClientAuthentication::ClientSecretJwt => client.public_key.is_none(),
            _ => false,
        };
        if !method || claims.sub.as_deref() != Some(client.id.as_str()) {
            return Err(invalid_client("the assertion is not this client's authentication"));
        }
        client
    } else {
        let client = known(params.text("client_id").ok_or_else(|| invalid_client("no client authentication"))?)?;
        match (client.authentication, params.text("client_secret")) {
            (ClientAuthentication::Post, Some(secret)) => has_secret(client, secret)?,
            (ClientAuthentication::None, None) => {}
            _ => return Err(invalid_client("this client is registered for another form of authentication")),
        }
        client
    };
    // A `client_id` beside the credentials must at least be the same one.
    if params.text("client_id").is_some_and(|id| id != client.id) {
        return Err(refusal("invalid_request", "client_id and the client authentication differ"));
    }
    Ok(client.clone())
}

fn has_secret(client: &Client, given: &str) -> Result<(), Refusal> {
    if client.secret.as_ref() == Some(&Secret::new(given)) {
        Ok(())
    } else {
        Err(invalid_client("the client secret is wrong"))
    }
}

fn basic_credentials(header: &[u8]) -> Option<(String, String)> {
    let (scheme, rest) = header.split_at_checked(6)?;
    if !scheme.eq_ignore_ascii_case(b"basic ") {
        return None;
    }
    let text = String::from_utf8(STANDARD.decode(rest).ok()?).ok()?;
    let (user, password) = text.split_once(':')?;
    Some((user.to_owned(), password.to_owned()))
}

/// One form-encoded value; nothing where it is not one, e.g. because a secret came with a bare `&`.
fn form_decoded(text: &str) -> Option<String> {
    if text.contains(['&', '=', ' ']) {
        return None;
    }
    let pair = format!("value={text}");
    url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
}

/// Who an assertion says that it is from, before anything is proven.
pub(super) fn unproven_issuer(assertion: &str) -> Option<String> {
    jsonwebtoken::dangerous::insecure_decode::<Claims>(assertion).ok().map(|token| token.claims.iss)
}

/// An assertion's claims, once signature, issuer, audience and time are good (RFC 7523 section 3).
pub(super) fn proven(assertion: &str, client: &Client, audiences: &[&str], now: Timestamp) -> Result<Claims, Refusal> {
    let refused = |why: &str| refusal("invalid_grant", why);
    let (key, algorithm) = match (&client.public_key, &client.secret) {
        (Some(public), _) => (DecodingKey::from_ec_der(public), Algorithm::ES256),
        (None, Some(secret)) => (DecodingKey::from_secret(secret.expose().as_bytes()), Algorithm::HS256),
        (None, None) => return Err(refused("this client has no key to sign with")),
    };
    let mut validation = Validation::new(algorithm);
    // The times are checked below, against the clock that was handed in; audience and issuer with them.
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation.required_spec_claims.clear();
    let claims = jsonwebtoken::decode::<Claims>(assertion, &key, &validation)
        .map_err(|_| refused("the assertion's signature or claims are not good"))?
        .claims;
    let named = match &claims.aud {
        Audience::One(one) => std::slice::from_ref(one),
        Audience::Many(many) => many,
    };
    if claims.iss != client.id {
        return Err(refused("the assertion is another issuer's"));
    }
    if !named.iter().any(|name| audiences.contains(&name.as_str())) {
        return Err(refused("the assertion is for another audience"));
    }
    if claims.exp <= now.as_second() {
        return Err(refused("the assertion has expired"));
    }
    if claims.exp > now.as_second() + LONGEST_ASSERTION_SECONDS {
        return Err(refused("the assertion lives too long"));
    }
    Ok(claims)
}

/// RFC 7523 section 3 allows a server to refuse an `exp` unreasonably far off; Google's limit is an hour.
const LONGEST_ASSERTION_SECONDS: i64 = 3600;
