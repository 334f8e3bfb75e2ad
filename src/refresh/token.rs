//! A token as callers get it.

use super::Want;
use crate::model::{Connection, ConnectionName, Credential, Expiry, ExpirySource, Secret, Timestamp, later};
use http::HeaderValue;
use std::sync::{Arc, OnceLock};
use uuid::Uuid;

/// An access token that works, with what a caller may want to know of it. Cheap to clone.
#[derive(Clone)]
pub struct Token(Arc<Parts>);

struct Parts {
    each_time: EachTime,
    connection: Uuid,
    name: ConnectionName,
    credential: Credential,
}

/// What is looked at each time that a token is handed out, side by side: of many tokens few are in the processor's caches.
struct EachTime {
    issued: Timestamp,
    expires: Expiry,
    generation: u64,
    refresh_at: Option<Timestamp>,
    written: OnceLock<(Secret, usize)>,
    tag: OnceLock<HeaderValue>,
}

impl PartialEq for Token {
    fn eq(&self, other: &Self) -> bool {
        let of = |token: &Self| {
            let Parts { connection, name, credential, each_time } = &*token.0;
            (*connection, name.clone(), credential.clone(), each_time.refresh_at)
        };
        of(self) == of(other)
    }
}

impl Eq for Token {}

/// A token that is good for less than this is taken for ended, unless its whole life is short: 30 seconds cover a
/// slow request and clocks that differ.
const WORKING_SECONDS: u64 = 30;

impl Token {
    pub(super) fn new(connection: &Connection, credential: Credential, refresh_at: Option<Timestamp>) -> Self {
        Self::of(connection.id, connection.name.clone(), credential, refresh_at)
    }

    /// A token that another process handed out. Whoever has it renews it there.
    #[must_use]
    pub fn from_elsewhere(name: ConnectionName, credential: Credential) -> Self {
        Self::of(credential.connection, name, credential, None)
    }

    fn of(connection: Uuid, name: ConnectionName, credential: Credential, refresh_at: Option<Timestamp>) -> Self {
        let each_time = EachTime {
            issued: credential.issued,
            expires: credential.expires,
            generation: credential.generation,
            refresh_at,
            written: OnceLock::new(),
            tag: OnceLock::new(),
        };
        Self(Arc::new(Parts { each_time, connection, name, credential }))
    }

    /// What is written of the token each time that it is handed out, made once, with the place in it of that which changes: what stands before
    /// that place, and what stands behind it. It is kept and wiped with the token.
    pub fn written(&self, write: impl FnOnce() -> (Secret, usize)) -> (&str, &str) {
        let (text, place) = self.0.each_time.written.get_or_init(write);
        text.expose().split_at_checked(*place).unwrap_or_default()
    }

    /// What tells it from every other of its connection, and holds nothing of it: a weak entity tag (RFC 9110 section 8.8.3). Another one when it was
    /// refreshed, or its end was edited.
    pub fn tag(&self) -> &HeaderValue {
        self.0.each_time.tag.get_or_init(|| {
            let Credential { id, generation, expires, .. } = &self.0.credential;
            let text = format!("W/\"{}.{generation}.{}\"", id.simple(), expires.at.as_second());
            HeaderValue::try_from(text).unwrap_or_else(|_| HeaderValue::from_static("W/\"\""))
        })
    }

    /// The access token.
    #[must_use]
    pub fn secret(&self) -> &Secret {
        &self.0.credential.token
    }

    /// The token's type, nearly always `Bearer`.
    #[must_use]
    pub fn token_type(&self) -> &str {
        &self.0.credential.token_type
    }

    /// The value of an `Authorization` header (RFC 6750 section 2.1).
    #[must_use]
    pub fn authorization(&self) -> Secret {
        Secret::new(format!("{} {}", self.token_type(), self.secret().expose()))
    }

    /// When it was received.
    #[must_use]
    pub fn issued(&self) -> Timestamp {
        self.0.each_time.issued
    }

    /// When it ends, and who said so.
    #[must_use]
    pub fn expires(&self) -> Expiry {
        self.0.each_time.expires
    }

    /// The scopes granted.
    #[must_use]
    pub fn scopes(&self) -> &[String] {
        &self.0.credential.scopes
    }

    /// The generation of the connection that brought it: name it when you report that the token was rejected.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.each_time.generation
    }

    /// The id of the credential, as Manage Tokens shows it.
    #[must_use]
    pub fn credential_id(&self) -> Uuid {
        self.0.credential.id
    }

    /// The connection that it belongs to.
    #[must_use]
    pub fn connection(&self) -> &ConnectionName {
        &self.0.name
    }

    pub(super) fn connection_id(&self) -> Uuid {
        self.0.connection
    }

    pub(super) fn fits(&self, want: Want, now: Timestamp) -> bool {
        let EachTime { expires, generation: held, .. } = &self.0.each_time;
        let seconds = match want {
            Want::Working => WORKING_SECONDS.min(self.lifetime() / 10),
            // A life shorter than the wish would mean a refresh at every call. An edited end says nothing of the next life.
            Want::GoodFor(wish) if wish.as_secs() >= self.lifetime() && expires.source != ExpirySource::Edited => {
                self.lifetime() / 2
            }
            Want::GoodFor(wish) => wish.as_secs(),
            Want::NewerThan(generation) | Want::Anew(generation) if *held <= generation => {
                return false;
            }
            Want::NewerThan(_) | Want::Anew(_) => 0,
        };
        later(now, seconds) < expires.at
    }

    pub(super) fn wants_refresh(&self, now: Timestamp) -> bool {
        self.0.each_time.refresh_at.is_some_and(|at| at <= now)
    }

    fn lifetime(&self) -> u64 {
        self.expires().seconds_left(self.issued())
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Token")
            .field("connection", &self.0.name)
            .field("generation", &self.generation())
            .field("expires", &self.expires().at)
            .finish_non_exhaustive()
    }
}
