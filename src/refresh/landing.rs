//! The end of a flight: the new tokens become the connection's next generation, or the failure is recorded.

use super::alarm::Raised;
use super::cache::Epoch;
use super::flight::{MOST_TURNS, Plan};
use super::further::{Arrival, settle_further};
use super::identity::learned;
use super::lease::{OpenEntry, in_doubt};
use super::settle::{Books, Settled, newest, settle};
use super::treatment::{Entry, treat};
use super::{RefreshError, Shared, Token};
use crate::events::Telling;
use crate::exchange::{Answer, Ask, ExchangeError};
use crate::model::{Connection, ConnectionState, FailureKind, Fields, Timestamp, TokenKind};
use crate::store::{Change, Expect, Key};
use crate::vault::{Flight, Stored};
use std::sync::Arc;

impl Shared {
    /// Takes the new tokens over: one commit that brings them, drops the old ones and closes the journal entry.
    pub(super) async fn land(
        self: &Arc<Self>,
        mut connection: Stored<Connection>,
        plan: &Plan,
        flight: &Arc<OpenEntry>,
        answer: Answer,
        received: Timestamp,
        mut seen: Epoch,
    ) -> Result<Option<Token>, RefreshError> {
        let mut credentials = plan.credentials.clone();
        let mut entry = Some(flight.version().await);
        for _ in 0..MOST_TURNS {
            let books = Books {
                vault: &self.vault,
                settings: &self.settings,
                application: &plan.application,
                profile: &plan.profile,
                old: &credentials,
            };
            let Settled { connection: mut next, access, refresh, mut changes } =
                settle(&books, &connection.value, answer.clone(), received)?;
            next.refreshed = Some(received);
            if next.account.is_none() {
                next.account = learned(&plan.application, &next, &answer);
            }
            let further = &answer.reply.further;
            changes.extend(settle_further(&books, &mut next, further, Arrival::Refresh, received).await?);
            let refresh = newest(&credentials, TokenKind::RefreshToken).map(|old| &old.value).zip(refresh.as_ref());
            let telling = Telling::of(&self.vault, &connection.value, &next, self.clock.now());
            changes.extend(telling.refreshed(&access, refresh)?);
            changes.push(self.vault.put_connection(&next, Some(connection.version))?);
            changes.extend(entry.map(|entry| Change::remove(Key::Flight(next.id), Expect::Version(entry))));
            let committed = self.committed(changes).await?;
            if committed {
                flight.is_landed();
                tracing::info!(connection = %next.name, generation = next.generation, "refreshed");
                self.all_clear(&next, plan).await?;
                self.revoke_ended(&next, plan, &answer).await;
                // A kept reply may be read long after it came: then its refresh token is what counts.
                if !access.expires.is_good(self.clock.now(), 0) {
                    return Ok(None);
                }
                let token = Token::new(&next, access, next.due);
                further
                    .keys()
                    .filter_map(|token| next.name.with_token(token).ok())
                    .for_each(|it| self.cache.remove(&it));
                let seen = if further.is_empty() { seen } else { self.cache.epoch() };
                self.cache.put(token.clone(), seen);
                return Ok(Some(token));
            }
            // What came is only here, and taking it over may take several turns more.
            self.keep_unkept(flight).await;
            entry = entry.and(Some(flight.version().await));
            seen = self.cache.epoch();
            // Somebody edited the connection meanwhile. Labels: take the edit over. Revoked: what came back is
            // revoked too. A newer generation: that one won, unless it still holds the refresh token that was used up here (a
            // further token that came with its connection's refresh); then what came is what goes on.
            match self.vault.connection_by_id(connection.value.id).await? {
                Some(edited) if edited.value.state.is_usable() && self.goes_on(&edited, &connection, plan).await? => {
                    credentials = self.vault.credentials(edited.value.id).await?;
                    // A lease that ran out while this slept is another's now. What came is the next generation all the same, and
                    // it is only here; the other finds it when it looks again.
                    let held = self.vault.flight(edited.value.id).await?;
                    entry = entry.filter(|entry| held.is_some_and(|held| held.version == *entry));
                    connection = edited;
                }
                Some(edited) => {
                    if edited.value.state == ConnectionState::Revoked {
                        self.revoke_orphans(&edited.value, plan, &answer).await;
                    }
                    self.committed(vec![Change::remove(
                        Key::Flight(edited.value.id),
                        Expect::Version(flight.version().await),
                    )])
                    .await?;
                    return Ok(None);
                }
                None => {
                    self.revoke_orphans(&connection.value, plan, &answer).await;
                    return Ok(None);
                }
            }
        }
        Err(RefreshError::Busy(connection.value.name))
    }

