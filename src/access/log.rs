//! Writing the audit log.
//!
//! One task writes: it knows the last page, and each page it adds carries the hash of the one before. What waits when it comes round is
//! written together. Who changes something waits until the entry is durable ([`AuditLog::write`]); who is handed a token does not
//! ([`AuditLog::hand_in`]): such entries lie in memory for [`LONGEST_UNWRITTEN`] at the most, or until something durable is written. The queue
//! is bounded: when it is full, whoever hands in waits, and nothing goes unaudited. A crash loses what lies in memory, and
//! nothing that was durable.

use crate::model::{Action, Actor, AuditEntry, Clock, Outcome, PageHash, Target, Timestamp};
use crate::store::{Change, StoreError};
use crate::vault::{Vault, VaultError};
use jiff::SignedDuration;
use std::collections::HashMap;
use std::collections::hash_map::{Entry, RandomState};
use std::fmt;
use std::hash::BuildHasher as _;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How long an entry that nobody waits for lies in memory, at the most, while the store takes what it is given.
pub const LONGEST_UNWRITTEN: SignedDuration = SignedDuration::from_millis(100);

/// Entries that wait in memory at the most: a few megabytes. Who hands in another waits.
pub const MOST_UNWRITTEN: usize = 8192;

/// Entries of one page at the most, so that a page stays a record of some 16 KiB.
const PAGE: usize = 64;

/// Entries that are written in one commit at the most.
const MOST_IN_A_COMMIT: usize = 1024;

/// Different refusals that are told one by one in a minute, of strangers and of each key; what comes on top is counted, and the count written
/// once a minute. A flood of wrong keys must not fill the disk, and nobody can hide what is done with another's key, or without one.
const MOST_REFUSALS: u32 = 120;

/// The same in a day: some 600 kB.
const MOST_REFUSALS_A_DAY: u32 = 2000;

/// Keys whose refusals are counted each by itself; those of further ones are counted with the strangers'.
const MOST_REFUSED: usize = 256;

/// Entries of the same that are told one by one in each writing: by whom, what, to what, from where. A program that asks for a token with
/// each of its requests is counted beyond that, or its log would be larger than all else together.
pub const MOST_ALIKE: u32 = 8;

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

enum Work {
    /// Nobody waits for it.
    Soon(Box<AuditEntry>),
    /// Somebody waits until it is durable, with changes that are made in the same commit or not at all.
    Now(Vec<AuditEntry>, Vec<Change>, Done),
    /// What was not told one by one.
    Counted(Vec<AuditEntry>),
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
        let (queue, urgent) = self.writer();
        if queue.capacity() == 0 {
            urgent.notify_one(); // a full queue is not to wait for its time
        }
        queue.send(Work::Soon(Box::new(entry))).await.map_err(|_| ended())
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

/// What is written together.
#[derive(Default)]
struct Batch {
    /// Entries that nobody waits for.
    soon: Vec<AuditEntry>,
    /// Those that somebody waits for.
    now: Vec<AuditEntry>,
    waiting: Vec<Done>,
    /// Each is a commit of its own: it may not fit.
    with_changes: Vec<(Vec<AuditEntry>, Vec<Change>, Done)>,
    /// How many of those that are the same are in `soon`, and where the last of them is.
    alike: HashMap<u64, (u32, usize)>,
    hasher: RandomState,
}

/// What makes two entries the same but for their time and their request.
#[derive(PartialEq, Eq, Hash)]
struct Same<'a> {
    actor: &'a Actor,
    action: Action,
    target: Option<&'a Target>,
    outcome: Outcome,
    code: Option<&'a str>,
    detail: Option<&'a str>,
    remote: Option<IpAddr>,
}

impl<'a> Same<'a> {
    fn of(entry: &'a AuditEntry) -> Self {
        Self {
            actor: &entry.actor,
            action: entry.action,
            target: entry.target.as_ref(),
            outcome: entry.outcome,
            code: entry.code.as_deref(),
            detail: entry.detail.as_deref(),
            remote: entry.remote,
        }
    }
}

/// Who waits.
type Done = oneshot::Sender<Result<(), VaultError>>;

/// How many refusals were told one by one, and those that were not: of strangers, and of each key. Each has a count of its own: nobody can
/// hide what is done with another's key, or without one.
#[derive(Default)]
struct Told {
    of: HashMap<Option<Uuid>, Count>,
    /// What is counted, until it is written.
    over: HashMap<(Option<Uuid>, Action), AuditEntry>,
    /// The minute since the epoch in which `over` began.
    since: i64,
}

