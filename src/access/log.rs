//! Writing the audit log.
//!
//! One task writes: it knows the last page, and each page it adds carries the hash of the one before. What waits when it comes round is
//! written together. Who changes something waits until the entry is durable ([`AuditLog::write`]); who is handed a token does not
//! ([`AuditLog::hand_in`]): such entries lie in memory for [`LONGEST_UNWRITTEN`] at the most, or until something durable is written. The queue
//! is bounded: when it is full, whoever hands in waits, and nothing goes unaudited. A crash loses what lies in memory, and
//! nothing that was durable.

use super::batch::{Batch, Work};
use super::refusals::Told;
use crate::model::{AuditEntry, Clock, PageHash, Timestamp};
use crate::store::{Change, StoreError};
use crate::vault::{Vault, VaultError};
use jiff::SignedDuration;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long an entry that nobody waits for lies in memory, at the most, while the store takes what it is given.
pub const LONGEST_UNWRITTEN: SignedDuration = SignedDuration::from_millis(100);

/// Entries that wait in memory at the most: a few megabytes. Who hands in another waits.
pub const MOST_UNWRITTEN: usize = 8192;

/// Entries of one page at the most, so that a page stays a record of some 16 KiB.
const PAGE: usize = 64;

/// Entries that are written in one commit at the most.
const MOST_IN_A_COMMIT: usize = 1024;

/// How often a page is sealed anew because another process wrote first.
const MOST_TRIES: usize = 20;

/// How long the log waits before it tries again what the store did not take.
const TRY_AGAIN: SignedDuration = SignedDuration::from_secs(1);

/// How many sequences are left out after a restore: whoever had read entries that came after the backup must not take new ones for
/// those.
pub const SKIPPED: u64 = 1 << 32;

/// The audit log of a store. Clones share everything.
#[derive(Clone)]
pub struct AuditLog(Arc<Shared>);

struct Shared {
    vault: Vault,
    clock: Arc<dyn Clock>,
    writer: Mutex<Option<Writer>>,
}

/// The task that writes, and how it is told.
struct Writer {
    queue: mpsc::Sender<Work>,
    /// Somebody waits.
    urgent: Arc<Notify>,
    task: JoinHandle<()>,
}

impl AuditLog {
    /// The log in a vault. Its task is started by the first entry.
    #[must_use]
    pub fn new(vault: Vault, clock: Arc<dyn Clock>) -> Self {
        Self(Arc::new(Shared { vault, clock, writer: Mutex::default() }))
    }

    /// Writes entries, and returns when they are durable.
    ///
    /// # Errors
    /// When the store cannot be written: then none of them is there.
    pub async fn write(&self, entries: Vec<AuditEntry>) -> Result<(), VaultError> {
        self.commit(entries, Vec::new()).await
    }

