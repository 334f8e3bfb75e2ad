//! What goes wrong, for whoever calls the library: every error has a code, says whether to try again, and what to do.

use super::KeySource;
use crate::access::PasswordError;
use crate::exchange::ExchangeError;
use crate::http::HttpError;
use crate::model::{
    Action, ApplicationName, ConnectionName, Endpoint, Failure, FailureKind, GrantType, KeyName, ProfileName,
    Timestamp, WebhookName,
};
use crate::oauth::{CallbackError, DiscoveryError};
use crate::refresh::RefreshError;
use crate::registry::RegistryError;
use crate::script::ScriptError;
use crate::seal::SealError;
use crate::store::StoreError;
use crate::vault::{RotationError, VaultError};
use crate::webhooks::MOST_WEBHOOKS;
use std::path::{Path, PathBuf};
use url::Url;
use uuid::Uuid;

/// Why a call did not do what was asked. Unless its message says otherwise, nothing was changed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no home folder.
    #[error("{} is not a Grantkeeper home; run `grantkeeper init`, or name the right folder with --home", .0.display())]
    NoHome(PathBuf),
    /// A store whose keys are gone.
    #[error("the store {} exists, and its keys do not ({keys}); put the key file back: new keys would not open the store", store.display())]
    KeysMissing {
        /// The store's folder.
        store: PathBuf,
        /// Where the keys should be.
        keys: KeySource,
    },
    /// A restore would take the place of a store that was used.
    #[error("the store {} is not empty; --force moves it aside (nothing is deleted) and puts the backup in its place", .0.display())]
    StoreUsed(PathBuf),
    /// A file could not be read or written.
    #[error("{}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// `grantkeeper.toml` is wrong.
    #[error("{} is not as it should be: {reason}", path.display())]
    Settings {
        /// The file.
        path: PathBuf,
        /// Line, column and what is wrong.
        reason: String,
    },
    /// No application of that name.
    #[error("there is no application {0}; see `grantkeeper app list`, or make it with `grantkeeper app add {0}`")]
    NoApplication(String),
    /// The application has no such profile.
    #[error("the application {application} has no profile {profile}; see `grantkeeper profile list {application}`")]
    NoProfile {
        /// The application.
        application: ApplicationName,
        /// The profile that was named.
        profile: ProfileName,
    },
    /// The `default` profile cannot be removed.
    #[error("the profile default of {0} stays: it is the one used when none is named; edit it instead")]
    DefaultProfile(ApplicationName),
    /// The application is switched off.
    #[error("the application {0} is not active; set `active = true` in its file and apply it again")]
    Inactive(ApplicationName),
    /// Connections still use it.
    #[error(
        "{application} is used by the connection {connection}; remove its connections first (`grantkeeper connections remove {connection}`)"
    )]
    InUse {
        /// The application.
        application: ApplicationName,
        /// One connection that uses it.
        connection: ConnectionName,
    },
    /// The application lacks an endpoint.
    #[error(
        "the application {application} has no {endpoint} endpoint; set endpoints.{endpoint} in its file and apply it again"
    )]
    NoEndpoint {
        /// The application.
        application: ApplicationName,
        /// The endpoint's key.
        endpoint: &'static str,
    },
    /// The password grant without a user.
    #[error("the profile of {0} uses the password grant and names no user; set `username` in it")]
    NoUsername(ApplicationName),
    /// A callback came from another browser than the one that began its authorization.
    #[error(
        "this browser did not begin the authorization of {0}; open the link again in the browser that began it, or begin anew"
    )]
    OtherBrowser(ConnectionName),
    /// A person was to be sent where the settings do not allow it.
    #[error("people may not be sent back to {0}; add it to `return_urls` under `[callback]` in grantkeeper.toml")]
    ReturnUrl(String),
    /// No connection of that name.
    #[error(
        "there is no connection {0}; see `grantkeeper connections list`, or make it with `grantkeeper connect {0}`"
    )]
    NoConnection(ConnectionName),
    /// A connection whose application was removed and made anew.
    #[error(
        "the connection {0} belongs to an earlier application of the same name; remove it first (`grantkeeper connections remove {0}`)"
    )]
    OtherApplication(ConnectionName),
    /// A further token is connected with its connection.
    #[error("{0} is a further token of {main}, and comes with it; connect {main}", main = .0.main())]
    FurtherToken(ConnectionName),
    /// The profile's grant needs another call.
    #[error("the profile {profile} of {connection} uses the {grant} grant, which {}", how(*grant))]
    WrongGrant {
        /// The connection.
        connection: ConnectionName,
        /// The profile.
        profile: ProfileName,
        /// Its grant.
        grant: GrantType,
    },
    /// What was to prove a grant is empty.
    #[error("the {what} for {connection} is empty; give the {what} itself")]
    EmptyProof {
        /// The connection.
        connection: ConnectionName,
        /// What it was to be.
        what: &'static str,
    },
    /// No credential of that id.
    #[error("there is no credential {0}; see `grantkeeper tokens`")]
    NoCredential(Uuid),
    /// A revoked credential has no expiry to edit.
    #[error("the credential {0} is revoked; its expiry can no longer be edited")]
    RevokedCredential(Uuid),
    /// Somebody else edited the same record.
    #[error("{0} was changed by somebody else at the same moment; nothing was written, try again")]
    Changed(String),
    /// A callback without `state`.
    #[error("the callback carries no `state`; paste the whole URL that the browser was sent back to")]
    NoState,
    /// A `state` that is not waiting.
    #[error(
        "no authorization is waiting for this callback: it was completed already, has expired, or was not begun here; run `grantkeeper connect` again"
    )]
    UnknownState,
    /// The person took too long.
    #[error("the authorization of {0} has expired; run `grantkeeper connect {0}` again")]
    Expired(ConnectionName),
    /// A callback that cannot be read, or that another issuer sent.
    #[error(transparent)]
    Callback(#[from] CallbackError),
    /// The person, or the provider in their place, said no.
    #[error("consent for {connection} was not given: {failure}")]
    Denied {
        /// The connection.
        connection: ConnectionName,
        /// The provider's words.
        failure: Failure,
    },
    /// The token request after consent failed.
    #[error("{connection} was not authorized: {error}{}", advice_for(error))]
    NotAuthorized {
        /// The connection.
        connection: ConnectionName,
        /// What happened.
        error: ExchangeError,
    },
    /// The consent is of another account than the connection.
    #[error(
        "{connection} is of the account {held}, and this consent is of {given}; nothing was changed, and the old grant goes on working: sign in at the provider as the right account and connect again, or take the other one with --other-account"
    )]
    OtherAccount {
        /// The connection.
        connection: ConnectionName,
        /// Whose it is, by name and id.
        held: String,
        /// Whose the consent is.
        given: String,
    },
    /// Nobody says of which account the consent is.
    #[error(
        "{connection} is of the account {held}, and whose account this consent is could not be told ({why}); nothing was changed, and the old grant goes on working: connect again, or take it whoever it is with --other-account"
    )]
    UnknownAccount {
        /// The connection.
        connection: ConnectionName,
        /// Whose it is, by name and id.
        held: String,
        /// Why it is not known.
        why: String,
    },
    /// A script dropped what protects the callback.
    #[error(
        "the script of {application} removed or changed `{parameter}` in preprocessAuthCode; leave it as it is, it protects the callback (a provider that refuses a proof key needs `pkce = \"none\"` in the application)"
    )]
    ScriptTook {
        /// The application.
        application: ApplicationName,
        /// `state`, `nonce` or `code_challenge`.
        parameter: &'static str,
    },
    /// A callback that arrived at another address than the one that was asked for.
    #[error(
        "this callback did not arrive at {expected}, where this application's callbacks arrive: it is another provider's answer; do not go on, connect again"
    )]
    WrongRedirect {
        /// The application's redirect URL.
        expected: Url,
    },
    /// The connection was revoked or removed after its authorization had begun.
    #[error(
        "the connection {0} was revoked or removed after this authorization had begun; nothing was kept, run `grantkeeper connect {0}` again"
    )]
    RevokedMeanwhile(ConnectionName),
    /// A script set a redirect URL that is none.
    #[error("the script of {0} set a redirect_uri in preprocessAuthCode that is not a URL")]
    ScriptRedirect(ApplicationName),
    /// No token.
    #[error(transparent)]
    Refresh(#[from] RefreshError),
    /// A request to the provider.
    #[error(transparent)]
    Exchange(#[from] ExchangeError),
    /// An issuer without metadata.
    #[error(
        "{issuer} publishes no metadata (status {status} at both well-known addresses); write the endpoints into the application's file"
    )]
    NoMetadata {
        /// The issuer.
        issuer: Endpoint,
        /// The last status that it answered with.
        status: u16,
    },
    /// An issuer's metadata.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
    /// A request of the caller's own that cannot be sent with a token.
    #[error("the request that was to be sent with the token of {connection} was not sent: {reason}")]
    BadRequest {
        /// The connection.
        connection: ConnectionName,
        /// What is wrong with it.
        reason: String,
    },
    /// The token holds what no header can.
    #[error("the token of {0} holds characters that RFC 6750 does not allow in a header; it was not sent")]
    OddToken(ConnectionName),
    /// The HTTP client.
    #[error(transparent)]
    Http(#[from] HttpError),
    /// A script.
    #[error(transparent)]
    Script(#[from] ScriptError),
    /// An application file or catalog entry.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// The keys.
    #[error(transparent)]
    Seal(#[from] SealError),
    /// The keys were not rotated, or not to the end.
    #[error(transparent)]
    Rotation(RotationError),
    /// No API key of that name.
    #[error("there is no API key {0}; see `grantkeeper api-key list`")]
    NoKey(KeyName),
    /// There is an API key of that name, and it is in use.
    #[error(
        "there is an API key {0} already; take another name, or revoke it first (`grantkeeper api-key revoke {0}`)"
    )]
    KeyExists(KeyName),
    /// An API key that would open nothing.
    #[error("the API key {0} was not made: say what it may do, e.g. --may 'token:drive/*'")]
    KeyMayNothing(KeyName),
    /// An API key that would be over before it begins.
    #[error("the API key {0} was not made: it would have ended already; give a time that is to come")]
    KeyEnded(KeyName),
    /// An API key whose record did not open, and was removed when it was to be revoked.
    #[error(
        "the record of the API key {0} did not open: the store was changed from outside, or its keys are gone. It was removed, and nobody is let in with it"
    )]
    KeyRemoved(KeyName),
    /// No webhook of that name.
    #[error("there is no webhook {0}; see `grantkeeper webhook list`")]
    NoWebhook(WebhookName),
    /// There is a webhook of that name.
    #[error("there is a webhook {0} already; take another name, or edit that one (`grantkeeper webhook edit {0}`)")]
    WebhookExists(WebhookName),
    /// There are as many webhooks as there may be.
    #[error("the webhook {0} was not made: there are {most} already; remove one that nobody needs", most = MOST_WEBHOOKS)]
    TooManyWebhooks(WebhookName),
    /// A password that is not taken.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The system has no randomness.
    #[error("the system has no randomness to make a key of; nothing was made")]
    NoRandomness,
    /// Something was done, and could not be written into the audit log.
    #[error("{action} was done, and the audit log could not be written: {source}")]
    Unaudited {
        /// What was done.
        action: Action,
        /// Why.
        source: VaultError,
    },
    /// Reading or writing a sealed record.
    #[error(transparent)]
    Vault(#[from] VaultError),
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A task ended without a result.
    #[error("{0} stopped half-way; try again")]
    Stopped(&'static str),
}

impl Error {
    /// A word for the error that does not change between versions.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoHome(_) => "no_home",
            Self::KeysMissing { .. } | Self::Seal(_) | Self::Rotation(_) => "keys",
            Self::File { .. } => "file",
            Self::Settings { .. } => "settings",
            Self::NoApplication(_) => "unknown_application",
            Self::NoProfile { .. } => "unknown_profile",
            Self::DefaultProfile(_)
            | Self::InUse { .. }
            | Self::StoreUsed(_)
            | Self::KeyExists(_)
            | Self::WebhookExists(_) => "in_use",
            Self::Inactive(_) => "inactive",
            Self::NoEndpoint { .. } | Self::NoUsername(_) => "incomplete_application",
            Self::NoConnection(_) | Self::Refresh(RefreshError::Unknown(_)) => "unknown_connection",
            Self::OtherApplication(_) => "other_application",
            Self::FurtherToken(_) => "further_token",
            Self::WrongGrant { .. } => "wrong_grant",
            Self::EmptyProof { .. } => "empty_proof",
            Self::NoCredential(_) => "unknown_credential",
            Self::RevokedCredential(_) | Self::RevokedMeanwhile(_) => "revoked",
            Self::Changed(_) => "changed",
            Self::NoState
            | Self::UnknownState
            | Self::WrongRedirect { .. }
            | Self::OtherBrowser(_)
            | Self::Callback(_) => "bad_callback",
            Self::Expired(_) => "expired",
            Self::Denied { .. } => "denied",
            Self::OtherAccount { .. } => "other_account",
            Self::UnknownAccount { .. } => "unknown_account",
            Self::ScriptTook { .. } | Self::ScriptRedirect(_) | Self::Script(_) => "script",
            Self::Refresh(error) => refresh_code(error),
            Self::BadRequest { .. } | Self::ReturnUrl(_) => "bad_request",
            Self::OddToken(_) => "odd_token",
            Self::Http(HttpError::HostNotAllowed { .. } | HttpError::NotHttps { .. }) => "host_not_allowed",
            Self::Http(_) => "http",
            Self::NoMetadata { .. } | Self::Discovery(_) => "discovery",
            Self::NotAuthorized { error: ExchangeError::Setup(_), .. }
            | Self::Exchange(ExchangeError::Setup(_))
            | Self::Registry(_) => "bad_application",
            Self::NotAuthorized { error, .. } | Self::Exchange(error) => error.failure().kind.as_str(),
            Self::NoKey(_) => "unknown_key",
            Self::NoWebhook(_) => "unknown_webhook",
            Self::TooManyWebhooks(_) => "too_many",
            Self::KeyMayNothing(_) | Self::KeyEnded(_) => "bad_key",
            Self::Password(_) => "bad_password",
            Self::NoRandomness => "randomness",
            Self::Unaudited { .. } => "unaudited",
            Self::Vault(VaultError::Store(error)) | Self::Store(error) => store_code(error),
            Self::Vault(_) | Self::KeyRemoved(_) => "sealed_record",
            Self::Stopped(_) => "stopped",
        }
    }

    /// Whether the same call may succeed later without anybody doing anything.
    #[must_use]
    pub fn retryable(&self) -> bool {
        match self {
            Self::Changed(_) | Self::Stopped(_) | Self::Rotation(RotationError::UnderWay) => true,
            // The keys may be had later; the consent is used up.
            Self::NotAuthorized { error: ExchangeError::Keys { .. }, .. } => false,
            Self::NotAuthorized { error, .. } | Self::Exchange(error) => {
                matches!(error.failure().kind, FailureKind::Transient | FailureKind::RateLimited)
            }
            Self::Refresh(error) => error.retryable(),
            // Only metadata is asked for outside of an exchange, and that can be asked for again.
            Self::Http(error) => matches!(error, HttpError::NotSent { .. } | HttpError::NoReply { .. }),
            Self::Vault(VaultError::Store(error)) | Self::Store(error) => {
                matches!(error, StoreError::Held { .. } | StoreError::Conflict)
            }
            _ => false,
        }
    }

    /// When the same call may succeed, where it may without anybody doing anything and that time is known.
    #[must_use]
    pub fn next_try(&self) -> Option<Timestamp> {
        match self {
            Self::Refresh(error) if error.retryable() => error.next_try(),
            _ => None,
        }
    }

    /// Whether a callback was turned away before its state was used up: the right one may still come.
    pub(crate) fn is_before_a_callback_is_taken(&self) -> bool {
        match self {
            Self::OtherBrowser(_) | Self::WrongRedirect { .. } | Self::UnknownState | Self::NoState => true,
            Self::Callback(error) => {
                matches!(error, CallbackError::NotUrl | CallbackError::TooLong | CallbackError::Repeated(_))
            }
            _ => false,
        }
    }

    pub(crate) fn file(path: &Path, error: &std::io::Error) -> Self {
        Self::File { path: path.to_owned(), reason: error.to_string() }
    }
}

