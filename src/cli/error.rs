//! Why a command failed, and the exit code that says so to a shell.

use super::desk::Lost;
use super::signals::End;
use crate::api::exit_codes::{
    CONSENT, INTERRUPTED, MISSING, NOT_FOUND, NOT_RUN, OTHER, PASSING, PROVIDER, STORE, USAGE,
};
use crate::api::{Problem, exit_code, exit_code_of};
use crate::connector;
use crate::model::{ConnectionName, Failure, WebhookName, counted};
use crate::refresh::RefreshError;
use crate::registry::RegistryError;
use crate::script::ScriptError;
use crate::seal::SealError;
use crate::store::StoreError;
use crate::vault::VaultError;
use std::fmt;
use url::Url;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    /// The library's own.
    #[error(transparent)]
    Connector(Box<connector::Error>),
    /// The same, told by the daemon.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The daemon did not come to the end of an answer.
    #[error(transparent)]
    Lost(Lost),
    /// The command needs the store itself, and a daemon holds it.
    #[error(
        "{what} needs the store itself, and a daemon holds it: stop `grantkeeper serve`, run the command again, and start it again"
    )]
    NotThroughDaemon {
        /// What cannot be done through a daemon.
        what: &'static str,
    },
    /// Nobody answers in the home.
    #[error("no daemon answers in the home {0}: start one with `grantkeeper serve`")]
    NoDaemon(String),
    /// The daemon does not say how it is.
    #[error("the daemon of this home does not answer as it should: {0}; see its log")]
    DaemonUnwell(String),
    /// The daemon is on its way out.
    #[error("the daemon is stopping: it finishes what is under way")]
    DaemonStops,
    /// The command line is wrong in a way that only the home's content tells.
    #[error("{0}")]
    Usage(String),
    /// There is no such thing.
    #[error("{0}")]
    Missing(String),
    /// Provider entries that are not as they should be.
    #[error("what was found, {0} in all, is to be mended as said above")]
    Entries(usize),
    /// Fixtures that did not come out as they say.
    #[error("{0} of the fixtures did not come out as they say")]
    FixturesFailed(usize),
    /// The tour did not come to its end.
    #[error("the demo stopped: {0}")]
    Demo(String),
    /// There is such a thing already.
    #[error("{0}")]
    Exists(String),
    /// A file or an input cannot be read, or holds what is not wanted.
    #[error("{0}")]
    Input(String),
    /// Somebody else has the port.
    #[error(
        "the port {port} of this machine cannot be listened on ({reason}); end what uses it, or take another with --port (and register {url} with that port at the provider), or use --paste"
    )]
    Port {
        /// The port.
        port: u16,
        /// What the system said.
        reason: String,
        /// Where the provider would send the browser.
        url: Box<Url>,
    },
    /// A person, or a service manager, ended the command.
    #[error("interrupted; {how}")]
    Ended {
        /// By which signal.
        end: End,
        /// And what became of what it did.
        how: HowEnded,
    },
    /// A person ended the waiting.
    #[error("interrupted; {0} was not authorized, and no grant was made")]
    Interrupted(ConnectionName),
    /// A rotation was interrupted.
    #[error(
        "interrupted{}. Everything opens, for the key file holds the new key and the old one: run `grantkeeper key rotate` again to go on",
        left.map(|left| format!("; still under the old key: {}", counted(left, "record", "records"))).unwrap_or_default()
    )]
    RotationStopped {
        /// How many records are under an older key, where that is known.
        left: Option<u64>,
    },
    /// A rotation that cannot let go of an old key.
    #[error(
        "what does not open was left under its old key, which stays: {}; restore or remove it, and run `grantkeeper key rotate` again", counted(*left, "record", "records")
    )]
    KeysKept {
        /// How many records.
        left: u64,
    },
    /// Standard input ended before the redirected URL came.
    #[error("standard input ended before the redirected URL of {0} came; no grant was made, run the command again")]
    NotPasted(ConnectionName),
    /// The token holds what no header can.
    #[error(
        "the token of {0} holds characters that RFC 6750 does not allow and a terminal or a header would obey; see it with --json"
    )]
    OddToken(ConnectionName),
    /// The grant was ended here, and the provider was not told.
    #[error(
        "the tokens of {connection} are not used here any more, and the provider was not told: {failure}; {advice}"
    )]
    NotTold {
        /// The connection.
        connection: ConnectionName,
        /// What the provider said.
        failure: Box<Failure>,
        /// What to do.
        advice: String,
    },
    /// The command that was to have a token cannot be run.
    #[error("the command {program:?} cannot be run: {reason}")]
    NotRun {
        /// The command.
        program: String,
        /// Whether there is none of that name.
        missing: bool,
        /// What the system said.
        reason: String,
    },
    /// The audit log is not as it was written.
    #[error(
        "the audit log is not whole (findings: {findings}): somebody changed the store, or a disk did; compare with a backup before you go on"
    )]
    LogNotWhole {
        /// How many things are wrong with it.
        findings: usize,
    },
    /// A test message was not taken.
    #[error("the test message of {webhook} was not taken: {problem}")]
    NotTaken {
        /// The webhook.
        webhook: WebhookName,
        /// What its endpoint answered.
        problem: String,
    },
    /// Some of many failed.
    #[error("{failed} of {all} {what}")]
    Some {
        /// How many failed.
        failed: usize,
        /// Of how many.
        all: usize,
        /// What they are, what failed and where it is told.
        what: &'static str,
    },
    /// Standard output.
    #[error("the result cannot be printed: {0}")]
    Output(std::io::Error),
    /// The system.
    #[error("{0}")]
    System(String),
}

