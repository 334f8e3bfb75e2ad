//! Typed records on their way into the store and out of it: sealed on the way in, opened and compared on the way
//! out. Plaintext exists above this room and nowhere below. May use `store`, `seal` and `model`.
//!
//! Every sealed record is bound to what it is: its kind, its connection, its own id and its version or generation.
//! A row that was copied over another one, or whose plain fields were edited with the store's own tools, does not
//! open or does not fit, and is refused by name. A whole row that is put back to an earlier state cannot be told from
//! an honest one; `SECURITY.md` says so.

mod access;
mod applications;
mod audit;
mod audit_page;
mod events;
mod keys;
mod pending;
mod reply;
mod rotation;
mod webhooks;

pub use access::{AdministratorRecord, KeyHash, KeyRecord};
pub use audit::ReadPage;
pub use events::EventsFound;
pub use pending::{Pending, PendingKind, state_hash};
pub use rotation::{RotateOptions, Rotated, RotationError, RotationProgress, RotationStage};
pub use webhooks::{EarlierSecret, WebhookRecord};

use crate::model::{Application, ApplicationName, Clock, Connection, ConnectionName, Credential, Timestamp, TokenKind};
use crate::oauth::RawReply;
use crate::seal::{Binding, Keyring, RecordKind, SealError};
use crate::store::{
    ApplicationRow, Change, ConnectionRow, CredentialRow, DuePlace, Expect, FlightRow, FlightStage, Key, PendingRow,
    Row, Store, StoreError,
};
use keys::Keys;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;
use zeroize::Zeroizing;

/// A record as it lies in the store, with the version that an edit of it must name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored<T> {
    /// The record.
    pub value: T,
    /// Its version.
    pub version: u64,
}

/// Why a record could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The store's own trouble.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The record does not open.
    #[error("{what} does not open: {source}")]
    Seal {
        /// The record, in words.
        what: String,
        /// Why.
        source: SealError,
    },
    /// The record opened, and is not what its row says it is.
    #[error(
        "{what} does not fit the row it lies in: the store was changed from outside; restore a backup, or remove the record"
    )]
    Misfit {
        /// The record, in words.
        what: String,
    },
    /// The record opened, and this version of Grantkeeper cannot read it.
    #[error("{what} was written by another version of Grantkeeper and cannot be read ({reason})")]
    Format {
        /// The record, in words.
        what: String,
        /// The field, without its value.
        reason: String,
    },
}

/// The store with its keys.
#[derive(Debug, Clone)]
pub struct Vault {
    store: Arc<dyn Store>,
    keys: Arc<Keys>,
    /// Told of each commit that brings an event.
    news: Arc<watch::Sender<()>>,
    /// Told of each commit that brings a page of the audit log.
    audit_news: Arc<watch::Sender<()>>,
    opened: Arc<applications::Opened>,
}

/// A refresh in flight, opened.
#[derive(Debug, Clone)]
pub struct Flight {
    /// The connection that is refreshed.
    pub connection: Uuid,
    /// The fencing number.
    pub version: u64,
    /// Who holds it.
    pub owner: Uuid,
    /// Until when.
    pub until: Timestamp,
    /// The generation that is being replaced.
    pub generation: u64,
    /// Whether an earlier flight of the same generation ended without an answer.
    pub doubt: bool,
    /// The raw reply, once it came.
    pub reply: Option<KeptReply>,
}

/// A raw reply that waits to be taken over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptReply {
    /// The reply as it came.
    pub reply: RawReply,
    /// When it came: what it says of lifetimes counts from then.
    pub received: Timestamp,
}