/// What hinders it is the store's or the keys' own trouble, or a matter of rotation.
impl From<RotationError> for Error {
    fn from(error: RotationError) -> Self {
        match error {
            RotationError::Store(error) => Self::Store(error),
            RotationError::Keys(error) => Self::Seal(error),
            error => Self::Rotation(error),
        }
    }
}

fn refresh_code(error: &RefreshError) -> &'static str {
    match error {
        RefreshError::Unknown(_) => "unknown_connection",
        RefreshError::NotAuthorized { .. } => "not_authorized",
        RefreshError::ReauthorizationRequired { .. } | RefreshError::Expiring { .. } => "reauthorization_required",
        RefreshError::Revoked(_) => "revoked",
        RefreshError::Inactive(_) => "inactive",
        RefreshError::Orphan { .. } => "orphan",
        RefreshError::Failing { failure, .. } => failure.kind.as_str(),
        RefreshError::Resting { .. } => FailureKind::Transient.as_str(),
        RefreshError::ClientRejected { .. } => FailureKind::ClientRejected.as_str(),
        RefreshError::Busy(_) => "busy",
        RefreshError::Vault(error) => match error.as_ref() {
            VaultError::Store(error) => store_code(error),
            _ => "sealed_record",
        },
        RefreshError::Stopped => "stopped",
    }
}

