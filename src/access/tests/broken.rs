//! A store that takes no commit for a while, as one on a full disk, and whose readers can be made to stand still.

use crate::model::{ConnectionName, Timestamp};
use crate::store::{
    AccessRow, Answer, ApplicationRow, AuditRow, Change, ConnectionRow, CredentialRow, DuePlace, EventRow, Key,
    MemoryStore, Reseal, Row, Store, StoreError,
};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::Notify;
use uuid::Uuid;

#[derive(Debug, Clone, Default)]
pub(super) struct Broken {
    pub(super) inner: MemoryStore,
    pub(super) takes_nothing: Arc<AtomicBool>,
    /// Takes one commit more, and then nothing.
    pub(super) takes_one_more: Arc<AtomicBool>,
    /// Whether it says that nobody else has it.
    pub(super) exclusive: bool,
    /// How often the keys were read.
    pub(super) readings: Arc<AtomicUsize>,
    /// Whether the next reading of the keys stands still with its answer until `go_on`.
    pub(super) stands_still: Arc<AtomicBool>,
    pub(super) go_on: Arc<Notify>,
}

impl Store for Broken {
    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()> {
        if self.takes_nothing.load(Ordering::SeqCst) {
            let error = StoreError::Io { path: "store".to_owned(), reason: "the disk is full".to_owned() };
            return Box::pin(std::future::ready(Err(error)));
        }
        if self.takes_one_more.swap(false, Ordering::SeqCst) {
            self.takes_nothing.store(true, Ordering::SeqCst);
        }
        self.inner.commit(changes)
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Row>> {
        self.inner.get(key)
    }

    fn application(&self, name: &str) -> Answer<'_, Option<ApplicationRow>> {
        self.inner.application(name)
    }

    fn applications(&self) -> Answer<'_, Vec<ApplicationRow>> {
        self.inner.applications()
    }

    fn connection(&self, name: &ConnectionName) -> Answer<'_, Option<ConnectionRow>> {
        self.inner.connection(name)
    }

    fn connections(
        &self,
        application: Option<&str>,
        after: Option<&ConnectionName>,
        limit: usize,
    ) -> Answer<'_, Vec<ConnectionRow>> {
        self.inner.connections(application, after, limit)
    }

    fn credentials(&self, connection: Uuid) -> Answer<'_, Vec<CredentialRow>> {
        self.inner.credentials(connection)
    }

    fn due(&self, until: Timestamp, after: Option<DuePlace>, limit: usize) -> Answer<'_, Vec<ConnectionRow>> {
        self.inner.due(until, after, limit)
    }

    fn next_due(&self) -> Answer<'_, Option<Timestamp>> {
        self.inner.next_due()
    }

    fn is_exclusive(&self) -> bool {
        self.exclusive
    }

    fn purge_pending(&self, before: Timestamp) -> Answer<'_, usize> {
        self.inner.purge_pending(before)
    }

    fn events(&self, after: u64, limit: usize) -> Answer<'_, Vec<EventRow>> {
        self.inner.events(after, limit)
    }

    fn last_event(&self) -> Answer<'_, u64> {
        self.inner.last_event()
    }

    fn purge_events(&self, before: Timestamp) -> Answer<'_, usize> {
        self.inner.purge_events(before)
    }

    fn access(&self) -> Answer<'_, Vec<AccessRow>> {
        self.readings.fetch_add(1, Ordering::SeqCst);
        Box::pin(async move {
            let answer = self.inner.access().await;
            if self.stands_still.swap(false, Ordering::SeqCst) {
                self.go_on.notified().await;
            }
            answer
        })
    }

    fn audit(&self, after: u64, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        self.inner.audit(after, limit)
    }

    fn last_audit(&self) -> Answer<'_, u64> {
        self.inner.last_audit()
    }

    fn purge_audit(&self, up_to: u64) -> Answer<'_, usize> {
        self.inner.purge_audit(up_to)
    }

    fn walk(&self, after: Option<Key>, limit: usize) -> Answer<'_, Vec<Row>> {
        self.inner.walk(after, limit)
    }

    fn reseal(&self, records: Vec<Reseal>) -> Answer<'_, usize> {
        self.inner.reseal(records)
    }

    fn renew<'a>(&'a self, each: &'a mut (dyn FnMut(u64, u64) -> ControlFlow<()> + Send)) -> Answer<'a, bool> {
        self.inner.renew(each)
    }
}
