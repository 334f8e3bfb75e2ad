//! A store without a disk, for tests and for who embeds Grantkeeper and keeps nothing.

use super::{
    AccessKind, AccessRow, Answer, ApplicationRow, AuditRow, Change, ConnectionRow, CredentialRow, DuePlace, EventRow,
    Expect, Key, Reseal, Row, Store, StoreError,
};
use crate::model::{ConnectionName, Timestamp};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Bound, ControlFlow};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use uuid::Uuid;

/// A store in memory. Clones share the same records. What is durable here is so until the last clone is dropped.
#[derive(Debug, Clone, Default)]
pub struct MemoryStore(Arc<Mutex<Tables>>);

/// The records and what finds them.
#[derive(Debug, Clone, Default)]
struct Tables {
    rows: BTreeMap<Key, Row>,
    applications: BTreeMap<String, Uuid>,
    connections: BTreeMap<ConnectionName, Uuid>,
    due: BTreeSet<(Timestamp, Uuid)>,
    credentials: BTreeSet<(Uuid, Uuid)>,
    pending: BTreeSet<(Timestamp, [u8; 32])>,
    events: BTreeSet<(Timestamp, u64)>,
    access: BTreeMap<(AccessKind, String), Uuid>,
}

impl MemoryStore {
    /// An empty store.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// No code panics while it holds the lock, and a commit that fails takes itself back: a poisoned lock is whole.
    fn tables(&self) -> MutexGuard<'_, Tables> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers when it is polled, as the other stores do.
    fn ask<'a, T: Send + 'a>(&'a self, question: impl FnOnce(&mut Tables) -> T + Send + 'a) -> Answer<'a, T> {
        Box::pin(async move { Ok(question(&mut self.tables())) })
    }
}

impl Tables {
    /// Makes all changes, or takes them back.
    fn commit(&mut self, changes: Vec<Change>) -> Result<(), StoreError> {
        let mut undo = Vec::new();
        for change in changes {
            let next = self.last_event().saturating_add(1);
            let Some(change) = change.numbered(next).filter(|change| self.fits(change)) else {
                for (key, row) in undo.into_iter().rev() {
                    self.set(key, row);
                }
                return Err(StoreError::Conflict);
            };
            undo.push((change.key, self.set(change.key, change.row)));
        }
        Ok(())
    }

    fn fits(&self, change: &Change) -> bool {
        let old = self.rows.get(&change.key);
        let fits = match change.expect {
            Expect::Any => true,
            Expect::Absent => old.is_none(),
            Expect::Version(version) => old.is_some_and(|row| row.version() == version),
        };
        let owner = match &change.row {
            Some(Row::Application(row)) => self.applications.get(&row.name).map(|id| Key::Application(*id)),
            Some(Row::Connection(row)) => self.connections.get(&row.name).map(|id| Key::Connection(*id)),
            Some(Row::Access(row)) => self.access.get(&(row.kind, row.name.clone())).map(|id| Key::Access(*id)),
            _ => None,
        };
        fits && owner.is_none_or(|owner| owner == change.key) && change.only_adds_to_the_log(self.last_audit())
    }

    /// Puts or removes a record with all that finds it; gives back what was there.
    fn set(&mut self, key: Key, row: Option<Row>) -> Option<Row> {
        let old = self.rows.remove(&key);
        match &old {
            Some(Row::Application(row)) => drop(self.applications.remove(&row.name)),
            Some(Row::Connection(row)) => {
                self.connections.remove(&row.name);
                row.due.map(|due| self.due.remove(&(due, row.id)));
            }
            Some(Row::Credential(row)) => drop(self.credentials.remove(&(row.connection, row.id))),
            Some(Row::Pending(row)) => drop(self.pending.remove(&(row.expires, row.state_hash))),
            Some(Row::Event(row)) => drop(self.events.remove(&(row.at, row.sequence))),
            Some(Row::Access(row)) => drop(self.access.remove(&(row.kind, row.name.clone()))),
            Some(Row::Flight(_) | Row::Audit(_)) | None => {}
        }
        match &row {
            Some(Row::Application(row)) => drop(self.applications.insert(row.name.clone(), row.id)),
            Some(Row::Connection(row)) => {
                self.connections.insert(row.name.clone(), row.id);
                row.due.map(|due| self.due.insert((due, row.id)));
            }
            Some(Row::Credential(row)) => drop(self.credentials.insert((row.connection, row.id))),
            Some(Row::Pending(row)) => drop(self.pending.insert((row.expires, row.state_hash))),
            Some(Row::Event(row)) => drop(self.events.insert((row.at, row.sequence))),
            Some(Row::Access(row)) => drop(self.access.insert((row.kind, row.name.clone()), row.id)),
            Some(Row::Flight(_) | Row::Audit(_)) | None => {}
        }
        if let Some(row) = row {
            self.rows.insert(key, row);
        }
        old
    }

