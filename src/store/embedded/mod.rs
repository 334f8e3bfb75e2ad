//! The embedded store: a journal that is the authority, and sled that finds and reads.
//!
//! sled 0.34 keeps what it was given through kill -9, and not through a power cut: it was seen to come up empty and
//! say so to nobody. So a commit is one when it is synced in our own journal ([`journal`]), and sled is an index that can always be made
//! again. One thread writes both ([`committer`]): checks what commits expect, adds the group to the journal, syncs
//! once, applies it to the index, answers; sled is given what hundreds of groups changed at once ([`overlay`]). Nothing in either file is in clear but the fields that find a record.
//!
//! How an index that lies is noticed, at the cost of one number: with each group the journal keeps a checksum of
//! everything that the index should hold ([`layout::Sum`]). A start that does not follow a clean stop applies to sled the groups
//! it lacks, adds up what is there and compares; if it is not the same, or sled panics, the index is made anew.
//! After a clean stop the group number and the sum that sled kept are compared, and nothing else is read; damage that this
//! does not see is met by a reader, and mended then. Neither way needs the records in memory.
//!
//! A journal that is damaged itself is refused: a torn end was never acknowledged and is cut off, anything else would be
//! a record lost in silence. An older copy of the whole folder is a store like any other; only
//! the providers know that it is old.
//!
//! May use `model` and `store` only.

mod backup;
mod committer;
mod draft;
mod files;
mod frame;
mod index;
mod journal;
mod layout;
mod marker;
mod opening;
mod overlay;
mod queries;
mod renewing;
mod segment;
mod spilling;
#[cfg(test)]
mod tests;

pub use backup::{Backup, BackupFile, BackupNote};
pub use files::Held;

use crate::model::{ConnectionName, Timestamp};
use crate::store::{
    AccessRow, Answer, ApplicationRow, AuditRow, Change, ConnectionRow, CredentialRow, DuePlace, EventRow, Key, Reseal,
    Row, Store, StoreError,
};
use committer::{Committer, Old, Shared, Work};
use index::{Fault, Index};
use renewing::Step;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::oneshot;
use uuid::Uuid;

/// A store in a folder, for one process at a time. Dropping it stops it cleanly too, and waits until it has.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<Shared>,
    /// Taken when the store is dropped, so that the committer ends.
    work: Option<Sender<Work>>,
    committer: Option<JoinHandle<()>>,
}

/// How a [`SledStore`] is opened.
#[derive(Debug, Clone)]
pub struct SledOptions {
    /// How long to wait for another process that holds the store.
    pub wait: Duration,
    /// How large a journal file may be before the next is begun, in bytes.
    segment_bytes: u64,
}

impl Default for SledOptions {
    fn default() -> Self {
        Self {
            wait: Duration::from_secs(10),
            // Small enough that emptying one holds up nobody, large enough that a million connections make about a thousand files.
            segment_bytes: 2 << 20,
        }
    }
}

/// What was wrong with the index, and was made good from the journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Healing {
    /// What was noticed.
    pub noticed: String,
    /// How many records the index holds since.
    pub records: u64,
}

impl SledStore {
    /// Opens the store in `folder`, or makes it. Blocks: for milliseconds after a clean stop (a second for each 100,000 connections), up to
    /// [`SledOptions::wait`] while another process holds it, and while a damaged index is made anew.
    pub fn open(folder: &Path, options: &SledOptions) -> Result<Self, StoreError> {
        let opened = opening::open(folder, options)?;
        let (work, receiver) = channel();
        let (committer, shared) = Committer::new(folder.to_owned(), opened, options.wait, receiver);
        let committer = std::thread::Builder::new()
            .name("store-committer".to_owned())
            .spawn(move || committer.run())
            .map_err(|error| files::trouble(folder, &error))?;
        Ok(Self { shared, work: Some(work), committer: Some(committer) })
    }

    /// The last healing since the store was opened, or when it was.
    #[must_use]
    pub fn healed(&self) -> Option<Healing> {
        self.shared.healing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Finishes the commits that have begun, puts everything on disk and lets go of the folder. What is asked
    /// afterwards is refused.
    pub fn close(&self) -> Answer<'_, ()> {
        Box::pin(self.send(Work::Close))
    }