fn store_code(error: &StoreError) -> &'static str {
    match error {
        StoreError::Conflict => "changed",
        StoreError::Held { .. } => "store_held",
        StoreError::Io { .. } => "store_io",
        StoreError::Backup { .. } => "backup",
        StoreError::Damaged { .. } => "store_damaged",
    }
}

fn how(grant: GrantType) -> &'static str {
    match grant {
        GrantType::AuthorizationCode => "needs a person's consent in a browser",
        GrantType::DeviceCode => "needs a person at another device; use --device",
        GrantType::ClientCredentials | GrantType::JwtBearer => "needs no person, no password and no browser",
        GrantType::Password => "needs the password of its user and no browser",
        GrantType::RefreshToken => "starts from a refresh token; give one",
    }
}

fn advice_for(error: &ExchangeError) -> &'static str {
    // It says itself what to do.
    if matches!(error, ExchangeError::IdToken(_) | ExchangeError::Setup(_)) {
        return "";
    }
    if matches!(error, ExchangeError::Script { .. }) {
        return "; mend the script: `grantkeeper script check` tells more";
    }
    match error.failure().kind {
        FailureKind::ClientRejected => "; check the application's client id, secret and client_authentication",
        FailureKind::RequestRejected => "; check the redirect URL, the scopes and the profile",
        FailureKind::ReauthorizationRequired => {
            "; what was shown to the provider (a code, a password, an assertion) was used, has expired or is wrong: connect again"
        }
        FailureKind::BadResponse => "; a script may be needed, see `grantkeeper script new`",
        FailureKind::Transient | FailureKind::RateLimited | FailureKind::Ambiguous => "; try again",
    }
}
