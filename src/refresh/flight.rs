//! One refresh of one connection, shared by everyone who waits for it and finished even when they all hang up.

use super::cache::Epoch;
use super::further::{Arrival, settle_further};
use super::identity::{learned, same_account};
use super::settle::{Books, Settled, newest, renews_by_asking, settle};
use super::treatment::{Entry, treat};
use super::{RefreshError, Refresher, Shared, Token, schedule};
use crate::exchange::{Answer, Ask, ExchangeError, Keep};
use crate::model::{
    Application, Connection, ConnectionState, Credential, Fields, GrantType, Profile, ReauthorizationReason, Timestamp,
    TokenKind, later,
};
use crate::oauth::RawReply;
use crate::store::{Change, Expect, Key, StoreError};
use crate::vault::{Flight, KeptReply, Stored, VaultError};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

/// The result of a flight, for everyone who waits for it.
pub(super) type Joined = watch::Receiver<Option<Result<Token, RefreshError>>>;

/// How often a flight starts over because somebody else changed the connection meanwhile.
const MOST_TURNS: usize = 20;

/// The longest rest that a failure can ask for, in seconds: a provider's Retry-After of a day, and the backoff.
const LONGEST_REST: u64 = 2 * 86_400;

/// How often the lease of another process is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a connection shows the token endpoint for its next token.
struct Plan {
    application: Arc<Application>,
    profile: Profile,
    credentials: Vec<Stored<Credential>>,
    ask: Ask,
}

/// What taking the lease came to.
enum Lease {
    /// It is ours.
    Taken(Flight),
    /// Somebody else was faster; read again.
    Lost,
    /// Another process holds it until then.
    Held(Timestamp),
}

impl Refresher {
    /// Waits for the connection's flight, starting it where none is under way.
    pub(super) async fn fly(&self, connection: Uuid, unwanted: u64, forced: bool) -> Result<Token, RefreshError> {
        loop {
            let (mut joined, ours) = self.join(connection, unwanted, forced);
            let result = match joined.wait_for(Option::is_some).await {
                Ok(result) => result.clone().unwrap_or(Err(RefreshError::Stopped)),
                Err(_) => Err(RefreshError::Stopped),
            };
            // A flight that was joined may have been begun for less: for an older generation, or only to be told that the
            // connection rests after a failure.
            let enough = match &result {
                Ok(token) => token.generation() > unwanted,
                Err(RefreshError::Failing { .. }) => !forced,
                Err(_) => true,
            };
            if ours || enough {
                return result;
            }
        }
    }

    /// Joins the connection's flight, or starts one. It runs on its own task: a caller who hangs up does not stop a
    /// rotation half-way. Tells whether this call started it.
    pub(super) fn join(&self, connection: Uuid, unwanted: u64, forced: bool) -> (Joined, bool) {
        let (sender, receiver) = watch::channel(None);
        {
            let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(joined) = flights.get(&connection) {
                return (joined.clone(), false);
            }
            flights.insert(connection, receiver.clone());
        }
        // Made before the task: one that is dropped before it first runs must leave the table too.
        let landing = Landing { shared: Arc::clone(&self.0), connection };
        let this = self.clone();
        tokio::spawn(async move {
            let result = this.0.run(connection, unwanted, forced).await;
            // Out of the table first: who comes now starts a new flight instead of joining one that is over.
            drop(landing);
            sender.send_replace(Some(result));
        });
        (receiver, true)
    }
}

/// Takes a flight out of the table, also when its task panics.
struct Landing {
    shared: Arc<Shared>,
    connection: Uuid,
}

impl Drop for Landing {
    fn drop(&mut self) {
        self.shared.flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.connection);
    }
}

impl Shared {
    async fn run(self: &Arc<Self>, id: Uuid, unwanted: u64, forced: bool) -> Result<Token, RefreshError> {
        for _ in 0..MOST_TURNS {
            let seen = self.cache.epoch();
            let Some(connection) = self.vault.connection_by_id(id).await? else {
                return Err(RefreshError::Unknown("that was removed meanwhile".to_owned()));
            };
            if let Some(answer) = self.without_asking(&connection.value, unwanted, forced, seen).await? {
                return Ok(answer);
            }
            let Some(plan) = self.plan(&connection).await? else { continue };
            match self.lease(&connection.value).await? {
                Lease::Taken(flight) => {
                    if let Some(token) = self.exchange(connection, plan, flight, seen).await? {
                        return Ok(token);
                    }
                }
                Lease::Lost => {}
                Lease::Held(until) => {
                    let again = self.clock.now().checked_add(LOOK_AGAIN).unwrap_or(until);
                    self.clock.sleep_until(again.min(until)).await;
                }
            }
        }
        match self.vault.connection_by_id(id).await? {
            Some(connection) => Err(RefreshError::Busy(connection.value.name)),
            None => Err(RefreshError::Stopped),
        }
    }