    /// Takes the lock of a folder that is no open store: nobody opens the store that is there, or comes to be there, until it is
    /// dropped. Waits up to `wait` for whoever has it.
    pub fn hold(folder: &Path, wait: Duration) -> Result<Held, StoreError> {
        files::private_folder(folder).map_err(|error| files::trouble(folder, &error))?;
        files::lock(folder, wait).map(Held)
    }

    /// Whether a store ever held anything, as its folder says.
    pub fn is_used(folder: &Path) -> Result<bool, StoreError> {
        opening::is_used(folder).map_err(|error| files::trouble(folder, &error))
    }

    /// Reads a backup from end to end, and tells what is in it.
    pub fn check_backup(backup: &Path) -> Result<Backup, StoreError> {
        backup::check(backup)
    }

    /// Makes the folder of a store of a backup; it is opened as any other.
    pub fn unpack(backup: &Path, folder: &Path) -> Result<Backup, StoreError> {
        backup::unpack(backup, folder)
    }

    /// Leaves out so many sequences of events: the last one moves up by them.
    pub fn skip_events(&self, by: u64) -> Answer<'_, ()> {
        Box::pin(self.send(move |reply| Work::SkipEvents(by, reply)))
    }

    async fn send<T>(
        &self,
        work: impl FnOnce(oneshot::Sender<Result<T, StoreError>>) -> Work,
    ) -> Result<T, StoreError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.work.as_ref().is_some_and(|channel| channel.send(work(reply)).is_ok());
        let answer = if sent { answer.await.ok() } else { None };
        answer.unwrap_or_else(|| Err(self.refusal("it was closed; open it again")))
    }

    fn refusal(&self, reason: &str) -> StoreError {
        StoreError::Io { path: self.shared.folder.display().to_string(), reason: reason.to_owned() }
    }

    /// Asks the index on a thread that may block. A fault is mended by the committer, and the question asked once more.
    fn ask<T: Send + 'static>(
        &self,
        question: impl Fn(&Index) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Answer<'_, T> {
        let question = Arc::new(question);
        Box::pin(async move {
            let fault = match self.ask_once(question.clone()).await? {
                Ok(answer) => return Ok(answer),
                Err(fault) => fault,
            };
            let (age, Fault { reason, .. }) = fault;
            self.send(|reply| Work::Mend(age, reason, reply)).await?;
            let answer = self.ask_once(question).await?;
            answer.map_err(|(_, fault)| opening::refusal(&self.shared.folder, Duration::ZERO, fault))
        })
    }

    /// Asks for a record or a few of them where the question is put: what lies in memory is there in microseconds, and a
    /// thread that may block is several times that away.
    fn look<T: Send + 'static>(
        &self,
        question: impl Fn(&Index) -> Result<T, Fault> + Send + Sync + 'static,
    ) -> Answer<'_, T> {
        Box::pin(async move {
            match self.shared.look(&question).await {
                Some(answer) => Ok(answer),
                None => self.ask(question).await,
            }
        })
    }

    async fn ask_once<T: Send + 'static>(
        &self,
        question: Arc<impl Fn(&Index) -> Result<T, Fault> + Send + Sync + 'static>,
    ) -> Result<Result<T, (u64, Fault)>, StoreError> {
        let shared = self.shared.clone();
        let asked = tokio::task::spawn_blocking(move || shared.ask(|index| question(index)));
        asked.await.map_err(|_| self.refusal("the process is ending"))
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        drop(self.work.take());
        if let Some(committer) = self.committer.take() {
            let _ = committer.join(); // it said what went wrong
        }
    }
}

