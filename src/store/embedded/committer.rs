//! The one thread that writes. Commits that wait while a sync runs are the next group: one sync for all of them.

use super::backup::Snapshot;
use super::draft::{Draft, Lasts, Refusal};
use super::files;
use super::frame::Frame;
use super::index::{Fault, Index, guarded};
use super::journal::Journal;
use super::marker::Marker;
use super::opening::{self, Opened};
use super::renewing::{Renewing, Step};
use super::{Healing, layout, queries};
use crate::model::Timestamp;
use crate::store::{Change, EventRow, Key, Reseal, Row, StoreError};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::sync::mpsc::Receiver;
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot};

/// How much a group may weigh before it is written, in bytes of sealed records: enough that a sync is shared, little enough
/// that nobody waits long.
const GROUP_BYTES: usize = 1 << 20;
/// From how many commits in the last group on more are waited for: so many wait at once only where hundreds are under way.
const MANY: usize = 4;
/// How long they are waited for. A sync takes as long on a slow disk; on a quick one there would be a sync, and several changes of
/// the thread, for every few of them.
const GATHERING: Duration = Duration::from_micros(300);
/// How much one commit may weigh, in bytes: many times what the largest reply (1 MiB) needs.
pub(super) const LARGEST_COMMIT: usize = 16 << 20;
/// How many old records are removed in one group.
const PURGE_STEP: usize = 1000;
/// How many groups a question waits for before it goes to a thread that may block.
const GROUPS_WAITED: usize = 8;
/// How many journal files are emptied after a group at most, so that nobody waits long.
const FILES_PER_GROUP: usize = 2;

/// Where an answer goes. Nobody may be there to take it.
type Reply<T> = oneshot::Sender<Result<T, StoreError>>;

/// What the committer is asked for.
#[derive(Debug)]
pub(super) enum Work {
    /// Make these changes durable, or none.
    Commit(Vec<Change>, Reply<()>),
    /// Remove what is old.
    Purge(Old, Reply<usize>),
    /// Give records another sealed part, where they are what was read.
    Reseal(Vec<Reseal>, Reply<usize>),
    /// A step of writing everything anew; how much is done, and of how much.
    Renew(Step, Reply<(u64, u64)>),
    /// Say what a copy made now would have, and keep the files until it is made.
    Snapshot(Reply<Snapshot>),
    /// Leave out sequences of events.
    SkipEvents(u64, Reply<()>),
    /// A reader met a fault in the index of this age.
    Mend(u64, String, Reply<()>),
    /// Stop cleanly.
    Close(Reply<()>),
}

/// What is removed as too old.
#[derive(Debug, Clone, Copy)]
pub(super) enum Old {
    /// Pending authorizations that ended before a time.
    Pending(Timestamp),
    /// Events of before a time.
    Events(Timestamp),
    /// Pages of the audit log up to a sequence.
    Audit(u64),
}

/// What readers and the committer share.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) folder: PathBuf,
    /// Written by the committer alone; a reader sees a group whole or not at all.
    pub(super) slot: RwLock<Slot>,
    /// Told when the committer lets go of the index.
    pub(super) free: Notify,
    /// The last healing.
    pub(super) healing: Mutex<Option<Healing>>,
}

/// Where the index is.
#[derive(Debug)]
pub(super) struct Slot {
    /// Counts the indexes: one more with each mending.
    pub(super) age: u64,
    /// None when the store is closed, or its index could not be mended yet.
    pub(super) index: Option<Index>,
}

impl Shared {
    /// Asks the index; the fault comes with the age of the index that has it.
    pub(super) fn ask<T>(&self, question: impl Fn(&Index) -> Result<T, Fault>) -> Result<T, (u64, Fault)> {
        let slot = self.slot.read().unwrap_or_else(PoisonError::into_inner);
        let answer = match &slot.index {
            Some(index) => guarded(|| question(index)),
            None => Err(Fault::damage("the index is not open")),
        };
        answer.map_err(|fault| (slot.age, fault))
    }

