//! Writing the audit log.
//!
//! One task writes: it knows the last page, and each page it adds carries the hash of the one before. What waits when it comes round is
//! written together. Who changes something waits until the entry is durable ([`AuditLog::write`]); who is handed a token does not
//! ([`AuditLog::hand_in`]): such entries lie in memory for [`LONGEST_UNWRITTEN`] at the most, or until something durable is written. The queue
//! is bounded: when it is full, whoever hands in waits, and nothing goes unaudited. A crash loses what lies in memory, and
//! nothing that was durable.

use super::batch::{Batch, Work};
use super::inbox::{Inbox, Lost, Taker};
use super::refusals::Told;
use crate::model::{AuditEntry, Clock, PageHash, Timestamp};
use crate::store::{Change, StoreError};
use crate::vault::{Vault, VaultError};
use jiff::SignedDuration;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

/// How long an entry that nobody waits for lies in memory, at the most, while the store takes what it is given; less where many come.
pub const LONGEST_UNWRITTEN: SignedDuration = SignedDuration::from_millis(100);

/// Entries that wait in memory to be taken, at the most; up to three times as many, and those that somebody waits for, are being written. Some
/// megabytes. Who hands in another waits.
pub const MOST_UNWRITTEN: usize = 16_384;

/// Those who wait for theirs at the most; more wait until they may.
const MOST_WAITING: usize = 1024;

/// Entries that are looked at before others have their turn.
const AT_A_TIME: usize = 512;

/// Entries of one page at the most, so that a page stays a record of some 16 KiB.
const PAGE: usize = 256;

/// Entries that are written in one commit at the most.
const MOST_IN_A_COMMIT: usize = 4096;

/// How often a page is sealed anew because another process wrote first.
const MOST_TRIES: usize = 20;

/// How often whoever hands in an entry has a writer started in place of one that has ended.
const MOST_ENDS: u32 = 2;

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
    /// What nobody waits for.
    inbox: Arc<Inbox>,
    /// What somebody waits for.
    queue: mpsc::Sender<Work>,
    /// Somebody waits, or the inbox fills.
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
        let (queue, urgent) = {
            let mut writer = self.lock();
            let writer = self.alive(&mut writer);
            (writer.queue.clone(), Arc::clone(&writer.urgent))
        };
        let sent = queue.send(Work { entries, changes, done }).await;
        urgent.notify_one();
        sent.map_err(|_| ended())?;
        answer.await.map_err(|_| ended())?
    }

    /// Hands an entry in that nobody waits for. Returns at once, unless [`MOST_UNWRITTEN`] wait already: then when they are being written.
    ///
    /// # Errors
    /// When nobody writes the log any more: the runtime that did is ending, and a task that is started there does not live.
    pub async fn hand_in(&self, entry: AuditEntry) -> Result<(), VaultError> {
        let (mut entry, mut ends) = (entry, 0);
        while let Err((back, inbox)) = self.put(entry) {
            inbox.room().await;
            ends += u32::from(inbox.is_closed());
            if ends > MOST_ENDS {
                tracing::error!(action = %back.action, "the audit log has ended, and an entry is not in it");
                return Err(ended());
            }
            entry = back;
        }
        Ok(())
    }

    /// The same where there is room; gives it back where not. Nearly always there is, and nothing has to be made to wait with.
    pub(crate) fn put(&self, entry: AuditEntry) -> Result<(), (AuditEntry, Arc<Inbox>)> {
        let mut writer = self.lock();
        let Writer { inbox, .. } = self.alive(&mut writer);
        inbox.put(entry).map_err(|entry| (entry, Arc::clone(inbox)))
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
        if let Some(Writer { queue, urgent, task, .. }) = writer {
            drop(queue);
            urgent.notify_one();
            // Its panic was told by the runtime.
            let _ = task.await;
        }
    }

    /// The writer, started where there is none that lives.
    fn alive<'a>(&self, writer: &'a mut Option<Writer>) -> &'a mut Writer {
        if writer.as_ref().is_some_and(|writer| writer.inbox.is_closed()) {
            *writer = None;
        }
        writer.get_or_insert_with(|| self.start())
    }

    fn start(&self) -> Writer {
        let (queue, work) = mpsc::channel(MOST_WAITING);
        let urgent = Arc::new(Notify::new());
        let inbox = Arc::new(Inbox::with_room_for(MOST_UNWRITTEN, Arc::clone(&urgent)));
        let (vault, clock) = (self.0.vault.clone(), Arc::clone(&self.0.clock));
        let writing = Writing {
            vault,
            clock,
            inbox: Taker(Arc::clone(&inbox)),
            taken: Vec::new(),
            work,
            urgent: Arc::clone(&urgent),
            last: None,
            told: Told::default(),
        };
        Writer { inbox, queue, urgent, task: tokio::spawn(writing.run()) }
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
    inbox: Taker,
    /// What was taken from it last, for its room.
    taken: Vec<AuditEntry>,
    work: mpsc::Receiver<Work>,
    urgent: Arc<Notify>,
    /// The last entry's sequence and its page's hash; `None` where they are to be read.
    last: Option<(u64, PageHash)>,
    told: Told,
}

