//! One refresh, and when it is due. The rule of the room: at most one request per generation is under way, what may
//! have happened at the provider is durable before it can have happened, and nothing is forgotten until the store
//! holds its successor. May use `exchange`, `vault` and below.
//!
//! The path of one refresh (`flight.rs`): join the connection's flight in this process, or start one that outlives
//! its callers → read the connection (a newer generation is the answer) → heed the application's alarm (`alarm.rs`) and the
//! provider's breaker (`breaker.rs`) → take the lease, which is the journal entry "replacing generation N", and see that nothing
//! changed meanwhile (`lease.rs`) → exchange, keeping the raw reply before a script sees it → settle the new tokens and
//! remove the journal entry in one commit (`landing.rs`) → cache. A reply that no script but the shipped one sees is read at once, and is durable with what
//! it brings: a commit for itself would only be later than that one; where it cannot be taken over it is kept after all. A journal entry that outlived its holder means that the grant is in doubt: the old refresh
//! token is tried until the provider says yes or no, and a no then is `rotation_lost`.
//!
//! Why a lease in the store beside a lock in the process: two processes, or one that died and its successor, must not
//! both send the same refresh token; a provider with reuse detection ends the whole grant for that. Why the clock is looked at once
//! more before sending: a process that slept past its lease must not send what another one sent meanwhile.
//!
//! What is due when is `schedule.rs`; what a failure means, `treatment.rs`; what people are told of it, `outlook.rs`.

mod alarm;
mod background;
mod breaker;
mod cache;
mod error;
mod flight;
mod further;
mod identity;
mod joined;
mod landing;
mod lease;
mod outlook;
mod schedule;
mod settle;
mod token;
mod treatment;

pub use background::Round;
pub use error::RefreshError;
pub use further::{Arrival, settle_further};
pub use outlook::Outlook;
pub use schedule::{Held, ProviderSettings, Settings};
pub use settle::{Books, Settled, newest, renews_by_asking, settle};
pub use token::Token;

use crate::exchange::Exchanges;
use crate::model::{Clock, Connection, ConnectionName, ExpirySource, Rejection, Secret, Timestamp, later};
use crate::vault::{Stored, Vault};
use breaker::{Breakers, Urgency};
use cache::Cache;
use flight::{Boarding, Order};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use uuid::Uuid;

/// Keeps connections fresh. Clones share everything.
#[derive(Clone)]
pub struct Refresher(Arc<Shared>);

struct Shared {
    vault: Vault,
    exchanges: Exchanges,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// Who this process is, in leases.
    owner: Uuid,
    cache: Cache,
    flights: Mutex<HashMap<Uuid, Boarding>>,
    breakers: Breakers,
}

/// What a caller wants of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Good for the default time: 30 seconds, less for a token that lives less than 5 minutes. One that ends sooner is given
    /// where no new one can be had.
    Working,
    /// Good for this long. A token whose whole life is shorter is taken while half of it is left.
    GoodFor(Duration),
    /// Newer than this generation, whatever its expiry: an API rejected that one. Failures that were a moment ago are not
    /// repeated for it: however many callers are rejected, a provider that is down is left in peace.
    NewerThan(u64),
    /// Newer than this generation, and asked for now, whatever is known of failures: a person wants it.
    Anew(u64),
}

/// Which access token an API rejected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rejected {
    /// This one.
    Token(Secret),
    /// The one of this generation.
    Generation(u64),
    /// Whichever is held now, if it was there ten seconds ago.
    Held,
}

impl Rejected {
    fn is(&self, held: &Token, now: Timestamp) -> bool {
        match self {
            Self::Token(token) => held.secret() == token,
            Self::Generation(generation) => held.generation() <= *generation,
            // Several who say so at once mean the one before.
            Self::Held => later(held.issued(), JUST_ISSUED) <= now,
        }
    }
}

/// Seconds for which a token is new: a report that names none does not mean it.
const JUST_ISSUED: u64 = 10;

impl From<&Token> for Rejected {
    fn from(token: &Token) -> Self {
        Self::Token(token.secret().clone())
    }
}

impl From<&Secret> for Rejected {
    fn from(token: &Secret) -> Self {
        Self::Token(token.clone())
    }
}

