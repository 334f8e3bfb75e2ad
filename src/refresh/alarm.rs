//! The provider refuses an application's client: one alarm for the application, and its connections wait.
//!
//! What one connection is told may be its own: a tenant that switched the application off, a refresh token of another client. So
//! the first refusal is that connection's failure and a suspicion; the alarm is raised when another connection meets the same, and a
//! success of another one clears it. One that was refused for itself raises no suspicion again.
//!
//! The refusal stands in the application's record, so that every process sees it, it survives a restart, and an edit of the
//! application clears it. A connection that would ask meanwhile waits, without a request and without a failure of its own; now
//! and then one of them asks as a probe, because a provider's own mistake looks just like ours. An application whose
//! endpoints differ from connection to connection is left out: there a refusal is one tenant's.

use super::breaker::Urgency;
use super::flight::Plan;
use super::schedule::share_of;
use super::{RefreshError, Refresher, Shared};
use crate::events::Telling;
use crate::exchange::ExchangeError;
use crate::model::{Application, ClientRejection, Connection, Failure, FailureKind, Timestamp, later, random_share};
use crate::store::Change;
use crate::vault::Stored;
use std::sync::Arc;

/// Connections that are woken in one look.
const PAGE: usize = 500;

/// Seconds over which woken connections are spread.
const WAKING: f64 = 30.0;

/// What an application's alarm means for a refresh.
pub(super) enum Alarm {
    /// There is none, or this refresh is the probe.
    Goes,
    /// Somebody else changed a record meanwhile: read again.
    Again,
}

/// What a refresh that failed means for its application.
pub(super) enum Raised {
    /// Nothing: it is the connection's own failure.
    Nothing,
    /// It is the connection's own failure as far as is known; the next one tells.
    Suspicion(Vec<Change>),
    /// It is the application's.
    Alarm(ClientRejection, Vec<Change>),
}

impl Refresher {
    /// An application was mended: its connections that failed or waited are due again, within half a minute of each other.
    pub async fn wake(&self, application: &Application) -> Result<(), RefreshError> {
        self.0.wake(application).await
    }
}

impl Shared {
    /// Whether a refresh may ask although the provider refuses the application's client.
    pub(super) async fn heed(
        &self,
        connection: &Stored<Connection>,
        application: &Stored<Arc<Application>>,
        urgency: Urgency,
    ) -> Result<Alarm, RefreshError> {
        let Some(rejection) = application.value.rejected.as_ref().filter(|rejection| rejection.confirmed) else {
            return Ok(Alarm::Goes);
        };
        // A person's try moves no time: it says nothing of the others but when it succeeds.
        if urgency == Urgency::Person {
            return Ok(Alarm::Goes);
        }
        let now = self.clock.now();
        // A time further ahead than any wait was set by a clock that has since been put back.
        let waits = rejection.probe > now && rejection.probe <= later(now, self.settings.longest_wait);
        if waits {
            if urgency == Urgency::Background || !connection.value.waits {
                let mut next = connection.value.clone();
                self.hold_up(&mut next, rejection.probe);
                let change = self.vault.put_connection(&next, Some(connection.version))?;
                if !self.committed(vec![change]).await? {
                    return Ok(Alarm::Again);
                }
            }
            return Err(self.client_rejected(&connection.value, rejection.failure.clone(), rejection.probe));
        }
        let mut next = Application::clone(&application.value);
        next.rejected = Some(ClientRejection { probe: self.next_probe(now), ..rejection.clone() });
        let change = self.vault.put_application(&next, Some(application.version))?;
        Ok(if self.committed(vec![change]).await? { Alarm::Goes } else { Alarm::Again })
    }