/// How many were told in a minute and in a day since the epoch.
#[derive(Default)]
struct Count {
    minute: (i64, u32),
    day: (i64, u32),
}

impl Count {
    /// Whether one more may be told by itself.
    fn one_more(&mut self, at: Timestamp) -> bool {
        let count = |of: &mut (i64, u32), now: i64| {
            if of.0 != now {
                *of = (now, 0);
            }
            of.1 = of.1.saturating_add(1);
            of.1
        };
        let a_minute = count(&mut self.minute, minute(at));
        // What is only counted is no part of the day's.
        a_minute <= MOST_REFUSALS && count(&mut self.day, at.as_second().div_euclid(86_400)) <= MOST_REFUSALS_A_DAY
    }
}

fn minute(at: Timestamp) -> i64 {
    at.as_second().div_euclid(60)
}

impl Told {
    /// A refusal that may be told by itself; one that may not is counted.
    fn or_counted(&mut self, entry: AuditEntry) -> Option<AuditEntry> {
        let key = match &entry.actor {
            Actor::Key { id, .. } if self.of.contains_key(&Some(*id)) || self.of.len() < MOST_REFUSED => Some(*id),
            _ => None,
        };
        if self.of.entry(key).or_default().one_more(entry.at) {
            return Some(entry);
        }
        if self.over.is_empty() {
            self.since = minute(entry.at);
        }
        match self.over.entry((key, entry.action)) {
            Entry::Occupied(mut counted) => {
                let counted = counted.get_mut();
                counted.times = counted.times.saturating_add(entry.times);
            }
            Entry::Vacant(vacant) => {
                let detail = Some("more than are told one by one".to_owned());
                vacant.insert(AuditEntry { remote: None, request: None, code: None, target: None, detail, ..entry });
            }
        }
        None
    }

    /// When what was counted is to be written: with the next minute.
    fn due(&self) -> Option<Timestamp> {
        let next = self.since.saturating_add(1).saturating_mul(60);
        (!self.over.is_empty()).then(|| Timestamp::from_second(next).unwrap_or(Timestamp::MAX))
    }

    /// What was counted.
    fn counted(&mut self) -> Vec<AuditEntry> {
        let mut counted: Vec<AuditEntry> = self.over.drain().map(|(_, entry)| entry).collect();
        counted.sort_by_key(|entry| entry.at);
        counted
    }
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

impl Batch {
    fn take(&mut self, work: Work, told: &mut Told) {
        match work {
            Work::Soon(entry) => self.put(*entry, told),
            Work::Counted(entries) => self.soon.extend(entries),
            Work::Now(entries, changes, done) if changes.is_empty() => {
                // Whoever wants to read finds the counts too.
                if entries.is_empty() {
                    self.soon.extend(told.counted());
                }
                self.now.extend(entries);
                self.waiting.push(done);
            }
            Work::Now(entries, changes, done) => self.with_changes.push((entries, changes, done)),
        }
    }

    /// Adds an entry that nobody waits for. What is told often enough already, and a refusal that is told at all, is counted.
    fn put(&mut self, entry: AuditEntry, told: &mut Told) {
        let is_strange = entry.outcome == Outcome::Refused && matches!(entry.actor, Actor::Nobody | Actor::Key { .. });
        let hash = self.hasher.hash_one(Same::of(&entry));
        let entry = match is_strange && !self.alike.contains_key(&hash) {
            true => told.or_counted(entry),
            false => Some(entry),
        };
        let Some(entry) = entry else { return };
        let each = if is_strange { 1 } else { MOST_ALIKE };
        let at = self.soon.len();
        match self.alike.entry(hash) {
            Entry::Vacant(vacant) => {
                vacant.insert((1, at));
                self.soon.push(entry);
            }
            Entry::Occupied(mut occupied) => {
                let (told, last) = occupied.get_mut();
                // Two that are not the same and have one hash are both told.
                let is_same = Same::of(&self.soon[*last]) == Same::of(&entry);
                if is_same && *told >= each {
                    self.soon[*last].times = self.soon[*last].times.saturating_add(entry.times);
                } else {
                    (*told, *last) = (*told + 1, at);
                    self.soon.push(entry);
                }
            }
        }
    }

    fn is_waited_for(&self) -> bool {
        !self.waiting.is_empty() || !self.with_changes.is_empty()
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
