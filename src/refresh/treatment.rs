//! What a failure means for a connection: its state, its next try, and whether the journal entry stays open.

use super::Settings;
use crate::exchange::{ExchangeError, Sent};
use crate::model::{Connection, ConnectionState, FailureKind, ReauthorizationReason, Timestamp, later, random_share};
use crate::vault::Flight;

/// What is to be done with the journal entry of a flight that failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// The provider gave a definitive answer, or nothing was sent: remove it.
    Close,
    /// Whether the provider rotated is unknown: keep it, so that the next flight knows.
    Doubt,
    /// The reply is here and could not be read: keep it with the reply.
    KeepReply,
}

/// Writes a failure into a connection, and says what to do with the entry. `before` is the entry as it was: in doubt where an
/// earlier flight of this generation ended without an answer, with a reply where one waits to be read.
pub(super) fn treat(
    connection: &mut Connection,
    settings: &Settings,
    error: &ExchangeError,
    before: &Flight,
    now: Timestamp,
) -> Entry {
    let in_doubt = before.doubt;
    let failure = error.failure();
    connection.failures = connection.failures.saturating_add(1);
    connection.due = settings.next_try(now, &failure, connection.failures, random_share());
    connection.state = match failure.kind {
        // Not a matter of doubt: the provider has answered, for somebody else.
        _ if matches!(error, ExchangeError::OtherAccount { .. }) => {
            ConnectionState::ReauthorizationRequired(ReauthorizationReason::AccountChanged)
        }
        // A request that was sent before may have ended it, however much has come since.
        FailureKind::ReauthorizationRequired if in_doubt || connection.may_have_been_ended_by_us(now) => {
            ConnectionState::ReauthorizationRequired(ReauthorizationReason::RotationLost)
        }
        FailureKind::ReauthorizationRequired => {
            ConnectionState::ReauthorizationRequired(ReauthorizationReason::Refused)
        }
        _ => ConnectionState::Degraded,
    };
    let entry = match error {
        // Its reply was not looked at.
        ExchangeError::Script { sent: Sent::No, .. } | ExchangeError::Setup(_) if before.reply.is_some() => {
            Entry::KeepReply
        }
        error => entry(error, failure.kind, failure.status, in_doubt),
    };
    if entry == Entry::KeepReply {
        // Reading it again asks nobody: a mended script is noticed soon. A reply that nobody mends a script for is read less and
        // less often, for each time it is journaled again.
        let soon = later(now, READ_AGAIN);
        connection.due = connection.due.map(|due| if connection.failures < READ_SOON { due.min(soon) } else { due });
    }
    connection.failure = Some(failure);
    entry
}

/// Seconds until a kept reply is read again, at the most.
const READ_AGAIN: u64 = 30;

/// Times that it is read again so soon.
const READ_SOON: u32 = 20;

fn entry(error: &ExchangeError, kind: FailureKind, status: Option<u16>, in_doubt: bool) -> Entry {
    let unless_in_doubt = if in_doubt { Entry::Doubt } else { Entry::Close };
    match error {
        // Read again when the script is mended.
        ExchangeError::Script { sent: Sent::Replied(200..=299), .. } | ExchangeError::Unread(_) => Entry::KeepReply,
        ExchangeError::Script { sent: Sent::Replied(500..=599) | Sent::Page(200..=299 | 500..=599), .. }
        | ExchangeError::Keep(_) => Entry::Doubt,
        // The old refresh token was used for tokens that are not used: there is nothing to go on with.
        ExchangeError::OtherAccount { .. } => Entry::Close,
        ExchangeError::Script { .. }
        | ExchangeError::Setup(_)
        | ExchangeError::Overtaken
        // Of a consent only; a refresh asks for no keys.
        | ExchangeError::IdToken(_)
        | ExchangeError::Keys { .. } => unless_in_doubt,
        ExchangeError::Failed(_) => match (kind, status) {
            (FailureKind::ReauthorizationRequired, _) => Entry::Close,
            // A gateway's 5xx and a page in place of a reply hide whether the server behind them acted.
            (FailureKind::Ambiguous, _) | (_, Some(500..=599)) | (FailureKind::BadResponse, Some(_)) => Entry::Doubt,
            _ => unless_in_doubt,
        },
    }
}