    fn last_event(&self) -> u64 {
        match self.rows.range(Key::Event(0)..=Key::Event(u64::MAX)).next_back() {
            Some((Key::Event(sequence), _)) => *sequence,
            _ => 0,
        }
    }

    fn last_audit(&self) -> u64 {
        match self.rows.range(Key::Audit(0)..=Key::Audit(u64::MAX)).next_back() {
            Some((Key::Audit(sequence), _)) => *sequence,
            _ => 0,
        }
    }

    fn application(&self, id: Uuid) -> Option<ApplicationRow> {
        match self.rows.get(&Key::Application(id)) {
            Some(Row::Application(row)) => Some(row.clone()),
            _ => None,
        }
    }

    fn connection(&self, id: Uuid) -> Option<ConnectionRow> {
        match self.rows.get(&Key::Connection(id)) {
            Some(Row::Connection(row)) => Some(row.clone()),
            _ => None,
        }
    }

    fn credential(&self, id: Uuid) -> Option<CredentialRow> {
        match self.rows.get(&Key::Credential(id)) {
            Some(Row::Credential(row)) => Some(row.clone()),
            _ => None,
        }
    }
}

#[cfg(test)]
impl MemoryStore {
    /// Puts a record, or none, past every rule, as somebody does who edits a store's files.
    pub(crate) fn plant(&self, key: Key, row: Option<Row>) {
        self.tables().set(key, row);
    }

    /// Puts the record of one key under another one, as somebody does who edits a store's files.
    pub(crate) fn answer_with(&self, asked: Key, answer: Key) {
        let mut tables = self.tables();
        if let Some(row) = tables.rows.get(&answer).cloned() {
            tables.rows.insert(asked, row);
        }
    }
}

impl Store for MemoryStore {
    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()> {
        Box::pin(async move { self.tables().commit(changes) })
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Row>> {
        self.ask(move |tables| tables.rows.get(&key).cloned())
    }

    fn application(&self, name: &str) -> Answer<'_, Option<ApplicationRow>> {
        let name = name.to_owned();
        self.ask(move |tables| tables.applications.get(&name).and_then(|id| tables.application(*id)))
    }