    /// The answer that needs no request: a newer generation, or a state in which nothing is asked.
    async fn without_asking(
        &self,
        connection: &Connection,
        unwanted: u64,
        forced: bool,
        seen: Epoch,
    ) -> Result<Option<Token>, RefreshError> {
        let name = &connection.name;
        match connection.state {
            ConnectionState::Revoked => return Err(RefreshError::Revoked(name.clone())),
            ConnectionState::Unauthorized | ConnectionState::Pending => {
                return Err(RefreshError::NotAuthorized { connection: name.clone(), state: connection.state });
            }
            ConnectionState::ReauthorizationRequired(reason) => {
                let failure = connection.failure.clone();
                return Err(RefreshError::ReauthorizationRequired { connection: name.clone(), reason, failure });
            }
            ConnectionState::Active | ConnectionState::Degraded => {}
        }
        if connection.generation > unwanted
            && let Some(token) = self.current(connection).await?
        {
            self.cache.put(token.clone(), seen);
            return Ok(Some(token));
        }
        let now = self.clock.now();
        match (&connection.failure, connection.due) {
            // One request each time a caller asks would be a storm on a provider that is down.
            // A time that lies further ahead than any wait was set by a clock that has since been put back.
            (Some(failure), Some(next))
                if !forced && connection.failures > 0 && next > now && next < later(now, LONGEST_REST) =>
            {
                Err(RefreshError::Failing { connection: name.clone(), failure: failure.clone(), next: Some(next) })
            }
            _ => Ok(None),
        }
    }

    /// The token that the store holds for a connection, where it has one that is neither revoked nor ended.
    pub(super) async fn current(&self, connection: &Connection) -> Result<Option<Token>, RefreshError> {
        if !connection.state.is_usable() {
            return Ok(None);
        }
        let Some(application) = self.vault.application_by_id(connection.application).await? else { return Ok(None) };
        if !application.value.active {
            return Err(RefreshError::Inactive(application.value.name.to_string()));
        }
        let credentials = self.vault.credentials(connection.id).await?;
        let now = self.clock.now();
        let refreshable = newest(&credentials, TokenKind::RefreshToken).is_some()
            || application
                .value
                .profile(&connection.profile)
                .is_some_and(|profile| renews_by_asking(&application.value, profile, connection));
        Ok(newest(&credentials, TokenKind::AccessToken).filter(|access| access.value.expires.is_good(now, 0)).map(
            |access| {
                // A failing refresh is the background job's to repeat, at its own pace.
                let refresh_at = connection.due.filter(|_| refreshable);
                Token::new(connection, access.value.clone(), refresh_at)
            },
        ))
    }

    /// What to ask with. `None` when the connection changed while it was being marked: read again.
    async fn plan(&self, connection: &Stored<Connection>) -> Result<Option<Plan>, RefreshError> {
        let value = &connection.value;
        let orphan = |missing: String| RefreshError::Orphan { connection: value.name.clone(), missing };
        let Some(application) = self.vault.application_by_id(value.application).await? else {
            self.postpone(connection).await?;
            return Err(orphan(format!("the application {}", value.name.application())));
        };
        let application = Arc::new(application.value);
        if !application.active {
            self.postpone(connection).await?;
            return Err(RefreshError::Inactive(application.name.to_string()));
        }
        let Some(profile) = application.profile(&value.profile).cloned() else {
            self.postpone(connection).await?;
            return Err(orphan(format!("the profile {} of the application {}", value.profile, application.name)));
        };
        let credentials = self.vault.credentials(value.id).await?;
        let ask = match newest(&credentials, TokenKind::RefreshToken) {
            Some(refresh) => Ask::Refresh(refresh.value.token.clone()),
            None if renews_by_asking(&application, &profile, value) => match profile.grant {
                GrantType::JwtBearer => Ask::JwtBearer,
                GrantType::Password => Ask::Password {
                    username: profile.username.clone().unwrap_or_default(),
                    password: value.password.clone().unwrap_or_default(),
                },
                _ => Ask::ClientCredentials,
            },
            None => return self.without_refresh_token(connection, &credentials).await,
        };
        Ok(Some(Plan { application, profile, credentials, ask }))
    }

