//! One refresh of one connection, shared by everyone who waits for it and finished even when they all hang up.

use super::alarm::Alarm;
use super::breaker::{Permit, Rest, Urgency};
use super::cache::Epoch;
use super::identity::same_account;
use super::joined::{Joined, joined};
use super::lease::{Lease, OpenEntry};
use super::settle::{newest, renews_by_asking};
use super::{RefreshError, Refresher, Shared, Token};
use crate::events::{Telling, expiring_from};
use crate::exchange::{Answer, Ask, ExchangeError};
use crate::model::{
    Application, ApplicationName, Connection, ConnectionState, Credential, Endpoint, Endpoints, GrantType, Profile,
    ReauthorizationReason, RequestId, TokenKind, later, random_share,
};
use crate::store::{Change, StoreError};
use crate::vault::{Flight, Stored, VaultError};
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::{Arc, PoisonError};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::mpsc::UnboundedSender;
use tracing::Instrument as _;
use uuid::Uuid;

/// The result of a flight, for everyone who waits for it.
type Flown = Result<Token, RefreshError>;

/// A flight that others can join.
#[derive(Clone)]
pub(super) struct Boarding {
    pub(super) joined: Joined<Flown>,
    urgency: Urgency,
}

/// What is asked of a flight.
#[derive(Debug, Clone, Copy)]
pub(super) struct Order {
    /// A generation that will not do: any newer one does.
    pub(super) unwanted: u64,
    pub(super) urgency: Urgency,
}

/// Leave to ask: the breaker's, and a place among those who ask at once.
struct Leave<'a> {
    permit: Option<Permit>,
    place: &'a mut Option<Place>,
}

impl Leave<'_> {
    /// What was asked is answered. The place of one that did not ask, and is about to, stays.
    fn used(self, result: &Result<Answer, ExchangeError>, asked: bool) {
        if let Some(mut permit) = self.permit {
            permit.came(result);
        }
        if asked && !matches!(result, Err(ExchangeError::Overtaken)) {
            *self.place = None;
        }
    }
}

/// A place among those who ask at once. It is given back when it is dropped, and whoever gave it learns of that.
#[derive(Debug)]
pub(super) struct Place {
    application: ApplicationName,
    free: UnboundedSender<ApplicationName>,
}

impl Place {
    /// A place of an application.
    pub(super) fn new(application: ApplicationName, free: UnboundedSender<ApplicationName>) -> Self {
        Self { application, free }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        // Where the round is over nobody waits for places.
        let _ = self.free.send(self.application.clone());
    }
}

/// How often a flight starts over because somebody else changed the connection meanwhile.
pub(super) const MOST_TURNS: usize = 20;

/// The longest rest that a failure can ask for, in seconds: a provider's Retry-After of a day, and the backoff.
const LONGEST_REST: u64 = 2 * 86_400;

/// How often the lease of another process is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);

/// What a connection shows the token endpoint for its next token.
pub(super) struct Plan {
    pub(super) application: Arc<Application>,
    pub(super) profile: Profile,
    pub(super) credentials: Vec<Stored<Credential>>,
    pub(super) ask: Ask,
}

impl Refresher {
    /// Waits for the connection's flight, starting it where none is under way. A place among those that ask is given back when the provider
    /// has answered, or the call is over.
    pub(super) async fn fly(
        &self,
        connection: Uuid,
        order: Order,
        mut place: Option<Place>,
    ) -> Result<Token, RefreshError> {
        loop {
            let (boarding, ours) = self.join(connection, order, &mut place);
            let result = boarding.joined.wait().await.unwrap_or(Err(RefreshError::Stopped));
            // A flight that was joined may have been begun for less: for an older generation, or by somebody who was
            // content to be told that the connection rests.
            let enough = match &result {
                Ok(token) => token.generation() > order.unwanted,
                Err(error) if error.is_rest() => boarding.urgency >= order.urgency,
                Err(_) => true,
            };
            if ours || enough {
                return result;
            }
        }
    }

