//! The records of a store: sealed bytes, and beside them the plain fields that find them. The plain fields are hints
//! for finding; what they say is inside the sealed part too, and the vault compares.

use crate::model::{ConnectionName, Timestamp, TokenKind};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// One change of a commit. Made by [`Change::put`] and [`Change::remove`] alone, so that a record cannot be written
/// under the key of another.
#[derive(Debug, Clone)]
pub struct Change {
    /// The record.
    pub(super) key: Key,
    /// What must be there for the commit to go through.
    pub(super) expect: Expect,
    /// The new record; `None` removes it.
    pub(super) row: Option<Row>,
}

impl Change {
    /// Writes a record where `expect` fits. An event is added behind the last one: its sequence is the store's to give, and
    /// the one that it carries here says nothing.
    #[must_use]
    pub fn put(row: Row, expect: Expect) -> Self {
        Self { key: row.key(), expect, row: Some(row) }
    }

    /// Removes a record where `expect` fits; one that is not there is fine with [`Expect::Any`]. An event is not removed
    /// but by its age ([`Store::purge_events`](super::Store::purge_events)), and a page of the audit log only with all that is
    /// older ([`Store::purge_audit`](super::Store::purge_audit)): that is always a conflict.
    #[must_use]
    pub fn remove(key: Key, expect: Expect) -> Self {
        Self { key, expect, row: None }
    }

    /// The record that it writes.
    #[must_use]
    pub fn row(&self) -> Option<&Row> {
        self.row.as_ref()
    }

    /// The same with its record sealed anew.
    #[must_use]
    pub fn sealed_as(self, sealed: Vec<u8>) -> Self {
        Self { row: self.row.map(|row| row.sealed_as(sealed)), ..self }
    }

    /// About how many bytes it takes in a commit.
    #[must_use]
    pub fn weight(&self) -> usize {
        64 + self.row.as_ref().map_or(0, Row::weight)
    }

    /// Whether it adds an event.
    #[must_use]
    pub fn is_event(&self) -> bool {
        matches!(self.row, Some(Row::Event(_)))
    }

    /// Whether it adds a page to the audit log.
    #[must_use]
    pub fn is_audit(&self) -> bool {
        matches!(self.row, Some(Row::Audit(_)))
    }

    /// Whether it leaves the audit log what it is but for a page behind the last one, of the number `last` (0 before the first).
    pub(super) fn only_adds_to_the_log(&self, last: u64) -> bool {
        match (&self.key, &self.row) {
            (Key::Audit(_), Some(Row::Audit(row))) => {
                row.before == last && row.first > last && row.last >= row.first && self.expect == Expect::Absent
            }
            (Key::Audit(_), _) => false,
            _ => true,
        }
    }

    /// The change with the sequence that its event gets, where it adds one. `None` where it would change or remove one.
    pub(super) fn numbered(self, sequence: u64) -> Option<Self> {
        match (self.key, self.row) {
            (Key::Event(_), Some(Row::Event(row))) => {
                Some(Self::put(Row::Event(EventRow { sequence, ..row }), self.expect))
            }
            (Key::Event(_), _) => None,
            (key, row) => Some(Self { key, expect: self.expect, row }),
        }
    }
}

/// What a commit expects of a record that it changes. Whatever it expects, a name that another application, connection or access
/// record has is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// Anything, or nothing.
    Any,
    /// No record under this key.
    Absent,
    /// The record at exactly this version.
    Version(u64),
}

/// The key of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Key {
    /// An application, by id.
    Application(Uuid),
    /// A connection, by id.
    Connection(Uuid),
    /// A credential, by id.
    Credential(Uuid),
    /// A pending authorization, by the SHA-256 of its state.
    Pending([u8; 32]),
    /// The refresh in flight of a connection, by the connection's id.
    Flight(Uuid),
    /// An event, by its sequence.
    Event(u64),
    /// What an administrator keeps ([`AccessKind`]), by id.
    Access(Uuid),
    /// A page of the audit log, by the sequence of its last entry.
    Audit(u64),
}