    /// A connection that cannot be renewed: it lives as long as its access token, and then a person must consent.
    async fn without_refresh_token(
        &self,
        connection: &Stored<Connection>,
        credentials: &[Stored<Credential>],
    ) -> Result<Option<Plan>, RefreshError> {
        let now = self.clock.now();
        let reason = ReauthorizationReason::NoRefreshToken;
        let name = connection.value.name.clone();
        let mut next = connection.value.clone();
        match newest(credentials, TokenKind::AccessToken).filter(|access| access.value.expires.is_good(now, 0)) {
            Some(access) => next.due = Some(access.value.expires.at),
            None => {
                next.due = None;
                next.state = ConnectionState::ReauthorizationRequired(reason);
            }
        }
        if next != connection.value {
            let change = self.vault.put_connection(&next, Some(connection.version))?;
            if !self.committed(vec![change]).await? {
                return Ok(None);
            }
            self.cache.remove(&name);
        }
        Err(RefreshError::ReauthorizationRequired { connection: name, reason, failure: None })
    }

    /// Nothing can be asked before a person mends the application: look again much later.
    async fn postpone(&self, connection: &Stored<Connection>) -> Result<(), RefreshError> {
        let mut next = connection.value.clone();
        next.due = Some(later(self.clock.now(), self.settings.longest_wait));
        // Lost to another edit: then that one set the time.
        self.committed(vec![self.vault.put_connection(&next, Some(connection.version))?]).await?;
        Ok(())
    }

    /// Takes the lease, which is the journal entry that a request may be on its way. Durable before it is sent.
    async fn lease(&self, connection: &Connection) -> Result<Lease, RefreshError> {
        let now = self.clock.now();
        let before = self.vault.flight(connection.id).await?;
        if let Some(held) = &before {
            // Where this process alone can hold the store, the other owner is dead.
            let alive = held.owner != self.owner && !self.vault.store().is_exclusive();
            if alive && held.until > now {
                return Ok(Lease::Held(held.until));
            }
        }
        let same = before.as_ref().filter(|entry| entry.generation == connection.generation);
        let mut flight = Flight {
            connection: connection.id,
            version: 0,
            owner: self.owner,
            until: later(now, schedule::LEASE.as_secs()),
            generation: connection.generation,
            doubt: same.is_some_and(|entry| entry.doubt || entry.reply.is_none()),
            reply: same.and_then(|entry| entry.reply.clone()),
        };
        let read = before.map(|entry| entry.version);
        if !self.committed(vec![self.vault.put_flight(&flight, read)?]).await? {
            return Ok(Lease::Lost);
        }
        flight.version = read.unwrap_or(0).saturating_add(1);
        Ok(Lease::Taken(flight))
    }

    /// Asks, or reads the reply that an earlier flight kept, and takes over what came. `None`: read again.
    async fn exchange(
        self: &Arc<Self>,
        connection: Stored<Connection>,
        plan: Plan,
        flight: Flight,
        seen: Epoch,
    ) -> Result<Option<Token>, RefreshError> {
        let entry = Arc::new(tokio::sync::Mutex::new(flight.clone()));
        let access = newest(&plan.credentials, TokenKind::AccessToken).map(|access| access.value.token.clone());
        let exchange = self.exchanges.of(&plan.application, &plan.profile, &connection.value);
        let result = match exchange.map(|exchange| exchange.holding(access)) {
            Ok(exchange) => match &flight.reply {
                Some(kept) => exchange.read(&plan.ask, &kept.reply).await,
                None => exchange.keeping(self.keeper(&entry)).ask(&plan.ask, &plan.profile).await,
            },
            Err(error) => Err(error),
        };
        let version = entry.lock().await.version;
        match result.and_then(|answer| same_account(&connection.value, &answer).map(|()| answer)) {
            Ok(answer) => {
                let received = flight.reply.map_or_else(|| self.clock.now(), |kept| kept.received);
                self.land(connection, &plan, version, answer, received, seen).await
            }
            Err(error) => self.fail(connection, &plan, Flight { version, ..flight }, &error, seen).await,
        }
    }

    /// Makes the raw reply part of the journal entry, before any script sees it.
    fn keeper(self: &Arc<Self>, entry: &Arc<tokio::sync::Mutex<Flight>>) -> Keep {
        let (shared, entry) = (Arc::clone(self), Arc::clone(entry));
        Arc::new(move |reply: RawReply| {
            let (shared, entry) = (Arc::clone(&shared), Arc::clone(&entry));
            Box::pin(async move {
                let mut flight = entry.lock().await;
                let kept = Some(KeptReply { reply, received: shared.clock.now() });
                let kept = Flight { reply: kept, ..flight.clone() };
                let change = shared.vault.put_flight(&kept, Some(flight.version));
                let change = change.map_err(|error| ExchangeError::Keep(error.to_string()))?;
                match shared.vault.commit(vec![change]).await {
                    Ok(()) => flight.version += 1,
                    // The entry went with its grant: the reply is read all the same, so that what it brings is revoked.
                    Err(VaultError::Store(StoreError::Conflict)) => {}
                    // A full disk: what came is only here now, and taking it over may still succeed.
                    Err(error) => tracing::warn!("a provider's reply could not be kept before it was read: {error}"),
                }
                Ok(())
            })
        })
    }

