//! A pending authorization: what must be known again when the browser comes back.

use crate::model::{
    Connection, ConnectionName, GrantType, Labels, ProfileName, Secret, Timestamp, sealed_option, sealed_text,
};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use url::Url;
use uuid::Uuid;

/// A person was sent to consent; this waits for them. Found by the hash of `state`, used once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pending {
    /// The connection that the grant is for.
    pub connection: ConnectionName,
    /// The same by id: one that was removed and made anew meanwhile is another one.
    pub connection_id: Uuid,
    /// How often it had been revoked: a consent that was begun before a revocation does not outlive it.
    pub revocations: u32,
    /// The application, by id: one that was removed and made anew meanwhile is another one.
    pub application: Uuid,
    /// The profile that was asked with.
    pub profile: ProfileName,
    /// The grant.
    pub grant: GrantType,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// Labels that the connection gets.
    pub labels: Labels,
    /// Whether the grant may be another account's than the connection's.
    #[serde(default)]
    pub other_account: bool,
    /// What the browser that began it must show again: the hash of it. Nothing where no browser did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<[u8; 32]>,
    /// Where the person is sent when it is over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub return_url: Option<Url>,
    /// When it was begun.
    pub created: Timestamp,
    /// When it can no longer be used.
    pub expires: Timestamp,
    /// What the provider answers with.
    pub kind: PendingKind,
}

/// How the answer will come.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PendingKind {
    /// By a browser that is sent back (RFC 6749 section 4.1.2).
    Redirect {
        /// The redirect URL of the request; the token request repeats it (section 4.1.3).
        redirect_url: Url,
        /// The PKCE verifier.
        #[serde(with = "sealed_option")]
        verifier: Option<Secret>,
        /// The nonce of the request, which its id token must repeat (OpenID Connect Core section 3.1.2.1).
        #[serde(default, with = "sealed_option")]
        nonce: Option<Secret>,
    },
    /// By asking again (RFC 8628).
    Device {
        /// The device code.
        #[serde(with = "sealed_text")]
        device_code: Secret,
    },
}

impl Pending {
    /// Whether a connection is still the one that this was begun for.
    #[must_use]
    pub fn is_for(&self, connection: &Connection) -> bool {
        (self.connection_id, self.revocations) == (connection.id, connection.revocations)
    }
}

/// The key of a pending authorization: the store never holds the `state` itself, so reading it does not help to
/// forge a callback.
#[must_use]
pub fn state_hash(state: &str) -> [u8; 32] {
    Sha256::digest(state.as_bytes()).into()
}
