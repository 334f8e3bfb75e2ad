//! The exit code that says to a shell why a call failed. It stands here and not in the command line, because the daemon says it too.

use crate::connector;
use crate::exchange::ExchangeError;
use crate::http::HttpError;
use crate::model::FailureKind;
use crate::refresh::RefreshError;
use crate::registry::RegistryError;
use crate::script::ScriptError;
use crate::store::StoreError;
use crate::vault::{RotationError, VaultError};
use exit_codes::{CONSENT, MISSING, OTHER, PASSING, PROVIDER, STORE, USAGE};
use std::sync::Arc;

pub mod exit_codes {
    //! What each exit code is called; `--help` and `docs/automation.md` tell what each stands for.

    /// Anything not named below.
    pub const OTHER: u8 = 1;
    /// The command line, or a request, is wrong.
    pub const USAGE: u8 = 2;
    /// There is no such thing.
    pub const MISSING: u8 = 3;
    /// A person must consent.
    pub const CONSENT: u8 = 4;
    /// Passing trouble: try again later.
    pub const PASSING: u8 = 5;
    /// The provider refuses our application or our request.
    pub const PROVIDER: u8 = 6;
    /// The store or its keys cannot be used.
    pub const STORE: u8 = 7;
    /// What shells say of a command that is there and cannot be run.
    pub const NOT_RUN: u8 = 126;
    /// What they say of one that is not there.
    pub const NOT_FOUND: u8 = 127;
    /// What shells say of a process that SIGINT ended: 128 and the signal's number.
    pub const INTERRUPTED: u8 = 130;
    /// Told to end (SIGTERM), as after [`INTERRUPTED`].
    pub const TERMINATED: u8 = 143;
}

/// The exit code of an error of the library.
#[must_use]
pub fn exit_code(error: &connector::Error) -> u8 {
    use connector::Error as E;
    match error {
        E::NoHome(_)
        | E::NoApplication(_)
        | E::NoProfile { .. }
        | E::NoConnection(_)
        | E::NoCredential(_)
        | E::NoKey(_)
        | E::NoWebhook(_)
        | E::Registry(RegistryError::UnknownProvider { .. })
        | E::Script(ScriptError::Unknown { .. }) => MISSING,
        E::NoState
        | E::UnknownState
        | E::WrongRedirect { .. }
        | E::OtherBrowser(_)
        | E::RevokedMeanwhile(_)
        | E::Expired(_)
        | E::OtherAccount { .. }
        | E::UnknownAccount { .. }
        | E::Denied { .. } => CONSENT,
        E::Changed(_) | E::Stopped(_) | E::Rotation(RotationError::UnderWay) => PASSING,
        E::Rotation(RotationError::OneKey(_))
        | E::KeyMayNothing(_)
        | E::KeyEnded(_)
        | E::Password(_)
        | E::EmptyProof { .. }
        | E::ReturnUrl(_) => USAGE,
        E::Callback(_) | E::Discovery(_) | E::OddToken(_) => PROVIDER,
        E::Http(error) => of_http(error),
        E::KeysMissing { .. } | E::Seal(_) | E::Rotation(_) | E::KeyRemoved(_) => STORE,
        E::NotAuthorized { error, .. } | E::Exchange(error) => of_exchange(error),
        E::Refresh(error) => of_refresh(error),
        E::Vault(error) | E::Unaudited { source: error, .. } => of_vault(error),
        E::Store(error) => of_store(error),
        E::File { .. }
        | E::StoreUsed(_)
        | E::Settings { .. }
        | E::DefaultProfile(_)
        | E::Inactive(_)
        | E::InUse { .. }
        | E::NoEndpoint { .. }
        | E::NoUsername(_)
        | E::OtherApplication(_)
        | E::FurtherToken(_)
        | E::WrongGrant { .. }
        | E::RevokedCredential(_)
        | E::ScriptTook { .. }
        | E::ScriptRedirect(_)
        | E::Script(_)
        | E::NoMetadata { .. }
        | E::BadRequest { .. }
        | E::KeyExists(_)
        | E::WebhookExists(_)
        | E::TooManyWebhooks(_)
        | E::NoRandomness
        | E::Registry(_) => OTHER,
    }
}

fn of_http(error: &HttpError) -> u8 {
    match error {
        HttpError::NotSent { .. } | HttpError::NoReply { .. } => PASSING,
        HttpError::TooLarge { .. } => PROVIDER,
        HttpError::HostNotAllowed { .. }
        | HttpError::Private(_)
        | HttpError::OfTheLink(_)
        | HttpError::BadRequest
        | HttpError::BadSetting { .. }
        | HttpError::NotHttps { .. } => OTHER,
    }
}

/// The exit code of a failure at a provider.
#[must_use]
pub fn exit_code_of(kind: FailureKind) -> u8 {
    match kind {
        FailureKind::ReauthorizationRequired => CONSENT,
        FailureKind::Transient | FailureKind::RateLimited | FailureKind::Ambiguous => PASSING,
        FailureKind::ClientRejected | FailureKind::RequestRejected | FailureKind::BadResponse => PROVIDER,
    }
}

fn of_exchange(error: &ExchangeError) -> u8 {
    match error {
        ExchangeError::Failed(failure) | ExchangeError::Unread(failure) => exit_code_of(failure.kind),
        // As for a refresh: the provider's answer was not read.
        ExchangeError::Script { .. } | ExchangeError::IdToken(_) => PROVIDER,
        ExchangeError::Keys { passing, .. } => {
            if *passing {
                PASSING
            } else {
                PROVIDER
            }
        }
        ExchangeError::OtherAccount { .. } => CONSENT,
        ExchangeError::Setup(_) => OTHER,
        ExchangeError::Overtaken => PASSING,
        ExchangeError::Keep(_) => STORE,
    }
}

fn of_refresh(error: &RefreshError) -> u8 {
    match error {
        RefreshError::Unknown(_) => MISSING,
        RefreshError::NotAuthorized { .. }
        | RefreshError::ReauthorizationRequired { .. }
        | RefreshError::Expiring { .. }
        | RefreshError::Revoked(_) => CONSENT,
        RefreshError::Inactive(_) | RefreshError::Orphan { .. } => OTHER,
        RefreshError::Failing { failure, .. } | RefreshError::ClientRejected { failure, .. } => {
            exit_code_of(failure.kind)
        }
        RefreshError::Resting { .. } | RefreshError::Busy(_) | RefreshError::Stopped => PASSING,
        RefreshError::Vault(error) => of_vault(Arc::as_ref(error)),
    }
}

fn of_vault(error: &VaultError) -> u8 {
    match error {
        VaultError::Store(error) => of_store(error),
        VaultError::Seal { .. } | VaultError::Misfit { .. } | VaultError::Format { .. } => STORE,
    }
}

fn of_store(error: &StoreError) -> u8 {
    match error {
        StoreError::Conflict | StoreError::Held { .. } => PASSING,
        StoreError::Io { .. } | StoreError::Damaged { .. } | StoreError::Backup { .. } => STORE,
    }
}
