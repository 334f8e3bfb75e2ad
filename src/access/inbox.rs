//! Where entries of the audit log lie that nobody waits for, until they are written: a list that is taken whole. Handing one in is the hot path of
//! an API; a channel takes several times as long for it (docs/performance.md).

use crate::model::AuditEntry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// The list. Who hands in and who writes share it.
pub(crate) struct Inbox {
    list: Mutex<List>,
    /// The first has come.
    came: Notify,
    /// Half of the room is taken: it is not to wait for its time, so that nearly nobody waits for room. Not told where there is none: who is refused
    /// must not have a store that takes nothing asked again and again.
    urgent: Arc<Notify>,
    /// All were taken, or nobody takes any more.
    room: Notify,
    most: usize,
}

#[derive(Default)]
struct List {
    entries: Vec<AuditEntry>,
    is_closed: bool,
}

impl Inbox {
    /// With room for so many entries; `urgent` is told when half of it is taken.
    pub(super) fn with_room_for(most: usize, urgent: Arc<Notify>) -> Self {
        Self { list: Mutex::default(), came: Notify::new(), urgent, room: Notify::new(), most }
    }

    /// Puts an entry in; gives it back where there is no room, or nobody takes it.
    pub(super) fn put(&self, entry: AuditEntry) -> Result<(), AuditEntry> {
        let mut list = self.lock();
        if list.is_closed || list.entries.len() >= self.most {
            return Err(entry);
        }
        list.entries.push(entry);
        let count = list.entries.len();
        drop(list);
        if count == 1 {
            self.came.notify_one();
        }
        if count == self.most / 2 {
            self.urgent.notify_one();
        }
        Ok(())
    }

    /// Takes all there are, and leaves an empty list in their place. Whoever waits for room has it.
    pub(super) fn take(&self, into: &mut Vec<AuditEntry>) {
        into.clear();
        let mut list = self.lock();
        if !list.entries.is_empty() {
            std::mem::swap(&mut list.entries, into);
            drop(list);
            self.room.notify_waiters();
        }
    }

    /// Waits until something has come.
    pub(super) async fn came(&self) {
        self.came.notified().await;
    }

    /// Waits until there is room, or nobody takes any more.
    pub(super) async fn room(&self) {
        let mut room = std::pin::pin!(self.room.notified());
        room.as_mut().enable(); // and then a look: what was taken in between would be missed
        {
            let list = self.lock();
            if list.is_closed || list.entries.len() < self.most {
                return;
            }
        }
        room.await;
    }

    /// Whether nobody takes any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, List> {
        self.list.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The inbox of who takes from it; closed when they are gone, also by a panic.
pub(super) struct Taker(pub(super) Arc<Inbox>);

impl Drop for Taker {
    fn drop(&mut self) {
        let left = {
            let mut list = self.0.lock();
            list.is_closed = true;
            std::mem::take(&mut list.entries)
        };
        drop(Lost::of(&left));
        self.0.room.notify_waiters();
    }
}

/// So many acts that are not in the log, told where nobody has lowered it before it is dropped: the writer ended first.
pub(super) struct Lost(pub(super) u64);

impl Lost {
    /// Those that entries tell of.
    pub(super) fn of<'a>(entries: impl IntoIterator<Item = &'a AuditEntry>) -> Self {
        Self(entries.into_iter().map(|entry| u64::from(entry.times)).sum())
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        if self.0 > 0 {
            tracing::error!(lost = self.0, "the audit log ends, and entries that waited for it are not in it");
        }
    }
}