impl Vault {
    /// A vault over a store.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, keyring: Arc<Keyring>) -> Self {
        Self {
            store,
            keys: Arc::new(Keys::new(keyring)),
            news: Arc::default(),
            audit_news: Arc::default(),
            opened: Arc::default(),
        }
    }

    /// The store below, for questions that need no key (what is due, when).
    #[must_use]
    pub fn store(&self) -> &dyn Store {
        self.store.as_ref()
    }

    /// The keys, as they are now.
    #[must_use]
    pub fn keyring(&self) -> Arc<Keyring> {
        self.keys.current()
    }

    /// Makes all the changes durable, or none ([`Store::commit`]).
    pub async fn commit(&self, changes: Vec<Change>) -> Result<(), VaultError> {
        let (tells, logs) = (changes.iter().any(Change::is_event), changes.iter().any(Change::is_audit));
        let commits = self.keys.commits().await;
        let changes = self.under_the_current_key(changes)?;
        self.store.commit(changes).await?;
        drop(commits);
        if tells {
            self.news.send_replace(());
        }
        if logs {
            self.audit_news.send_replace(());
        }
        Ok(())
    }

    /// The application of a name.
    pub async fn application(&self, name: &ApplicationName) -> Result<Option<Stored<Application>>, VaultError> {
        let Some(row) = self.store.application(name.as_str()).await? else { return Ok(None) };
        asked(&format!("the application {name}"), row.name == name.as_str())?;
        self.open_application(&row).map(Some)
    }

    /// The application of an id.
    pub async fn application_by_id(&self, id: Uuid) -> Result<Option<Stored<Application>>, VaultError> {
        match self.store.get(Key::Application(id)).await? {
            Some(Row::Application(row)) => {
                asked(&format!("the application {:?}", row.name), row.id == id)?;
                Ok(Some(self.open_application(&row)?))
            }
            _ => Ok(None),
        }
    }

    /// All applications, ordered by name.
    pub async fn applications(&self) -> Result<Vec<Stored<Application>>, VaultError> {
        self.store.applications().await?.iter().map(|row| self.open_application(row)).collect()
    }

    /// Whether the keys are this store's, by some of its records: it is empty, or one of them at least is sealed under a key that is held. With
    /// the keys of another store nothing would open, and what is written could not be opened by the store's own.
    ///
    /// # Errors
    /// When none is, or the store cannot be read.
    pub async fn has_its_keys(&self) -> Result<(), VaultError> {
        let mut some: Vec<Vec<u8>> = self.store.applications().await?.into_iter().map(|row| row.sealed).collect();
        some.extend(self.store.access().await?.into_iter().map(|row| row.sealed));
        if let Some(Row::Audit(row)) = self.store.get(Key::Audit(self.store.last_audit().await?)).await? {
            some.push(row.sealed);
        }
        let ring = self.keys.current();
        let held = ring.keys();
        let mut unknown = None;
        for sealed in &some {
            match Keyring::sealed_by(sealed) {
                Ok(key) if held.iter().any(|held| held.id == key) => return Ok(()),
                Ok(key) => unknown = Some(key),
                // A damaged one says nothing of the others.
                Err(_) => {}
            }
        }
        let Some(key) = unknown else { return Ok(()) };
        let held: Vec<String> = held.iter().map(|held| held.id.to_string()).collect();
        let source = SealError::UnknownKey { key, keyring: ring.origin().to_owned(), held: held.join(", ") };
        Err(VaultError::Seal { what: "the store".to_owned(), source })
    }

    /// The connection of a name.
    pub async fn connection(&self, name: &ConnectionName) -> Result<Option<Stored<Connection>>, VaultError> {
        let Some(row) = self.store.connection(name).await? else { return Ok(None) };
        asked(&format!("the connection {name}"), row.name == *name)?;
        self.open_connection(&row).map(Some)
    }

    /// The connection of an id.
    pub async fn connection_by_id(&self, id: Uuid) -> Result<Option<Stored<Connection>>, VaultError> {
        match self.store.get(Key::Connection(id)).await? {
            Some(Row::Connection(row)) => {
                asked(&format!("the connection {}", row.name), row.id == id)?;
                Ok(Some(self.open_connection(&row)?))
            }
            _ => Ok(None),
        }
    }

    /// A page of connections, ordered by name ([`Store::connections`]).
    pub async fn connections(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&ConnectionName>,
        limit: usize,
    ) -> Result<Vec<Stored<Connection>>, VaultError> {
        let rows = self.store.connections(application.map(ApplicationName::as_str), after, limit).await?;
        rows.iter().map(|row| self.open_connection(row)).collect()
    }

    /// Of a page of connections those whose names are wanted: the others are not opened. With where the next page begins, where there is one.
    pub async fn connections_that(
        &self,
        application: Option<&ApplicationName>,
        after: Option<&ConnectionName>,
        limit: usize,
        wanted: impl Fn(&ConnectionName) -> bool,
    ) -> Result<(Vec<Stored<Connection>>, Option<ConnectionName>), VaultError> {
        let rows = self.store.connections(application.map(ApplicationName::as_str), after, limit).await?;
        let next = rows.last().filter(|_| rows.len() >= limit).map(|row| row.name.clone());
        let wanted = rows.iter().filter(|row| wanted(&row.name)).map(|row| self.open_connection(row));
        Ok((wanted.collect::<Result<_, _>>()?, next))
    }

    /// Connections that are due, the earliest first ([`Store::due`]).
    pub async fn due(
        &self,
        until: Timestamp,
        after: Option<DuePlace>,
        limit: usize,
    ) -> Result<Vec<ConnectionRow>, VaultError> {
        Ok(self.store.due(until, after, limit).await?)
    }

    /// The credentials of a connection, the oldest first.
    pub async fn credentials(&self, connection: Uuid) -> Result<Vec<Stored<Credential>>, VaultError> {
        let mut credentials = Vec::new();
        for row in self.store.credentials(connection).await? {
            asked(&format!("the credential {}", row.id), row.connection == connection)?;
            credentials.push(self.open_credential(&row)?);
        }
        Ok(credentials)
    }

    /// What removes a connection with everything that belongs to it.
    pub async fn removal(&self, connection: &Stored<Connection>) -> Result<Vec<Change>, VaultError> {
        let id = connection.value.id;
        let credentials = self.store.credentials(id).await?;
        let mut changes: Vec<Change> =
            credentials.iter().map(|row| Change::remove(Key::Credential(row.id), Expect::Any)).collect();
        changes.push(Change::remove(Key::Flight(id), Expect::Any));
        changes.push(Change::remove(Key::Connection(id), Expect::Version(connection.version)));
        Ok(changes)
    }

    /// The credential of an id.
    pub async fn credential(&self, id: Uuid) -> Result<Option<Stored<Credential>>, VaultError> {
        match self.store.get(Key::Credential(id)).await? {
            Some(Row::Credential(row)) => {
                asked(&format!("the credential {}", row.id), row.id == id)?;
                Ok(Some(self.open_credential(&row)?))
            }
            _ => Ok(None),
        }
    }

    /// The sealed bytes of a credential, as they lie in the store: for showing that they are sealed.
    pub async fn sealed_credential(&self, id: Uuid) -> Result<Option<Vec<u8>>, VaultError> {
        match self.store.get(Key::Credential(id)).await? {
            Some(Row::Credential(row)) => Ok(Some(row.sealed)),
            _ => Ok(None),
        }
    }

    /// The pending authorization of a `state`.
    pub async fn pending(&self, state: &str) -> Result<Option<Pending>, VaultError> {
        let hash = state_hash(state);
        match self.store.get(Key::Pending(hash)).await? {
            Some(Row::Pending(row)) => {
                let what = "a pending authorization";
                let pending: Pending = self.open(what, &pending_binding(&hash), &row.sealed)?;
                fits(what, pending.expires == row.expires)?;
                Ok(Some(pending))
            }
            _ => Ok(None),
        }
    }

    /// The refresh in flight of a connection.
    pub async fn flight(&self, connection: Uuid) -> Result<Option<Flight>, VaultError> {
        let Some(Row::Flight(row)) = self.store.get(Key::Flight(connection)).await? else { return Ok(None) };
        asked("a refresh in flight", row.connection == connection)?;
        let reply = match &row.sealed {
            Some(sealed) => {
                let plain = self.open_bytes("a kept reply", &reply_binding(connection, row.generation), sealed)?;
                Some(reply::decode(&plain).ok_or_else(|| VaultError::Format {
                    what: "a kept reply".to_owned(),
                    reason: "its frame is not known".to_owned(),
                })?)
            }
            None => None,
        };
        Ok(Some(Flight {
            connection,
            version: row.version,
            owner: row.owner,
            until: row.until,
            generation: row.generation,
            doubt: row.doubt,
            reply,
        }))
    }

    /// Writes an application. `read` is the version it was read at, `None` for a new one.
    pub fn put_application(&self, application: &Application, read: Option<u64>) -> Result<Change, VaultError> {
        let version = next(read);
        let sealed = self.seal("an application", &application_binding(application.id, version), application)?;
        let row = ApplicationRow { id: application.id, name: application.name.to_string(), version, sealed };
        Ok(Change::put(Row::Application(row), expected(read)))
    }

    /// Writes a connection. `read` is the version it was read at, `None` for a new one.
    pub fn put_connection(&self, connection: &Connection, read: Option<u64>) -> Result<Change, VaultError> {
        let version = next(read);
        let sealed = self.seal("a connection", &connection_binding(connection.id, version), connection)?;
        let row = ConnectionRow {
            id: connection.id,
            name: connection.name.clone(),
            version,
            generation: connection.generation,
            state: connection.state.as_str().to_owned(),
            due: connection.due,
            sealed,
        };
        Ok(Change::put(Row::Connection(row), expected(read)))
    }

    /// Writes a credential. `read` is the version it was read at, `None` for a new one.
    pub fn put_credential(&self, credential: &Credential, read: Option<u64>) -> Result<Change, VaultError> {
        let binding = credential_binding(credential.kind, credential.connection, credential.id, credential.generation);
        let row = CredentialRow {
            id: credential.id,
            connection: credential.connection,
            version: next(read),
            generation: credential.generation,
            kind: credential.kind,
            expires: credential.expires.at,
            sealed: self.seal("a credential", &binding, credential)?,
        };
        Ok(Change::put(Row::Credential(row), expected(read)))
    }

    /// Writes a new pending authorization.
    pub fn put_pending(&self, pending: &Pending, state: &str) -> Result<Change, VaultError> {
        let hash = state_hash(state);
        let sealed = self.seal("a pending authorization", &pending_binding(&hash), pending)?;
        let row = PendingRow { state_hash: hash, expires: pending.expires, sealed };
        Ok(Change::put(Row::Pending(row), Expect::Absent))
    }

    /// Uses a pending authorization up: of two commits that carry this, one goes through.
    #[must_use]
    pub fn use_pending(state: &str) -> Change {
        Change::remove(Key::Pending(state_hash(state)), Expect::Version(1))
    }

    /// Writes a flight: the lease, and the reply where it came. `read` is the version it was read at; a new one begins at the
    /// version that it carries, which must be none that an earlier flight of the connection had: who was overtaken in its sleep
    /// would take the new entry for its own.
    pub fn put_flight(&self, flight: &Flight, read: Option<u64>) -> Result<Change, VaultError> {
        let sealed = match &flight.reply {
            Some(reply) => {
                let plain = reply::encode(reply);
                Some(self.seal_bytes("a kept reply", &reply_binding(flight.connection, flight.generation), &plain)?)
            }
            None => None,
        };
        let row = FlightRow {
            connection: flight.connection,
            version: read.map_or(flight.version, |read| read.saturating_add(1)),
            owner: flight.owner,
            until: flight.until,
            generation: flight.generation,
            doubt: flight.doubt,
            stage: if sealed.is_some() { FlightStage::Replied } else { FlightStage::Sent },
            sealed,
        };
        Ok(Change::put(Row::Flight(row), expected(read)))
    }

    /// Removes pending authorizations that nobody came back for.
    pub async fn purge(&self, clock: &dyn Clock) -> Result<usize, VaultError> {
        Ok(self.store.purge_pending(clock.now()).await?)
    }

    fn open_application(&self, row: &ApplicationRow) -> Result<Stored<Application>, VaultError> {
        let what = format!("the application {:?}", row.name);
        let value: Application = self.open(&what, &application_binding(row.id, row.version), &row.sealed)?;
        fits(&what, value.id == row.id && value.name.as_str() == row.name)?;
        Ok(Stored { value, version: row.version })
    }

    fn open_connection(&self, row: &ConnectionRow) -> Result<Stored<Connection>, VaultError> {
        let what = format!("the connection {}", row.name);
        let value: Connection = self.open(&what, &connection_binding(row.id, row.version), &row.sealed)?;
        let same = value.id == row.id
            && value.name == row.name
            && value.generation == row.generation
            && value.due == row.due
            && value.state.as_str() == row.state;
        fits(&what, same)?;
        Ok(Stored { value, version: row.version })
    }

    fn open_credential(&self, row: &CredentialRow) -> Result<Stored<Credential>, VaultError> {
        let what = format!("the credential {}", row.id);
        let binding = credential_binding(row.kind, row.connection, row.id, row.generation);
        let value: Credential = self.open(&what, &binding, &row.sealed)?;
        let same = value.id == row.id
            && value.connection == row.connection
            && value.kind == row.kind
            && value.generation == row.generation
            && value.expires.at == row.expires;
        fits(&what, same)?;
        Ok(Stored { value, version: row.version })
    }

    fn seal<T: Serialize>(&self, what: &str, binding: &Binding, value: &T) -> Result<Vec<u8>, VaultError> {
        // Grows inside its wrapping: a buffer that moves while it grows would leave copies behind.
        let mut plain = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer(&mut *plain, value)
            .map_err(|error| VaultError::Format { what: what.to_owned(), reason: error.to_string() })?;
        self.seal_bytes(what, binding, &plain)
    }

    fn seal_bytes(&self, what: &str, binding: &Binding, plain: &[u8]) -> Result<Vec<u8>, VaultError> {
        self.keys.current().seal(binding, plain).map_err(|source| VaultError::Seal { what: what.to_owned(), source })
    }

    fn open<T: DeserializeOwned>(&self, what: &str, binding: &Binding, sealed: &[u8]) -> Result<T, VaultError> {
        let plain = self.open_bytes(what, binding, sealed)?;
        serde_json::from_slice(&plain).map_err(|error| VaultError::Format {
            what: what.to_owned(),
            // serde_json repeats texts that it finds ("invalid type: string \"…\""): only where, never what.
            reason: format!("{:?} error at byte {}", error.classify(), error.column()),
        })
    }

    fn open_bytes(&self, what: &str, binding: &Binding, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, VaultError> {
        self.keys.open(binding, sealed).map_err(|source| VaultError::Seal { what: what.to_owned(), source })
    }
}

