//! The lease of a refresh, which is its journal entry too: nobody sends a refresh token without holding it, and one that
//! outlived its holder says that the grant is in doubt.

use super::{RefreshError, Shared, schedule};
use crate::exchange::{ExchangeError, Keep, ReadBy, Unless};
use crate::model::{Connection, LONGEST_ON_ITS_WAY, Timestamp, later, new_number};
use crate::oauth::RawReply;
use crate::store::{Change, Expect, Key, Row, StoreError};
use crate::vault::{Flight, KeptReply, Stored, VaultError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// What taking the lease came to.
pub(super) enum Lease {
    /// It is ours.
    Taken(Flight),
    /// Somebody else was faster; read again.
    Lost,
    /// Another process holds it until then.
    Held(Timestamp),
}

/// Seconds by which the clocks of two machines may differ, and a clock be put back, before a lease is taken for a dead one's.
const MOST_AHEAD: u64 = 3600;

impl Shared {
    /// Takes the lease, which is the journal entry that a request may be on its way. Durable before it is sent. `before` is the
    /// entry as it was read; the connection is brought up to what is written of it.
    pub(super) async fn lease(
        &self,
        connection: &mut Stored<Connection>,
        before: Option<Flight>,
    ) -> Result<Lease, RefreshError> {
        let now = self.clock.now();
        let lease = schedule::LEASE.as_secs();
        // Where this process alone can hold the store, any other owner is dead.
        let others = before
            .as_ref()
            .filter(|held| !held.owner.is_nil() && held.owner != self.owner && !self.vault.store().is_exclusive());
        if let Some(held) = others {
            // A lease that ends much further ahead than any lasts was taken by a clock that has since been put back; one that
            // does so by a little was taken by a machine whose clock is ahead of this one's, and is in force.
            if held.until > now && held.until <= later(now, lease + MOST_AHEAD) {
                return Ok(Lease::Held(held.until));
            }
        }
        let value = &connection.value;
        let same = before.as_ref().filter(|entry| entry.generation == value.generation);
        // Nobody let go of it. Its holder may be dead, or asleep, or a clock has jumped, and then its request is on its way still.
        // Whichever of the two brings the next generation, the other one may end it, and what has come after it: that must be durable
        // before, because who is refused for it may not live to tell.
        let overtakes = others.is_some() && same.is_some_and(|entry| entry.reply.is_none());
        let read = before.as_ref().map(|entry| entry.version);
        let flight = Flight {
            connection: value.id,
            version: read.map_or_else(new_number, |read| read.saturating_add(1)),
            owner: self.owner,
            until: later(now, lease),
            generation: value.generation,
            doubt: value.doubted == Some(value.generation)
                || same.is_some_and(|entry| entry.doubt || entry.reply.is_none()),
            reply: same.and_then(|entry| entry.reply.clone()),
        };
        let mut changes = vec![self.vault.put_flight(&flight, read)?];
        let doubted = overtakes.then(|| Connection {
            doubted: Some(value.generation + 1),
            doubted_until: Some(later(now, LONGEST_ON_ITS_WAY)),
            ..value.clone()
        });
        if let Some(doubted) = &doubted {
            changes.push(self.vault.put_connection(doubted, Some(connection.version))?);
        }
        if !self.committed(changes).await? {
            return Ok(Lease::Lost);
        }
        if let Some(value) = doubted {
            *connection = Stored { value, version: connection.version + 1 };
        }
        let value = &connection.value;
        // Only what is read under the lease is sent: between the read and the lease somebody may have refreshed and let go again,
        // and then the refresh token that was read is used up.
        let Some(Row::Connection(row)) =
            self.vault.store().get(Key::Connection(value.id)).await.map_err(VaultError::from)?
        else {
            return Ok(Lease::Lost); // its removal took the entry along, or the next look finds none
        };
        if row.version == connection.version {
            return Ok(Lease::Taken(flight));
        }
        let back = match before.filter(|entry| entry.generation == value.generation) {
            Some(entry) => self.vault.put_flight(&Flight { until: now, ..entry }, Some(flight.version))?,
            None => Change::remove(Key::Flight(value.id), Expect::Version(flight.version)),
        };
        self.committed(vec![back]).await?;
        Ok(Lease::Lost)
    }

    /// Whether a lease is too short by now for a request to end within it, or what would be sent is no longer what is held: a
    /// process that slept, or whose hooks took long, must not send what somebody else has sent meanwhile.
    pub(super) fn overtaken(self: &Arc<Self>, connection: &Stored<Connection>, flight: &Flight) -> Unless {
        let (shared, until) = (Arc::clone(self), flight.until);
        let (id, version) = (connection.value.id, connection.version);
        Arc::new(move || {
            let shared = Arc::clone(&shared);
            Box::pin(async move {
                // The clock last: what was read before a sleep says nothing.
                let held = shared.vault.store().get(Key::Connection(id)).await;
                let is_held = matches!(held, Ok(Some(Row::Connection(row))) if row.version == version);
                !is_held || later(shared.clock.now(), schedule::LEASE.as_secs() / 2) > until
            })
        })
    }

    /// Lets go of a lease under which nothing was sent: the entry says again what it said before. It may be another's by now.
    pub(super) async fn nothing_sent(&self, flight: Flight) -> Result<(), RefreshError> {
        let change = match flight.doubt {
            true => {
                let read = flight.version;
                self.vault.put_flight(&let_go(flight, self.clock.now()), Some(read))?
            }
            false => Change::remove(Key::Flight(flight.connection), Expect::Version(flight.version)),
        };
        self.committed(vec![change]).await?;
        Ok(())
    }

    /// Leaves the journal entry of a kept reply in doubt, without the reply.
    pub(super) async fn without_reply(&self, connection: &Connection) -> Result<(), RefreshError> {
        let Some(entry) = self.vault.flight(connection.id).await? else { return Ok(()) };
        if entry.reply.is_none() {
            return Ok(());
        }
        tracing::warn!(connection = %connection.name, "a kept reply is given up; the refresh token is sent again");
        let read = entry.version;
        let open = Flight { reply: None, doubt: true, ..entry };
        // Lost to a refresh that read it in this moment: then that one knows.
        self.committed(vec![self.vault.put_flight(&open, Some(read))?]).await?;
        Ok(())
    }

    /// Makes the raw reply part of the journal entry, before any script sees it; one that we read ourselves, where it does not land.
    pub(super) fn keeper(self: &Arc<Self>, entry: &Arc<OpenEntry>) -> Keep {
        let (shared, entry) = (Arc::clone(self), Arc::clone(entry));
        Arc::new(move |reply: RawReply, read_by: ReadBy| {
            let (shared, entry) = (Arc::clone(&shared), Arc::clone(&entry));
            let reply = KeptReply { reply, received: shared.clock.now() };
            Box::pin(async move {
                match read_by {
                    ReadBy::Script => shared.keep(&entry, reply).await,
                    ReadBy::Us => {
                        *entry.unkept() = Some(reply);
                        Ok(())
                    }
                }
            })
        })
    }

    async fn keep(&self, entry: &OpenEntry, kept: KeptReply) -> Result<(), ExchangeError> {
        let mut flight = entry.flight.lock().await;
        let with_it = Flight { reply: Some(kept.clone()), ..flight.clone() };
        let change = self.vault.put_flight(&with_it, Some(flight.version));
        let change = change.map_err(|error| ExchangeError::Keep(error.to_string()))?;
        match self.vault.commit(vec![change]).await {
            Ok(()) => flight.version += 1,
            Err(VaultError::Store(StoreError::Conflict)) => self.keep_in_anothers(&flight, kept).await,
            // A full disk: what came is only here now, and taking it over may still succeed.
            Err(error) => tracing::warn!("a provider's reply could not be kept: {error}"),
        }
        Ok(())
    }

    /// Keeps a reply that was read and has not landed: what it brought could not be taken over, or not yet.
    pub(super) async fn keep_unkept(&self, entry: &OpenEntry) {
        let Some(reply) = entry.unkept().take() else { return };
        if let Err(error) = self.keep(entry, reply).await {
            tracing::warn!("a provider's reply could not be kept: {error}");
        }
    }
}

/// The journal entry of a request that is under way, and a reply that we have read and that is not part of it.
pub(super) struct OpenEntry {
    flight: tokio::sync::Mutex<Flight>,
    unkept: Mutex<Option<KeptReply>>,
}

impl OpenEntry {
    pub(super) fn new(flight: Flight) -> Self {
        Self { flight: tokio::sync::Mutex::new(flight), unkept: Mutex::default() }
    }

    /// The entry's version, as it is in the store.
    pub(super) async fn version(&self) -> u64 {
        self.flight.lock().await.version
    }

    /// What the reply brought is durable: it need not be kept.
    pub(super) fn is_landed(&self) {
        *self.unkept() = None;
    }

    fn unkept(&self) -> MutexGuard<'_, Option<KeptReply>> {
        self.unkept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    /// Keeps a reply although the entry is not ours any more. Where it went with its grant there is nothing to keep it in: the
    /// reply is read all the same, so that what it brings is revoked. Where another process took the lease over, because this
    /// one slept or a clock jumped, the new tokens are only here, and a script that cannot read them must not lose them. It stays
    /// the other one's, who has a request under way and reads what is there when that has failed.
    async fn keep_in_anothers(&self, flight: &Flight, kept: KeptReply) {
        // What refuses us says nothing that the other one does not hear too.
        if !(200..300).contains(&kept.reply.status) {
            return;
        }
        let held = match self.vault.flight(flight.connection).await {
            Ok(Some(held)) if held.generation == flight.generation && held.reply.is_none() => held,
            _ => return,
        };
        let read = held.version;
        let made = match self.vault.put_flight(&Flight { reply: Some(kept), ..held }, Some(read)) {
            // Lost: the other one has landed or let go, and what came is taken over from here, where it can be.
            Ok(change) => self.committed(vec![change]).await.map(|_| ()),
            Err(error) => Err(error.into()),
        };
        if let Err(error) = made {
            tracing::warn!("a provider's reply could not be kept: {error}");
        }
    }
}

/// An entry that nobody holds any more, and that says what it said.
fn let_go(flight: Flight, now: Timestamp) -> Flight {
    Flight { owner: Uuid::nil(), until: now, ..flight }
}

/// An entry of a request that is over, and whose outcome is not known.
pub(super) fn in_doubt(flight: Flight, now: Timestamp) -> Flight {
    Flight { doubt: true, reply: None, ..let_go(flight, now) }
}
