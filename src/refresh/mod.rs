//! One refresh, and when it is due. The rule of the room: at most one request per generation is under way, what may
//! have happened at the provider is durable before it can have happened, and nothing is forgotten until the store
//! holds its successor. May use `exchange`, `vault` and below.
//!
//! The path of one refresh (`flight.rs`): join the connection's flight in this process, or start one that outlives
//! its callers → read the connection (a newer generation is the answer) → take the lease, which is the journal entry
//! "replacing generation N" → exchange, keeping the raw reply → settle the new tokens and remove the journal entry in
//! one commit → cache. A journal entry that outlived its holder means that the grant is in doubt: the old refresh token is tried
//! until the provider says yes or no, and a no then is `rotation_lost`.
//!
//! Why a lease in the store beside a lock in the process: two processes, or one that died and its successor, must not
//! both send the same refresh token; a provider with reuse detection ends the whole grant for that.

mod background;
mod cache;
mod error;
mod flight;
mod further;
mod identity;
mod landing;
mod lease;
mod schedule;
mod settle;
mod token;
mod treatment;

pub use background::Round;
pub use error::RefreshError;
pub use further::{Arrival, settle_further};
pub use schedule::Settings;
pub use settle::{Books, Settled, newest, settle};
pub use token::Token;

use crate::exchange::Exchanges;
use crate::model::{Clock, ConnectionName};
use crate::vault::Vault;
use cache::Cache;
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
    flights: Mutex<HashMap<Uuid, flight::Joined>>,
}

/// What a caller wants of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Want {
    /// Good for the default time: 30 seconds, less for a token that lives less than 5 minutes.
    Working,
    /// Good for this long. A token whose whole life is shorter is taken while half of it is left.
    GoodFor(Duration),
    /// Newer than this generation, whatever its expiry: somebody was told that the old one does not work, or wants a
    /// new one.
    NewerThan(u64),
}

impl Refresher {
    /// A refresher over a vault.
    #[must_use]
    pub fn new(vault: Vault, exchanges: Exchanges, clock: Arc<dyn Clock>, settings: Settings) -> Self {
        Self(Arc::new(Shared {
            vault,
            exchanges,
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
        if let Some(token) = self.0.cache.get(name).filter(|token| token.fits(want, now)) {
            if token.wants_refresh(now) {
                self.refresh_behind(token.connection_id(), token.generation());
            }
            return Ok(token);
        }
        let seen = self.0.cache.epoch();
        let stored = self.0.vault.connection(name).await?.ok_or_else(|| RefreshError::unknown(name))?;
        if let Some(token) = self.0.current(&stored.value).await?.filter(|token| token.fits(want, now)) {
            self.0.cache.put(token.clone(), seen);
            if token.wants_refresh(now) {
                self.refresh_behind(stored.value.id, stored.value.generation);
            }
            return Ok(token);
        }
        let unwanted = match want {
            Want::NewerThan(generation) => generation,
            _ => stored.value.generation,
        };
        self.fly(stored.value.id, unwanted, matches!(want, Want::NewerThan(_))).await
    }

    /// Waits until no refresh is under way: a process that ends before breaks off a rotation.
    pub async fn finish(&self) {
        loop {
            let any = self.0.flights.lock().unwrap_or_else(PoisonError::into_inner).values().next().cloned();
            let Some(mut joined) = any else { return };
            // An error is the end of its task, which is what is waited for.
            let _ = joined.wait_for(Option::is_some).await;
        }
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
        drop(self.join(connection, generation, false));
    }
}
