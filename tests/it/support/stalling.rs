//! A store whose reader can be made to stand still between a read and what it does with it, and that can be made to take nothing.

use grantkeeper::model::{ConnectionName, Timestamp};
use grantkeeper::store::{
    AccessRow, Answer, ApplicationRow, AuditRow, Change, ConnectionRow, CredentialRow, DuePlace, EventRow, Key,
    MemoryStore, Reseal, Row, Store, StoreError,
};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;
use uuid::Uuid;

/// Wraps a shared store. The first read of a journal entry after [`StallingStore::arm`] waits, with its answer, until it is let go.
#[derive(Debug)]
pub(crate) struct StallingStore {
    inner: MemoryStore,
    armed: AtomicBool,
    stalled: Notify,
    go_on: Notify,
    /// How many commits are refused from now on.
    refuses: AtomicUsize,
    refused: AtomicUsize,
    commits: AtomicUsize,
    /// Commits that end a flight wait while this says so.
    holds_ends: watch::Sender<bool>,
    held: watch::Sender<usize>,
    reading: AtomicUsize,
    /// How many read a connection's credentials at once, at the most.
    pub(crate) most_readers: AtomicUsize,
}

impl StallingStore {
    pub(crate) fn over(inner: MemoryStore) -> Self {
        Self {
            inner,
            armed: AtomicBool::new(false),
            stalled: Notify::new(),
            go_on: Notify::new(),
            refuses: AtomicUsize::new(0),
            refused: AtomicUsize::new(0),
            commits: AtomicUsize::new(0),
            holds_ends: watch::Sender::new(false),
            held: watch::Sender::new(0),
            reading: AtomicUsize::new(0),
            most_readers: AtomicUsize::new(0),
        }
    }

    pub(crate) fn arm(&self) {
        self.armed.store(true, Ordering::SeqCst);
    }

    /// Returns when a reader stands still.
    pub(crate) async fn stalled(&self) {
        self.stalled.notified().await;
    }

    pub(crate) fn go_on(&self) {
        self.go_on.notify_one();
    }

    /// Takes nothing from now on, as on a disk that is full, or takes all again.
    pub(crate) fn refuse(&self, refuses: bool) {
        self.refuses.store(if refuses { usize::MAX } else { 0 }, Ordering::SeqCst);
    }

    /// Takes all but the next commit.
    pub(crate) fn refuse_one(&self) {
        self.refuses.store(1, Ordering::SeqCst);
    }

    /// Commits that begin no flight wait from now on, as on a disk that is slow.
    pub(crate) fn hold_ends(&self) {
        self.holds_ends.send_replace(true);
    }

    /// Returns when so many of them wait.
    pub(crate) async fn ends_held(&self, count: usize) {
        let mut held = self.held.subscribe();
        let waited = held.wait_for(|held| *held >= count);
        timeout(Duration::from_secs(20), waited).await.expect("so many come").unwrap();
    }

    /// They wait no longer.
    pub(crate) fn let_ends_go(&self) {
        self.holds_ends.send_replace(false);
    }

    /// How many commits were taken.
    pub(crate) fn commits(&self) -> usize {
        self.commits.load(Ordering::SeqCst)
    }

    /// How many commits were refused.
    pub(crate) fn refused(&self) -> usize {
        self.refused.load(Ordering::SeqCst)
    }
}

impl Store for StallingStore {
    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()> {
        let left = self.refuses.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| match left {
            usize::MAX => Some(left),
            left => left.checked_sub(1),
        });
        if left.is_ok() {
            self.refused.fetch_add(1, Ordering::SeqCst);
            let full = StoreError::Io { path: "store".to_owned(), reason: "the disk is full".to_owned() };
            return Box::pin(async move { Err(full) });
        }
        self.commits.fetch_add(1, Ordering::SeqCst);
        let begins = changes.iter().any(|change| matches!(change.row(), Some(Row::Flight(_))));
        Box::pin(async move {
            let mut holds = self.holds_ends.subscribe();
            if !begins && *holds.borrow() {
                self.held.send_modify(|held| *held += 1);
                holds.wait_for(|holds| !holds).await.unwrap();
            }
            self.inner.commit(changes).await
        })
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Row>> {
        Box::pin(async move {
            let answer = self.inner.get(key).await;
            if matches!(key, Key::Flight(_)) && self.armed.swap(false, Ordering::SeqCst) {
                self.stalled.notify_one();
                self.go_on.notified().await;
            }
            answer
        })
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
        Box::pin(async move {
            let readers = self.reading.fetch_add(1, Ordering::SeqCst) + 1;
            self.most_readers.fetch_max(readers, Ordering::SeqCst);
            for _ in 0..3 {
                tokio::task::yield_now().await;
            }
            self.reading.fetch_sub(1, Ordering::SeqCst);
            self.inner.credentials(connection).await
        })
    }

    fn due(&self, until: Timestamp, after: Option<DuePlace>, limit: usize) -> Answer<'_, Vec<ConnectionRow>> {
        self.inner.due(until, after, limit)
    }

    fn next_due(&self) -> Answer<'_, Option<Timestamp>> {
        self.inner.next_due()
    }

    fn is_exclusive(&self) -> bool {
        false
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
        self.inner.access()
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
