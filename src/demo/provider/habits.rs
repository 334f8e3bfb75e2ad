//! How the provider behaves: standing habits, and faults that happen once.

use crate::model::Fields;
use std::fmt;
use std::sync::Arc;
use tokio::sync::watch;

/// The provider's standing habits. The default is a well-behaved, Google-Drive-style provider that rotates refresh
/// tokens; change what a test is about with `..Habits::default()`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Habits {
    /// A consent brings a second grant's tokens in `authed_user`, as Slack's does.
    pub further_token: bool,
    /// How long an access token lives, in seconds: an hour.
    pub access_token_seconds: u64,
    /// How long a refresh token lives, in seconds; unset, until it is rotated or revoked.
    pub refresh_token_seconds: Option<u64>,
    /// What becomes of the refresh token when it is used.
    pub rotation: Rotation,
    /// How the token endpoint writes its replies.
    pub reply_style: ReplyStyle,
    /// How a token reply states the lifetime.
    pub expires_in: ExpiresIn,
    /// Scopes that it never grants, whoever asks: the grant is for what remains.
    pub withheld_scopes: Vec<String>,
    /// The token endpoint answers every request with this error code, e.g. `invalid_grant`.
    pub refuses: Option<String>,
    /// Seconds between two polls of the device grant (RFC 8628 section 3.2).
    pub device_interval_seconds: u64,
    /// What comes with a grant for `openid`.
    pub id_tokens: IdTokens,
    /// Claims laid over those of every id token; `null` takes one away.
    pub id_token_claims: Fields,
    /// Whose the key says that it is, as Microsoft's keys do.
    pub key_issuer: Option<String>,
    /// Claims laid over those of userinfo; `null` takes one away.
    pub userinfo_claims: Fields,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            further_token: false,
            access_token_seconds: 3600,
            refresh_token_seconds: None,
            rotation: Rotation::Always { grace_seconds: 0 },
            reply_style: ReplyStyle::Json,
            expires_in: ExpiresIn::Number,
            withheld_scopes: Vec::new(),
            refuses: None,
            device_interval_seconds: 5,
            id_tokens: IdTokens::Signed,
            id_token_claims: Fields::new(),
            key_issuer: None,
            userinfo_claims: Fields::new(),
        }
    }
}

/// What comes with a grant for `openid` (OpenID Connect Core).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IdTokens {
    /// An id token with every token reply, signed with the key of the set.
    Signed,
    /// One that somebody else signed, in the name of that key.
    Forged,
    /// None: `openid` is a scope like any other.
    Absent,
}

/// What becomes of a refresh token when it is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rotation {
    /// Each use brings a new one. The old one, used again after `grace_seconds`, ends the whole family (RFC 9700
    /// section 4.14.2); within them it brings the new one once more, as long as that is unused.
    Always {
        /// How long the replaced token is forgiven.
        grace_seconds: u64,
    },
    /// It stays, and each reply repeats it.
    Repeat,
    /// It stays, and replies leave it out, as Google's do.
    Omit,
}

/// How the token endpoint writes its replies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReplyStyle {
    /// RFC 6749 section 5.
    Json,
    /// Standard JSON that says it is `text/html`.
    JsonAsHtml,
    /// `application/x-www-form-urlencoded`, as GitHub's default.
    Form,
    /// An XML document.
    Xml,
    /// JSON inside JSON: `{"ok":true,"authed_user":{…}}`, as Slack's user tokens; errors inside a 200.
    Nested,
    /// JSON with `"ok"`, and errors inside a 200.
    ErrorInOk,
    /// A page for people, status 200.
    Html,
    /// Status 200 and nothing at all.
    Empty,
    /// The standard JSON with 10 MiB of padding.
    Huge,
}

/// How a token reply states the lifetime.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpiresIn {
    /// `3600`.
    Number,
    /// `"3600"`.
    Text,
    /// `3600.0`.
    Float,
    /// Not at all.
    Absent,
}

/// Something that goes wrong with one request.
#[derive(Debug, Clone)]
pub enum Fault {
    /// Answered with this status and a plain sentence; nothing is processed.
    Status(u16),
    /// Answered with 429 and this `Retry-After` (seconds or a date); nothing is processed.
    TooManyRequests {
        /// The header's value.
        retry_after: String,
    },
    /// Answered with a 307 to this address; nothing is processed.
    Redirect(String),
    /// Not processed, and the connection is cut: to the caller the same as [`Fault::Drop`].
    Lose,
    /// Processed, and then the connection is cut: the caller never learns the outcome.
    Drop,
    /// Processed, and then answered with this status and a plain sentence, as a gateway does that lost patience.
    StatusAfter(u16),
    /// Processed, and then the reply waits until the gate is opened.
    Hold(Gate),
}

/// Where faults can happen, and requests are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Door {
    /// The authorization endpoint and its consent page.
    Authorization,
    /// The token endpoint.
    Token,
    /// The device authorization endpoint (RFC 8628 section 3.1).
    DeviceAuthorization,
    /// The page where a person enters the device's code.
    DevicePage,
    /// The revocation endpoint (RFC 7009).
    Revocation,
    /// The introspection endpoint (RFC 7662).
    Introspection,
    /// The metadata documents (RFC 8414, OpenID Connect Discovery).
    Metadata,
    /// The JWK set (RFC 7517 section 5).
    Keys,
    /// The protected resources: userinfo and the drive's files.
    Api,
}

/// Holds a reply back until a test opens it; clones are the same gate.
#[derive(Clone)]
pub struct Gate(Arc<watch::Sender<GateState>>);

#[derive(Debug, Clone, Copy, Default)]
struct GateState {
    arrived: usize,
    open: bool,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self(Arc::new(watch::Sender::new(GateState::default())))
    }

    /// Lets everything through, from now on.
    pub fn open(&self) {
        self.0.send_modify(|gate| gate.open = true);
    }

    /// Returns when `count` replies have come to the gate.
    pub async fn reached_by(&self, count: usize) {
        // Fails only when the sender is gone, and `self` holds it.
        let _ = self.0.subscribe().wait_for(|gate| gate.arrived >= count).await;
    }

    pub(super) async fn pass(&self) {
        self.0.send_modify(|gate| gate.arrived += 1);
        let _ = self.0.subscribe().wait_for(|gate| gate.open).await;
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.borrow().fmt(f)
    }
}
