//! What will happen to a connection next, when, and why: for people who look at one.

use super::settle::{newest, renews_by_asking};
use super::{RefreshError, Refresher};
use crate::model::{Connection, ConnectionName, ConnectionState, Failure, ReauthorizationReason, Timestamp, TokenKind};
use crate::vault::Stored;
use serde::{Deserialize, Serialize};

/// What will happen to a connection next. Times are those of the background job, `refresh --due` included; who asks for a token
/// may be earlier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "next", rename_all = "snake_case")]
#[cfg_attr(feature = "server", derive(schemars::JsonSchema))]
pub enum Outlook {
    /// Its token is refreshed ahead of its end, or its refresh token used before it dies of disuse.
    Refresh {
        /// When.
        at: Timestamp,
    },
    /// A refresh that failed is tried again.
    Retry {
        /// When.
        at: Timestamp,
        /// How often it failed in a row.
        failures: u32,
    },
    /// A refresh is under way, and its answer is not known yet.
    UnderWay,
    /// A refresh was sent and no answer is known. The refresh token that was used is tried once more: a refusal means that the
    /// provider rotated it and the new one is lost.
    Resolve {
        /// When.
        at: Timestamp,
    },
    /// The provider's reply is kept, and a script could not read it: it is read again, and nothing is asked.
    ReadKeptReply {
        /// When, if the script is mended by then.
        at: Timestamp,
    },
    /// The provider refuses the application's client: nothing is asked until the application is changed.
    WaitForApplication {
        /// Since when.
        since: Timestamp,
        /// The provider's words.
        failure: Failure,
        /// When one connection tries by itself.
        probe: Timestamp,
    },
    /// The application is switched off.
    Inactive,
    /// Nothing renews it: it works until its access token ends, and then a person must consent.
    Expire {
        /// When the access token ends.
        at: Timestamp,
    },
    /// A person must consent.
    Consent {
        /// Why, where it had been authorized before.
        reason: Option<ReauthorizationReason>,
    },
    /// Nothing: it was ended on purpose.
    Nothing,
}

impl Refresher {
    /// What will happen to a connection next, and when.
    pub async fn outlook(&self, name: &ConnectionName) -> Result<Outlook, RefreshError> {
        let stored = self.0.vault.connection(name).await?.ok_or_else(|| RefreshError::unknown(name))?;
        self.outlook_of(&stored).await
    }

    async fn outlook_of(&self, stored: &Stored<Connection>) -> Result<Outlook, RefreshError> {
        let connection = &stored.value;
        match connection.state {
            ConnectionState::Revoked => return Ok(Outlook::Nothing),
            ConnectionState::Unauthorized | ConnectionState::Pending => return Ok(Outlook::Consent { reason: None }),
            ConnectionState::ReauthorizationRequired(reason) => {
                return Ok(Outlook::Consent { reason: Some(reason) });
            }
            ConnectionState::Active | ConnectionState::Degraded => {}
        }
        let vault = &self.0.vault;
        let at = connection.due.unwrap_or_else(|| self.0.clock.now());
        let Some(application) = vault.application_by_id(connection.application).await? else {
            return Ok(Outlook::Inactive);
        };
        let application = application.value;
        if !application.active {
            return Ok(Outlook::Inactive);
        }
        let flight = vault.flight(connection.id).await?;
        let flight = flight.filter(|flight| flight.generation == connection.generation);
        if flight.as_ref().is_some_and(|flight| flight.reply.is_some()) {
            return Ok(Outlook::ReadKeptReply { at });
        }
        if let Some(rejection) = application.rejected.clone().filter(|rejection| rejection.confirmed) {
            let (since, probe) = (rejection.since, rejection.probe);
            return Ok(Outlook::WaitForApplication { since, failure: rejection.failure, probe });
        }
        if let Some(flight) = flight {
            // Whoever holds it is gone, where this process alone can hold the store.
            let others = !flight.owner.is_nil() && flight.owner != self.0.owner;
            if flight.doubt || flight.until <= self.0.clock.now() || (others && vault.store().is_exclusive()) {
                return Ok(Outlook::Resolve { at });
            }
            if !flight.owner.is_nil() {
                return Ok(Outlook::UnderWay);
            }
        }
        let credentials = vault.credentials(connection.id).await?;
        let renews = newest(&credentials, TokenKind::RefreshToken).is_some()
            || application
                .profile(&connection.profile)
                .is_some_and(|profile| renews_by_asking(&application, profile, connection));
        match newest(&credentials, TokenKind::AccessToken) {
            Some(access) if !renews => Ok(Outlook::Expire { at: access.value.expires.at }),
            _ if connection.failures > 0 => Ok(Outlook::Retry { at, failures: connection.failures }),
            _ => Ok(Outlook::Refresh { at }),
        }
    }
}