impl Refresher {
    /// A refresher over a vault.
    #[must_use]
    pub fn new(vault: Vault, exchanges: Exchanges, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            vault,
            exchanges,
            breakers: Breakers::new(Arc::clone(&clock)),
            clock,
            settings,
            owner: Uuid::new_v4(),
            cache: Cache::new(),
            flights: Mutex::new(HashMap::new()),
        }))
    }

    /// A token of a connection that fits the want: from memory, from the store, or by a refresh.
    pub async fn token(&self, name: &ConnectionName, want: Want) -> Result<Token, RefreshError> {
        let now = self.0.clock.now();
        match self.held(name, want, now) {
            Some(token) => Ok(token),
            // On the heap: most calls end above, and their futures are not to be as large as a refresh's.
            None => Box::pin(self.token_from_store(name, want, now)).await,
        }
    }

    /// The one in memory, where it fits the want. It is refreshed behind the caller's back where its time has come.
    pub(crate) fn held(&self, name: &ConnectionName, want: Want, now: Timestamp) -> Option<Token> {
        let token = self.0.cache.get(name).filter(|token| token.fits(want, now))?;
        if token.wants_refresh(now) {
            self.refresh_behind(token.connection_id(), token.generation());
        }
        Some(token)
    }

    /// The same, where memory has none that fits.
    async fn token_from_store(&self, name: &ConnectionName, want: Want, now: Timestamp) -> Result<Token, RefreshError> {
        let seen = self.0.cache.epoch();
        let stored = self.0.vault.connection(name).await?.ok_or_else(|| RefreshError::unknown(name))?;
        if let Some(token) = self.0.current(&stored.value).await?.filter(|token| token.fits(want, now)) {
            self.0.cache.put(token.clone(), seen);
            if token.wants_refresh(now) {
                self.refresh_behind(stored.value.id, stored.value.generation);
            }
            return Ok(token);
        }
        let order = Order {
            unwanted: match want {
                Want::NewerThan(generation) | Want::Anew(generation) => generation,
                Want::Working | Want::GoodFor(_) => stored.value.generation,
            },
            urgency: match want {
                Want::Anew(_) => Urgency::Person,
                _ => Urgency::Caller,
            },
        };
        let flown = self.fly(stored.value.id, order, None).await;
        match flown {
            // It ends any moment, and it works.
            Err(error) if want == Want::Working && error.is_rest() => self.last_of(name, error).await,
            flown => flown,
        }
    }

    /// The token that is there, while it has not ended; else the error.
    async fn last_of(&self, name: &ConnectionName, error: RefreshError) -> Result<Token, RefreshError> {
        match self.0.vault.connection(name).await? {
            Some(stored) => self.0.current(&stored.value).await?.ok_or(error),
            None => Err(error),
        }
    }

    /// An API rejected an access token: one that is newer, from the store where there is one, else by a refresh. Any number of
    /// callers who report the same token cause one refresh. A report teaches how long tokens live whose end nobody states.
    pub async fn token_rejected(&self, name: &ConnectionName, rejected: &Rejected) -> Result<Token, RefreshError> {
        for _ in 0..flight::MOST_TURNS {
            let stored = self.0.vault.connection(name).await?.ok_or_else(|| RefreshError::unknown(name))?;
            let held = self.0.current(&stored.value).await?;
            let Some(token) = held.filter(|held| rejected.is(held, self.0.clock.now())) else {
                // Another one is held by now, or none: nothing was learned of that.
                return self.token(name, Want::Working).await;
            };
            if self.0.note_rejection(stored, &token).await? {
                return self.token(name, Want::NewerThan(token.generation())).await;
            }
        }
        Err(RefreshError::Busy(name.clone()))
    }

    /// Gives up a reply that is kept because it could not be read: the next refresh asks the provider again, in doubt.
    pub async fn give_up_reply(&self, name: &ConnectionName) -> Result<(), RefreshError> {
        let stored = self.0.vault.connection(name).await?.ok_or_else(|| RefreshError::unknown(name))?;
        self.0.without_reply(&stored.value).await
    }

    /// Waits until no refresh is under way: a process that ends before breaks off a rotation.
    pub async fn finish(&self) {
        loop {
            let any = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned();
            let Some(boarding) = any else { return };
            // Whatever it came to.
            let _ = boarding.joined.wait().await;
        }
    }

    /// How many refreshes are under way.
    #[must_use]
    pub fn under_way(&self) -> usize {
        self.0.flights.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Forgets the cached token of a connection that changed.
    pub fn forget(&self, name: &ConnectionName) {
        self.0.cache.remove(name);
    }

    /// Forgets every cached token: an application changed.
    pub fn forget_all(&self) {
        self.0.cache.clear();
    }

    /// The settings, for who schedules a new connection.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.0.settings
    }

    fn refresh_behind(&self, connection: Uuid, generation: u64) {
        // The result reaches the next caller through the store; a failure is recorded on the connection.
        drop(self.join(connection, Order { unwanted: generation, urgency: Urgency::Background }, &mut None));
    }
}

impl Shared {
    /// Keeps a report that a token was rejected, where it may teach how long tokens live. `false`: read again.
    async fn note_rejection(&self, stored: Stored<Connection>, token: &Token) -> Result<bool, RefreshError> {
        let mut connection = stored.value;
        let is_guess = matches!(token.expires().source, ExpirySource::Default | ExpirySource::Learned);
        let is_known = connection.rejected.is_some_and(|known| known.generation == token.generation());
        if !is_guess || is_known {
            return Ok(true);
        }
        connection.rejected = Some(Rejection { generation: token.generation(), at: self.clock.now() });
        self.committed(vec![self.vault.put_connection(&connection, Some(stored.version))?]).await
    }
}
