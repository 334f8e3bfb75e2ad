//! Where records lie. A store sees sealed bytes and the plain fields needed to find them; it never sees a key, and it
//! decides nothing. May use `model` only.
//!
//! **A write that has returned is durable**, through kill -9 and through a power cut. A [`Store::commit`] is all or
//! nothing: its changes carry the version that the writer read, and one that no longer fits refuses the whole
//! commit. Leases, compare-and-swap and single use are all made of that one promise, so that a new store has a dozen
//! small functions to write and one suite (`conformance`) to pass.

#[cfg(test)]
mod conformance;
mod embedded;
mod memory;
mod row;

pub use embedded::{Backup, BackupFile, BackupNote, Healing, Held, SledOptions, SledStore};
pub use memory::MemoryStore;
pub use row::{
    AccessKind, AccessRow, ApplicationRow, AuditRow, Change, ConnectionRow, CredentialRow, DuePlace, EventRow, Expect,
    FlightRow, FlightStage, Key, PendingRow, Reseal, Row,
};

use crate::model::{ConnectionName, Timestamp};
use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use uuid::Uuid;

/// What every method of a store returns: a boxed future, so that `dyn Store` works.
pub type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, StoreError>> + Send + 'a>>;

/// The seam between Grantkeeper and what keeps its records.
pub trait Store: Send + Sync + std::fmt::Debug {
    /// Makes all the changes, or none. When it returns `Ok`, they are durable. A change whose [`Expect`] does not fit
    /// refuses them all with [`StoreError::Conflict`]; each sees those before it. Names are unique: a change that takes
    /// another record's name is a conflict too. Dropping the future does not undo a commit that has begun.
    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()>;

    /// One record by its key.
    fn get(&self, key: Key) -> Answer<'_, Option<Row>>;

    /// The application of a name.
    fn application(&self, name: &str) -> Answer<'_, Option<ApplicationRow>>;

    /// All applications, ordered by name.
    fn applications(&self) -> Answer<'_, Vec<ApplicationRow>>;

    /// The connection of a name.
    fn connection(&self, name: &ConnectionName) -> Answer<'_, Option<ConnectionRow>>;

    /// Up to `limit` connections ordered by name, after `after`; of one application where it is named.
    fn connections(
        &self,
        application: Option<&str>,
        after: Option<&ConnectionName>,
        limit: usize,
    ) -> Answer<'_, Vec<ConnectionRow>>;

    /// The credentials of a connection, ordered by id (which is by age).
    fn credentials(&self, connection: Uuid) -> Answer<'_, Vec<CredentialRow>>;

    /// Up to `limit` connections that are due at or before `until`, the earliest first, after a place where one is named. Costs what is due,
    /// not what is stored.
    fn due(&self, until: Timestamp, after: Option<DuePlace>, limit: usize) -> Answer<'_, Vec<ConnectionRow>>;

    /// When the next connection is due.
    fn next_due(&self) -> Answer<'_, Option<Timestamp>>;

    /// Whether this process alone can hold the store. Then a lease of another owner is a dead one's.
    fn is_exclusive(&self) -> bool;

    /// Removes pending authorizations that ended before `before`; returns how many.
    fn purge_pending(&self, before: Timestamp) -> Answer<'_, usize>;

    /// Up to `limit` events after a sequence (0 is from the first on), in order. Sequences are given in the order of commits:
    /// who has read up to one never finds a new one before it. There may be gaps.
    fn events(&self, after: u64, limit: usize) -> Answer<'_, Vec<EventRow>>;

    /// The sequence of the last event, 0 before the first.
    fn last_event(&self) -> Answer<'_, u64>;

    /// Removes events that happened before `before`, but never the last one: the next sequence follows from it. Returns how
    /// many.
    fn purge_events(&self, before: Timestamp) -> Answer<'_, usize>;

    /// All that an administrator keeps ([`AccessKind`]), ordered by kind and name.
    fn access(&self) -> Answer<'_, Vec<AccessRow>>;

    /// Up to `limit` pages of the audit log that end after a sequence (0 is from the first on), in order. A commit adds a page behind
    /// the last one or is refused.
    fn audit(&self, after: u64, limit: usize) -> Answer<'_, Vec<AuditRow>>;

    /// The sequence of the last entry of the audit log, 0 before the first.
    fn last_audit(&self) -> Answer<'_, u64>;

    /// Removes the pages of the audit log that end at or before a sequence, but never the last one: the next follows it. Returns how
    /// many.
    fn purge_audit(&self, up_to: u64) -> Answer<'_, usize>;

    /// Up to `limit` records after the one of a key, in an order of the store's own. Whoever goes on from the last key of each
    /// page meets every record that was there all the time once, whatever is written meanwhile.
    fn walk(&self, after: Option<Key>, limit: usize) -> Answer<'_, Vec<Row>>;

    /// Gives records another sealed part, each only where it still is what was read. Their versions stay, so that whoever edits
    /// one at the same time, or holds it (a flight), notices nothing. Returns how many were changed; those are durable.
    fn reseal(&self, records: Vec<Reseal>) -> Answer<'_, usize>;

    /// Writes anew whatever the store keeps its records in, step by step and beside its other work: when it returns `true`,
    /// nothing that was replaced or removed before the call is left in its files. `each` is told after each step how much is done,
    /// and of how much; where it says [`ControlFlow::Break`] the rest is left and the answer is `false`.
    fn renew<'a>(&'a self, each: &'a mut (dyn FnMut(u64, u64) -> ControlFlow<()> + Send)) -> Answer<'a, bool>;

    /// Copies everything, as it is between two commits, into a new folder, while commits go on. A store that keeps nothing of its
    /// own on this machine's disk has nothing to copy.
    fn backup<'a>(&'a self, to: &'a Path, _note: BackupNote) -> Answer<'a, Backup> {
        let reason = "this kind of store is not backed up from here; use what comes with it".to_owned();
        Box::pin(async move { Err(StoreError::Backup { path: to.display().to_string(), reason }) })
    }
}

/// Why a store did not do what was asked.
#[derive(Debug, Clone, thiserror::Error)]
pub enum StoreError {
    /// A record is not at the version that the writer had read: somebody else was faster. Read again.
    #[error("the record changed while it was being edited; nothing was written")]
    Conflict,
    /// Another process holds the store.
    #[error(
        "another process has held the store at {path} for {waited} s; wait for it to end (`grantkeeper health` tells of a daemon), and try again"
    )]
    Held {
        /// The store's folder.
        path: String,
        /// How long was waited, in seconds.
        waited: u64,
    },
    /// The store's files could not be read or written.
    #[error("the store at {path} cannot be used: {reason}")]
    Io {
        /// The store's folder.
        path: String,
        /// What the system said, and what to do.
        reason: String,
    },
    /// A backup that could not be made, or cannot be used.
    #[error("the backup {path}: {reason}")]
    Backup {
        /// Its folder.
        path: String,
        /// What is wrong, and what to do.
        reason: String,
    },
    /// The store's files hold what we did not write.
    #[error("the store at {path} is damaged: {reason}")]
    Damaged {
        /// The store's folder or file.
        path: String,
        /// Where, and what to do.
        reason: String,
    },
}