    /// Takes the new tokens over: one commit that brings them, drops the old ones and closes the journal entry.
    async fn land(
        self: &Arc<Self>,
        mut connection: Stored<Connection>,
        plan: &Plan,
        flight: u64,
        answer: Answer,
        received: Timestamp,
        mut seen: Epoch,
    ) -> Result<Option<Token>, RefreshError> {
        let mut credentials = plan.credentials.clone();
        for _ in 0..MOST_TURNS {
            let books = Books {
                vault: &self.vault,
                settings: &self.settings,
                application: &plan.application,
                profile: &plan.profile,
                old: &credentials,
            };
            let Settled { connection: mut next, access, mut changes } =
                settle(&books, &connection.value, answer.clone(), received)?;
            next.refreshed = Some(received);
            if next.account.is_none() {
                next.account = learned(&plan.application, &next, &answer);
            }
            let further = &answer.reply.further;
            changes.extend(settle_further(&books, &mut next, further, Arrival::Refresh, received).await?);
            changes.push(self.vault.put_connection(&next, Some(connection.version))?);
            changes.push(Change::remove(Key::Flight(next.id), Expect::Version(flight)));
            if self.committed(changes).await? {
                tracing::info!(connection = %next.name, generation = next.generation, "refreshed");
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
            seen = self.cache.epoch();
            // Somebody edited the connection meanwhile. Labels: take the edit over. Revoked: what came back is
            // revoked too. A newer generation: that one won, unless it still holds the refresh token that was used up here (a
            // further token that came with its connection's refresh); then what came is what goes on.
            match self.vault.connection_by_id(connection.value.id).await? {
                Some(edited) if edited.value.state.is_usable() && self.goes_on(&edited, &connection, plan).await? => {
                    credentials = self.vault.credentials(edited.value.id).await?;
                    connection = edited;
                }
                Some(edited) => {
                    if edited.value.state == ConnectionState::Revoked {
                        self.revoke_orphans(&edited.value, plan, &answer).await;
                    }
                    self.committed(vec![Change::remove(Key::Flight(edited.value.id), Expect::Version(flight))]).await?;
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
    async fn fail(
        &self,
        connection: Stored<Connection>,
        plan: &Plan,
        flight: Flight,
        error: &ExchangeError,
        seen: Epoch,
    ) -> Result<Option<Token>, RefreshError> {
        let now = self.clock.now();
        let mut next = connection.value.clone();
        let entry = treat(&mut next, &self.settings, error, flight.doubt, now);
        let mut changes = vec![self.vault.put_connection(&next, Some(connection.version))?];
        let name = next.name.clone();
        match entry {
            Entry::Close => changes.push(Change::remove(Key::Flight(next.id), Expect::Version(flight.version))),
            Entry::KeepReply => {}
            Entry::Doubt => {
                let open = Flight { until: now, doubt: true, reply: None, ..flight.clone() };
                changes.push(self.vault.put_flight(&open, Some(flight.version))?);
            }
        }
        if !self.committed(changes).await? {
            // The connection changed under the request: read again, and let the newer generation win. The entry
            // must not say more than is known.
            if entry == Entry::Close {
                let close = Change::remove(Key::Flight(next.id), Expect::Version(flight.version));
                self.committed(vec![close]).await?;
            }
            return Ok(None);
        }
        tracing::warn!(connection = %name, kind = %error.failure().kind, "the refresh failed: {error}");
        if let ConnectionState::ReauthorizationRequired(reason) = next.state {
            self.cache.remove(&name);
            let failure = next.failure;
            return Err(RefreshError::ReauthorizationRequired { connection: name, reason, failure });
        }
        // The token that is there is good for as long as it says; only whether a new one comes is in question.
        let still = newest(&plan.credentials, TokenKind::AccessToken).map(|access| access.value.clone());
        if let Some(access) = still.filter(|access| access.expires.is_good(now, 0)) {
            self.cache.put(Token::new(&next, access, next.due), seen);
        }
        Err(RefreshError::Failing { connection: name, failure: error.failure(), next: next.due })
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

    /// Commits; `false` when somebody else had changed one of the records.
    async fn committed(&self, changes: Vec<Change>) -> Result<bool, RefreshError> {
        match self.vault.commit(changes).await {
            Ok(()) => Ok(true),
            Err(VaultError::Store(StoreError::Conflict)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