    /// Joins the connection's flight, or starts one, which takes the place. It runs on its own task: a caller who hangs up does not stop a
    /// rotation half-way. Tells whether this call started it.
    pub(super) fn join(&self, connection: Uuid, order: Order, place: &mut Option<Place>) -> (Boarding, bool) {
        let (outcome, joined) = joined();
        let boarding = Boarding { joined, urgency: order.urgency };
        {
            let mut flights = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(boarding) = flights.get(&connection) {
                return (boarding.clone(), false);
            }
            flights.insert(connection, boarding.clone());
        }
        // Made before the task: one that is dropped before it first runs must leave the table too.
        let landing = Landing { shared: Arc::clone(&self.0), connection };
        let this = self.clone();
        let mut place = place.take();
        let flight = async move {
            let result = Box::pin(this.0.run(connection, order, &mut place)).await;
            drop(place);
            // Out of the table first: who comes now starts a new flight instead of joining one that is over.
            drop(landing);
            outcome.is(result);
        };
        // On behalf of the request that begins it, where one does.
        let flight = RequestId::within(RequestId::current(), flight);
        tokio::spawn(flight.instrument(tracing::info_span!("refresh", connection = tracing::field::Empty)));
        (boarding, true)
    }
}

impl Plan {
    /// The host and port that will be asked; `None` where that is not known, and the exchange will say so.
    fn authority(&self, connection: &Connection) -> Option<String> {
        let of = |endpoints: &Endpoints| {
            let token = endpoints.token.as_ref();
            let endpoint = match self.ask {
                Ask::Refresh(_) => endpoints.refresh.as_ref().or(token),
                _ => token,
            };
            endpoint.map(Endpoint::authority)
        };
        let application = &self.application;
        match application.endpoints.templates.is_empty() {
            true => of(&application.endpoints),
            false => of(&application.of_connection(&connection.fields, &connection.labels).endpoints),
        }
    }
}

