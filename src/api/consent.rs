//! The ways in: authorization, device, and grants without a browser. Their secrets (states, codes, passwords) travel in bodies, never in
//! paths, which others log.

use crate::connector::{Authorization, AuthorizeOptions, ConnectOptions, DevicePoll, DeviceStart, Proof};
use crate::model::{ConnectionName, Labels, ProfileName, Secret, Timestamp, sealed_option, sealed_text};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use url::Url;

use super::ConnectionDocument;

/// Begins an authorization.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AuthorizeRequest {
    /// The profile; the connection's own, or `default`, when none is given.
    pub profile: Option<ProfileName>,
    /// Labels that the connection gets.
    pub labels: Labels,
    /// Where the browser is sent back to, when not to the application's redirect URL.
    pub redirect_url: Option<Url>,
    /// Whether the grant may be another account's.
    pub other_account: bool,
    /// Where the person is sent when it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub return_url: Option<Url>,
    /// A secret that the browser which begins it shows at the callback too: the value of the cookie `__Host-grantkeeper-consent`.
    #[serde(with = "sealed_option", skip_serializing_if = "Option::is_none")]
    pub browser: Option<Secret>,
}

impl AuthorizeRequest {
    /// Of the library's options.
    #[must_use]
    pub fn of(options: AuthorizeOptions) -> Self {
        let AuthorizeOptions { profile, labels, redirect_url, other_account, browser, return_url } = options;
        Self { profile, labels, redirect_url, other_account, return_url, browser }
    }

    /// The library's options.
    #[must_use]
    pub fn into_options(self) -> AuthorizeOptions {
        let Self { profile, labels, redirect_url, other_account, return_url, browser } = self;
        AuthorizeOptions { profile, labels, redirect_url, other_account, browser, return_url }
    }
}

/// A person can be sent to `url` now.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AuthorizationDocument {
    /// The authorization URL; it carries the state.
    pub url: Url,
    /// The state in it: whoever has it can finish or abandon this authorization.
    #[serde(with = "sealed_text")]
    pub state: Secret,
    /// Where the browser will be sent back to.
    pub redirect_url: Url,
    /// The connection.
    pub connection: ConnectionName,
    /// When it can no longer be completed.
    pub expires: Timestamp,
}

impl AuthorizationDocument {
    /// Of the library's.
    #[must_use]
    pub fn of(authorization: Authorization) -> Self {
        let Authorization { url, state, redirect_url, connection, expires } = authorization;
        Self { url, state, redirect_url, connection, expires }
    }

    /// The library's.
    #[must_use]
    pub fn into_authorization(self) -> Authorization {
        let Self { url, state, redirect_url, connection, expires } = self;
        Authorization { url, state, redirect_url, connection, expires }
    }
}

/// Completes an authorization.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CompleteRequest {
    /// The whole URL that the browser was sent back to.
    #[serde(with = "sealed_text")]
    pub callback: Secret,
}

/// Gives an authorization up.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AbandonRequest {
    /// The state of an authorization, or the handle of a device's.
    #[serde(with = "sealed_text")]
    pub state: Secret,
}

/// Begins a device authorization.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DeviceRequest {
    /// The profile; the connection's own, or `default`, when none is given.
    pub profile: Option<ProfileName>,
    /// Labels that the connection gets.
    pub labels: Labels,
    /// Whether the grant may be another account's.
    pub other_account: bool,
}

/// What a person must be shown, and what finds the authorization again.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct DeviceDocument {
    /// The connection.
    pub connection: ConnectionName,
    /// The code to type.
    pub user_code: String,
    /// Where to type it.
    pub verification_uri: String,
    /// The same address with the code in it, where the provider gives one.
    pub verification_uri_complete: Option<String>,
    /// When the code ends.
    pub expires: Timestamp,
    /// Seconds to wait between two polls.
    pub interval: u64,
    /// What a poll names.
    #[serde(with = "sealed_text")]
    pub handle: Secret,
}