/// A record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Row {
    /// An application.
    Application(ApplicationRow),
    /// A connection.
    Connection(ConnectionRow),
    /// A credential.
    Credential(CredentialRow),
    /// A pending authorization.
    Pending(PendingRow),
    /// A refresh in flight.
    Flight(FlightRow),
    /// An event.
    Event(EventRow),
    /// What an administrator keeps.
    Access(AccessRow),
    /// A page of the audit log.
    Audit(AuditRow),
}

impl Row {
    /// The key that the record lies under.
    #[must_use]
    pub fn key(&self) -> Key {
        match self {
            Self::Application(row) => Key::Application(row.id),
            Self::Connection(row) => Key::Connection(row.id),
            Self::Credential(row) => Key::Credential(row.id),
            Self::Pending(row) => Key::Pending(row.state_hash),
            Self::Flight(row) => Key::Flight(row.connection),
            Self::Event(row) => Key::Event(row.sequence),
            Self::Access(row) => Key::Access(row.id),
            Self::Audit(row) => Key::Audit(row.last),
        }
    }

    /// The version that [`Expect::Version`] compares. The writer sets it, one more than the version it read.
    #[must_use]
    pub fn version(&self) -> u64 {
        match self {
            Self::Application(row) => row.version,
            Self::Connection(row) => row.version,
            Self::Credential(row) => row.version,
            Self::Pending(_) | Self::Event(_) | Self::Audit(_) => 1,
            Self::Flight(row) => row.version,
            Self::Access(row) => row.version,
        }
    }

    /// About how many bytes it takes in a commit.
    #[must_use]
    pub fn weight(&self) -> usize {
        256 + self.sealed().map_or(0, <[u8]>::len)
    }

    /// Its sealed part. A flight whose reply has not come has none.
    #[must_use]
    pub fn sealed(&self) -> Option<&[u8]> {
        match self {
            Self::Application(row) => Some(&row.sealed),
            Self::Connection(row) => Some(&row.sealed),
            Self::Credential(row) => Some(&row.sealed),
            Self::Pending(row) => Some(&row.sealed),
            Self::Flight(row) => row.sealed.as_deref(),
            Self::Event(row) => Some(&row.sealed),
            Self::Access(row) => Some(&row.sealed),
            Self::Audit(row) => Some(&row.sealed),
        }
    }

    /// The same record with another sealed part; a flight without one stays without.
    #[must_use]
    pub(super) fn sealed_as(mut self, sealed: Vec<u8>) -> Self {
        match &mut self {
            Self::Application(row) => row.sealed = sealed,
            Self::Connection(row) => row.sealed = sealed,
            Self::Credential(row) => row.sealed = sealed,
            Self::Pending(row) => row.sealed = sealed,
            Self::Flight(row) => row.sealed = row.sealed.as_ref().map(|_| sealed),
            Self::Event(row) => row.sealed = sealed,
            Self::Access(row) => row.sealed = sealed,
            Self::Audit(row) => row.sealed = sealed,
        }
        self
    }
}

/// A record that was read, and the sealed part that it gets in place of the one that it has: the same record under another
/// key. Nothing else of it can be changed this way, its version neither.
#[derive(Debug, Clone)]
pub struct Reseal {
    /// The record as it was read.
    pub(super) read: Row,
    /// Its new sealed part.
    pub(super) sealed: Vec<u8>,
}

impl Reseal {
    /// Of a record that was read.
    #[must_use]
    pub fn of(read: Row, sealed: Vec<u8>) -> Self {
        Self { read, sealed }
    }

    /// The record as it will be, where `stored` is still the one that was read.
    pub(super) fn applied_to(self, stored: Option<&Row>) -> Option<Row> {
        (stored == Some(&self.read)).then(|| self.read.sealed_as(self.sealed))
    }
}

/// An application: found by id and by name (unique).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApplicationRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: String,
    /// Counts its edits.
    pub version: u64,
    /// The sealed `model::Application`.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// A place among what is due: a time, and the connection that is due then.