    /// Records a failure: the connection's state and next try, and the journal entry as the failure demands.
    pub(super) async fn fail(
        &self,
        connection: Stored<Connection>,
        plan: &Plan,
        flight: Flight,
        error: &ExchangeError,
        seen: Epoch,
    ) -> Result<Option<Token>, RefreshError> {
        let now = self.clock.now();
        let mut next = connection.value.clone();
        let raised = self.raise(&connection.value, plan, error, now).await?;
        let entry = match &raised {
            Raised::Alarm(rejection, _) => {
                self.hold_up(&mut next, rejection.probe);
                if flight.doubt { Entry::Doubt } else { Entry::Close }
            }
            Raised::Suspicion(_) | Raised::Nothing => treat(&mut next, &self.settings, error, &flight, now),
        };
        let mut changes = vec![self.vault.put_connection(&next, Some(connection.version))?];
        changes.extend(Telling::of(&self.vault, &connection.value, &next, now).failed()?);
        let alarm = match raised {
            Raised::Nothing => None,
            Raised::Suspicion(raised) => {
                changes.extend(raised);
                None
            }
            Raised::Alarm(rejection, raised) => {
                changes.extend(raised);
                Some(rejection)
            }
        };
        let name = next.name.clone();
        match entry {
            Entry::Close => changes.push(Change::remove(Key::Flight(next.id), Expect::Version(flight.version))),
            Entry::KeepReply => {}
            Entry::Doubt => {
                changes.push(self.vault.put_flight(&in_doubt(flight.clone(), now), Some(flight.version))?);
            }
        }
        if !self.committed(changes).await? {
            // The connection changed under the request: read again, and let the newer generation win. The entry
            // must not say more than is known, and not less.
            let is_refused = error.failure().kind == FailureKind::ReauthorizationRequired;
            self.leave_entry(&connection.value, flight, (entry, is_refused), now).await?;
            return Ok(None);
        }
        tracing::warn!(connection = %name, kind = %error.failure().kind, "the refresh failed: {error}");
        if let ConnectionState::ReauthorizationRequired(reason) = next.state {
            self.cache.remove(&name);
            let failure = next.failure;
            return Err(RefreshError::ReauthorizationRequired { connection: name, reason, failure });
        }
        self.serve_on(&next, plan, seen);
        if let Some(rejection) = alarm {
            return Err(self.client_rejected(&next, rejection.failure, rejection.probe));
        }
        Err(RefreshError::Failing { connection: name, failure: error.failure(), next: next.due })
    }

    /// What stays of a failure that could not be written down.
    ///
    /// A request whose outcome is not known, or that was refused after another one's reply had landed, may have ended the tokens
    /// of that reply (a process slept with one of them in hand, or clocks jumped): a refusal of those is the end of a lost rotation
    /// as well, and not the provider's own. Those of a new consent are another grant's.
    async fn leave_entry(
        &self,
        before: &Connection,
        flight: Flight,
        (entry, is_refused): (Entry, bool),
        now: Timestamp,
    ) -> Result<(), RefreshError> {
        if entry == Entry::KeepReply {
            return Ok(());
        }
        let mut read = flight.version;
        let is_open = entry == Entry::Doubt || flight.doubt;
        for _ in 0..MOST_TURNS {
            let held = self.vault.connection_by_id(before.id).await?;
            let held = held.filter(|held| held.value.authorized == before.authorized && held.value.state.is_usable());
            let Some(Stored { value: held, version }) = held else { break };
            if held.generation == flight.generation {
                if is_open {
                    // Where it is another's by now, that one knows.
                    self.committed(vec![self.vault.put_flight(&in_doubt(flight, now), Some(read))?]).await?;
                    return Ok(());
                }
                break;
            }
            // Somebody may have kept a reply in it that has landed by now.
            let left = self.vault.flight(before.id).await?;
            let left = left.filter(|left| left.owner == flight.owner && left.until == flight.until);
            read = left.map_or(read, |left| left.version);
            // It is said on the connection, so that a refresh of it that is under way cannot write its end down without
            // having seen it.
            let doubted = Connection { doubted: Some(held.generation), ..held };
            if !(is_open || is_refused)
                || self.committed(vec![self.vault.put_connection(&doubted, Some(version))?]).await?
            {
                break;
            }
        }
        self.committed(vec![Change::remove(Key::Flight(before.id), Expect::Version(read))]).await?;
        Ok(())
    }

    /// Whether what an exchange brought is the next generation of a connection that was changed meanwhile.
    async fn goes_on(
        &self,
        edited: &Stored<Connection>,
        before: &Stored<Connection>,
        plan: &Plan,
    ) -> Result<bool, RefreshError> {
        if edited.value.generation == before.value.generation {
            return Ok(true);
        }
        let now = self.vault.credentials(edited.value.id).await?;
        let held = newest(&now, TokenKind::RefreshToken).map(|held| &held.value.token);
        Ok(matches!(&plan.ask, Ask::Refresh(used) if Some(used) == held))
    }

    /// Revokes further tokens that came back although they were ended here.
    async fn revoke_ended(&self, connection: &Connection, plan: &Plan, answer: &Answer) {
        for (token, reply) in &answer.reply.further {
            let Ok(name) = connection.name.with_token(token) else { continue };
            // What cannot be read is not known to have ended; the refresh itself has landed.
            let Ok(Some(further)) = self.vault.connection(&name).await else { continue };
            if further.value.state == ConnectionState::Revoked {
                let answer = Answer { reply: reply.clone(), kept: Fields::new() };
                self.revoke_orphans(&further.value, plan, &answer).await;
            }
        }
    }

    /// Revokes tokens that came back for a connection that was ended while they were on their way.
    async fn revoke_orphans(&self, connection: &Connection, plan: &Plan, answer: &Answer) {
        if let Ok(exchange) = self.exchanges.of(&plan.application, &plan.profile, connection) {
            exchange.revoke_answer(answer).await;
        }
    }
}