impl DeviceDocument {
    /// Of the library's.
    #[must_use]
    pub fn of(start: DeviceStart) -> Self {
        let DeviceStart { connection, user_code, verification_uri, verification_uri_complete, expires, .. } = start;
        let (interval, handle) = (start.interval.as_secs(), start.handle);
        Self { connection, user_code, verification_uri, verification_uri_complete, expires, interval, handle }
    }

    /// The library's.
    #[must_use]
    pub fn into_start(self) -> DeviceStart {
        let Self { connection, user_code, verification_uri, verification_uri_complete, expires, interval, handle } =
            self;
        let interval = Duration::from_secs(interval);
        DeviceStart { connection, user_code, verification_uri, verification_uri_complete, expires, interval, handle }
    }
}

/// Asks once whether the person has decided.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PollRequest {
    /// The handle of the start.
    #[serde(with = "sealed_text")]
    pub handle: Secret,
    /// Seconds waited since the last poll: what `slow_down` adds to.
    #[serde(default)]
    pub interval: u64,
}

impl PollRequest {
    /// The library's start of a connection, as far as a poll needs it.
    #[must_use]
    pub fn into_start(self, connection: ConnectionName, now: Timestamp) -> DeviceStart {
        DeviceStart {
            connection,
            user_code: String::new(),
            verification_uri: String::new(),
            verification_uri_complete: None,
            expires: now,
            interval: Duration::from_secs(self.interval),
            handle: self.handle,
        }
    }
}

/// What one poll found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct PollDocument {
    /// Whether the person has not decided yet.
    pub waiting: bool,
    /// Seconds to wait until the next poll.
    pub interval: u64,
    /// The connection, when it is authorized.
    pub connection: Option<ConnectionDocument>,
}

impl PollDocument {
    /// Of the library's.
    #[must_use]
    pub fn of(poll: &DevicePoll, interval: Duration) -> Self {
        let interval = interval.as_secs();
        match poll {
            DevicePoll::Waiting => Self { waiting: true, interval, connection: None },
            DevicePoll::Done(connection) => {
                Self { waiting: false, interval, connection: Some(ConnectionDocument::of(connection)) }
            }
        }
    }

    /// The library's.
    #[must_use]
    pub fn into_poll(self) -> DevicePoll {
        match self.connection {
            Some(connection) => DevicePoll::Done(Box::new(connection.into_connection())),
            None => DevicePoll::Waiting,
        }
    }
}

/// Makes a connection without a browser.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ConnectRequest {
    /// The profile; the connection's own, or `default`, when none is given.
    pub profile: Option<ProfileName>,
    /// Labels that the connection gets.
    pub labels: Labels,
    /// Whether the grant may be another account's.
    pub other_account: bool,
    /// The password of the profile's user, for the password grant.
    #[serde(with = "sealed_option", default, skip_serializing_if = "Option::is_none")]
    pub password: Option<Secret>,
    /// A refresh token from elsewhere.
    #[serde(with = "sealed_option", default, skip_serializing_if = "Option::is_none")]
    pub refresh_token: Option<Secret>,
}

impl ConnectRequest {
    /// Of the library's options.
    #[must_use]
    pub fn of(options: ConnectOptions) -> Self {
        let ConnectOptions { profile, labels, proof, other_account } = options;
        let (password, refresh_token) = match proof {
            Proof::None => (None, None),
            Proof::Password(password) => (Some(password), None),
            Proof::RefreshToken(token) => (None, Some(token)),
        };
        Self { profile, labels, other_account, password, refresh_token }
    }

    /// The library's options; `None` where both a password and a refresh token are given.
    #[must_use]
    pub fn into_options(self) -> Option<ConnectOptions> {
        let Self { profile, labels, other_account, password, refresh_token } = self;
        let proof = match (password, refresh_token) {
            (None, None) => Proof::None,
            (Some(password), None) => Proof::Password(password),
            (None, Some(token)) => Proof::RefreshToken(token),
            (Some(_), Some(_)) => return None,
        };
        Some(ConnectOptions { profile, labels, proof, other_account })
    }
}