/// What became of a command's work that was ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HowEnded {
    /// Nothing was under way that could be broken off.
    Clean,
    /// It was waited for.
    Finished,
    /// It was not waited for.
    CutOff,
    /// It is the daemon's.
    DaemonGoesOn,
}

impl fmt::Display for HowEnded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Clean => "nothing is left half done",
            Self::Finished => "what was under way was finished; see `grantkeeper events`",
            Self::CutOff => "what was under way was not waited for: it is journaled, and `grantkeeper connections show` says what is in doubt",
            Self::DaemonGoesOn => "what the daemon had begun it finishes; see `grantkeeper events`",
        })
    }
}

impl Error {
    /// The exit code; `--help` and `docs/automation.md` tell what each stands for.
    pub(super) fn exit_code(&self) -> u8 {
        match self {
            Self::Connector(error) => exit_code(error),
            Self::Problem(problem) => problem.exit_code,
            Self::Lost(lost) => lost.exit_code(),
            Self::NotThroughDaemon { .. } | Self::NoDaemon(_) | Self::DaemonUnwell(_) | Self::DaemonStops => PASSING,
            Self::Usage(_) => USAGE,
            Self::Missing(_) => MISSING,
            Self::NotPasted(_) => CONSENT,
            Self::NotRun { missing: true, .. } => NOT_FOUND,
            Self::NotRun { missing: false, .. } => NOT_RUN,
            Self::Ended { end, .. } => end.exit_code(),
            Self::Interrupted(_) | Self::RotationStopped { .. } => INTERRUPTED,
            Self::KeysKept { .. } | Self::LogNotWhole { .. } => STORE,
            Self::OddToken(_) => PROVIDER,
            Self::NotTold { failure, .. } => exit_code_of(failure.kind),
            Self::Exists(_)
            | Self::Demo(_)
            | Self::FixturesFailed(_)
            | Self::Entries(_)
            | Self::Input(_)
            | Self::Port { .. }
            | Self::Some { .. }
            | Self::NotTaken { .. }
            | Self::Output(_)
            | Self::System(_) => OTHER,
        }
    }