    fn applications(&self) -> Answer<'_, Vec<ApplicationRow>> {
        self.ask(|tables| tables.applications.values().filter_map(|id| tables.application(*id)).collect())
    }

    fn connection(&self, name: &ConnectionName) -> Answer<'_, Option<ConnectionRow>> {
        let name = name.clone();
        self.ask(move |tables| tables.connections.get(&name).and_then(|id| tables.connection(*id)))
    }

    fn connections(
        &self,
        application: Option<&str>,
        after: Option<&ConnectionName>,
        limit: usize,
    ) -> Answer<'_, Vec<ConnectionRow>> {
        let (application, after) = (application.map(str::to_owned), after.cloned());
        self.ask(move |tables| {
            let of = |name: &ConnectionName| application.as_ref().is_none_or(|of| name.application().as_str() == of);
            let later = |name: &ConnectionName| after.as_ref().is_none_or(|after| name > after);
            let named = tables.connections.iter().filter(|(name, _)| of(name) && later(name));
            named.filter_map(|(_, id)| tables.connection(*id)).take(limit).collect()
        })
    }

    fn credentials(&self, connection: Uuid) -> Answer<'_, Vec<CredentialRow>> {
        self.ask(move |tables| {
            let all = tables.credentials.range((connection, Uuid::nil())..=(connection, Uuid::max()));
            all.filter_map(|(_, id)| tables.credential(*id)).collect()
        })
    }

    fn due(&self, until: Timestamp, after: Option<DuePlace>, limit: usize) -> Answer<'_, Vec<ConnectionRow>> {
        self.ask(move |tables| {
            let start = after.map_or(Bound::Unbounded, Bound::Excluded);
            let due = tables.due.range((start, Bound::Unbounded)).take_while(|(due, _)| *due <= until).take(limit);
            due.filter_map(|(_, id)| tables.connection(*id)).collect()
        })
    }

    fn next_due(&self) -> Answer<'_, Option<Timestamp>> {
        self.ask(|tables| tables.due.first().map(|(due, _)| *due))
    }

    fn is_exclusive(&self) -> bool {
        false
    }

    fn purge_pending(&self, before: Timestamp) -> Answer<'_, usize> {
        self.ask(move |tables| {
            let ended: Vec<_> = tables.pending.range(..(before, [0; 32])).map(|(_, hash)| *hash).collect();
            for hash in &ended {
                tables.set(Key::Pending(*hash), None);
            }
            ended.len()
        })
    }

    fn events(&self, after: u64, limit: usize) -> Answer<'_, Vec<EventRow>> {
        self.ask(move |tables| {
            let later = (Bound::Excluded(Key::Event(after)), Bound::Included(Key::Event(u64::MAX)));
            let rows = tables.rows.range(later).take(limit);
            let events = rows.filter_map(|(_, row)| if let Row::Event(row) = row { Some(row.clone()) } else { None });
            events.collect()
        })
    }

    fn last_event(&self) -> Answer<'_, u64> {
        self.ask(|tables| tables.last_event())
    }

    fn purge_events(&self, before: Timestamp) -> Answer<'_, usize> {
        self.ask(move |tables| {
            let last = tables.last_event();
            let old = tables.events.range(..(before, 0)).map(|(_, sequence)| *sequence);
            let old: Vec<_> = old.filter(|sequence| *sequence != last).collect();
            for sequence in &old {
                tables.set(Key::Event(*sequence), None);
            }
            old.len()
        })
    }

    fn access(&self) -> Answer<'_, Vec<AccessRow>> {
        self.ask(|tables| {
            let rows = tables.access.values().filter_map(|id| tables.rows.get(&Key::Access(*id)));
            rows.filter_map(|row| if let Row::Access(row) = row { Some(row.clone()) } else { None }).collect()
        })
    }

    fn audit(&self, after: u64, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        self.ask(move |tables| {
            let later = (Bound::Excluded(Key::Audit(after)), Bound::Included(Key::Audit(u64::MAX)));
            let rows = tables.rows.range(later).take(limit);
            rows.filter_map(|(_, row)| if let Row::Audit(row) = row { Some(row.clone()) } else { None }).collect()
        })
    }

    fn last_audit(&self) -> Answer<'_, u64> {
        self.ask(|tables| tables.last_audit())
    }

    fn purge_audit(&self, up_to: u64) -> Answer<'_, usize> {
        self.ask(move |tables| {
            let last = tables.last_audit();
            let old: Vec<Key> = tables.rows.range(Key::Audit(0)..=Key::Audit(up_to)).map(|(key, _)| *key).collect();
            let old: Vec<Key> = old.into_iter().filter(|key| *key != Key::Audit(last)).collect();
            for key in &old {
                tables.set(*key, None);
            }
            old.len()
        })
    }

    fn walk(&self, after: Option<Key>, limit: usize) -> Answer<'_, Vec<Row>> {
        self.ask(move |tables| {
            let from = after.map_or(Bound::Unbounded, Bound::Excluded);
            tables.rows.range((from, Bound::Unbounded)).take(limit).map(|(_, row)| row.clone()).collect()
        })
    }

    fn reseal(&self, records: Vec<Reseal>) -> Answer<'_, usize> {
        self.ask(|tables| {
            let mut changed = 0;
            for record in records {
                let key = record.read.key();
                if let Some(row) = record.applied_to(tables.rows.get(&key)) {
                    tables.set(key, Some(row));
                    changed += 1;
                }
            }
            changed
        })
    }

    fn renew<'a>(&'a self, _: &'a mut (dyn FnMut(u64, u64) -> ControlFlow<()> + Send)) -> Answer<'a, bool> {
        Box::pin(async { Ok(true) }) // there are no files
    }
}