/// What a future comes to, or the panic that it ends with: a mistake of ours in reading a reply must not lose it.
async fn caught<T>(mut work: Pin<Box<impl Future<Output = T>>>) -> std::thread::Result<T> {
    std::future::poll_fn(move |context| {
        match std::panic::catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(context))) {
            Ok(polled) => polled.map(Ok),
            Err(panic) => Poll::Ready(Err(panic)),
        }
    })
    .await
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
    async fn run(self: &Arc<Self>, id: Uuid, order: Order, place: &mut Option<Place>) -> Result<Token, RefreshError> {
        for _ in 0..MOST_TURNS {
            let seen = self.cache.epoch();
            let Some(mut connection) = self.vault.connection_by_id(id).await? else {
                return Err(RefreshError::Unknown("that was removed meanwhile".to_owned()));
            };
            tracing::Span::current().record("connection", tracing::field::display(&connection.value.name));
            if let Some(answer) = self.without_asking(&connection.value, order, seen).await? {
                return Ok(answer);
            }
            let Some(plan) = self.plan(&connection, order.urgency).await? else { continue };
            let before = self.vault.flight(id).await?;
            let permit = match self.leave(&connection, &plan, before.as_ref(), order.urgency).await {
                Ok(permit) => permit,
                Err(rest) => return Err(self.put_off(connection, &plan, rest, order.urgency, seen).await?),
            };
            match self.lease(&mut connection, before).await? {
                Lease::Taken(flight) => {
                    let leave = Leave { permit, place };
                    if let Some(token) = Box::pin(self.exchange(connection, plan, flight, leave, seen)).await? {
                        return Ok(token);
                    }
                }
                Lease::Lost => {}
                Lease::Held(until) => {
                    drop(permit);
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
        order: Order,
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
        if connection.generation > order.unwanted
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
                if order.urgency != Urgency::Person
                    && connection.failures > 0
                    && next > now
                    && next < later(now, LONGEST_REST) =>
            {
                Err(RefreshError::Failing { connection: name.clone(), failure: failure.clone(), next: Some(next) })
            }
            _ => Ok(None),
        }
    }

    /// Leave of the provider's breaker to ask. A reply that is here already needs none.
    async fn leave(
        &self,
        connection: &Stored<Connection>,
        plan: &Plan,
        before: Option<&Flight>,
        urgency: Urgency,
    ) -> Result<Option<Permit>, (String, Rest)> {
        let waits_to_be_read =
            before.is_some_and(|entry| entry.generation == connection.value.generation && entry.reply.is_some());
        let authority = plan.authority(&connection.value).filter(|_| !waits_to_be_read);
        let Some(authority) = authority else { return Ok(None) };
        match self.breakers.admit(&authority, connection.value.id, urgency, &self.settings).await {
            Ok(permit) => Ok(Some(permit)),
            Err(rest) => Err((authority, rest)),
        }
    }

    /// The provider rests: the background job comes again later, and a token that is still good is served meanwhile without a
    /// look at the store each time.
    async fn put_off(
        &self,
        connection: Stored<Connection>,
        plan: &Plan,
        (provider, rest): (String, Rest),
        urgency: Urgency,
        seen: Epoch,
    ) -> Result<RefreshError, RefreshError> {
        let now = self.clock.now();
        let mut next = connection.value;
        if urgency == Urgency::Background {
            next.due = Some(rest.again(now, random_share()));
            // Lost to another edit: then that one set the time.
            if self.committed(vec![self.vault.put_connection(&next, Some(connection.version))?]).await? {
                self.serve_on(&next, plan, seen);
            }
        }
        Ok(RefreshError::Resting { connection: next.name, provider, since: rest.since, next: rest.until })
    }

    /// The token that is there is good for as long as it says; only whether a new one comes is in question.
    pub(super) fn serve_on(&self, connection: &Connection, plan: &Plan, seen: Epoch) {
        let still = newest(&plan.credentials, TokenKind::AccessToken).map(|access| access.value.clone());
        if let Some(access) = still.filter(|access| access.expires.is_good(self.clock.now(), 0)) {
            self.cache.put(Token::new(connection, access, connection.due), seen);
        }
    }

    /// The token that the store holds for a connection, where it has one that is neither revoked nor ended.
    pub(super) async fn current(&self, connection: &Connection) -> Result<Option<Token>, RefreshError> {
        if !connection.state.is_usable() {
            return Ok(None);
        }
        let Some(application) = self.vault.shared_application(connection.application).await? else { return Ok(None) };
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
    async fn plan(&self, connection: &Stored<Connection>, urgency: Urgency) -> Result<Option<Plan>, RefreshError> {
        let value = &connection.value;
        let orphan = |missing: String| RefreshError::Orphan { connection: value.name.clone(), missing };
        let Some(application) = self.vault.shared_application(value.application).await? else {
            self.postpone(connection).await?;
            return Err(orphan(format!("the application {}", value.name.application())));
        };
        if !application.value.active {
            self.postpone(connection).await?;
            return Err(RefreshError::Inactive(application.value.name.to_string()));
        }
        if let Alarm::Again = self.heed(connection, &application, urgency).await? {
            return Ok(None);
        }
        let application = application.value;
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
        let name = connection.value.name.clone();
        let mut next = connection.value.clone();
        let mut changes = Vec::new();
        let good = newest(credentials, TokenKind::AccessToken).filter(|access| access.value.expires.is_good(now, 0));
        let error = if let Some(Stored { value: access, .. }) = good {
            let end = access.expires.at;
            let told_from = expiring_from(access.issued, end);
            next.due = Some(if now < told_from { told_from } else { end });
            if next.due == Some(end) && connection.value.due != Some(end) {
                changes.push(Telling::of(&self.vault, &connection.value, &next, now).expiring(access)?);
            }
            RefreshError::Expiring { connection: name.clone(), expires: end }
        } else {
            let reason = ReauthorizationReason::NoRefreshToken;
            next.due = None;
            next.state = ConnectionState::ReauthorizationRequired(reason);
            changes.extend(Telling::of(&self.vault, &connection.value, &next, now).failed()?);
            RefreshError::ReauthorizationRequired { connection: name.clone(), reason, failure: None }
        };
        if next != connection.value {
            changes.push(self.vault.put_connection(&next, Some(connection.version))?);
            if !self.committed(changes).await? {
                return Ok(None);
            }
            self.cache.remove(&name);
        }
        Err(error)
    }

    /// Nothing can be asked before a person mends the application: look again much later.
    async fn postpone(&self, connection: &Stored<Connection>) -> Result<(), RefreshError> {
        let mut next = connection.value.clone();
        next.due = Some(later(self.clock.now(), self.settings.longest_wait));
        // Lost to another edit: then that one set the time.
        self.committed(vec![self.vault.put_connection(&next, Some(connection.version))?]).await?;
        Ok(())
    }

    /// Asks, or reads the reply that an earlier flight kept, and takes over what came. `None`: read again.
    async fn exchange(
        self: &Arc<Self>,
        connection: Stored<Connection>,
        plan: Plan,
        flight: Flight,
        leave: Leave<'_>,
        seen: Epoch,
    ) -> Result<Option<Token>, RefreshError> {
        let entry = Arc::new(OpenEntry::new(flight.clone()));
        let ended = caught(Box::pin(self.exchange_and_land(connection, plan, flight, leave, seen, &entry))).await;
        // Whatever it was that came between: what the provider gave is not in memory alone.
        self.keep_unkept(&entry).await;
        ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    }

    async fn exchange_and_land(
        self: &Arc<Self>,
        connection: Stored<Connection>,
        plan: Plan,
        flight: Flight,
        leave: Leave<'_>,
        seen: Epoch,
        entry: &Arc<OpenEntry>,
    ) -> Result<Option<Token>, RefreshError> {
        let access = newest(&plan.credentials, TokenKind::AccessToken).map(|access| access.value.token.clone());
        let exchange = self.exchanges.of(&plan.application, &plan.profile, &connection.value);
        let result = match exchange.map(|exchange| exchange.holding(access)) {
            Ok(exchange) => match &flight.reply {
                Some(kept) => exchange.read(&plan.ask, &kept.reply).await,
                None => {
                    let exchange = exchange.keeping(self.keeper(entry)).unless(self.overtaken(&connection, &flight));
                    exchange.ask(&plan.ask, &plan.profile).await
                }
            },
            Err(error) => Err(error),
        };
        leave.used(&result, flight.reply.is_none());
        match result.and_then(|answer| same_account(&connection.value, &answer).map(|()| answer)) {
            Ok(answer) => {
                let received = flight.reply.map_or_else(|| self.clock.now(), |kept| kept.received);
                self.land(connection, &plan, entry, answer, received, seen).await
            }
            Err(error) => {
                self.keep_unkept(entry).await;
                let flight = Flight { version: entry.version().await, ..flight };
                match error {
                    ExchangeError::Overtaken => {
                        self.nothing_sent(flight).await?;
                        Ok(None)
                    }
                    error => self.fail(connection, &plan, flight, &error, seen).await,
                }
            }
        }
    }

    /// Commits; `false` when somebody else had changed one of the records.
    pub(super) async fn committed(&self, changes: Vec<Change>) -> Result<bool, RefreshError> {
        match self.vault.commit(changes).await {
            Ok(()) => Ok(true),
            Err(VaultError::Store(StoreError::Conflict)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_handed_on_after_what_must_be_done() {
        assert_eq!(caught(Box::pin(async { 7 })).await.unwrap(), 7);
        let panic = caught(Box::pin(async {
            tokio::task::yield_now().await;
            panic!("a mistake")
        }));
        let ended: std::thread::Result<()> = panic.await;
        assert_eq!(ended.unwrap_err().downcast_ref::<&str>(), Some(&"a mistake"));
    }
}