    /// Asks the index where it has no fault, and holds no thread up: while the committer has it, the question waits as a
    /// task. `None` where that takes several groups.
    pub(super) async fn look<T>(&self, question: impl Fn(&Index) -> Result<T, Fault>) -> Option<T> {
        for _ in 0..GROUPS_WAITED {
            if let Some(answer) = self.look_now(&question) {
                return answer;
            }
            let mut free = std::pin::pin!(self.free.notified());
            free.as_mut().enable(); // and then a second look: what was let go of in between would be missed
            if let Some(answer) = self.look_now(&question) {
                return answer;
            }
            free.await;
        }
        None
    }

    /// `None` where the committer has the index; in it `None` where that has a fault.
    fn look_now<T>(&self, question: impl Fn(&Index) -> Result<T, Fault>) -> Option<Option<T>> {
        match self.slot.try_read() {
            Ok(slot) => Some(slot.index.as_ref().and_then(|index| guarded(|| question(index)).ok())),
            Err(TryLockError::Poisoned(_)) => Some(None),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    /// Remembers and tells a healing.
    pub(super) fn tell(&self, healing: Healing) {
        tracing::warn!(
            store = %self.folder.display(),
            noticed = healing.noticed,
            records = healing.records,
            "the store's index was made again from its journal"
        );
        *self.healing.lock().unwrap_or_else(PoisonError::into_inner) = Some(healing);
    }
}

/// The committer: owns the journal, and the lock of the store.
#[derive(Debug)]
pub(super) struct Committer {
    pub(super) shared: Arc<Shared>,
    pub(super) journal: Journal,
    /// None once the store is closed.
    lock: Option<File>,
    pub(super) wait: Duration,
    work: Receiver<Work>,
    /// How many commits the last group had.
    gathered: usize,
    /// The group up to which the index is known to be on disk.
    pub(super) synced: u64,
    /// The last event and the last page of the audit log, as far as this thread has asked: nobody else adds any.
    lasts: Lasts,
    /// Set while everything is written anew.
    pub(super) renewing: Option<Renewing>,
}

impl Committer {
    /// Takes over an opened store.
    pub(super) fn new(folder: PathBuf, opened: Opened, wait: Duration, work: Receiver<Work>) -> (Self, Arc<Shared>) {
        let Opened { journal, index, lock, healing } = opened;
        let slot = RwLock::new(Slot { age: 0, index: Some(index) });
        let shared = Arc::new(Shared { folder, slot, free: Notify::new(), healing: Mutex::new(None) });
        if let Some(healing) = healing {
            shared.tell(healing);
        }
        (
            Self {
                shared: shared.clone(),
                journal,
                lock: Some(lock),
                wait,
                work,
                gathered: 0,
                synced: 0,
                lasts: Lasts::default(),
                renewing: None,
            },
            shared,
        )
    }

    /// Works until it is asked to close or nobody is left to ask.
    pub(super) fn run(mut self) {
        let mut next = self.work.recv().ok();
        while let Some(work) = next.take() {
            match work {
                Work::Commit(changes, reply) => next = self.gather(changes, reply),
                Work::Purge(old, reply) => drop(reply.send(self.purge(old))),
                Work::Reseal(records, reply) => drop(reply.send(self.reseal(records))),
                Work::Renew(step, reply) => drop(reply.send(self.renew(step))),
                Work::Snapshot(reply) => drop(reply.send(Ok(self.journal.snapshot()))),
                Work::SkipEvents(by, reply) => drop(reply.send(self.skip_events(by))),
                Work::Mend(age, noticed, reply) => drop(reply.send(self.mend(age, noticed))),
                Work::Close(reply) => {
                    let closed = self.close();
                    drop(reply.send(closed));
                    return;
                }
            }
            self.shared.free.notify_waiters(); // mended, emptied, purged: whatever it was, the index is free now
            next = next.or_else(|| self.work.recv().ok());
        }
        if let Err(error) = self.close() {
            tracing::warn!(%error, "the store was not stopped cleanly; the next start checks it");
        }
    }

    /// Collects what else waits, and commits it all. Gives back the first work that is no commit.
    fn gather(&mut self, changes: Vec<Change>, reply: Reply<()>) -> Option<Work> {
        let mut weight = weight(&changes);
        let (mut commits, mut replies) = (vec![changes], vec![reply]);
        let mut other = None;
        if self.gathered >= MANY && weight < GROUP_BYTES {
            gather_more();
        }
        while weight < GROUP_BYTES && other.is_none() {
            match self.work.try_recv() {
                Ok(Work::Commit(changes, reply)) => {
                    weight += self::weight(&changes);
                    commits.push(changes);
                    replies.push(reply);
                }
                Ok(work) => other = Some(work),
                Err(_) => break,
            }
        }
        self.gathered = commits.len();
        for (reply, result) in replies.into_iter().zip(self.group(&commits)) {
            let _ = reply.send(result); // the caller may have gone; the commit stands
        }
        self.tidy();
        other
    }

    /// Commits a group; one result for each.
    fn group(&mut self, commits: &[Vec<Change>]) -> Vec<Result<(), StoreError>> {
        let all = |error: &StoreError| commits.iter().map(|_| Err(error.clone())).collect();
        let staged = self.staged(|draft, index| {
            let mut results = Vec::new();
            for changes in commits {
                results.push(match draft.commit(index, changes) {
                    Ok(()) => Ok(()),
                    Err(Refusal::Conflict) => Err(StoreError::Conflict),
                    Err(Refusal::Fault(fault)) => return Err(fault),
                });
            }
            Ok(results)
        });
        let (draft, results) = match staged {
            Ok(staged) => staged,
            Err(error) => return all(&error),
        };
        let written = if draft.changes.is_empty() { Ok(()) } else { self.write(draft, false) };
        match written {
            Ok(()) => results,
            Err(error) => results.into_iter().map(|result| result.and(Err(error.clone()))).collect(),
        }
    }

    /// Drafts a group; a fault of the index is mended, once.
    fn staged<T>(&mut self, stage: impl Fn(&mut Draft, &Index) -> Result<T, Fault>) -> Result<(Draft, T), StoreError> {
        // What is known goes with the index that it was asked of: where that is mended, it is asked again.
        let (progress, lasts) = (self.journal.progress(), Cell::new(self.lasts));
        self.asked(|index| {
            let mut draft = Draft::after(progress, lasts.take());
            let result = stage(&mut draft, index)?;
            Ok((draft, result))
        })
    }

    /// Asks the index; a fault of it is mended, once.
    pub(super) fn asked<T>(&mut self, question: impl Fn(&Index) -> Result<T, Fault>) -> Result<T, StoreError> {
        match self.shared.ask(&question) {
            Ok(answer) => Ok(answer),
            Err((age, fault)) => {
                self.mend(age, fault.reason)?;
                self.shared.ask(question).map_err(|(_, fault)| opening::refusal(&self.shared.folder, self.wait, fault))
            }
        }
    }

    /// Makes a group durable, then applies it. An index that does not take it is mended; the group stands.
    fn write(&mut self, draft: Draft, releases_oldest: bool) -> Result<(), StoreError> {
        let Draft { sum, edits, changes, born, died, lasts, .. } = draft;
        self.lasts = Lasts::default();
        self.journal.append(changes, sum, releases_oldest)?;
        self.lasts = lasts;
        let (sequence, _) = self.journal.progress();
        let shared = self.shared.clone();
        let mut slot = shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(renewing) = &mut self.renewing {
            renewing.follow(&edits);
        }
        let applied = match &mut slot.index {
            Some(index) => index.apply(edits, sequence, sum).and_then(|()| self.account(sequence, &born, &died)),
            None => Err(Fault::damage("the index is not open")),
        };
        // One that did not take the group is nobody's to read, not for a moment.
        let faulty = applied.err().map(|fault| (slot.index.take(), slot.age, fault));
        drop(slot);
        shared.free.notify_waiters();
        match faulty {
            Some((index, age, fault)) => self.replace(index, age, fault),
            None => self.spill(),
        }
        Ok(())
    }

    /// Has sled given what changed, where that has become enough. Waits only for what it was given before.
    fn spill(&mut self) {
        let slot = self.shared.slot.read().unwrap_or_else(PoisonError::into_inner);
        let waited = match &slot.index {
            Some(index) if index.is_full() => index.wait_for_spilling(),
            _ => return,
        };
        drop(slot);
        let shared = self.shared.clone();
        let mut slot = shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        let begun = waited.and_then(|()| slot.index.as_mut().map_or(Ok(()), Index::spill_aside));
        let faulty = begun.err().map(|fault| (slot.index.take(), slot.age, fault));
        drop(slot);
        shared.free.notify_waiters();
        if let Some((index, age, fault)) = faulty {
            self.replace(index, age, fault);
        }
    }

    /// sled has it all.
    fn spilled(&self) {
        let mut slot = self.shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        slot.index.as_mut().into_iter().for_each(Index::spilled);
        drop(slot);
        self.shared.free.notify_waiters();
    }

    /// Has an index made again that could not be written. It was taken from everybody's reach before.
    fn replace(&mut self, index: Option<Index>, age: u64, fault: Fault) {
        let _ = index.map(Index::close); // what it says is known
        if let Err(error) = self.mend(age, fault.reason) {
            tracing::error!(%error, "a commit is safe, and the index that finds it could not be written");
        }
        self.shared.free.notify_waiters();
    }

    fn account(&mut self, sequence: u64, born: &[u64], died: &[(u64, u64)]) -> Result<(), Fault> {
        born.iter().try_for_each(|bytes| self.journal.born(sequence, *bytes))?;
        died.iter().try_for_each(|(sequence, bytes)| self.journal.died(*sequence, *bytes))
    }

    /// Gives records another sealed part, in groups that hold nobody up for long.
    fn reseal(&mut self, records: Vec<Reseal>) -> Result<usize, StoreError> {
        let mut changed = 0;
        let mut records = records.into_iter().peekable();
        while records.peek().is_some() {
            let (mut step, mut weight) = (Vec::new(), 0);
            while let Some(record) = records.next_if(|_| weight < GROUP_BYTES) {
                weight += record.read.weight();
                step.push(record);
            }
            let (draft, count) = self.staged(|draft, index| {
                let mut rows = Vec::new();
                for record in &step {
                    let key = record.read.key();
                    rows.extend(record.clone().applied_to(index.row(key)?.as_ref()).map(|row| (key, Some(row))));
                }
                draft.repeat(index, &rows)?;
                Ok(rows.len())
            })?;
            if count > 0 {
                self.write(draft, false)?;
            }
            self.tidy();
            changed += count;
        }
        Ok(changed)
    }

    /// The last event moves up: the next one follows it.
    fn skip_events(&mut self, by: u64) -> Result<(), StoreError> {
        let (draft, ()) = self.staged(|draft, index| {
            let last = queries::last_event(index)?;
            let Some(Row::Event(row)) = index.row(Key::Event(last))? else { return Ok(()) };
            let moved = EventRow { sequence: last.saturating_add(by), ..row };
            let (key, row) = (Key::Event(moved.sequence), Row::Event(moved));
            draft.repeat(index, &[(Key::Event(last), None), (key, Some(row))])
        })?;
        let written = if draft.changes.is_empty() { Ok(()) } else { self.write(draft, false) };
        self.lasts = Lasts::default(); // it has moved
        written
    }

    /// Removes what is old.
    fn purge(&mut self, old: Old) -> Result<usize, StoreError> {
        let mut purged = 0;
        loop {
            let keys = self.asked(|index| match old {
                Old::Pending(before) => queries::ended(index, before, PURGE_STEP),
                Old::Events(before) => queries::aged(index, before, PURGE_STEP),
                Old::Audit(up_to) => queries::audit_until(index, up_to, PURGE_STEP),
            })?;
            if !keys.is_empty() {
                let removals: Vec<_> = keys.iter().map(|key| (*key, None)).collect();
                let (draft, ()) = self.staged(|draft, index| draft.repeat(index, &removals))?;
                self.write(draft, false)?;
            }
            self.tidy();
            purged += keys.len();
            if keys.len() < PURGE_STEP {
                return Ok(purged);
            }
        }
    }

    /// Empties journal files that are mostly waste.
    fn tidy(&mut self) {
        self.journal.remove_emptied();
        for _ in 0..FILES_PER_GROUP {
            if !self.journal.is_overgrown() {
                return;
            }
            if let Err(error) = self.empty_oldest() {
                tracing::warn!(%error, "the journal could not be shortened; the next commit tries again");
                return;
            }
        }
    }

    /// Writes the live records of the oldest journal file again, and removes the file. What is live is the index's word;
    /// it must name as many records as were counted, and the same ones, or it is the index that is wrong.
    pub(super) fn empty_oldest(&mut self) -> Result<(), StoreError> {
        let (frames, live) = self.journal.oldest()?;
        let last = frames.last().map_or(0, |frame| frame.sequence);
        let rows = self.asked(|index| {
            let rows = live_rows(index, &frames)?;
            let agree = rows.len() as u64 == live;
            if agree { Ok(rows) } else { Err(Fault::damage("the index had lost records")) }
        })?;
        let mut rows = rows.into_iter().map(|(key, row)| (key, Some(row))).peekable();
        loop {
            let mut step = Vec::new();
            let mut weight = 0;
            while let Some((key, row)) = rows.next_if(|_| weight < self.journal.step_bytes()) {
                weight += row.as_ref().map_or(0, Row::weight) as u64;
                step.push((key, row));
            }
            let is_last = rows.peek().is_none();
            let (draft, ()) = self.staged(|draft, index| draft.repeat(index, &step))?;
            self.write(draft, is_last)?;
            if is_last {
                // The index on disk must not be older than the journal reaches back: after a kill it would have to be
                // made anew, where some groups are all that it lacks. Mostly it was put there long after this file.
                if last > self.synced {
                    let (sequence, _) = self.journal.progress();
                    self.asked(Index::sync)?;
                    self.spilled();
                    self.synced = sequence;
                }
                self.journal.drop_oldest();
                return Ok(());
            }
        }
    }

    /// Opens the index again and makes it agree with the journal, unless somebody has had it mended already.
    fn mend(&mut self, age: u64, noticed: String) -> Result<(), StoreError> {
        let shared = self.shared.clone();
        let mut slot = shared.slot.write().unwrap_or_else(PoisonError::into_inner);
        if slot.age != age && slot.index.is_some() {
            return Ok(());
        }
        if let Some(Err(fault)) = slot.index.take().map(Index::close) {
            tracing::debug!(fault.reason, "the faulty index was let go of");
        }
        if let Some(renewing) = &mut self.renewing {
            renewing.distrust(); // it was copied from the faulty one
        }
        self.synced = 0;
        self.lasts = Lasts::default();
        let (index, _) = opening::agree(&shared.folder, &mut self.journal, self.wait, 0)?;
        *slot = Slot { age: slot.age + 1, index: Some(index) };
        shared.tell(Healing { noticed, records: self.journal.records() });
        Ok(())
    }

    /// Puts the index on disk, says that the stop was clean, and lets go of the store.
    fn close(&mut self) -> Result<(), StoreError> {
        self.give_up_renewing();
        self.journal.remove_emptied();
        let folder = &self.shared.folder;
        let index = self.shared.slot.write().unwrap_or_else(PoisonError::into_inner).index.take();
        let _lock = self.lock.take(); // let go at the end, before anybody is told
        let Some(index) = index else {
            return Ok(()); // closed before, or not mended: the next start checks it
        };
        let marker = self.journal.marker();
        let is_changed = Marker::read(folder).as_ref() != Some(&marker);
        let synced = if is_changed { index.sync() } else { Ok(()) };
        synced.and(index.close()).map_err(|fault| opening::refusal(folder, self.wait, fault))?;
        if is_changed {
            marker.write(folder).map_err(|error| files::trouble(folder, &error))?;
        }
        Ok(())
    }
}

impl Drop for Committer {
    fn drop(&mut self) {
        self.shared.free.notify_waiters(); // closed, or panicked: who waits must not wait for ever
    }
}

/// The records of a journal file that nothing has replaced or removed since.
fn live_rows(index: &Index, frames: &[Frame]) -> Result<BTreeMap<Key, Row>, Fault> {
    let mut rows = BTreeMap::new();
    for frame in frames {
        for (key, row) in &frame.changes {
            let (Some(row), Some(value)) = (row, index.get(&layout::row_key(*key))?) else { continue };
            let (sequence, found) = layout::row(&value)?;
            // Of two writes in one group the last one counts, and is the one in the index.
            if sequence == frame.sequence && found == *row {
                rows.insert(*key, found);
            }
        }
    }
    Ok(rows)
}

/// Waits until more commits have come. Not for the next one: each would wake this thread.
#[expect(clippy::disallowed_methods, reason = "how long a group is gathered is no time that anything is decided by")]
fn gather_more() {
    std::thread::sleep(GATHERING);
}

/// About what changes take in the journal, in bytes.
pub(super) fn weight(changes: &[Change]) -> usize {
    changes.iter().map(Change::weight).sum()
}