impl Store for SledStore {
    fn commit(&self, changes: Vec<Change>) -> Answer<'_, ()> {
        Box::pin(async move {
            if committer::weight(&changes) > committer::LARGEST_COMMIT {
                return Err(self.refusal("nothing was written: the commit is too large; write it in parts"));
            }
            self.send(|reply| Work::Commit(changes, reply)).await
        })
    }

    fn get(&self, key: Key) -> Answer<'_, Option<Row>> {
        self.look(move |index| index.row(key))
    }

    fn application(&self, name: &str) -> Answer<'_, Option<ApplicationRow>> {
        let name = name.to_owned();
        self.look(move |index| queries::application(index, &name))
    }

    fn applications(&self) -> Answer<'_, Vec<ApplicationRow>> {
        self.ask(queries::applications)
    }

    fn connection(&self, name: &ConnectionName) -> Answer<'_, Option<ConnectionRow>> {
        let name = name.clone();
        self.look(move |index| queries::connection(index, &name))
    }

    fn connections(
        &self,
        application: Option<&str>,
        after: Option<&ConnectionName>,
        limit: usize,
    ) -> Answer<'_, Vec<ConnectionRow>> {
        let (application, after) = (application.map(str::to_owned), after.cloned());
        self.ask(move |index| queries::connections(index, application.as_deref(), after.as_ref(), limit))
    }

    fn credentials(&self, connection: Uuid) -> Answer<'_, Vec<CredentialRow>> {
        self.look(move |index| queries::credentials(index, connection))
    }

    fn due(&self, until: Timestamp, after: Option<DuePlace>, limit: usize) -> Answer<'_, Vec<ConnectionRow>> {
        self.ask(move |index| queries::due(index, until, after, limit))
    }

    fn next_due(&self) -> Answer<'_, Option<Timestamp>> {
        self.ask(queries::next_due)
    }

    fn is_exclusive(&self) -> bool {
        true
    }

    fn purge_pending(&self, before: Timestamp) -> Answer<'_, usize> {
        Box::pin(self.send(move |reply| Work::Purge(Old::Pending(before), reply)))
    }

    fn events(&self, after: u64, limit: usize) -> Answer<'_, Vec<EventRow>> {
        self.ask(move |index| queries::events(index, after, limit))
    }

    fn last_event(&self) -> Answer<'_, u64> {
        self.ask(queries::last_event)
    }

    fn purge_events(&self, before: Timestamp) -> Answer<'_, usize> {
        Box::pin(self.send(move |reply| Work::Purge(Old::Events(before), reply)))
    }

    fn access(&self) -> Answer<'_, Vec<AccessRow>> {
        self.ask(queries::access)
    }

    fn audit(&self, after: u64, limit: usize) -> Answer<'_, Vec<AuditRow>> {
        self.ask(move |index| queries::audit(index, after, limit))
    }

    fn last_audit(&self) -> Answer<'_, u64> {
        self.ask(queries::last_audit)
    }

    fn purge_audit(&self, up_to: u64) -> Answer<'_, usize> {
        Box::pin(self.send(move |reply| Work::Purge(Old::Audit(up_to), reply)))
    }

    fn walk(&self, after: Option<Key>, limit: usize) -> Answer<'_, Vec<Row>> {
        self.ask(move |index| queries::walk(index, after, limit))
    }

    fn reseal(&self, records: Vec<Reseal>) -> Answer<'_, usize> {
        Box::pin(self.send(move |reply| Work::Reseal(records, reply)))
    }

    fn renew<'a>(&'a self, each: &'a mut (dyn FnMut(u64, u64) -> ControlFlow<()> + Send)) -> Answer<'a, bool> {
        Box::pin(async move {
            let mut step = Step::Begin;
            loop {
                let (done, of) = self.send(move |reply| Work::Renew(step, reply)).await?;
                if each(done, of).is_break() && done < of {
                    self.send(|reply| Work::Renew(Step::GiveUp, reply)).await?;
                    return Ok(false);
                }
                if done == of {
                    return Ok(true);
                }
                step = Step::Next;
            }
        })
    }

    fn backup<'a>(&'a self, to: &'a Path, note: BackupNote) -> Answer<'a, Backup> {
        Box::pin(async move {
            let snapshot = self.send(Work::Snapshot).await?;
            let (store, to) = (self.shared.folder.clone(), to.to_owned());
            let copied = tokio::task::spawn_blocking(move || backup::write(&store, &to, &snapshot, note)).await;
            copied.map_err(|_| self.refusal("the process is ending"))?
        })
    }
}
