//! The device grant (RFC 8628): a person types a code at another device, and we ask until they have.

use super::authorize::{Consent, profile_of, with_labels};
use super::{Connector, Error};
use crate::exchange::{Ask, ExchangeError};
use crate::model::{
    Action, Connection, ConnectionName, Failure, GrantType, Labels, ProfileName, Secret, Target, Timestamp, later,
};
use crate::oauth;
use crate::vault::{Pending, PendingKind, Vault};
use std::time::Duration;

/// What a person must be shown, and what finds the authorization again.
#[derive(Debug, Clone)]
pub struct DeviceStart {
    /// The connection that this is for.
    pub connection: ConnectionName,
    /// The code to type.
    pub user_code: String,
    /// Where to type it.
    pub verification_uri: String,
    /// The same address with the code in it, where the provider gives one.
    pub verification_uri_complete: Option<String>,
    /// When the code ends.
    pub expires: Timestamp,
    /// How long to wait between two polls; grows when the provider says `slow_down`.
    pub interval: Duration,
    /// What a poll finds the authorization by: whoever has it can finish or abandon it.
    pub handle: Secret,
}

/// What one poll found.
#[derive(Debug, Clone)]
pub enum DevicePoll {
    /// The person has not decided. Poll again after [`DeviceStart::interval`].
    Waiting,
    /// The connection is authorized.
    Done(Box<Connection>),
}

/// What `slow_down` adds to the interval (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);
/// The longest interval that trouble at the provider makes of it.
const LONGEST_INTERVAL: Duration = Duration::from_secs(60);

impl Connector {
    /// Begins a device authorization, and returns what to show the person. `other_account` says whether the grant may be another
    /// account's than the one that the connection has been of.
    pub async fn start_device(
        &self,
        name: &ConnectionName,
        profile: Option<&ProfileName>,
        labels: Labels,
        other_account: bool,
    ) -> Result<DeviceStart, Error> {
        let begun = Box::pin(self.start_device_now(name, profile, labels, other_account));
        self.audited_as(Action::Authorize, begun, |_| (Target::of(name), Some("at another device".to_owned()))).await
    }

    async fn start_device_now(
        &self,
        name: &ConnectionName,
        profile: Option<&ProfileName>,
        labels: Labels,
        other_account: bool,
    ) -> Result<DeviceStart, Error> {
        let (application, stored) = self.prepare(name, profile).await?;
        let mut connection = stored.value;
        let profile = profile_of(&application, &connection.profile)?;
        let holder = with_labels(&connection, &labels);
        let device = self.exchanges.of(&application, profile, &holder)?.begin_device(profile).await;
        let device = device.map_err(|error| Error::NotAuthorized { connection: name.clone(), error })?;
        let handle = oauth::random_text();
        let now = self.clock.now();
        let pending = Pending {
            connection: name.clone(),
            connection_id: connection.id,
            revocations: connection.revocations,
            application: application.id,
            profile: connection.profile.clone(),
            grant: GrantType::DeviceCode,
            scopes: profile.scopes.clone(),
            labels,
            other_account,
            browser: None,
            return_url: None,
            created: now,
            expires: later(now, device.expires_in),
            kind: PendingKind::Device { device_code: device.device_code },
        };
        self.begin(&mut connection, stored.version, &pending, handle.expose()).await?;
        Ok(DeviceStart {
            connection: name.clone(),
            user_code: device.user_code,
            verification_uri: device.verification_uri.into(),
            verification_uri_complete: device.verification_uri_complete.map(String::from),
            expires: pending.expires,
            interval: Duration::from_secs(device.interval),
            handle,
        })
    }

    /// Asks once whether the person has decided.
    pub async fn poll_device(&self, start: &mut DeviceStart) -> Result<DevicePoll, Error> {
        let (this, mut polled) = (self.clone(), start.clone());
        let polled = self.to_its_end(async move {
            let found = match this.poll_now(&mut polled).await {
                // One that still waits is no end that must be written down.
                Ok(DevicePoll::Waiting) => DevicePoll::Waiting,
                ended => this.audited(Action::Complete, Target::of(&polled.connection), async { ended }).await?,
            };
            Ok((found, polled.interval))
        });
        let (found, interval) = polled.await?;
        start.interval = interval;
        Ok(found)
    }

    async fn poll_now(&self, start: &mut DeviceStart) -> Result<DevicePoll, Error> {
        let pending = self.vault.pending(start.handle.expose()).await?.ok_or(Error::UnknownState)?;
        let connection = self.stored(&start.connection).await?;
        let ended = pending.expires <= self.clock.now();
        let PendingKind::Device { device_code } = &pending.kind else { return Err(Error::UnknownState) };
        if !pending.is_for(&connection.value) {
            return Err(Error::RevokedMeanwhile(start.connection.clone()));
        }
        let application = self.application_of(&pending).await?;
        let profile = profile_of(&application, &pending.profile)?;
        let exchange = self.exchanges.of(&application, profile, &with_labels(&connection.value, &pending.labels))?;
        let result = if ended {
            Err(Error::Expired(start.connection.clone()))
        } else {
            match exchange.ask(&Ask::DeviceCode(device_code.clone()), profile).await {
                Ok(answer) => Ok(answer),
                Err(ExchangeError::Failed(failure)) if waits(&failure) => {
                    match failure.code.as_str() {
                        "authorization_pending" => {}
                        "slow_down" => start.interval += SLOW_DOWN,
                        // A server in trouble: section 3.5 asks for exponential backoff.
                        _ => start.interval = (start.interval * 2).min(LONGEST_INTERVAL),
                    }
                    return Ok(DevicePoll::Waiting);
                }
                Err(ExchangeError::Failed(failure))
                    if matches!(failure.code.as_str(), "expired_token" | "code_expired") =>
                {
                    Err(Error::Expired(start.connection.clone()))
                }
                Err(ExchangeError::Failed(failure))
                    if matches!(failure.code.as_str(), "access_denied" | "authorization_declined") =>
                {
                    Err(Error::Denied { connection: start.connection.clone(), failure })
                }
                Err(error) => Err(Error::NotAuthorized { connection: start.connection.clone(), error }),
            }
        };
        if !self.committed(vec![Vault::use_pending(start.handle.expose())]).await? {
            return Err(Error::UnknownState);
        }
        match result {
            Ok(answer) => {
                let connection = Box::pin(self.welcome(&application, Consent::of(pending), &exchange, answer)).await?;
                Ok(DevicePoll::Done(Box::new(connection)))
            }
            Err(error) => {
                self.not_consented(&connection).await?;
                Err(error)
            }
        }
    }

    /// Gives a device authorization up.
    pub async fn abandon_device(&self, start: &DeviceStart) -> Result<(), Error> {
        self.abandon_state(&start.connection, &start.handle).await
    }

    /// Polls until the person has decided or the code has ended.
    pub async fn finish_device(&self, start: &mut DeviceStart) -> Result<Connection, Error> {
        loop {
            match self.poll_device(start).await? {
                DevicePoll::Done(connection) => return Ok(*connection),
                DevicePoll::Waiting => {
                    let until = later(self.clock.now(), start.interval.as_secs().max(1));
                    self.clock.sleep_until(until.min(start.expires)).await;
                }
            }
        }
    }
}

/// Whether a failed poll means "not yet": the provider says so, or could not be asked just now.
fn waits(failure: &Failure) -> bool {
    matches!(failure.code.as_str(), "authorization_pending" | "slow_down") || failure.kind.is_retryable()
}