    /// What a refused client adds to the commit of the refresh that met it.
    pub(super) async fn raise(
        &self,
        connection: &Connection,
        plan: &Plan,
        error: &ExchangeError,
        now: Timestamp,
    ) -> Result<Raised, RefreshError> {
        let ExchangeError::Failed(failure) = error else { return Ok(Raised::Nothing) };
        if failure.kind != FailureKind::ClientRejected || !plan.application.endpoints.templates.is_empty() {
            return Ok(Raised::Nothing);
        }
        let Some(mut application) = self.vault.application_by_id(plan.application.id).await? else {
            return Ok(Raised::Nothing);
        };
        let was_refused = connection.failures > 0
            && connection.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::ClientRejected);
        let before = application.value.rejected.take();
        let (rejection, raised) = match before {
            // Its own, as it was before.
            None if was_refused => return Ok(Raised::Nothing),
            Some(suspicion) if !suspicion.confirmed && suspicion.by == connection.id => return Ok(Raised::Nothing),
            None => {
                let by = connection.id;
                let rejection =
                    ClientRejection { failure: failure.clone(), by, confirmed: false, since: now, probe: now };
                (rejection, false)
            }
            Some(before) if before.confirmed => (ClientRejection { failure: failure.clone(), ..before }, false),
            Some(before) => {
                let probe = self.next_probe(now);
                (ClientRejection { failure: failure.clone(), confirmed: true, probe, ..before }, true)
            }
        };
        application.value.rejected = Some(rejection.clone());
        let mut changes = vec![self.vault.put_application(&application.value, Some(application.version))?];
        if raised {
            tracing::error!(application = %application.value.name, %failure, "the provider refuses the application's client; its connections wait");
            let name = &application.value.name;
            changes.push(Telling::client_rejected(&self.vault, name, failure, rejection.probe, now)?);
        }
        Ok(match rejection.confirmed {
            true => Raised::Alarm(rejection, changes),
            false => Raised::Suspicion(changes),
        })
    }

    /// The provider took the client: the alarm is over, and who waited goes on.
    pub(super) async fn all_clear(self: &Arc<Self>, connection: &Connection, plan: &Plan) -> Result<(), RefreshError> {
        if plan.application.rejected.is_none() {
            return Ok(());
        }
        let Some(mut application) = self.vault.application_by_id(plan.application.id).await? else { return Ok(()) };
        let Some(rejection) = application.value.rejected.take() else { return Ok(()) };
        let mut changes = vec![self.vault.put_application(&application.value, Some(application.version))?];
        if rejection.confirmed {
            let (name, now) = (&application.value.name, self.clock.now());
            changes.push(Telling::client_accepted(&self.vault, name, rejection.since, now)?);
        }
        // Lost to another edit: that one clears it too.
        if self.committed(changes).await? && rejection.confirmed {
            tracing::info!(application = %application.value.name, by = %connection.name, "the provider takes the application's client again");
            let this = Arc::clone(self);
            // Many may wait, and whoever asked for this token should not.
            tokio::spawn(async move {
                if let Err(error) = this.wake(&application.value).await {
                    tracing::warn!(%error, "connections that waited come again by themselves, later");
                }
            });
        }
        Ok(())
    }

    /// Makes a connection wait for its application. It comes again by itself, so that a wake that is interrupted loses nobody.
    pub(super) fn hold_up(&self, connection: &mut Connection, probe: Timestamp) {
        connection.waits = true;
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let spread = (self.settings.longest_wait as f64 * share_of(connection)) as u64;
        connection.due = Some(later(probe, spread));
    }

    pub(super) fn client_rejected(&self, connection: &Connection, failure: Failure, probe: Timestamp) -> RefreshError {
        let application = connection.name.application().clone();
        RefreshError::ClientRejected { connection: connection.name.clone(), application, failure, next: probe }
    }

    async fn wake(&self, application: &Application) -> Result<(), RefreshError> {
        let now = self.clock.now();
        let mut after = None;
        loop {
            let page = self.vault.connections(Some(&application.name), after.as_ref(), PAGE).await?;
            let Some(last) = page.last() else { return Ok(()) };
            after = Some(last.value.name.clone());
            for mut stored in page {
                let connection = &mut stored.value;
                if (connection.failures > 0 || connection.waits) && connection.state.is_usable() {
                    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                    let wait = if connection.waits { (WAKING * share_of(connection)) as u64 } else { 0 };
                    connection.due = Some(later(now, wait));
                    connection.waits = false;
                    // Lost to another edit: that one knows better.
                    self.committed(vec![self.vault.put_connection(connection, Some(stored.version))?]).await?;
                }
            }
        }
    }

    fn next_probe(&self, now: Timestamp) -> Timestamp {
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let wait = (self.settings.longest_wait as f64 * (0.5 + random_share() / 2.0)) as u64;
        later(now, wait.max(1))
    }
}