fn next(read: Option<u64>) -> u64 {
    // A version that somebody forged must not stop the process.
    read.unwrap_or(0).saturating_add(1)
}

fn expected(read: Option<u64>) -> Expect {
    read.map_or(Expect::Absent, Expect::Version)
}

/// A record lies under its own key and no other: whoever can write the store's files could put a whole record, sealed
/// as it is, where another one is looked for.
fn asked(what: &str, is_it: bool) -> Result<(), VaultError> {
    fits(what, is_it)
}

fn fits(what: &str, fits: bool) -> Result<(), VaultError> {
    if fits { Ok(()) } else { Err(VaultError::Misfit { what: what.to_owned() }) }
}

fn application_binding(id: Uuid, version: u64) -> Binding {
    Binding { kind: RecordKind::Application, owner: id, record: id, generation: version }
}

fn connection_binding(id: Uuid, version: u64) -> Binding {
    Binding { kind: RecordKind::Connection, owner: id, record: id, generation: version }
}

fn credential_binding(kind: TokenKind, connection: Uuid, id: Uuid, generation: u64) -> Binding {
    let kind = match kind {
        TokenKind::AccessToken => RecordKind::AccessToken,
        TokenKind::RefreshToken => RecordKind::RefreshToken,
    };
    Binding { kind, owner: connection, record: id, generation }
}

fn pending_binding(hash: &[u8; 32]) -> Binding {
    let mut half = [0; 16];
    half.copy_from_slice(&hash[..16]);
    Binding { kind: RecordKind::Pending, owner: Uuid::nil(), record: Uuid::from_bytes(half), generation: 0 }
}

fn reply_binding(connection: Uuid, generation: u64) -> Binding {
    Binding { kind: RecordKind::Reply, owner: connection, record: connection, generation }
}

#[cfg(test)]
mod tests;