impl Writing {
    async fn run(mut self) {
        let (mut batch, mut is_behind) = (Batch::default(), false);
        while self.next(&mut batch).await {
            if !is_behind && !batch.is_waited_for() && !self.work.is_closed() {
                let until = self.clock.now() + LONGEST_UNWRITTEN;
                tokio::select! {
                    // Not the queue itself: who hands in must not wake this task each time.
                    () = self.urgent.notified() => {}
                    () = self.clock.sleep_until(until) => {}
                }
            }
            is_behind = self.drain(&mut batch).await;
            while let Err(error) = self.write(&mut batch).await {
                if batch.soon.is_empty() {
                    break;
                }
                // Who waits is told at once, and the queue fills: who hands in waits. Who comes after that is not to wait for the time of a batch.
                self.refuse(&error);
                is_behind = true;
                if self.work.is_closed() {
                    return; // the batch and the inbox tell what is lost
                }
                let until = self.clock.now() + TRY_AGAIN;
                tokio::select! {
                    () = self.urgent.notified() => {}
                    () = self.clock.sleep_until(until) => {}
                }
                if batch.soon.len() < MOST_UNWRITTEN {
                    self.take_in(&mut batch).await;
                }
            }
        }
    }

    /// Tells all who wait for theirs that it is not written.
    fn refuse(&mut self, error: &VaultError) {
        for _ in 0..MOST_WAITING {
            let Ok(work) = self.work.try_recv() else { break };
            let _ = work.done.send(Err(said_again(error))); // whoever asked may have gone
        }
    }

    /// Waits until something is to be written: what was counted, where its minute is over or nothing more comes; else what is handed in. `false` where
    /// nothing more comes, and nothing is left.
    async fn next(&mut self, batch: &mut Batch) -> bool {
        let due = self.told.due();
        let counted = async {
            match due {
                Some(due) => self.clock.sleep_until(due).await,
                None => std::future::pending().await,
            }
        };
        let work = tokio::select! {
            biased;
            () = counted => {
                batch.soon.extend(self.told.counted());
                return true;
            }
            () = self.inbox.0.came() => return true,
            work = self.work.recv() => work,
        };
        self.take_in(batch).await;
        match work {
            Some(work) => batch.take(work, &mut self.told),
            None => batch.soon.extend(self.told.counted()),
        }
        !batch.is_empty()
    }

    /// Takes what nobody waits for.
    async fn take_in(&mut self, batch: &mut Batch) {
        self.inbox.0.take(&mut self.taken);
        let mut left = Lost(self.taken.len() as u64); // where the task ends in between
        for (at, entry) in self.taken.drain(..).enumerate() {
            left.0 -= 1;
            batch.put(entry, &mut self.told);
            if at % AT_A_TIME == AT_A_TIME - 1 {
                tokio::task::yield_now().await;
            }
        }
    }

    /// Takes what else waits, up to a limit: who hands in without a pause must not keep the rest from being written. What was handed in before
    /// what somebody waits for comes before it. Says whether more may wait.
    async fn drain(&mut self, batch: &mut Batch) -> bool {
        let (mut works, mut entries) = (Vec::new(), batch.now.len());
        let is_behind = loop {
            if works.len() >= MOST_WAITING || entries >= MOST_UNWRITTEN {
                break true;
            }
            let Ok(work) = self.work.try_recv() else { break false };
            entries += work.entries.len();
            works.push(work);
        };
        if !works.is_empty() || batch.soon.len() < MOST_UNWRITTEN {
            self.take_in(batch).await;
        }
        works.into_iter().for_each(|work| batch.take(work, &mut self.told));
        is_behind
    }

    /// Writes a batch and tells who waits. After an error, what nobody waits for and was not written is still in it.
    async fn write(&mut self, batch: &mut Batch) -> Result<(), VaultError> {
        let soon = batch.soon.len();
        batch.soon.append(&mut batch.now);
        batch.writing = Some((0, soon));
        let waiting = std::mem::take(&mut batch.waiting);
        let ends: Vec<usize> = waiting.iter().map(|(end, _)| soon + end).collect();
        // In commits that a store takes, whatever the entries weigh: what is written is not tried again with what is not.
        let (mut written, mut came) = (Ok(()), 0);
        while written.is_ok() && came < batch.soon.len() {
            let end = commit_end(came, soon, &ends);
            written = self.add(&batch.soon[came..end], &[]).await;
            came = if written.is_ok() { end } else { came };
            batch.writing = Some((came.min(soon), soon));
        }
        for ((_, done), end) in waiting.into_iter().zip(ends) {
            let told = if end <= came { Ok(()) } else { written.as_ref().copied().map_err(said_again) };
            let _ = done.send(told); // whoever asked may have gone
        }
        for (entries, changes, done) in std::mem::take(&mut batch.with_changes) {
            let _ = done.send(self.add(&entries, &changes).await);
        }
        // Who waited for the rest was told that theirs are not there.
        batch.soon.truncate(soon);
        batch.written(came.min(soon));
        batch.writing = None;
        written.inspect_err(|error| tracing::error!("the audit log cannot be written, and is tried again: {error}"))
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
                // A page takes as long as several answers, and they have waited for it.
                tokio::task::yield_now().await;
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

/// Where a commit ends that begins at `start`, of entries of which the first `soon` are nobody's and the others end with their owners at `ends`:
/// somebody's entries are in one commit, however many they are.
fn commit_end(start: usize, soon: usize, ends: &[usize]) -> usize {
    let most = start.saturating_add(MOST_IN_A_COMMIT);
    if most <= soon {
        return most;
    }
    let whole = ends.iter().copied().take_while(|end| *end <= most).last().unwrap_or(0).max(soon);
    let next = || ends.iter().copied().find(|end| *end > start);
    if whole > start { whole } else { next().unwrap_or(most) }
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