    /// Makes changes and writes entries, in one commit: both are durable, or neither is there.
    ///
    /// # Errors
    /// When a change does not fit ([`StoreError::Conflict`]), or the store cannot be written.
    pub async fn commit(&self, entries: Vec<AuditEntry>, changes: Vec<Change>) -> Result<(), VaultError> {
        let (done, answer) = oneshot::channel();
        let (queue, urgent) = self.writer();
        let sent = queue.send(Work::Now(entries, changes, done)).await;
        urgent.notify_one();
        sent.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Hands an entry in that nobody waits for. Returns at once, unless [`MOST_UNWRITTEN`] wait already: then when one of them is written.
    ///
    /// # Errors
    /// When the log has ended with its process.
    pub async fn hand_in(&self, entry: AuditEntry) -> Result<(), VaultError> {
        // Nearly always there is room, and nothing has to be made to wait with.
        let Err(work) = self.try_hand_in(Work::Soon(Box::new(entry))) else { return Ok(()) };
        let (queue, urgent) = self.writer();
        if queue.capacity() == 0 {
            urgent.notify_one(); // a full queue is not to wait for its time
        }
        queue.send(work).await.map_err(|_| ended())
    }

    /// Hands in where there is a writer that has room; gives it back where not.
    fn try_hand_in(&self, work: Work) -> Result<(), Work> {
        match self.lock().as_ref() {
            Some(writer) => writer.queue.try_send(work).map_err(TrySendError::into_inner),
            None => Err(work),
        }
    }

    /// Writes what waits, and returns when it is durable.
    ///
    /// # Errors
    /// When the store cannot be written.
    pub async fn flush(&self) -> Result<(), VaultError> {
        if self.lock().is_none() {
            return Ok(());
        }
        self.write(Vec::new()).await
    }

    /// Writes what waits and ends the task, which holds the store. The next entry starts another.
    pub async fn close(&self) {
        let writer = self.lock().take();
        if let Some(Writer { queue, urgent, task }) = writer {
            drop(queue);
            urgent.notify_one();
            // Its panic was told by the runtime.
            let _ = task.await;
        }
    }

    fn writer(&self) -> (mpsc::Sender<Work>, Arc<Notify>) {
        let mut writer = self.lock();
        let alive = writer.take().filter(|writer| !writer.queue.is_closed());
        let writer = writer.insert(alive.unwrap_or_else(|| self.start()));
        (writer.queue.clone(), Arc::clone(&writer.urgent))
    }

    fn start(&self) -> Writer {
        let (queue, work) = mpsc::channel(MOST_UNWRITTEN);
        let urgent = Arc::new(Notify::new());
        let (vault, clock) = (self.0.vault.clone(), Arc::clone(&self.0.clock));
        let writing = Writing { vault, clock, work, urgent: Arc::clone(&urgent), last: None, told: Told::default() };
        Writer { queue, urgent, task: tokio::spawn(writing.run()) }
    }

    /// Nothing panics while it is held.
    fn lock(&self) -> MutexGuard<'_, Option<Writer>> {
        self.0.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Adds a first page behind a log that comes from a backup, [`SKIPPED`] sequences on. Only while nobody else has the store.
///
/// # Errors
/// When the store cannot be read or written.
pub async fn write_restored(vault: &Vault, entry: AuditEntry) -> Result<(), VaultError> {
    let last = last_page(vault).await?;
    let first = last.0.saturating_add(SKIPPED).saturating_add(1);
    match vault.put_audit(first, last, &[entry])? {
        Some((change, ..)) => vault.commit(vec![change]).await,
        None => Ok(()),
    }
}

/// The sequence of the last entry and the hash of its page. One that does not open is gone on from without its hash: a log that
/// could be stopped by damaging it would be none. Verifying tells of it.
async fn last_page(vault: &Vault) -> Result<(u64, PageHash), VaultError> {
    let last = vault.last_audit().await?;
    match vault.audit_page(last).await? {
        None => Ok((last, PageHash::default())),
        Some((_, Ok(page))) => Ok((last, page.hash)),
        Some((_, Err(error))) => {
            tracing::error!("the audit log goes on behind a page that does not open: {error}");
            Ok((last, PageHash::default()))
        }
    }
}

/// The task.
struct Writing {
    vault: Vault,
    clock: Arc<dyn Clock>,
    work: mpsc::Receiver<Work>,
    urgent: Arc<Notify>,
    /// The last entry's sequence and its page's hash; `None` where they are to be read.
    last: Option<(u64, PageHash)>,
    told: Told,
}

impl Writing {
    async fn run(mut self) {
        let (mut batch, mut is_behind) = (Batch::default(), false);
        while let Some(first) = self.next().await {
            batch.take(first, &mut self.told);
            if !is_behind && !batch.is_waited_for() && !self.work.is_closed() {
                let until = self.clock.now() + LONGEST_UNWRITTEN;
                tokio::select! {
                    // Not the queue itself: who hands in must not wake this task each time.
                    () = self.urgent.notified() => {}
                    () = self.clock.sleep_until(until) => {}
                }
            }
            is_behind = self.drain(&mut batch);
            while !self.write(&mut batch).await {
                if self.work.is_closed() {
                    tracing::error!(
                        lost = batch.soon.len(),
                        "the audit log ends, and entries of it could not be written"
                    );
                    return;
                }
                let until = self.clock.now() + TRY_AGAIN;
                tokio::select! {
                    () = self.urgent.notified() => {}
                    () = self.clock.sleep_until(until) => {}
                }
                // Who waits is told when this fails again; the queue fills, and who hands in waits.
                self.drain(&mut batch);
            }
        }
    }

    /// What is to be written next: what was counted, where its minute is over or nothing more comes; else what is handed in.
    async fn next(&mut self) -> Option<Work> {
        let Some(due) = self.told.due() else { return self.work.recv().await };
        tokio::select! {
            biased;
            () = self.clock.sleep_until(due) => Some(Work::Counted(self.told.counted())),
            work = self.work.recv() => work.or_else(|| Some(Work::Counted(self.told.counted()))),
        }
    }

    /// Takes what else waits, up to as much as the queue holds: who hands in without a pause must not keep the rest from being
    /// written. Says whether more may wait.
    fn drain(&mut self, batch: &mut Batch) -> bool {
        for _ in 0..MOST_UNWRITTEN {
            if batch.soon.len() + batch.now.len() >= MOST_UNWRITTEN {
                break;
            }
            match self.work.try_recv() {
                Ok(work) => batch.take(work, &mut self.told),
                Err(_) => return false,
            }
        }
        true
    }

    /// Writes a batch and tells who waits; `false` where entries that nobody waits for could not be written, and are to be tried again.
    async fn write(&mut self, batch: &mut Batch) -> bool {
        let soon = batch.soon.len();
        batch.soon.append(&mut batch.now);
        // In commits that a store takes, whatever the entries weigh: what is written is not tried again with what is not.
        let (mut written, mut came) = (Ok(()), 0);
        for some in batch.soon.chunks(MOST_IN_A_COMMIT) {
            written = self.add(some, &[]).await;
            match written {
                Ok(()) => came += some.len(),
                Err(_) => break,
            }
        }
        for done in batch.waiting.drain(..) {
            // Whoever asked may have gone.
            let _ = done.send(written.as_ref().copied().map_err(said_again));
        }
        for (entries, changes, done) in std::mem::take(&mut batch.with_changes) {
            let _ = done.send(self.add(&entries, &changes).await);
        }
        match written {
            Ok(()) => {
                *batch = Batch::default();
                true
            }
            Err(error) => {
                tracing::error!("the audit log cannot be written, and is tried again: {error}");
                // Who waited was told that theirs are not there.
                batch.soon.truncate(soon);
                batch.soon.drain(..came.min(soon));
                batch.soon.is_empty()
            }
        }
    }

    /// Adds entries behind the last page, with changes in the same commit.
    async fn add(&mut self, entries: &[AuditEntry], changes: &[Change]) -> Result<(), VaultError> {
        for _ in 0..MOST_TRIES {
            let known = self.last.take();
            let (began, mut last) = match known {
                Some(last) => (last.0, last),
                None => last_page(&self.vault).await.map(|last| (last.0, last))?,
            };
            let mut all = changes.to_vec();
            for some in entries.chunks(PAGE) {
                if let Some((change, sequence, hash)) = self.vault.put_audit(last.0.saturating_add(1), last, some)? {
                    all.push(change);
                    last = (sequence, hash);
                }
            }
            match self.vault.commit(all).await {
                Ok(()) => {
                    self.last = Some(last);
                    return Ok(());
                }
                // Another process wrote a page meanwhile; or it is the changes that do not fit.
                Err(VaultError::Store(StoreError::Conflict)) if self.vault.last_audit().await? != began => {}
                Err(error) => return Err(error),
            }
        }
        Err(StoreError::Conflict.into())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let writer = self.writer.get_mut().unwrap_or_else(PoisonError::into_inner);
        // It writes what waits, and ends.
        writer.iter().for_each(|writer| writer.urgent.notify_one());
    }
}

/// The same error for one more who waits.
fn said_again(error: &VaultError) -> VaultError {
    match error {
        VaultError::Store(error) => VaultError::Store(error.clone()),
        other => VaultError::Format { what: "a page of the audit log".to_owned(), reason: other.to_string() },
    }
}

fn ended() -> VaultError {
    let reason = "the audit log cannot be written; look at the store's disk, and see the log".to_owned();
    VaultError::Store(StoreError::Io { path: "audit".to_owned(), reason })
}

/// When entries are too old, as the `[audit]` part of the settings says.
pub(super) fn older_than(days: u32, now: Timestamp) -> Timestamp {
    let kept = SignedDuration::from_hours(24 * i64::from(days));
    now.checked_sub(kept).unwrap_or(Timestamp::MIN)
}

impl fmt::Debug for AuditLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuditLog").finish_non_exhaustive()
    }
}
