//! Keys and the log over a store in memory, and over one that somebody edits past every rule.

mod broken;
mod keys;
mod log;
mod reading;
mod verify;

use super::*;
use crate::model::{
    Action, Actor, AuditEntry, Clock as _, Outcome, PageHash, RecordedAudit, RequestId, Target, TestClock, Timestamp,
    new_id,
};
use crate::seal::Keyring;
use crate::store::{AuditRow, Change, Expect, Key, MemoryStore, Row, Store};
use crate::vault::{KeyRecord, Vault, VaultError};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// A store, a vault over it, a clock, keys and a log.
struct Place {
    store: MemoryStore,
    vault: Vault,
    clock: TestClock,
    keys: Keys,
    log: AuditLog,
}

impl Place {
    fn new() -> Self {
        let store = MemoryStore::new();
        let keyring = Keyring::generate(Timestamp::UNIX_EPOCH).unwrap();
        Self::over(store.clone(), Vault::new(Arc::new(store), Arc::new(keyring)))
    }

    fn over(store: MemoryStore, vault: Vault) -> Self {
        let clock = TestClock::new("2026-11-23T12:00:00Z".parse().unwrap());
        let keys = Keys::new(vault.clone(), Arc::new(clock.clone()));
        let log = AuditLog::new(vault.clone(), Arc::new(clock.clone()));
        Self { store, vault, clock, keys, log }
    }

    /// Another process on the same store, with the same keys and the same clock.
    fn another(&self) -> Self {
        let (vault, clock) = (self.vault.clone(), self.clock.clone());
        let keys = Keys::new(vault.clone(), Arc::new(clock.clone()));
        let log = AuditLog::new(vault.clone(), Arc::new(clock.clone()));
        Self { store: self.store.clone(), vault, clock, keys, log }
    }

    /// An entry of something that was done to a connection.
    fn entry(&self, connection: &str) -> AuditEntry {
        let actor = Actor::Session { who: "admin".to_owned(), key: None };
        Acting::by(actor).entry(Action::Revoke, Some(target(connection)), self.clock.now())
    }

    /// Writes pages of one entry each.
    async fn write(&self, connections: &[&str]) {
        for connection in connections {
            self.log.write(vec![self.entry(connection)]).await.unwrap();
        }
    }

    /// Sequences and connections of what is in the log.
    async fn logged(&self) -> Vec<(u64, String)> {
        logged(&after(&self.vault, 0, 100_000).await.unwrap())
    }

    async fn findings(&self) -> Vec<u64> {
        self.verified(None).await.findings.iter().map(|finding| finding.sequence).collect()
    }

    async fn verified(&self, noted: Option<Head>) -> Verified {
        verify(&self.vault, noted).await.unwrap()
    }
}

/// No findings.
const NOTHING: [u64; 0] = [];

fn logged(entries: &[RecordedAudit]) -> Vec<(u64, String)> {
    let name = |entry: &AuditEntry| entry.target.as_ref().map(ToString::to_string).unwrap_or_default();
    entries.iter().map(|recorded| (recorded.sequence, name(&recorded.entry))).collect()
}

fn target(connection: &str) -> Target {
    Target::Connection(connection.parse().unwrap())
}

/// Polls a future once.
async fn is_ready<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> bool {
    tokio::select! { biased; _ = future => true, () = std::future::ready(()) => false }
}