    /// A word for the error that does not change between versions.
    pub(super) fn code(&self) -> &str {
        match self {
            Self::Connector(error) => error.code(),
            Self::Problem(problem) => &problem.code,
            Self::Lost(lost) => lost.code(),
            Self::NotThroughDaemon { .. } => "daemon_holds_store",
            Self::NoDaemon(_) => "no_daemon",
            Self::DaemonUnwell(_) => "daemon_unwell",
            Self::DaemonStops => "daemon_stops",
            Self::Usage(_) => "usage",
            Self::Missing(_) => "missing",
            Self::Exists(_) => "exists",
            Self::Demo(_) => "demo",
            Self::FixturesFailed(_) => "fixtures",
            Self::Entries(_) => "entries",
            Self::Input(_) => "input",
            Self::Port { .. } => "port",
            Self::Ended { .. } | Self::Interrupted(_) | Self::RotationStopped { .. } => "interrupted",
            Self::KeysKept { .. } => "keys_kept",
            Self::LogNotWhole { .. } => "audit_log",
            Self::NotPasted(_) => "not_pasted",
            Self::OddToken(_) => "odd_token",
            Self::NotTold { failure, .. } => failure.kind.as_str(),
            Self::NotRun { .. } => "not_run",
            Self::Some { .. } => "some_failed",
            Self::NotTaken { .. } => "not_taken",
            Self::Output(_) => "output",
            Self::System(_) => "system",
        }
    }

    /// Whether the same command may succeed later without anybody doing anything.
    pub(super) fn retryable(&self) -> bool {
        match self {
            Self::Connector(error) => error.retryable(),
            Self::Problem(problem) => problem.retryable,
            Self::Lost(lost) => lost.retryable(),
            Self::NotTold { failure, .. } => failure.kind.is_retryable(),
            // Whoever looks after the daemon starts it again.
            Self::NoDaemon(_) | Self::DaemonUnwell(_) | Self::DaemonStops => true,
            _ => false,
        }
    }
}

/// All that the library says is the connector's error, from whichever of its rooms it comes.
macro_rules! from_the_library {
    ($($error:ty),*) => {
        $(impl From<$error> for Error {
            fn from(error: $error) -> Self {
                Self::Connector(Box::new(error.into()))
            }
        })*
    };
}

from_the_library!(connector::Error, RefreshError, RegistryError, ScriptError, SealError, StoreError, VaultError);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{FailureKind, ReauthorizationReason};

    fn name() -> ConnectionName {
        "a/b".parse().unwrap()
    }

    fn failing(kind: FailureKind) -> Error {
        RefreshError::Failing { connection: name(), failure: Failure::new(kind, "x"), next: None }.into()
    }

    #[test]
    fn a_shell_can_tell_what_to_do_next() {
        let dead = RefreshError::ReauthorizationRequired {
            connection: name(),
            reason: ReauthorizationReason::Refused,
            failure: None,
        };
        let held = StoreError::Held { path: "p".to_owned(), waited: 10 };
        let damaged = StoreError::Damaged { path: "p".to_owned(), reason: "r".to_owned() };
        let cases: [(Error, u8); 15] = [
            (connector::Error::DefaultProfile("a".parse().unwrap()).into(), 1),
            (Error::Usage(String::new()), 2),
            (connector::Error::NoHome("x".into()).into(), 3),
            (RefreshError::Unknown("a/b".to_owned()).into(), 3),
            (connector::Error::UnknownState.into(), 4),
            (dead.into(), 4),
            (RefreshError::Revoked(name()).into(), 4),
            (failing(FailureKind::ReauthorizationRequired), 4),
            (failing(FailureKind::Ambiguous), 5),
            (held.clone().into(), 5),
            (RefreshError::Vault(VaultError::from(held).into()).into(), 5),
            (failing(FailureKind::ClientRejected), 6),
            (failing(FailureKind::BadResponse), 6),
            (damaged.clone().into(), 7),
            (VaultError::from(damaged).into(), 7),
        ];
        for (error, code) in cases {
            assert_eq!(error.exit_code(), code, "{error:?}");
        }
    }

    #[test]
    fn an_interruption_is_told_as_shells_do() {
        assert_eq!(Error::Interrupted(name()).exit_code(), 130);
    }
}