pub type DuePlace = (Timestamp, Uuid);

/// A connection: found by id, by name (unique), and by the time it is due.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionRow {
    /// Its id.
    pub id: Uuid,
    /// Its name.
    pub name: ConnectionName,
    /// Counts its edits.
    pub version: u64,
    /// Counts its token replies.
    pub generation: u64,
    /// The state's word, for whoever looks with the store's own tools.
    pub state: String,
    /// When the background job should look at it.
    pub due: Option<Timestamp>,
    /// The sealed `model::Connection`.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// A credential: found by id and by connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CredentialRow {
    /// Its id.
    pub id: Uuid,
    /// Its connection.
    pub connection: Uuid,
    /// Counts its edits.
    pub version: u64,
    /// The generation that brought it.
    pub generation: u64,
    /// Access or refresh token.
    pub kind: TokenKind,
    /// When it ends.
    pub expires: Timestamp,
    /// The sealed `model::Credential`.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// A pending authorization: found by the hash of its state, used once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PendingRow {
    /// SHA-256 of the `state` parameter.
    pub state_hash: [u8; 32],
    /// When it can no longer be used.
    pub expires: Timestamp,
    /// The sealed verifier, redirect URL and what else the callback must fit.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// A refresh in flight: the connection's lease and its journal entry in one. Nobody refreshes without holding it;
/// one whose lease ran out says that the connection is in doubt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlightRow {
    /// The connection that is refreshed.
    pub connection: Uuid,
    /// The fencing number: one more with each holder and each stage.
    pub version: u64,
    /// Who holds it: a random id of the process.
    pub owner: Uuid,
    /// Until when the holder may act.
    pub until: Timestamp,
    /// The generation that is being replaced.
    pub generation: u64,
    /// Whether an earlier flight of the same generation ended without an answer.
    pub doubt: bool,
    /// How far it got.
    pub stage: FlightStage,
    /// The sealed raw reply, once it came.
    #[serde(with = "serde_bytes")]
    pub sealed: Option<Vec<u8>>,
}

/// An event: found by its sequence, in the order of commits, and removed by its age.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventRow {
    /// Its place among the events: one more than the last one's, from 1. The store gives it when it commits.
    pub sequence: u64,
    /// Its id, which its sealed part is bound to: nobody knows the sequence when that is sealed.
    pub id: Uuid,
    /// When it happened.
    pub at: Timestamp,
    /// The kind's word.
    pub kind: String,
    /// The connection that it is about.
    pub connection: Option<ConnectionName>,
    /// The name of the application that it is about.
    pub application: String,
    /// The sealed `model::Event`.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// What an administrator keeps: found by id, and by name (unique among its kind). There are few of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AccessRow {
    /// Its id.
    pub id: Uuid,
    /// What it is.
    pub kind: AccessKind,
    /// Its name.
    pub name: String,
    /// Counts its edits.
    pub version: u64,
    /// The sealed record.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// What an administrator keeps. The stored form counts them: a new one is the last, and a new format of the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AccessKind {
    /// An API key.
    Key,
    /// The administrator's password.
    Administrator,
    /// A webhook.
    Webhook,
    /// How far a webhook has come; its name is the webhook's id.
    WebhookProgress,
}

/// A page of the audit log: entries that were written together, found by the sequence of the last one. Pages are added behind the last
/// one, never changed, and removed from the old end alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRow {
    /// The sequence of its first entry.
    pub first: u64,
    /// The sequence of its last entry.
    pub last: u64,
    /// The `last` of the page before it, 0 for the first of all.
    pub before: u64,
    /// When its last entry was made.
    pub until: Timestamp,
    /// The sealed `model::AuditPage`.
    #[serde(with = "serde_bytes")]
    pub sealed: Vec<u8>,
}

/// How far a refresh got.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FlightStage {
    /// The request may have been sent; no reply is known.
    Sent,
    /// The raw reply is here, sealed, and not yet taken over.
    Replied,
}
